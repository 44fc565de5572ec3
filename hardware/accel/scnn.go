package accel

import (
	"math"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/sparsity"
)

// SCNN, Parashar et al., ISCA 2017: Cartesian products of non-zero weights and
// non-zero inputs.
const (
	scnnClock    = 1000.0    // MHz
	scnnDRAM     = 50.0      // bytes a cycle, 50 GB/s
	scnnRAM      = 10 * 1024 // bytes of a PE's input memory, and of its output memory
	scnnFIFO     = 500       // bytes of the weight FIFO: 50 entries of 4 weights with their runs
	scnnBank     = 96        // bytes of an accumulator bank: 32 entries of 24 bits
	scnnWord     = 16        // bits of a weight or activation
	scnnRun      = 4         // bits of a run of zeros
	scnnPsum     = 24        // bits of an accumulator
	scnnConflict = 0.05      // share of cycles lost to bank conflicts, lower end of what is given
	scnnNode     = 0.23      // energy at 16 nm against 45 nm (hardware.EnergyScale)
	scnnCrossbar = 0.3       // pJ at 45 nm a product through the crossbar; fitted, see the figures
	scnnAddress  = 0.2       // pJ at 45 nm for the coordinates of a product: a few additions
	scnnDRAMBit  = 4.0       // pJ a bit, lower end of LPDDR4 and HBM2; fitted, see the figures

	dcnnRAM    = 32 * 1024 // bytes of activations a PE of the dense twin, of 2 MB
	dcnnBuffer = 2 * 1024  // bytes of its weight buffer, assumed
	dcnnTaps   = 16        // multipliers of a PE's dot product
)

// scnnDesign is an SCNN of grid×grid PEs with f×i multipliers each.
type scnnDesign struct {
	grid, f, i int
	entries    int // accumulators of a PE
	maxK       int // limit on the output channels of a group; 0 is none
	// denseW and denseIn are the variants that do not skip an operand's zeros.
	denseW, denseIn bool
}

var scnn = scnnDesign{grid: 8, f: 4, i: 4, entries: 1024}

// scnnTile is the part of a layer's input that one PE has.
type scnnTile struct {
	h, w   int // rows and columns
	pes    int // PEs that have anything to do
	k      int // output channels of a group
	groups int
}

func (d scnnDesign) tile(l *hardware.Layer) scnnTile {
	t := scnnTile{h: ceil(l.Height, d.grid), w: ceil(l.Width, d.grid)}
	t.pes = ceil(l.Height, t.h) * ceil(l.Width, t.w)
	out := ceil(t.h+(l.Size[hardware.R]-1)*l.Dilation[0], l.Stride[0]) * ceil(t.w+(l.Size[hardware.S]-1)*l.Dilation[1], l.Stride[1])
	t.k = min(max(d.entries/out, 1), l.Size[hardware.K])
	if d.maxK > 0 {
		t.k = min(t.k, d.maxK)
	}
	t.groups = ceil(l.Size[hardware.K], t.k)
	return t
}

// cycles is the time of a layer's products.
func (d scnnDesign) cycles(l *hardware.Layer) float64 {
	if isVector(l) {
		return d.vectorCycles(l)
	}
	t := d.tile(l)
	if mask := filterMask(l); mask != nil && !d.denseW {
		return float64(l.Size[hardware.N]) * d.counted(l, t, mask) * (1 + scnnConflict)
	}
	last := l.Size[hardware.K] - (t.groups-1)*t.k
	perImage := float64(t.groups-1)*d.group(l, t, t.k) + d.group(l, t, last)
	return float64(l.Size[hardware.G]*l.Size[hardware.N]) * perImage * (1 + scnnConflict)
}

// group is the time of the slowest PE for k output channels. PEs differ in
// their inputs and share the weights.
func (d scnnDesign) group(l *hardware.Layer, t scnnTile, k int) float64 {
	mean, variance := d.work(l, t, k)
	return mean + math.Sqrt(variance)*sparsity.NormalMax(t.pes)
}

