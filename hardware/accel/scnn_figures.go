package accel

import (
	"math"
	"sync"

	"github.com/drawknife/drawknife/hardware"
)

func init() {
	peak := hardware.Machine{Name: "scnn", ClockMHz: scnnClock, PeakMACs: 1024, AreaMM2: 7.9, DRAMBytes: scnnDRAM}
	hardware.Register(hardware.Accelerator{
		Name: "scnn", Title: "SCNN", Kind: hardware.Sparse,
		Paper: "Parashar et al., SCNN: An Accelerator for Compressed-sparse Convolutional Neural Networks, ISCA", Year: 2017,
		Summary:  "Input-stationary tiles of the plane; every PE multiplies all non-zero weights with all non-zero inputs of a channel.",
		Params:   scnnParams,
		Formulas: scnnFormulas,
		Figures:  scnnFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(peak, w, scnn.cost)
		},
	})
}

var scnnParams = []hardware.Param{
	{Name: "technology", Value: "16 nm, about 1 GHz", Evidence: hardware.Secondary},
	{Name: "array", Value: "8×8 PEs of 4×4 multipliers, 16 bits into 24 bits", Evidence: hardware.Secondary},
	{Name: "accumulators of a PE", Value: "32 banks of 32 entries behind a 16→32 crossbar", Evidence: hardware.Secondary},
	{Name: "memories of a PE", Value: "10 KB inputs, 10 KB outputs, 50 entries of weights; runs of 4 bits", Evidence: hardware.Secondary},
	{Name: "area", Value: "PE 0.123 mm² (memories 57 %, multipliers 6 %, crossbar 0.026 mm²), chip 7.9 mm²; dense twin 5.9 mm²", Evidence: hardware.Secondary},
	{Name: "DRAM", Value: "50 GB/s", Evidence: hardware.Secondary},
}

const scnnFormulas = `
Each of 8×8 PEs has a tile of the input plane, ⌈H/8⌉×⌈W/8⌉ with all channels,
and keeps it. Output channels come in groups of

  Kc = the most with Kc·(tile rows + R − 1)·(tile columns + S − 1) ≤ 1024

accumulators. For an input channel and a group, the non-zero weights in vectors
of F = 4 meet the non-zero inputs in vectors of I = 4:

  cycles = Σ groups, max over PEs, Σ channels ⌈inputs/4⌉·⌈weights/4⌉ · 1.05

The numbers of non-zeros are hypergeometric (weights of convolutions are counted
where they are known); the maximum over b PEs is taken as
μ + σ·E[max of b standard normals], the PEs having different inputs and the same
weights. 5 % are lost to bank conflicts (given as 5 to 10 %). A stride splits
inputs and weights into stride² phases that do not mix. A layer with one output
position (fully connected) has no second use of a weight: an input meets 4
weights a cycle; its inputs are dealt out to the PEs, and adding the PEs' sums
up is left out. DRAM delivers 50 bytes a cycle; the slower of the two counts.

Sizes in memory: symbols of 16 bits and a run of 4 bits, d·n/(1 − (1−d)^16).
Activations stay on chip unless the inputs or outputs of a whole tile exceed the
10 KB that its PE has for each; then all of the layer's pass through DRAM.

Energy at 45 nm × 0.23: a product 0.875 pJ, its coordinates 0.2, crossbar 0.3,
one read and one write of an accumulator (1.5e-3·√bytes + 0.02 pJ a bit, 96 B),
a quarter of a weight's read (500 B); inputs are read once a group (10 KB). DRAM
4 pJ a bit, not scaled. Crossbar and DRAM are chosen within their ranges so that
the energies of the GoogLeNet sweep come out; all else is estimated.

The dense twin DCNN: the same tiles of the outputs, dot products of 16 over
channels and taps, ⌈C·R·S/16⌉ a position; a weight's read from 2 KB for each
MAC, an accumulator's read and write for each dot product. DCNN-opt gates the
multiplier with zeros of either operand and the weight's read with zero inputs,
and compresses weights in DRAM.`

// network adds a layer cost up.
func network(w *hardware.Workload, cost func(*hardware.Layer) float64) (sum float64) {
	for _, l := range w.Layers {
		sum += cost(l)
	}
	return sum
}

