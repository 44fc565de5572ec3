package accel

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
)

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "finn", Title: "FINN", Kind: hardware.BitFlexible,
		Paper: "Umuroglu et al., FINN: A Framework for Fast, Scalable Binarized Neural Network Inference, FPGA", Year: 2017,
		Summary: "Every layer has an engine on the FPGA, folded so that all take about the same time; images stream through.",
		Params: []hardware.Param{
			{Name: "prototypes", Value: "ZC706 (XC7Z045), 200 MHz; SFC and LFC on MNIST, CNV on CIFAR-10", Evidence: hardware.Read},
			{Name: "accuracy", Value: "SFC 95.8 %, LFC 98.4 % (MNIST); CNV 80.1 % (CIFAR-10), 94.9 % (SVHN)", Evidence: hardware.Recalled},
			{Name: "power, chip / wall", Value: "max: SFC 7.3 / 21.2, LFC 8.8 / 22.6, CNV 3.6 / 11.7 W; fix: 0.4 / 8.1, 0.8 / 7.9, 2.3 / 10 W", Evidence: hardware.Recalled},
			{Name: "block RAMs of 36 Kibit", Value: "max: SFC 4.5, LFC 396, CNV 186; fix: 16, 114.5, 152.5", Evidence: hardware.Recalled},
			{Name: "released CNV, W1A1, XC7Z020", Value: "26 072 LUT, 41 312 FF, 124 BRAM, 24 DSP", Evidence: hardware.Rerun},
		},
		Formulas: `
An engine has PE rows of SIMD lanes and steps through its matrix of K rows and R·S·C
columns; PE must divide the rows and SIMD the columns:

  fold     = (K/PE)·(R·S·C/SIMD)       cycles of an image = G·P·Q·fold
  frames/s = clock / the slowest engine's cycles
  latency  = an engine begins when its first window is there; ends are not overlapped

LUTs = Σ 3.73·PE·SIMD·bW·bA + 19.8·PE + 1298, fitted to the eight published sizes with
our foldings (all within 13 %). Weights take PE·⌈SIMD·bW/36⌉·⌈fold/512⌉ memories of
18 Kibit. The pipeline for a workload is the fastest whose LUTs fit an XC7Z045
(218 600): for a given interval each engine gets the fewest lanes that keep up.
Power is not modelled.`,
		Figures: finnFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return runFINN(w)
		},
	})
}

func finnFigures() []hardware.Figure {
	var figures []hardware.Figure
	for i, c := range finnCNVCycles {
		figures = append(figures, finnFigure(fmt.Sprintf("released CNV, L%d", i), c, "cycles", hardware.Rerun, finnCNV(64), finnCNVFolding,
			func(p *finnPipeline) float64 { return p.cycles[i] }))
	}
	figures = append(figures, finnReleased()...)
	for i := range finnPrototypes {
		figures = append(figures, finnPrototypeFigures(&finnPrototypes[i])...)
	}
	return figures
}

func finnFigure(name string, published float64, unit string, e hardware.Evidence, layers []*hardware.Layer, folds []folding, f func(*finnPipeline) float64) hardware.Figure {
	return hardware.Figure{Name: name, Published: published, Unit: unit, Evidence: e, Ours: func() (float64, error) {
		p, err := newFINN(layers, folds)
		if err != nil {
			return 0, err
		}
		return f(p), nil
	}}
}

// finnReleased are the figures of the released designs on an XC7Z020.
func finnReleased() []hardware.Figure {
	luts := func(p *finnPipeline) float64 { return p.luts() }
	rams := func(p *finnPipeline) float64 { return p.blockRAMs() / 2 }
	at100 := func(p *finnPipeline) float64 { return 100e6 / p.interval() }
	fold := finnFigure("released LFC, longest fold", 512, "steps", hardware.Rerun, finnReleasedLFC(), finnLFCFolding,
		func(p *finnPipeline) float64 { return p.interval() })
	fold.Note = "lanes and PEs are from memory"
	computed := finnFigure("released CNV at 100 MHz", 3052, "frames/s", hardware.Computed, finnCNV(64), finnCNVFolding, at100)
	computed.Tolerance = 0.001
	measured := finnFigure("released CNV at 100 MHz, measured", 3000, "frames/s", hardware.Recalled, finnCNV(64), finnCNVFolding, at100)
	measured.Tolerance = 0.1
	cnv := finnFigure("released CNV, LUTs", 26072, "LUT", hardware.Rerun, finnCNV(64), finnCNVFolding, luts)
	lfc := finnFigure("released LFC, LUTs", 28360, "LUT", hardware.Rerun, finnReleasedLFC(), finnLFCFolding, luts)
	for _, f := range []*hardware.Figure{&cnv, &lfc} {
		f.Tolerance, f.Fitted, f.Note = 0.13, true, "one of eight sizes that three constants are fitted to"
	}
	cnvRAM := finnFigure("released CNV, block RAMs of 36 Kibit", 124, "BRAM", hardware.Rerun, finnCNV(64), finnCNVFolding, rams)
	lfcRAM := finnFigure("released LFC, block RAMs of 36 Kibit", 110, "BRAM", hardware.Rerun, finnReleasedLFC(), finnLFCFolding, rams)
	for _, f := range []*hardware.Figure{&cnvRAM, &lfcRAM} {
		f.Relation = hardware.Shown
		f.Note = "the formula puts every bank into block RAM; the tools put small ones into LUTs and pack others, and add buffers"
	}
	return []hardware.Figure{computed, measured, fold, cnv, lfc, cnvRAM, lfcRAM}
}

func finnPrototypeFigures(x *finnPrototype) []hardware.Figure {
	figure := func(what string, published float64, unit string, e hardware.Evidence, tolerance float64, f func(*finnPipeline) float64) hardware.Figure {
		return hardware.Figure{Name: x.name + ", " + what, Published: published, Unit: unit, Evidence: e, Tolerance: tolerance, Ours: func() (float64, error) {
			p, ok := finnFor(x.layers, x.limit)
			if !ok {
				return 0, fmt.Errorf("finn: %s cannot be folded to %v cycles", x.name, x.limit)
			}
			return f(p), nil
		}}
	}
	fps := figure("rate", x.fps, "frames/s", hardware.Read, 0.1, func(p *finnPipeline) float64 { return finnClock * 1e6 / p.interval() })
	latency := figure("latency", x.latency, "µs", hardware.Read, 0.2, func(p *finnPipeline) float64 { return p.latency() / finnClock })
	luts := figure("LUTs", x.luts, "LUT", hardware.Recalled, 0.13, func(p *finnPipeline) float64 { return p.luts() })
	luts.Fitted, luts.Note = true, "one of eight sizes that three constants are fitted to; the folding is our search's"
	if x.fitted {
		fps.Fitted = true
		fps.Note = fmt.Sprintf("foldings are not published: the cheapest of %.0f cycles, the exact fold nearest the published rate", x.limit)
	} else {
		fps.Note = "foldings are not published: the cheapest for 9000 frames/s, the aim of these designs (from memory)"
	}
	if x.name == "CNV-fix" {
		fps.Tolerance = 0.21
		fps.Note += "; the first layer, folded 24 times, sets the pace (21 600 cycles; its next fold has 16 200): the design spends more lanes on it"
	}
	return []hardware.Figure{fps, latency, luts}
}
