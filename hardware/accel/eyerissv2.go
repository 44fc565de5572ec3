package accel

import (
	"math"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/sparsity"
)

// Eyeriss v2, Chen et al., JETCAS 2019: both operands stay compressed up to the
// PE; a mesh of clusters delivers data in four ways.
const (
	eyeriss2Clock   = 200.0 // MHz
	eyeriss2PEs     = 192   // 16 clusters of 3×4
	eyeriss2Cluster = 12    // PEs of a cluster
	eyeriss2SIMD    = 2     // MACs of a PE a cycle
	eyeriss2Columns = 15    // columns of weights in a PE: 16 addresses
	eyeriss2Pairs   = 192   // weights with their counts in a PE
	eyeriss2Psums   = 32    // partial sums of a PE
	eyeriss2Count   = 4     // bits of a count
	eyeriss2Symbol  = 12    // bits of a weight or input with its count
	eyeriss2Link    = 6     // pairs a cycle and cluster, weights or inputs: 3 routers of 24 bits
	eyeriss2PsumOut = 8     // partial sums a cycle and cluster: 4 routers of 40 bits
	eyeriss2Chain   = 3     // PEs that a partial sum passes in a cluster
	eyeriss2Stages  = 7     // of a PE's pipeline

	eyeriss2MAC  = 9.4    // pJ an effectual MAC with spads, network and buffers; fitted
	eyeriss2Idle = 1500.0 // pJ a cycle of clock, control and leakage, 0.3 W; fitted
)

// eyeriss2Design is the machine with other numbers of PEs or a limit on DRAM.
type eyeriss2Design struct {
	pes  int
	dram float64 // bytes a cycle, 0 for unlimited
}

var eyeriss2 = eyeriss2Design{pes: eyeriss2PEs}

// eyeriss2Map is how a layer is cut up for the PEs.
type eyeriss2Map struct {
	c0, m0   int     // input and output channels of a PE
	segments int     // pieces of a filter row longer than a PE holds
	tasks    float64 // rows of windows: filter row × channels × output row
	window   int     // inputs of a window
}

// cut chooses the channels of a PE: as many input channels as its columns of
// weights allow, then as many output channels as its weights and partial sums.
func (d eyeriss2Design) cut(l *hardware.Layer) eyeriss2Map {
	s := &l.Size
	m := eyeriss2Map{segments: ceil(s[hardware.S], eyeriss2Columns)}
	taps := ceil(s[hardware.S], m.segments)
	m.c0 = min(max(eyeriss2Columns/taps, 1), s[hardware.C])
	m.window = m.c0 * taps
	stored := sparsity.Symbols(1, l.Density.W, eyeriss2Count)
	m.m0 = min(max(int(eyeriss2Pairs/(float64(m.window)*stored)), 1), eyeriss2Psums, s[hardware.K])
	if m.m0 > 1 {
		m.m0 -= m.m0 % eyeriss2SIMD
	}
	m.tasks = float64(s[hardware.N]*s[hardware.G]*s[hardware.P]*s[hardware.R]*m.segments) *
		hardware.Ceil(s[hardware.C], m.c0) * hardware.Ceil(s[hardware.K], m.m0)
	return m
}

// work is the time of one window in a PE: for every input that is not zero, its
// column of weights, two at a time; an empty column costs its look-up.
func (m eyeriss2Map) work(density hardware.Density) sparsity.Dist {
	column := sparsity.Binomial(density.W).Tile(m.m0).Ceil(eyeriss2SIMD)
	one := sparsity.Dist{P: make([]float64, column.High()+2)}
	one.P[0] = 1 - density.In
	for i, p := range column.P {
		one.P[max(column.Low+i, 1)] += p * density.In
	}
	return one.Times(m.window)
}

