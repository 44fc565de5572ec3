package accel

import (
	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/sparsity"
)

// Cambricon-S, Zhou et al., MICRO 2018: blocks of weights are pruned together,
// so that 16 outputs share one index, and zero inputs are skipped too.
const (
	cambriconSPower = 798.55 // pJ a cycle at 1 GHz
	cambriconSGroup = 16     // outputs that share an index

	cambriconSConvBits = 8 // bits of a quantized weight, convolution
	cambriconSFCBits   = 4 // fully connected
)

func init() {
	peak := hardware.Machine{Name: "cambricon-s", ClockMHz: cambriconClock, PeakMACs: cambriconPEs * cambriconTaps, AreaMM2: 6.73}
	hardware.Register(hardware.Accelerator{
		Name: "cambricon-s", Title: "Cambricon-S", Kind: hardware.Sparse,
		Paper: "Zhou et al., Cambricon-S: Addressing Irregularity in Sparse Neural Networks through a Cooperative Software/Hardware Approach, MICRO", Year: 2018,
		Summary: "Block-pruned weights with one index for 16 outputs; zero inputs are skipped as well, and weights are quantized and coded.",
		Params: []hardware.Param{
			{Name: "technology", Value: "65 nm, 6.73 mm², 798.55 mW (1 GHz assumed)", Evidence: hardware.Secondary},
			{Name: "array", Value: "16 PEs of 16 multipliers; one neuron selector, a synapse selector in each PE", Evidence: hardware.Secondary},
			{Name: "buffers", Value: "2 KB of weights a PE; 8 KB of neurons in and out", Evidence: hardware.Vague},
			{Name: "blocks of AlexNet", Value: "convolutions 16 outputs; fc6, fc7 32×32; fc8 16×16; kept by their mean", Evidence: hardware.Secondary},
			{Name: "weights", Value: "8 bits (convolution) and 4 (fully connected) by local dictionaries, entropy coded", Evidence: hardware.Secondary},
			{Name: "irregularity", Value: "20.13 times less than by pruning single weights; its measure is not at hand", Evidence: hardware.Secondary},
		},
		Formulas: `
16 outputs share one index, so all PEs have the same work and none waits. The
neuron selector drops inputs whose block of weights is pruned and inputs that
are zero; of those left, 16 go to all PEs each cycle:

  cycles = N·G·P·Q · ⌈K/16⌉ · E⌈ (inputs of the window left)/16 ⌉

where each of the C·R·S inputs is left with probability d_block·d_in. Blocks are
counted where the weights are known; else their density is taken as that of
blocks. DRAM's bandwidth is not limited:
it is not published.

Energy is time at full power, 798.55 mW at 1 GHz, listed as arithmetic. DRAM at
20 pJ a bit comes on top: a bit a block for the index, kept weights of 8 bits
(fully connected: 4), inputs and outputs of 16 bits, as often as the buffers make
it necessary (see cambricon-x; the same sizes). Entropy coding is left out: it
depends on the values.`,
		Figures: cambriconSFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(peak, w, func(l *hardware.Layer) (hardware.Cost, error) { return cambriconSCost(l, cambriconSBits(l)), nil })
		},
	})
}

func cambriconSFigures() []hardware.Figure {
	const mix = "the paper's benchmarks and densities are not at hand; ours is the mean of pruned AlexNet and VGG-16. " +
		"Ours is not bound by DRAM, so that skipping zero inputs pays in full, also in fully connected layers"
	const index = "steps of 4 bits without placeholders and the densities of Han et al. are assumed"
	return []hardware.Figure{
		{Name: "speed-up over Cambricon-X", Published: 1.71, Unit: "×", Evidence: hardware.Secondary, Relation: hardware.Shown, Note: mix,
			Ours: once(func() float64 { return meanGain(prunedByHan()[2:], cambriconXSeconds, cambriconSSeconds) })},
		{Name: "energy gain over Cambricon-X, the same 16-bit weights in both", Published: 1.37, Unit: "×", Evidence: hardware.Secondary, Fitted: true, Tolerance: 0.25,
			Note: "that weights are not quantized in this comparison was chosen in view of the figure",
			Ours: once(func() float64 {
				return meanGain(prunedByHan()[2:], cambriconXEnergy, func(l *hardware.Layer) float64 { return cambriconSEnergy(l, 16) })
			})},
		{Name: "energy gain over Cambricon-X, weights quantized", Published: 1.37, Unit: "×", Evidence: hardware.Secondary, Relation: hardware.Shown,
			Note: "weights of 8 and 4 bits against 16 with steps of 4: DRAM, four fifths of our energy, gains what the published figure cannot have counted",
			Ours: once(func() float64 {
				return meanGain(prunedByHan()[2:], cambriconXEnergy, func(l *hardware.Layer) float64 { return cambriconSEnergy(l, cambriconSBits(l)) })
			})},
		{Name: "AlexNet's index, weights pruned one by one", Published: 2.95, Unit: "MiB", Evidence: hardware.Secondary, Tolerance: 0.15, Note: index,
			Ours: func() (float64, error) { return fineIndexBits() / 8 / (1 << 20), nil }},
		{Name: "AlexNet's index, blocks", Published: 29.38, Unit: "KiB", Evidence: hardware.Secondary, Tolerance: 0.15,
			Note: "a bit a block", Ours: func() (float64, error) { return blockIndexBits() / 8 / (1 << 10), nil }},
		{Name: "AlexNet's index, reduction", Published: 102.82, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.25,
			Note: index + "; the errors of both indexes add up", Ours: func() (float64, error) { return fineIndexBits() / blockIndexBits(), nil }},
		{Name: "AlexNet's compression", Published: 79, Unit: "×", Evidence: hardware.Secondary, Relation: hardware.AtMost,
			Note: "ours is without entropy coding, and must be less", Ours: func() (float64, error) {
				w := prunedAlexNet()
				stored := blockIndexBits()
				for _, l := range w.Layers {
					stored += float64(l.Words(hardware.Weights)) * l.Density.W * float64(cambriconSBits(l))
				}
				return 32 * float64(w.Words(hardware.Weights)) / stored, nil
			}},
	}
}

