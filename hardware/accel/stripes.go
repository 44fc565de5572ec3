package accel

import (
	"math"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/dataflow"
)

// Stripes, Judd et al., MICRO 2016: DaDianNao with activations bit by bit.
const (
	stripesClock   = 980.0 // MHz, that of DaDianNao's tiles in the comparison
	stripesFilters = 256   // 16 tiles of 16 filters
	stripesInputs  = 16    // input channels at a time
	stripesWindows = 16    // windows at a time
	stripesFull    = 16    // bits of the parallel machine
)

func init() {
	m := hardware.Machine{Name: "stripes", ClockMHz: stripesClock, PeakMACs: stripesFilters * stripesInputs * stripesWindows}
	hardware.Register(hardware.Accelerator{
		Name: "stripes", Title: "Stripes", Kind: hardware.BitFlexible,
		Paper: "Judd et al., Stripes: Bit-Serial Deep Neural Network Computing, MICRO", Year: 2016,
		Summary: "DaDianNao with serial activations: a layer takes as many cycles a product as its activations have bits.",
		Params: []hardware.Param{
			{Name: "array", Value: "16 tiles of 16 filters × 16 inputs × 16 windows", Evidence: hardware.Secondary},
			{Name: "clock", Value: "980 MHz (it cancels out in every figure)", Evidence: hardware.Vague},
			{Name: "published energy efficiency", Value: "57 % better than DaDianNao (no model of energy here)", Evidence: hardware.Secondary},
			{Name: "published area", Value: "32 % more than DaDianNao", Evidence: hardware.Secondary},
		},
		Formulas: `
Each tile takes 16 windows, 16 filters and 16 input channels, bit by bit. With p bits
of activations, for each image and group:

  Stripes    ⌈P·Q/16⌉·R·S·⌈C/16⌉·⌈K/256⌉·p
  DaDianNao    P·Q   ·R·S·⌈C/16⌉·⌈K/256⌉        (16 bits, one window, 1/16 of the lanes)

so that the best speed-up is 16/p. A fully connected layer has one window and no weight
to share: it runs as fast as DaDianNao whatever its bits. Weights have 16 bits always.`,
		Figures: stripesFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) {
				return hardware.Cost{Cycles: stripesCycles(l)}, nil
			})
		},
	})
}

// dadiannaoCycles is the time of the parallel machine.
func dadiannaoCycles(l *hardware.Layer) float64 {
	return dataflow.ChannelCycles(l, stripesInputs, stripesFilters)
}

// stripesPass is the number of steps for one set of windows, of all images and
// groups.
func stripesPass(l *hardware.Layer) float64 {
	z := &l.Size
	return float64(z[hardware.G]*z[hardware.N]*z[hardware.R]*z[hardware.S]) * hardware.Ceil(z[hardware.C], stripesInputs) * hardware.Ceil(z[hardware.K], stripesFilters)
}

func stripesCycles(l *hardware.Layer) float64 {
	if l.Op == "Gemm" {
		return dadiannaoCycles(l)
	}
	return hardware.Ceil(l.Size[hardware.P]*l.Size[hardware.Q], stripesWindows) * stripesPass(l) * float64(max(l.Bits.A, 1))
}

// stripesSpeedup is DaDianNao's time over that of Stripes.
func stripesSpeedup(w *hardware.Workload) float64 {
	parallel, serial := 0.0, 0.0
	for _, l := range w.Layers {
		parallel += dadiannaoCycles(l)
		serial += stripesCycles(l)
	}
	return parallel / serial
}

// stripesIdeal weights the profile's bits with the MACs.
func stripesIdeal(w *hardware.Workload) float64 {
	macs, work := 0.0, 0.0
	for _, l := range w.Layers {
		macs += float64(l.MACs())
		work += float64(l.MACs()) * float64(l.Bits.A)
	}
	return stripesFull * macs / work
}

func stripesFigures() []hardware.Figure {
	var figures []hardware.Figure
	for _, n := range stripesNets {
		tolerance, note := 0.1, "published is 16 bits over the profile's mean"
		if n.name == "AlexNet" {
			tolerance = 0.2
			note = "published is 16 bits over the profile's mean; 3 channels fill 3 of 16 lanes here, so that conv1 with its 9 bits weighs more than its MACs"
		}
		figures = append(figures, hardware.Figure{Name: "speed-up of convolutions, " + n.name, Published: n.ideal, Unit: "×", Evidence: hardware.Vague,
			Tolerance: tolerance, Note: note, Ours: func() (float64, error) { return stripesSpeedup(n.workload()), nil }})
	}
	return append(figures,
		hardware.Figure{Name: "ideal speed-up, AlexNet, weighted by MACs", Published: 2.33, Unit: "×", Evidence: hardware.Computed, Within: 0.005,
			Ours: func() (float64, error) { return stripesIdeal(stripesNet("AlexNet")), nil }},
		hardware.Figure{Name: "average speed-up over DaDianNao", Published: 1.92, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.2,
			Note: "ours is the geometric mean of the convolutions of the eight networks, without fully connected layers",
			Ours: func() (float64, error) {
				sum := 0.0
				for _, n := range stripesNets {
					sum += math.Log(stripesSpeedup(n.workload()))
				}
				return math.Exp(sum / float64(len(stripesNets))), nil
			}},
		hardware.Figure{Name: "least speed-up (VGG_19)", Published: 1.30, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.1,
			Ours: func() (float64, error) { return stripesSpeedup(stripesNet("VGG_19")), nil }},
		hardware.Figure{Name: "largest speed-up (LeNet)", Published: 4.51, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.2,
			Note: "ours leaves out what keeps the machine from 16/3: fully connected layers, pooling and filling",
			Ours: func() (float64, error) { return stripesSpeedup(stripesNet("LeNet")), nil }},
	)
}
