package accel

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/hardware"
)

// PRIME, Chi et al., ISCA 2016: a few subarrays of a resistive main memory
// compute.
const (
	primeBanks     = 64  // in the memory: 8 chips of 8 banks
	primeSubarrays = 2   // of a bank that compute
	primeMats      = 128 // of such a subarray
	primeClock     = 10. // MHz: a step of 100 ns, ISAAC's; PRIME's is not at hand

	// Estimates in pJ, scaled from ISAAC's published powers: a converter of 6
	// bits takes a quarter of one of 8 bits; a driver works as a 3-bit DAC.
	primeADC  = 16.0 / 8 / 1.28 / 4
	primeDAC  = 4.0 / 1024 * 100 * 3
	primeCell = 2.4 / 8 * 100 / (128 * 128)

	// The baseline: a unit of 16×16 multipliers at 1 GHz with DianNao's buffers
	// beside a memory of 8.5 GB/s (64 bits at 533 MHz, twice a cycle) and 20 pJ
	// a bit, 16-bit words.
	npuClock = 1e9
	npuBytes = 8.5e9
)

var prime = crossbar{rows: 256, cols: 256, cellBits: 4, weightBits: 8, inputBits: 6, dacBits: 3, activeRows: 256, signed: 2}

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "prime", Title: "PRIME", Kind: hardware.InMemory,
		Paper: "Chi et al., PRIME: A Novel Processing-in-Memory Architecture for Neural Network Computation in ReRAM-based Main Memory, ISCA", Year: 2016,
		Summary: "Resistive main memory of which two subarrays of each bank can turn into crossbars; write drivers and sense amplifiers are the converters.",
		Params: []hardware.Param{
			{Name: "mat", Value: "256×256 cells, 4 bits when computing, 1 bit when storing; 8 converters of 6 bits", Evidence: hardware.Secondary},
			{Name: "composing", Value: "6-bit inputs in two halves, 8-bit weights in two cells, 6-bit outputs; two mats for the signs", Evidence: hardware.Secondary},
			{Name: "bank", Value: "64 subarrays, of which 2 compute and 1 buffers; 8 banks a chip, 8 chips, 64 images at a time", Evidence: hardware.Secondary},
			{Name: "area", Value: "+5.76 %; a computing mat +60 % (drivers 23, subtraction and sigmoid 29)", Evidence: hardware.Secondary},
			{Name: "accuracy", Value: "99 % on MNIST with 3-bit inputs and weights", Evidence: hardware.Secondary},
		},
		Formulas: `
Mats of X×Y = 256×256 cells of 4 bits; weights of 8 bits in s = 2 columns, and
two mats for positive and negative ones; inputs of 6 bits in two steps.

  mats of a layer     A = 2 · G · ⌈C·R·S/X⌉ · ⌈K·s/Y⌉
  cycles of a layer   ⌈N·P·Q/copies⌉ · 2, a step of 100 ns (assumed)
  cycles of a network the largest of its layers' (a pipeline over the memory)

There are 64 banks of 2 · 128 computing mats: 64·256·65536/(2·2) = 2.7e8 synapses
(the mats of a subarray are fitted to that figure). Slow layers are copied until
the mats run out. A network that does not fit takes more memories.

Utilization is cells with weights over all cells of the computing subarrays that
a network takes. One that fits into a bank takes as few of its 2 subarrays as
hold it, and is copied there as a whole as often as it fits: parts of less than a
mat share one, where neither their rows (inputs of their own) nor their columns
(sums of their own) meet. A larger one takes the whole memory, its slow layers
copied. The co-processor that PRIME is compared with has DianNao's array and
buffers (see cambricon-x for what these move) and 8.5 GB/s. Energy is converters, drivers and cells, scaled from ISAAC's; buffers,
links, and programming the cells (time and energy) are left out.`,
		Figures: primeFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return runPRIME(w)
		},
	})
}