// fineIndexBits is a step of 4 bits for every non-zero weight of AlexNet.
func fineIndexBits() (bits float64) {
	for _, l := range prunedAlexNet().Layers {
		bits += sparsity.Format{Coding: sparsity.COO, Meta: 4}.Bits(int(l.Words(hardware.Weights)), l.Density.W)
	}
	return bits
}

// blockIndexBits is a bit for every block of AlexNet.
func blockIndexBits() (bits float64) {
	blocks := map[string]int{"fc6": 32 * 32, "fc7": 32 * 32, "fc8": 16 * 16}
	for _, l := range prunedAlexNet().Layers {
		f := sparsity.Format{Coding: sparsity.Bitmask, Block: blocks[l.Name]}
		if f.Block == 0 {
			f.Block = cambriconSGroup
		}
		bits += f.Bits(int(l.Words(hardware.Weights)), l.Density.W)
	}
	return bits
}

// cambriconSBits is the width of a stored weight.
func cambriconSBits(l *hardware.Layer) int {
	if isVector(l) {
		return cambriconSFCBits
	}
	return cambriconSConvBits
}

func cambriconSCycles(l *hardware.Layer) float64 {
	s := &l.Size
	positions := float64(s[hardware.N] * s[hardware.P] * s[hardware.Q])
	if kept := keptBlocks(l); kept != nil {
		sum := 0.0
		for _, n := range kept {
			sum += windowSteps(n, l.Density.In)
		}
		return positions * sum
	}
	return positions * float64(s[hardware.G]) * hardware.Ceil(s[hardware.K], cambriconSGroup) *
		windowSteps(filterSize(l), l.Density.W*l.Density.In)
}

// windowSteps is the expected time for n inputs of which each is left with this
// probability.
func windowSteps(n int, left float64) float64 {
	return max(sparsity.Binomial(left).Tile(n).Ceil(cambriconTaps).Mean(), 1)
}

// keptBlocks counts, for every group of 16 outputs, the inputs of a window for
// which any of the group's weights is not zero; nil where the weights are not
// known. Weights that were not pruned in blocks leave few of them empty.
func keptBlocks(l *hardware.Layer) []int {
	mask := filterMask(l)
	if mask == nil {
		return nil
	}
	var kept []int
	size, channels := filterSize(l), l.Size[hardware.K]
	for g := range l.Size[hardware.G] {
		for k := 0; k < channels; k += cambriconSGroup {
			rows := mask[(g*channels+k)*size : (g*channels+min(k+cambriconSGroup, channels))*size]
			n := 0
			for i := range size {
				for j := i; j < len(rows); j += size {
					if rows[j] {
						n++
						break
					}
				}
			}
			kept = append(kept, n)
		}
	}
	return kept
}

func cambriconSSeconds(l *hardware.Layer) float64 {
	return cambriconSCycles(l) / cambriconClock / 1e6
}

func cambriconSEnergy(l *hardware.Layer, bits int) float64 {
	c := cambriconSCost(l, bits)
	c.AddEnergy()
	return c.Energy
}

// cambriconSCost is a layer with weights of so many bits.
func cambriconSCost(l *hardware.Layer, bits int) hardware.Cost {
	cycles := cambriconSCycles(l)
	c := hardware.Cost{Cycles: cycles, Effectual: l.EffectualMACs(), MACEnergy: cycles * cambriconSPower}
	f := sparsity.Format{Coding: sparsity.Bitmask, Data: bits, Block: cambriconSGroup}
	addDRAM(&c, l, f.Bits(int(l.Words(hardware.Weights)), l.Density.W))
	return c
}