// work is the mean and the variance of a PE's time for k output channels: over
// the input channels and the phases of the stride, vectors of inputs times
// vectors of weights.
func (d scnnDesign) work(l *hardware.Layer, t scnnTile, k int) (mean, variance float64) {
	weights := sparsity.UniformOf(int(l.Words(hardware.Weights)), dense(d.denseW, l.Density.W))
	inputs := sparsity.UniformOf(int(l.Words(hardware.Inputs)), dense(d.denseIn, l.Density.In))
	rows, _ := scnnPhases(l, 0)
	cols, _ := scnnPhases(l, 1)
	for _, y := range rows {
		for _, x := range cols {
			a := inputs.Tile(every(t.h-y.residue, l.Stride[0]) * every(t.w-x.residue, l.Stride[1])).Ceil(d.i)
			w := weights.Tile(k * y.taps * x.taps).Ceil(d.f)
			ma, mw := a.Mean(), w.Mean()
			mean += ma * mw
			variance += a.Variance() * (mw*mw + w.Variance())
		}
	}
	c := float64(l.Size[hardware.C])
	return c * mean, c * variance
}

// busy adds up the time that PEs work on a convolution, without waiting for
// each other.
func (d scnnDesign) busy(l *hardware.Layer) float64 {
	t := d.tile(l)
	full, _ := d.work(l, t, t.k)
	last, _ := d.work(l, t, l.Size[hardware.K]-(t.groups-1)*t.k)
	return float64(l.Size[hardware.G]*l.Size[hardware.N]*t.pes) * (float64(t.groups-1)*full + last) * (1 + scnnConflict)
}

// counted is the time of all groups of channels where the weights are known.
func (d scnnDesign) counted(l *hardware.Layer, t scnnTile, mask sparsity.Mask) (sum float64) {
	inputs := sparsity.UniformOf(int(l.Words(hardware.Inputs)), dense(d.denseIn, l.Density.In))
	rows, rowOf := scnnPhases(l, 0)
	cols, colOf := scnnPhases(l, 1)
	var mean, variance []float64
	for _, y := range rows {
		for _, x := range cols {
			a := inputs.Tile(every(t.h-y.residue, l.Stride[0]) * every(t.w-x.residue, l.Stride[1])).Ceil(d.i)
			mean, variance = append(mean, a.Mean()), append(variance, a.Variance())
		}
	}
	phaseOf := make([]int, 0, len(rowOf)*len(colOf)) // of each tap
	for _, y := range rowOf {
		for _, x := range colOf {
			phaseOf = append(phaseOf, y*len(cols)+x)
		}
	}
	counts := make([]int, len(mean))
	channels, slowest := l.Size[hardware.K], sparsity.NormalMax(t.pes)
	for g := range l.Size[hardware.G] {
		for k := 0; k < channels; k += t.k {
			m, v := 0.0, 0.0
			for c := range l.Size[hardware.C] {
				countTaps(counts, mask, phaseOf, filterSize(l), g*channels+k, g*channels+min(k+t.k, channels), c)
				for p, n := range counts {
					w := float64(ceil(n, d.f))
					m += mean[p] * w
					v += variance[p] * w * w
				}
			}
			sum += m + math.Sqrt(v)*slowest
		}
	}
	return sum
}

// countTaps counts the non-zero weights from input channel c to the output
// channels [from, to), by the phase of each tap.
func countTaps(counts []int, mask sparsity.Mask, phaseOf []int, size, from, to, c int) {
	clear(counts)
	for k := from; k < to; k++ {
		for i, x := range mask[k*size+c*len(phaseOf):][:len(phaseOf)] {
			if x {
				counts[phaseOf[i]]++
			}
		}
	}
}

// scnnPhase is a residue of the stride with the filter's rows, or columns, that
// meet inputs of it.
type scnnPhase struct{ residue, taps int }