func runPRIME(w *hardware.Workload) (*hardware.Report, error) {
	memories := max(1, int(hardware.Ceil(prime.need(w), primeBanks*primeSubarrays*primeMats)))
	mats := memories * primeBanks * primeSubarrays * primeMats
	ps, err := prime.place(w, mats)
	if err != nil {
		return nil, fmt.Errorf("prime: %w", err)
	}
	m := hardware.Machine{Name: "prime", ClockMHz: primeClock, PeakMACs: prime.peakMACs(mats)}
	return prime.pipeline(m, w, ps, func(p placed, c *hardware.Cost) { c.MACEnergy = primeEnergy(p.layer) }), nil
}

// primeEnergy is that of a layer in pJ.
func primeEnergy(l *hardware.Layer) float64 {
	return prime.arrayReads(l) * (float64(prime.activeRows)*primeDAC + float64(prime.cols)*primeADC + prime.size()*primeCell)
}

// mlBench are PRIME's networks: two small CNNs and three perceptrons for
// MNIST, and VGG-D.
func mlBench() []*hardware.Workload {
	mlp := func(name string, sizes ...int) *hardware.Workload {
		w := &hardware.Workload{Name: name, Batch: 1}
		for i, out := range sizes[1:] {
			w.Layers = append(w.Layers, hardware.FC("fc"+string(rune('1'+i)), 1, out, sizes[i]))
		}
		return w
	}
	cnn := func(name string, channels, kernel int, sizes ...int) *hardware.Workload {
		w := mlp(name, sizes...)
		w.Layers = append([]*hardware.Layer{hardware.Conv("conv", 1, 1, channels, 1, 28, kernel, 1, 0)}, w.Layers...)
		return w
	}
	vgg := hardware.VGG16(1)
	vgg.Name = "vgg-d"
	return []*hardware.Workload{
		cnn("cnn-1", 5, 5, 720, 70, 10), cnn("cnn-2", 10, 7, 1210, 120, 10),
		mlp("mlp-s", 784, 500, 250, 10), mlp("mlp-m", 784, 1000, 500, 250, 10), mlp("mlp-l", 784, 1500, 1000, 500, 10), vgg,
	}
}

// primeUtilization is the share of cells in use, with and without copies.
func primeUtilization(w *hardware.Workload) (before, after float64, err error) {
	cells := 0.0
	for _, l := range w.Layers {
		cells += prime.cells(l)
	}
	blocks := prime.blocks(w)
	for n := 1; n <= primeSubarrays; n++ {
		mats := n * primeMats
		if copies := prime.fits(blocks, mats); copies > 0 {
			before = cells / (prime.size() * float64(mats))
			return before, before * float64(copies), nil
		}
	}
	const mats = primeBanks * primeSubarrays * primeMats
	ps, err := prime.place(w, mats)
	return cells / (prime.size() * mats), prime.utilization(ps, mats), err
}

// primeMean averages a share of cells over the networks but VGG-D, in percent.
func primeMean(after bool) (float64, error) {
	nets := mlBench()
	nets, sum := nets[:len(nets)-1], 0.0
	for _, w := range nets {
		b, a, err := primeUtilization(w)
		if err != nil {
			return 0, err
		}
		if after {
			b = a
		}
		sum += b
	}
	return 100 * sum / float64(len(nets)), nil
}

// primeGains are time and energy of one image on the baseline over those on
// one copy in PRIME, layer after layer.
func primeGains(w *hardware.Workload) (speed, energy float64) {
	var npuTime, npuEnergy, ourTime, ourEnergy float64
	for _, l := range w.Layers {
		bits := 0.0
		for _, b := range dianNaoBuffers.traffic(l, 16*float64(l.Words(hardware.Weights))) {
			bits += b
		}
		npuTime += max(dianNaoCycles(l)/npuClock, bits/8/npuBytes)
		npuEnergy += float64(l.MACs())*hardware.MACEnergy(16, 16, 32) + hardware.DRAMEnergy(bits)
		ourTime += float64(products(l)) * prime.steps() / (primeClock * 1e6)
		ourEnergy += primeEnergy(l)
	}
	return npuTime / ourTime, npuEnergy / ourEnergy
}

