package accel

import (
	"fmt"
	"strconv"

	"github.com/drawknife/drawknife/hardware"
)

// A digital compute-in-memory design of SRAM cells as NeuroSim 1.4 describes
// it, Lee et al., TCAS-I 2024: 22 nm, weights and inputs of 8 bits.
const (
	cimTile   = 512  // rows and columns of cells of an element; an element for each filter position
	cimFCTile = 1024 // rows and columns of a tile of a fully connected layer

	// All three are fitted to totals of the reference.
	cimClock    = 7520 * 1024 * 8 / 1e6    // MHz: 1024 products of 8 steps take 1/7520 s
	cimReadPJ   = 36.5e6 / 2981952         // of a step of an array: 36.5 µJ over the array steps of VGG-8
	cimArrayMM2 = 80.1 / (38*9*16 + 65*64) // of an array with its share of everything, for the published tiles
)

var cim = crossbar{rows: 128, cols: 128, cellBits: 1, weightBits: 8, inputBits: 8, dacBits: 1, activeRows: 128, signed: 1}

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "cim-sram", Title: "Digital SRAM compute-in-memory", Kind: hardware.InMemory,
		Paper: "Lee et al., NeuroSim V1.4: Extending Technology Support for Digital Compute-in-Memory Toward 1nm Node, TCAS-I", Year: 2024,
		Summary: "SRAM arrays with adders in all columns hold all weights; each position of a filter has arrays of its own, layers form a pipeline.",
		Params: []hardware.Param{
			{Name: "array", Value: "128×128 cells of 1 bit, weights and inputs of 8 bits, 22 nm", Evidence: hardware.Rerun},
			{Name: "energy", Value: "69 % sensing and adding, 10 % accumulation, 20 % other", Evidence: hardware.Rerun},
			{Name: "network", Value: "VGG-8 on 32×32 images", Evidence: hardware.Rerun},
		},
		Formulas: `
Arrays of 128×128 cells; a weight takes s = 8 columns. A convolution has a matrix
of C rows and K columns for each of the R·S positions of its filter:

  arrays of a layer   A = G · R·S · ⌈C/128⌉ · ⌈8·K/128⌉
  tiles of a layer    G · ⌈C/512⌉ · ⌈8·K/512⌉     (a tile has R·S elements of 4×4 arrays)
    fully connected   ⌈C/1024⌉ · ⌈8·K/1024⌉       (a tile has 8×8 arrays)
  cycles of a layer   N·P·Q · 8 steps
  cycles of a network the largest of its layers'
  energy              A · N·P·Q · 8 · 12.2 pJ

The time of a step (16.2 ns), the energy of an array's step and the area of an
array are fitted to the reference's frame rate, energy and area. No layer is
copied. Energy is dynamic only.`,
		Figures: cimFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return runCIM(w)
		},
	})
}

// vgg8 is the reference's network.
func vgg8() *hardware.Workload {
	w := &hardware.Workload{Name: "vgg8", Batch: 1}
	in := 3
	for i, out := range []int{128, 128, 256, 256, 512, 512} {
		w.Layers = append(w.Layers, hardware.Conv("conv"+strconv.Itoa(i+1), 1, 1, out, in, 32>>(i/2), 3, 1, 1))
		in = out
	}
	w.Layers = append(w.Layers, hardware.FC("fc1", 1, 1024, 8192), hardware.FC("fc2", 1, 10, 1024))
	return w
}

// cimArrays counts the arrays of a layer.
func cimArrays(l *hardware.Layer) int {
	s := &l.Size
	return s[hardware.G] * s[hardware.R] * s[hardware.S] * int(hardware.Ceil(s[hardware.C], cim.rows)*hardware.Ceil(s[hardware.K]*cim.perWeight(), cim.cols))
}