func scnnEnergy(l *hardware.Layer) float64 {
	c, _ := scnn.cost(l)
	c.AddEnergy()
	return c.Energy
}

func dcnnPlain(l *hardware.Layer) float64 { return dcnnEnergy(l, false) }
func dcnnOpt(l *hardware.Layer) float64   { return dcnnEnergy(l, true) }

// scnnAlexNet and scnnVGG16 are networks of the paper, with the densities that
// are known.
func scnnAlexNet() *hardware.Workload { return prunedAlexNet().Convolutions() }
func scnnVGG16() *hardware.Workload   { return prunedVGG16().Convolutions() }

// scnnGoogLeNet has the mean densities of the other two networks' layers.
func scnnGoogLeNet() *hardware.Workload {
	w, a, n := 0.0, 0.0, 0.0
	for _, net := range []*hardware.Workload{scnnAlexNet(), scnnVGG16()} {
		for _, l := range net.Layers {
			w, a, n = w+l.Density.W, a+l.Density.In, n+1
		}
	}
	return uniform(inceptions(), w/n, a/n)
}

func scnnSpeedup(w *hardware.Workload) float64 {
	return network(w, dcnnCycles) / network(w, scnn.cycles)
}

// sweep is the cost of GoogLeNet at density d of both operands against that of
// another machine.
func scnnSweep(d float64, ours, other func(*hardware.Layer) float64) float64 {
	w := uniform(inceptions(), d, d)
	return network(w, other) / network(w, ours)
}

// scnnCrossover is the density at which both machines cost the same.
func scnnCrossover(ours, other func(*hardware.Layer) float64) float64 {
	low, high := 0.1, 1.0
	for range 12 {
		if mid := (low + high) / 2; scnnSweep(mid, ours, other) > 1 {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// once caches a figure that takes a search.
func once(f func() float64) func() (float64, error) {
	return sync.OnceValues(func() (float64, error) { return f(), nil })
}

// scnnEnergyGain is the mean over the networks of DCNN's energy against a
// machine's.
func scnnEnergyGain(machine func(*hardware.Layer) float64) float64 {
	sum := 0.0
	nets := []*hardware.Workload{scnnAlexNet(), scnnGoogLeNet(), scnnVGG16()}
	for _, w := range nets {
		sum += network(w, dcnnPlain) / network(w, machine)
	}
	return sum / float64(len(nets))
}

// scnnLayers is the least or the greatest speed-up of a layer.
func scnnLayers(pick func(a, b float64) float64) float64 {
	best := math.NaN()
	for _, w := range []*hardware.Workload{scnnAlexNet(), scnnGoogLeNet(), scnnVGG16()} {
		for _, l := range w.Layers {
			if s := dcnnCycles(l) / scnn.cycles(l); math.IsNaN(best) {
				best = s
			} else {
				best = pick(best, s)
			}
		}
	}
	return best
}

// scnnSpills collects, for the layers that exceed the chip's memory, energy
// over what it would be if they did not.
func scnnSpills() (penalties []float64) {
	for _, w := range []*hardware.Workload{scnnAlexNet(), scnnGoogLeNet(), scnnVGG16()} {
		for _, l := range w.Layers {
			if !scnn.spills(l) {
				continue
			}
			c, _ := scnn.cost(l)
			c.AddEnergy()
			extra := c.Levels[0].Energy[hardware.Inputs] + c.Levels[0].Energy[hardware.Outputs]
			penalties = append(penalties, extra/(c.Energy-extra))
		}
	}
	return penalties
}

// scnnCoarse is the paper's alternative of 4 PEs with 256 multipliers each, and
// scnnFine the real machine; both in groups of 8 output channels.
var (
	scnnCoarse = scnnDesign{grid: 2, f: 16, i: 16, entries: 16384, maxK: 8}
	scnnFine   = scnnDesign{grid: 8, f: 4, i: 4, entries: 1024, maxK: 8}
)

// scnnBusyUse is the use of the multipliers while their PE works.
func scnnBusyUse(d scnnDesign, w *hardware.Workload) float64 {
	return network(w, (*hardware.Layer).EffectualMACs) / network(w, d.busy) / float64(d.f*d.i)
}

func scnnUse(d scnnDesign, w *hardware.Workload) float64 {
	return network(w, (*hardware.Layer).EffectualMACs) / network(w, d.cycles) / 1024
}
