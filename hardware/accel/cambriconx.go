package accel

import (
	"math"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/sparsity"
)

// Cambricon-X, Zhang et al., MICRO 2016: skips zero weights; every PE has
// output neurons of its own and an index of their non-zero weights.
const (
	cambriconPEs   = 16     // PEs
	cambriconTaps  = 16     // multipliers of a PE, with their adder tree
	cambriconClock = 1000.0 // MHz

	cambriconXPower = 954.0  // pJ a cycle: 954 mW at 1 GHz
	cambriconXIndex = 0.3483 // share of the index units in it
)

// cambriconBuffers are those of Cambricon-X and -S: 8 KB of inputs, 8 KB of
// sums, 2 KB of weights in each PE.
var cambriconBuffers = stagingBuffers{inputs: 4096, sums: 4096, weightBits: 8 * 2 << 10 * cambriconPEs}

// cambriconXFormat is a weight with the step to it from the one before; the
// step's 4 bits are assumed.
var cambriconXFormat = sparsity.Format{Coding: sparsity.RunLength, Data: 16, Meta: 4}

func init() {
	peak := hardware.Machine{Name: "cambricon-x", ClockMHz: cambriconClock, PeakMACs: cambriconPEs * cambriconTaps, AreaMM2: 6.38}
	hardware.Register(hardware.Accelerator{
		Name: "cambricon-x", Title: "Cambricon-X", Kind: hardware.Sparse,
		Paper: "Zhang et al., Cambricon-X: An Accelerator for Sparse Neural Networks, MICRO", Year: 2016,
		Summary: "Skips zero weights of any pattern: step indexes pick each PE's inputs, and the PEs run asynchronously.",
		Params: []hardware.Param{
			{Name: "technology", Value: "65 nm, 1 GHz, 6.38 mm², 954 mW", Evidence: hardware.Read},
			{Name: "array", Value: "16 PEs of 16 multipliers of 16 bits and an adder tree", Evidence: hardware.Read},
			{Name: "buffers", Value: "2 KB of weights a PE; 8 KB of neurons in and out", Evidence: hardware.Vague},
			{Name: "index units", Value: "34.83 % of the energy, 31.07 % of the area", Evidence: hardware.Secondary},
		},
		Formulas: `
A PE takes 16 non-zero weights of one output channel a cycle, and the index unit
hands it the inputs they need. Output channels are dealt out to 16 PEs in turn,
which do not wait for each other:

  cycles = N·P·Q · E[ max over PEs of Σ its channels ⌈non-zero weights/16⌉ ]

A channel's non-zeros are hypergeometric, or counted where the weights are
known. Zero inputs are not skipped. DRAM's bandwidth is not limited: it is not
published.

The baseline is DianNao, 16 outputs × 16 inputs a cycle at 0.98 GHz, 485 mW:
P·Q·R·S·⌈C/16⌉·⌈K/16⌉ cycles.

Energy is time at full power, 954 mW, of which the index units take 34.83 %; the
rest is listed as arithmetic, buffers and control included. DRAM at 20 pJ a bit
comes on top: non-zero weights of 16 bits with steps of 4 (assumed), inputs and
outputs, as often as the buffers make it necessary. Sums of k filters at p×q
positions stay in their buffer until they are complete; of all k, p and q those
are taken that move least:

  weights · ⌈P/p⌉·⌈Q/q⌉, or once if those of k filters fit their buffer
  + inputs of all tiles · ⌈K/k⌉, or once if those of a tile fit theirs
  + outputs                                        (one of the two "once" at a time)

DianNao's DRAM is counted alike, with 2 KB of inputs, 2 KB of sums and 32 KB of
weights.`,
		Figures: cambriconXFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(peak, w, cambriconXCost)
		},
	})
}