// primeThroughput is the gain in time where every bank works on an image of its
// own or, for a network that does not fit into one, all are a pipeline.
func primeThroughput(w *hardware.Workload) (float64, error) {
	speed, _ := primeGains(w)
	if prime.need(w) <= primeSubarrays*primeMats {
		return primeBanks * speed, nil
	}
	r, err := runPRIME(w)
	if err != nil {
		return 0, err
	}
	steps := 0.0
	for _, l := range w.Layers {
		steps += float64(products(l)) * prime.steps()
	}
	return speed * steps / r.Cycles, nil
}

func primeGeoMean(gain func(w *hardware.Workload) (float64, error)) (float64, error) {
	sum, nets := 0.0, mlBench()
	for _, w := range nets {
		g, err := gain(w)
		if err != nil {
			return 0, err
		}
		sum += math.Log(g)
	}
	return math.Exp(sum / float64(len(nets))), nil
}

func primeFigures() []hardware.Figure {
	vgg := func(after bool) func() (float64, error) {
		return func() (float64, error) {
			nets := mlBench()
			b, a, err := primeUtilization(nets[len(nets)-1])
			if after {
				b = a
			}
			return 100 * b, err
		}
	}
	return []hardware.Figure{
		{Name: "capacity", Published: 2.7e8, Unit: "synapses", Evidence: hardware.Secondary, Tolerance: 0.01, Fitted: true,
			Note: "128 computing mats a subarray are chosen to give it",
			Ours: func() (float64, error) {
				return primeBanks * primeSubarrays * primeMats * prime.size() / float64(prime.perWeight()*prime.signed), nil
			}},
		{Name: "VGG-D, utilization before copying", Published: 53.9, Unit: "%", Evidence: hardware.Secondary, Within: 10, Ours: vgg(false)},
		{Name: "VGG-D, utilization after copying", Published: 73.6, Unit: "%", Evidence: hardware.Secondary, Relation: hardware.Shown,
			Note: "we copy slow layers over the whole memory until no more fits; by what rule PRIME stops before that is not at hand",
			Ours: vgg(true)},
		{Name: "MlBench without VGG-D, mean utilization before copying", Published: 39.8, Unit: "%", Evidence: hardware.Secondary, Within: 10,
			Ours: func() (float64, error) { return primeMean(false) }},
		{Name: "MlBench without VGG-D, mean utilization after copying", Published: 75.9, Unit: "%", Evidence: hardware.Secondary, Within: 10,
			Ours: func() (float64, error) { return primeMean(true) }},
		{Name: "speed-up over the co-processor, from its parts", Published: 2360, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.05,
			Note: "one such unit in memory (9.1×) · 64 of them · PRIME over these (4.1×): published parts, no model of ours",
			Ours: func() (float64, error) { return 9.1 * 64 * 4.1, nil }},
		{Name: "speed-up over the co-processor, 64 images at a time", Published: 2360, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.25,
			Note: "geometric mean of 6 networks, an image in each of 64 banks, VGG-D as a pipeline over all; a step of 100 ns is assumed, and copies within a bank, which would gain 5 times more, are left out",
			Ours: func() (float64, error) { return primeGeoMean(primeThroughput) }},
		{Name: "energy saved over the co-processor", Published: 895, Unit: "×", Evidence: hardware.Secondary, Relation: hardware.Shown,
			Note: "geometric mean of 6 networks; a bit of the co-processor's memory is taken as 20 pJ (DDR4), and crossbars are estimated from ISAAC's converters; with the 70 pJ of DDR3 ours is 1507",
			Ours: func() (float64, error) {
				return primeGeoMean(func(w *hardware.Workload) (float64, error) { _, e := primeGains(w); return e, nil })
			}},
	}
}