// compute is the time of the array: the slowest PE of all holds up each window,
// because inputs and partial sums are passed on between them. A row of windows
// begins with an empty pipeline.
func (d eyeriss2Design) compute(l *hardware.Layer) float64 {
	m := d.cut(l)
	rounds := ceil64(m.tasks, float64(d.pes))
	busy := min(m.tasks, float64(d.pes))
	return rounds * (float64(l.Size[hardware.Q])*m.work(l.Density).ExpectMax(int(busy)) + eyeriss2Stages)
}

func ceil64(a, b float64) float64 {
	n := float64(int64(a / b))
	if n*b < a {
		n++
	}
	return n
}

// network is the time of the mesh for weights, inputs and partial sums, which
// have networks of their own: weights and inputs once, as compressed pairs,
// partial sums to and from the buffer for every chain of PEs.
func (d eyeriss2Design) network(l *hardware.Layer) (weights, inputs, psums float64) {
	clusters := float64(d.pes) / eyeriss2Cluster
	m := d.cut(l)
	chains := hardware.Ceil(int(hardware.Ceil(l.Size[hardware.C], m.c0))*l.Size[hardware.R]*m.segments, eyeriss2Chain)
	return eyeriss2Symbols(l, hardware.Weights, l.Density.W) / (eyeriss2Link * clusters),
		eyeriss2Symbols(l, hardware.Inputs, l.Density.In) / (eyeriss2Link * clusters),
		2 * chains * float64(l.Words(hardware.Outputs)) / (eyeriss2PsumOut * clusters)
}

func eyeriss2Symbols(l *hardware.Layer, o hardware.Operand, density float64) float64 {
	return sparsity.Symbols(float64(l.Words(o)), density, eyeriss2Count)
}

func (d eyeriss2Design) cost(l *hardware.Layer) (hardware.Cost, error) {
	m := d.cut(l)
	c := hardware.Cost{ComputeCycles: d.compute(l), Effectual: l.EffectualMACs()}
	c.Active = m.tasks / (ceil64(m.tasks, float64(d.pes)) * float64(d.pes))
	weights, inputs, psums := d.network(l)
	mesh := hardware.LevelCost{Name: "mesh", Bits: hardware.WordBits(eyeriss2Symbol), Cycles: max(weights, inputs, psums)}
	dram := hardware.LevelCost{Name: "DRAM", Bits: hardware.WordBits(eyeriss2Symbol)}
	for o, density := range []float64{l.Density.W, l.Density.In, l.Density.Out} {
		n := eyeriss2Symbols(l, hardware.Operand(o), density)
		if hardware.Operand(o) == hardware.Outputs {
			dram.Traffic[o].Writes = n
		} else {
			dram.Traffic[o].Reads = n
			mesh.Traffic[o].Reads = n
		}
		c.DRAMBytes += n * eyeriss2Symbol / 8
	}
	if c.Cycles = c.ComputeCycles; mesh.Cycles > c.Cycles {
		c.Cycles, c.Bound = mesh.Cycles, mesh.Name
	}
	if d.dram > 0 {
		dram.Cycles = c.DRAMBytes / d.dram
		if c.Cycles < dram.Cycles {
			c.Bound = dram.Name
		}
		c.Cycles += dram.Cycles
	}
	c.Levels = []hardware.LevelCost{dram, mesh}
	c.MACEnergy = c.Effectual * eyeriss2MAC
	c.StaticEnergy = c.Cycles * eyeriss2Idle * float64(d.pes) / eyeriss2PEs
	return c, nil
}

// run adds up a workload.
func (d eyeriss2Design) run(w *hardware.Workload) (*hardware.Report, error) {
	return hardware.RunLayers(hardware.Machine{Name: "eyeriss-v2", ClockMHz: eyeriss2Clock, PeakMACs: float64(d.pes * eyeriss2SIMD)}, w, d.cost)
}

// eyeriss1 is v1 with as many PEs, 12×16, and DRAM without limit, for
// comparison.
var eyeriss1 = eyerissChip{cols: eyeriss2PEs / eyerissRows, link: math.Inf(1)}