// cimTiles counts the tiles, and the arrays that there are in them.
func cimTiles(l *hardware.Layer) (tiles, arrays int) {
	s := &l.Size
	size, elements := cimTile, s[hardware.R]*s[hardware.S]
	if l.Op == "Gemm" {
		size = cimFCTile
	}
	tiles = s[hardware.G] * int(hardware.Ceil(s[hardware.C], size)*hardware.Ceil(s[hardware.K]*cim.perWeight(), size))
	return tiles, tiles * elements * (size / cim.rows) * (size / cim.cols)
}

func runCIM(w *hardware.Workload) (*hardware.Report, error) {
	ps, err := cim.place(w, cim.need(w)) // checks the layers
	if err != nil {
		return nil, fmt.Errorf("cim-sram: %w", err)
	}
	total := 0
	for i := range ps {
		p := &ps[i]
		p.arrays, p.copies, p.busy = cimArrays(p.layer), 1, float64(products(p.layer))
		_, n := cimTiles(p.layer)
		total += n
	}
	m := hardware.Machine{Name: "cim-sram", ClockMHz: cimClock, PeakMACs: cim.peakMACs(total), AreaMM2: cimArrayMM2 * float64(total)}
	return cim.pipeline(m, w, ps, func(p placed, c *hardware.Cost) {
		c.MACEnergy = float64(p.arrays) * p.busy * cim.steps() * cimReadPJ
	}), nil
}

func cimFigures() []hardware.Figure {
	report := func(f func(r *hardware.Report) float64) func() (float64, error) {
		return func() (float64, error) {
			r, err := runCIM(vgg8())
			if err != nil {
				return 0, err
			}
			return f(r), nil
		}
	}
	fs := []hardware.Figure{
		{Name: "VGG-8, pipelined", Published: 7520, Unit: "frame/s", Evidence: hardware.Rerun, Tolerance: 0.01, Fitted: true, Note: "the time of a step is chosen for it",
			Ours: report(func(r *hardware.Report) float64 { return r.FramesPerSecond })},
		{Name: "VGG-8, time of layer 1, the slowest", Published: 133, Unit: "µs", Evidence: hardware.Rerun, Tolerance: 0.01, Fitted: true, Note: "the same constant",
			Ours: report(func(r *hardware.Report) float64 { return r.Layer(r.Bound).Cycles / cimClock })},
		{Name: "VGG-8, dynamic energy", Published: 36.5, Unit: "µJ", Evidence: hardware.Rerun, Tolerance: 0.01, Fitted: true, Note: "the energy of an array's step is chosen for it",
			Ours: report(func(r *hardware.Report) float64 { return r.Energy / 1e6 })},
		{Name: "VGG-8, efficiency", Published: 27.4, Unit: "TOPS/W", Evidence: hardware.Rerun, Tolerance: 0.25,
			Note: "ours is operations over the dynamic energy; 27.4 would be 45 µJ, leakage seems to be in it",
			Ours: report(func(r *hardware.Report) float64 { return r.TOPSPerW })},
		{Name: "VGG-8, area", Published: 80.1, Unit: "mm²", Evidence: hardware.Rerun, Tolerance: 0.2, Fitted: true,
			Note: "an array's area is chosen for the published tiles; we have 10 tiles fewer",
			Ours: report(func(r *hardware.Report) float64 { return r.AreaMM2 })},
	}
	for i, published := range []float64{2, 8, 4, 8, 8, 8, 64, 1} {
		f := hardware.Figure{Name: "VGG-8, tiles of layer " + strconv.Itoa(i+1), Published: published, Evidence: hardware.Rerun,
			Ours: func() (float64, error) { n, _ := cimTiles(vgg8().Layers[i]); return float64(n), nil }}
		if i == 1 || i == 3 {
			f.Relation = hardware.Shown
			f.Note = "the software copies this layer (4 times layer 2, twice layer 4) by a rule that is not at hand; we copy none"
		}
		fs = append(fs, f)
	}
	return fs
}