// scnnPhases lists the phases of an axis (0 for rows, 1 for columns) and, for
// every row or column of the filter, the number of its phase.
func scnnPhases(l *hardware.Layer, axis int) (list []scnnPhase, of []int) {
	number := map[int]int{}
	for r := range l.Size[int(hardware.R)+axis] {
		residue := r * l.Dilation[axis] % l.Stride[axis]
		n, ok := number[residue]
		if !ok {
			n = len(list)
			number[residue] = n
			list = append(list, scnnPhase{residue: residue})
		}
		list[n].taps++
		of = append(of, n)
	}
	return list, of
}

// every counts 0, step, 2·step, … below n.
func every(n, step int) int { return max(0, ceil(n, step)) }

// isVector tells layers with one output position, where no weight is used
// twice.
func isVector(l *hardware.Layer) bool { return l.Size[hardware.P]*l.Size[hardware.Q] == 1 }

// vectorCycles is a fully connected layer: the inputs are dealt out to the PEs
// and each meets its column of weights, F at a time.
func (d scnnDesign) vectorCycles(l *hardware.Layer) float64 {
	n := filterSize(l)
	weights := sparsity.UniformOf(int(l.Words(hardware.Weights)), dense(d.denseW, l.Density.W))
	column := weights.Tile(l.Size[hardware.K]).Ceil(d.f).Mean()
	share := sparsity.Binomial(dense(d.denseIn, l.Density.In)).Tile(ceil(n, d.grid*d.grid))
	slowest := share.ExpectMax(min(d.grid*d.grid, n))
	return float64(l.Size[hardware.G]*l.Size[hardware.N]) * slowest * column * (1 + scnnConflict)
}

func dense(yes bool, density float64) float64 {
	if yes {
		return 1
	}
	return density
}

func ceil(a, b int) int { return int(math.Ceil(float64(a) / float64(b))) }

// cost is a layer on SCNN with its memories and energy.
func (d scnnDesign) cost(l *hardware.Layer) (hardware.Cost, error) {
	products := l.EffectualMACs()
	c := hardware.Cost{ComputeCycles: d.cycles(l), Effectual: products, Active: 1,
		MACEnergy:     products * scnnNode * (hardware.MACEnergy(scnnWord, scnnWord, scnnPsum) + scnnAddress),
		NetworkEnergy: products * scnnNode * scnnCrossbar}
	groups := 1.0
	if !isVector(l) {
		t := d.tile(l)
		groups, c.Active = float64(t.groups), float64(t.pes)/float64(d.grid*d.grid)
	}
	w := compressed(l, hardware.Weights, l.Density.W)
	in, out := compressed(l, hardware.Inputs, l.Density.In), compressed(l, hardware.Outputs, l.Density.Out)
	outputs := float64(l.Words(hardware.Outputs))
	const symbol = scnnWord + scnnRun
	acc, ram := sramPJ(scnnBank, scnnPsum), sramPJ(scnnRAM, symbol)
	level := func(name string) hardware.LevelCost {
		return hardware.LevelCost{Name: name, Bits: hardware.WordBits(symbol)}
	}
	dram, inRAM, outRAM, fifo, banks := level("DRAM"), level("input RAM"), level("output RAM"), level("weight FIFO"), level("accumulators")
	banks.Bits = hardware.WordBits(scnnPsum)
	fifo.Traffic[hardware.Weights] = hardware.Traffic{Reads: products / float64(d.i), Writes: w}
	fifo.Energy[hardware.Weights] = products / float64(d.i) * sramPJ(scnnFIFO, symbol)
	inRAM.Traffic[hardware.Inputs].Reads = in * groups
	inRAM.Energy[hardware.Inputs] = in * groups * ram
	banks.Traffic[hardware.Outputs] = hardware.Traffic{Reads: products + outputs, Writes: products + outputs}
	banks.Energy[hardware.Outputs] = (products + outputs) * 2.1 * acc
	outRAM.Traffic[hardware.Outputs].Writes = out
	outRAM.Energy[hardware.Outputs] = out * 1.1 * ram
	dram.Traffic[hardware.Weights].Reads = w
	if d.spills(l) {
		dram.Traffic[hardware.Inputs].Reads, dram.Traffic[hardware.Outputs].Writes = in, out
	}
	for o := range dram.Traffic {
		dram.Energy[o] = (dram.Traffic[o].Reads + dram.Traffic[o].Writes) * symbol * scnnDRAMBit
	}
	c.DRAMBytes = dram.Words() * symbol / 8
	dram.Cycles = c.DRAMBytes / scnnDRAM
	c.Levels = []hardware.LevelCost{dram, inRAM, outRAM, fifo, banks}
	if c.Cycles = c.ComputeCycles; dram.Cycles > c.Cycles {
		c.Cycles, c.Bound = dram.Cycles, "DRAM"
	}
	return c, nil
}