func cambriconXFigures() []hardware.Figure {
	const (
		four = "the paper's list of networks and densities is not at hand; ours are the four networks of Han et al., counted alike, with the densities printed there, a list chosen with the published figure in view"
		two  = "the published mean includes smaller networks that are pruned more; in these two the convolutions, of density 0.2 to 0.5, take most of the time, and no machine that skips weights alone gains more than 1/density"
	)
	return []hardware.Figure{
		{Name: "peak", Published: 544, Unit: "GOP/s", Evidence: hardware.Read, Ours: func() (float64, error) {
			return cambriconPEs * (cambriconTaps + cambriconTaps + 2) * cambriconClock / 1e3, nil
		}},
		{Name: "energy of the index units", Published: 34.83, Unit: "%", Evidence: hardware.Secondary, Fitted: true, Note: "the model's constant",
			Ours: func() (float64, error) {
				c, err := cambriconXCost(hardware.Conv("c", 1, 1, 64, 64, 14, 3, 1, 1))
				return 100 * c.NetworkEnergy / (c.NetworkEnergy + c.MACEnergy), err
			}},
		{Name: "speed-up over DianNao", Published: 7.23, Unit: "×", Evidence: hardware.Read, Fitted: true, Tolerance: 0.25, Note: four,
			Ours: once(func() float64 { return meanGain(prunedByHan(), dianNaoSeconds, cambriconXSeconds) })},
		{Name: "speed-up over DianNao, ImageNet's networks alone", Published: 7.23, Unit: "×", Evidence: hardware.Read, Relation: hardware.Shown, Note: two,
			Ours: once(func() float64 { return meanGain(prunedByHan()[2:], dianNaoSeconds, cambriconXSeconds) })},
		{Name: "energy gain over DianNao", Published: 6.43, Unit: "×", Evidence: hardware.Read, Fitted: true, Tolerance: 0.25,
			Note: four + "",
			Ours: once(func() float64 { return meanGain(prunedByHan(), dianNaoEnergy, cambriconXEnergy) })},
	}
}

// meanGain is the geometric mean of the networks' ratios.
func meanGain(networks []*hardware.Workload, base, machine func(*hardware.Layer) float64) float64 {
	sum := 0.0
	for _, w := range networks {
		sum += math.Log(network(w, base) / network(w, machine))
	}
	return math.Exp(sum / float64(len(networks)))
}

func cambriconXSeconds(l *hardware.Layer) float64 {
	return cambriconXCycles(l) / cambriconClock / 1e6
}

func cambriconXEnergy(l *hardware.Layer) float64 {
	c, _ := cambriconXCost(l)
	c.AddEnergy()
	return c.Energy
}

// cambriconXCycles is the time of the slowest PE.
func cambriconXCycles(l *hardware.Layer) float64 {
	s := &l.Size
	positions := float64(s[hardware.N] * s[hardware.P] * s[hardware.Q])
	if counts := channelCounts(l); counts != nil {
		var work [cambriconPEs]int
		for k, n := range counts {
			work[k%cambriconPEs] += ceil(n, cambriconTaps)
		}
		slowest := 0
		for _, n := range work {
			slowest = max(slowest, n)
		}
		return positions * float64(max(slowest, 1))
	}
	channels := s[hardware.G] * s[hardware.K]
	weights := sparsity.UniformOf(int(l.Words(hardware.Weights)), l.Density.W)
	one := weights.Tile(s[hardware.C] * s[hardware.R] * s[hardware.S]).Ceil(cambriconTaps)
	more := channels % cambriconPEs
	slowest := sparsity.Slowest(
		sparsity.Workers{Work: one, Steps: channels/cambriconPEs + 1, Count: more},
		sparsity.Workers{Work: one, Steps: channels / cambriconPEs, Count: cambriconPEs - more})
	return positions * math.Max(slowest, 1)
}

// channelCounts gives the non-zero weights of every output channel where the
// layer's weights are known, else nil.
func channelCounts(l *hardware.Layer) []int {
	mask := filterMask(l)
	if mask == nil {
		return nil
	}
	return mask.Counts(filterSize(l))
}

func cambriconXCost(l *hardware.Layer) (hardware.Cost, error) {
	cycles := cambriconXCycles(l)
	weights := cambriconXFormat.Bits(int(l.Words(hardware.Weights)), l.Density.W)
	if mask := filterMask(l); mask != nil {
		weights = float64(cambriconXFormat.BitsOf(mask))
	}
	c := hardware.Cost{Cycles: cycles, Effectual: float64(l.MACs()) * l.Density.W,
		MACEnergy:     cycles * cambriconXPower * (1 - cambriconXIndex),
		NetworkEnergy: cycles * cambriconXPower * cambriconXIndex,
	}
	addDRAM(&c, l, weights)
	return c, nil
}

// addDRAM adds the traffic with weights that are compressed to so many bits,
// and inputs and outputs of 16 bits.
func addDRAM(c *hardware.Cost, l *hardware.Layer, weightBits float64) {
	dram := hardware.LevelCost{Name: "DRAM", Bits: hardware.WordBits(16)}
	for o, b := range cambriconBuffers.traffic(l, weightBits) {
		dram.Energy[o] = hardware.DRAMEnergy(b)
		if hardware.Operand(o) == hardware.Outputs {
			dram.Traffic[o].Writes = b / 16
		} else {
			dram.Traffic[o].Reads = b / 16
		}
		c.DRAMBytes += b / 8
	}
	c.Levels = append(c.Levels, dram)
}
