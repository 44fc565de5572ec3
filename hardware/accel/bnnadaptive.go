package accel

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/hardware"
)

// Cho et al., Electronics 2021: binary networks, lanes arranged anew for every
// layer.
const (
	bnnLanes = 1024  // XNOR gates with their adders; assumed
	bnnClock = 200.0 // MHz; assumed
)

// lanes is an arrangement: products of a window, output channels and output
// pixels at a time.
type lanes struct{ in, out, pixels int }

func (a lanes) String() string {
	return fmt.Sprintf("%d in × %d out × %d pixels", a.in, a.out, a.pixels)
}

// bnnArrangements are the allowed ones: powers of two that use all lanes.
func bnnArrangements() (all []lanes) {
	for in := 1; in <= bnnLanes; in *= 2 {
		for out := 1; in*out <= bnnLanes; out *= 2 {
			all = append(all, lanes{in, out, bnnLanes / (in * out)})
		}
	}
	return all
}

// cycles is the time of a layer; operands of more than a bit take a pass for
// every pair of bits.
func (a lanes) cycles(l *hardware.Layer) float64 {
	z := &l.Size
	return float64(z[hardware.N]*z[hardware.G]) * float64(max(l.Bits.W, 1)*max(l.Bits.A, 1)) *
		hardware.Ceil(finnDepth(l), a.in) * hardware.Ceil(z[hardware.K], a.out) * hardware.Ceil(z[hardware.P]*z[hardware.Q], a.pixels)
}

// bnnBest is the arrangement of fewest cycles, of equals the one with fewest
// pixels, then output channels: it reads least.
func bnnBest(l *hardware.Layer) (best lanes, cycles float64) {
	cycles = math.Inf(1)
	for _, a := range bnnArrangements() {
		c := a.cycles(l)
		if c < cycles || c == cycles && (a.pixels < best.pixels || a.pixels == best.pixels && a.out < best.out) {
			best, cycles = a, c
		}
	}
	return best, cycles
}

// time is that of all layers in one arrangement.
func (a lanes) time(layers []*hardware.Layer) (cycles float64) {
	for _, l := range layers {
		cycles += a.cycles(l)
	}
	return cycles
}

// bnnGain is the time of the best of some arrangements, the same for all
// layers, over the time with one for each layer.
func bnnGain(layers []*hardware.Layer, fixed ...lanes) float64 {
	adaptive, least := 0.0, math.Inf(1)
	for _, l := range layers {
		_, c := bnnBest(l)
		adaptive += c
	}
	for _, a := range fixed {
		least = min(least, a.time(layers))
	}
	return least / adaptive
}

// bnnVGG is the binary network of CIFAR-10 that this kind of machine is
// compared on: six 3×3 convolutions with padding, three fully connected
// layers; the first takes images of 8 bits.
func bnnVGG() (layers []*hardware.Layer) {
	for i, c := range [][3]int{{3, 128, 32}, {128, 128, 32}, {128, 256, 16}, {256, 256, 16}, {256, 512, 8}, {512, 512, 8}} {
		bits := 1
		if i == 0 {
			bits = 8
		}
		layers = append(layers, finnBinary(hardware.Conv(fmt.Sprintf("conv%d", i+1), 1, 1, c[1], c[0], c[2], 3, 1, 1), bits))
	}
	return append(layers, finnMLP(8192, 1024, 1024, 10)...)
}

func init() {
	m := hardware.Machine{Name: "bnn-adaptive", ClockMHz: bnnClock, PeakMACs: bnnLanes}
	gain := func(name, note string, layers []*hardware.Layer, fixed ...lanes) hardware.Figure {
		return hardware.Figure{Name: "gain over " + name, Published: 1, Unit: "×", Evidence: hardware.Computed, Relation: hardware.AtLeast,
			Note: "adapting cannot lose; how much it gains is not published by itself; " + note,
			Ours: func() (float64, error) { return bnnGain(layers, fixed...), nil }}
	}
	const (
		best   = "the best single arrangement, "
		pixels = "lanes on outputs and pixels alone, "
		search = "the best of all is found for this network, and is 32 products of a window × 32 outputs: little is left"
		planes = "32 × 32 lanes that leave inputs to time, as machines do that work on planes"
	)
	hardware.Register(hardware.Accelerator{
		Name: "bnn-adaptive", Title: "Reconfigurable BNN accelerator with adaptive parallelism", Kind: hardware.BitFlexible,
		Paper: "Cho et al., Reconfigurable Binary Neural Network Accelerator with Adaptive Parallelism Scheme, Electronics 10(3):230", Year: 2021,
		Summary: "A binary engine that spreads its lanes over inputs, outputs or pixels, whichever suits the layer.",
		Params: []hardware.Param{
			{Name: "published efficiency (speed by area)", Value: "9.69 times earlier FPGA designs, 24 % above earlier VLSI designs (their areas are not known here)", Evidence: hardware.Read},
			{Name: "lanes and clock", Value: "1024 and 200 MHz, assumed: cycles scale with them", Evidence: hardware.Computed},
		},
		Formulas: `
L lanes work on a products of a window, b output channels and c pixels at a time. For
each layer the powers of two with a·b·c = L of fewest cycles are taken:

  cycles = N·G·⌈C·R·S/a⌉·⌈K/b⌉·⌈P·Q/c⌉ · bW·bA

(an operand of several bits takes a pass for every pair of bits, as the first layer's
image does). What adapting brings is the time of the best single (a, b, c) for the
whole network over that. Memory is not modelled.`,
		Figures: []hardware.Figure{
			gain(best+"VGG-like network for CIFAR-10", search, bnnVGG(), bnnArrangements()...), gain(best+"FINN's CNV", search, finnCNV(10), bnnArrangements()...),
			gain(pixels+"VGG-like network for CIFAR-10", planes, bnnVGG(), lanes{1, 32, 32}), gain(pixels+"FINN's CNV", planes, finnCNV(10), lanes{1, 32, 32}),
		},
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) {
				a, cycles := bnnBest(l)
				return hardware.Cost{Cycles: cycles, Mapping: a.String()}, nil
			})
		},
	})
}