// spills reports activations of a layer that exceed the memory of a PE which
// has a whole tile.
func (d scnnDesign) spills(l *hardware.Layer) bool {
	if isVector(l) {
		return false
	}
	const room = scnnRAM * 8 / (scnnWord + scnnRun)
	s := &l.Size
	tile := d.tile(l)
	in := float64(s[hardware.G] * s[hardware.C] * tile.h * tile.w)
	out := float64(s[hardware.G] * s[hardware.K] * ceil(s[hardware.P], d.grid) * ceil(s[hardware.Q], d.grid))
	return sparsity.Symbols(in, l.Density.In, scnnRun) > room || sparsity.Symbols(out, l.Density.Out, scnnRun) > room
}

// compressed is the number of symbols of an operand.
func compressed(l *hardware.Layer, o hardware.Operand, density float64) float64 {
	return sparsity.Symbols(float64(l.Words(o)), density, scnnRun)
}

// sramPJ is a read at 16 nm.
func sramPJ(bytes, bits float64) float64 { return scnnNode * hardware.SRAMEnergy(bytes, bits) }

// dcnnCycles is the dense twin: the same tiles of the plane, dot products of 16
// over input channels and taps.
func dcnnCycles(l *hardware.Layer) float64 {
	s := &l.Size
	tile := ceil(s[hardware.P], scnn.grid) * ceil(s[hardware.Q], scnn.grid)
	return float64(s[hardware.G]*s[hardware.N]*s[hardware.K]*tile) * hardware.Ceil(s[hardware.C]*s[hardware.R]*s[hardware.S], dcnnTaps)
}

// dcnnScheme is the optimised twin, which gates with zero inputs.
var dcnnScheme = sparsity.Scheme{Weights: sparsity.Treatment{Gate: true}, Inputs: sparsity.Treatment{Gate: true}}

// dcnnEnergy is the dense twin's energy in pJ; optimised, it gates the
// multiplier and the weight's read, and compresses weights in DRAM.
func dcnnEnergy(l *hardware.Layer, optimised bool) float64 {
	share := sparsity.Shares{Operations: 1, WeightReads: 1}
	dram := float64(l.Words(hardware.Weights)) * scnnWord
	if optimised {
		share = dcnnScheme.Shares(l.Density.W, l.Density.In)
		dram = min(dram, compressed(l, hardware.Weights, l.Density.W)*(scnnWord+scnnRun))
	}
	macs, outputs := float64(l.MACs()), float64(l.Words(hardware.Outputs))
	acc := sramPJ(scnnBank, scnnPsum)
	mac := scnnNode * hardware.MACEnergy(scnnWord, scnnWord, scnnPsum)
	reads := float64(l.Words(hardware.Inputs)) * float64(scnn.tile(l).groups)
	return macs*(mac*share.Operations+sramPJ(dcnnBuffer, scnnWord)*share.WeightReads+2.1*acc/dcnnTaps) +
		reads*sramPJ(dcnnRAM, scnnWord) + outputs*(2.1*acc+1.1*sramPJ(dcnnRAM, scnnWord)) + dram*scnnDRAMBit
}
