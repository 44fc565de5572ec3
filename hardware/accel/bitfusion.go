package accel

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/drawknife/drawknife/hardware"
)

// Bit Fusion, Sharma et al., ISCA 2018. The parameters are those of the
// authors' simulator.
const (
	bfRows      = 16                // input channels of the systolic array
	bfColumns   = 32                // output channels of the systolic array
	bfClock     = 500.0             // MHz
	bfWidth     = 192               // bits a cycle between DRAM and buffers
	bfPsum      = 32                // bits of a partial sum
	bfUnitUM2   = 1394.0            // area of a fusion unit, µm²
	bfWeightBuf = 64 * 1024 * 8 / 2 // bits; half of each buffer is being filled
	bfInputBuf  = 32 * 1024 * 8 / 2
	bfOutputBuf = 16 * 1024 * 8 / 2
	bfArrayPJ   = 235.1 // a cycle of the array, 45 nm
	bfDRAMPJ    = 15.0  // a bit
)

// bfReadPJ and bfWritePJ are the energies of a bit of the buffers, by operand.
var (
	bfReadPJ  = [hardware.NumOperands]float64{0.021, 0.059, 0.033}
	bfWritePJ = [hardware.NumOperands]float64{0.029, 0.114, 0.073}
)

// bitFusionMachine runs layers on an array of fusion units; energy scales what
// the array takes.
type bitFusionMachine struct {
	hardware.Machine
	energy float64
}

// run works layer by layer. The first layer is unrolled by the host into a
// matrix product, so that its few channels do not leave rows idle.
func (m bitFusionMachine) run(w *hardware.Workload) (*hardware.Report, error) {
	first := true
	return hardware.RunLayers(m.Machine, w, func(l *hardware.Layer) (hardware.Cost, error) {
		unrolled := first && l.Op != "Gemm"
		first = false
		s := newBitFusionSearch(l, unrolled, m.energy)
		s.search()
		if !s.found {
			return hardware.Cost{}, fmt.Errorf("no tile of the layer %s fits the buffers of 64, 32 and 16 KiB", l.Shape())
		}
		return s.cost(), nil
	})
}

// fusion says what widths do to a fusion unit: how many products of one cycle,
// or how many cycles for one product.
func fusion(wBits, aBits int) (products, passes int) {
	products, passes = 1, 1
	for _, b := range []int{wBits, aBits} {
		if b > 8 {
			passes *= (b + 7) / 8
		} else {
			products *= 8 / max(b, 2)
		}
	}
	return products, passes
}

// The loops over tiles.
const (
	bfB = iota
	bfOW
	bfOH
	bfIC
	bfOC
	bfLoops
)

// The streams between DRAM and the buffers.
const (
	bfLoadW = iota
	bfLoadI
	bfLoadO
	bfStoreO
	bfStreams
)

// bfChanges tells whether a step of a loop needs other data of a stream.
var bfChanges = [bfLoops][bfStreams]bool{
	bfB:  {bfLoadI: true, bfLoadO: true, bfStoreO: true},
	bfOW: {bfLoadI: true, bfLoadO: true, bfStoreO: true},
	bfOH: {bfLoadI: true, bfLoadO: true, bfStoreO: true},
	bfIC: {bfLoadW: true, bfLoadI: true},
	bfOC: {bfLoadW: true, bfLoadO: true, bfStoreO: true},
}

var bfHalf = [bfStreams]float64{bfWeightBuf, bfInputBuf, bfOutputBuf, bfOutputBuf}

// bitFusionPlan is a way to run one group of a layer: its tiling, the order of
// the tile loops and what follows from them.
type bitFusionPlan struct {
	tiles, count [bfLoops]int // size and number of tiles
	order        string       // tile loops, the outermost first
	compute      float64      // cycles of the array
	stalls       float64      // cycles that the array waits for data
	dram         [bfStreams]float64
	read, write  [hardware.NumOperands]float64 // bits of the buffers
	energy       float64
}

func (p *bitFusionPlan) cycles() float64 { return p.compute + p.stalls }

// bitFusionSearch looks for the plan of fewest cycles, then least energy.
type bitFusionSearch struct {
	layer            *hardware.Layer
	n, k, c, p, q    int
	r, s             int
	unrolled         bool
	products, passes int
	wBits, aBits     float64
	scale            float64 // of the array's energy
	best             bitFusionPlan
	found            bool
}

func newBitFusionSearch(l *hardware.Layer, unrolled bool, scale float64) *bitFusionSearch {
	z := &l.Size
	s := &bitFusionSearch{layer: l, n: z[hardware.N], k: z[hardware.K], c: z[hardware.C], p: z[hardware.P], q: z[hardware.Q],
		r: z[hardware.R], s: z[hardware.S], unrolled: unrolled, scale: scale, wBits: float64(max(l.Bits.W, 1)), aBits: float64(max(l.Bits.A, 1))}
	s.products, s.passes = fusion(l.Bits.W, l.Bits.A)
	return s
}

// log2Up is ⌈log2 n⌉.
func log2Up(n int) int { return bits.Len(uint(n - 1)) }

func (s *bitFusionSearch) search() {
	columns := s.k
	if !s.unrolled {
		columns = (s.k + bfColumns - 1) / bfColumns
	}
	for b := range log2Up(s.n) + 1 {
		for o := range log2Up(max(s.p, s.q)) + 1 {
			for c := range log2Up(s.c) + 1 {
				for k := range log2Up(columns) + 1 {
					oc := 1 << k
					if !s.unrolled {
						oc *= bfColumns
					}
					s.tiling([bfLoops]int{1 << b, 1 << o, 1 << o, 1 << c, oc})
				}
			}
		}
	}
}

// tiling tries all orders of one tiling, given by the sizes of the tiles.
func (s *bitFusionSearch) tiling(sizes [bfLoops]int) {
	p := bitFusionPlan{tiles: sizes}
	for i, dim := range [bfLoops]int{s.n, s.q, s.p, s.c, s.k} {
		p.tiles[i] = min(p.tiles[i], dim)
		p.count[i] = (dim + p.tiles[i] - 1) / p.tiles[i]
	}
	tile := s.tileBits(&p)
	for i, size := range tile {
		if size > bfHalf[i] {
			return
		}
	}
	s.array(&p)
	if s.found && p.compute > s.best.cycles() {
		return
	}
	s.buffers(&p)
	var loops []int
	for i, n := range p.count {
		if n > 1 {
			loops = append(loops, i)
		}
	}
	permute(loops, 0, func(order []int) { s.try(p, tile, order) })
}

// permute calls f with every order of loops from position i on.
func permute(loops []int, i int, f func([]int)) {
	if i >= len(loops)-1 {
		f(loops)
		return
	}
	for j := i; j < len(loops); j++ {
		loops[i], loops[j] = loops[j], loops[i]
		permute(loops, i+1, f)
		loops[i], loops[j] = loops[j], loops[i]
	}
}

func ceilTo(n, unit int) float64 { return float64((n + unit - 1) / unit * unit) }

// tileBits is what one tile moves, by stream.
func (s *bitFusionSearch) tileBits(p *bitFusionPlan) [bfStreams]float64 {
	b, ow, oh, ic, oc := float64(p.tiles[bfB]), p.tiles[bfOW], p.tiles[bfOH], p.tiles[bfIC], p.tiles[bfOC]
	w := ceilTo(s.r*s.s*ic, bfRows*s.products) * float64(oc) * s.wBits
	in := float64(s.r+(oh-1)*s.layer.Stride[0]) * float64(s.s+(ow-1)*s.layer.Stride[1]) * float64(ic) * b * s.aBits
	if s.unrolled {
		in = float64(oh) * float64(ow) * float64(s.r*s.s) * float64(ic) * b * s.aBits
	}
	out := float64(oh) * float64(ow) * ceilTo(oc, bfColumns) * b * bfPsum
	return [bfStreams]float64{w, in, out, out}
}

// array counts the array's cycles; tiles are computed whole.
func (s *bitFusionSearch) array(p *bitFusionPlan) {
	lanes := bfRows * s.products
	depth := float64(s.r*s.s) * hardware.Ceil(p.tiles[bfIC], lanes)
	if s.unrolled {
		depth = hardware.Ceil(s.r*s.s*p.tiles[bfIC], lanes)
	}
	p.compute = float64(p.tiles[bfB]) * hardware.Ceil(p.tiles[bfOC], bfColumns) * float64(p.tiles[bfOW]) * float64(p.tiles[bfOH]) * depth * float64(s.passes)
	for _, n := range p.count {
		p.compute *= float64(n)
	}
}

// buffers counts what the array reads and writes inside the tiles. The operand
// whose reuse saves most stays in the array: inputs, outputs or weights.
func (s *bitFusionSearch) buffers(p *bitFusionPlan) {
	tiles := 1.0
	for _, n := range p.count {
		tiles *= float64(n)
	}
	pixels := float64(p.tiles[bfB]) * float64(p.tiles[bfOW]) * float64(p.tiles[bfOH])
	depth, oc := float64(s.r*s.s)*float64(p.tiles[bfIC]), float64(p.tiles[bfOC])
	lanes := bfRows * s.products
	padDepth, padOC := ceilTo(p.tiles[bfIC], lanes)*float64(s.r*s.s), ceilTo(p.tiles[bfOC], bfColumns)
	if s.unrolled {
		padDepth = ceilTo(s.r*s.s*p.tiles[bfIC], lanes)
	}
	all := padDepth * padOC * pixels
	input := padDepth*pixels*s.aBits + all*(s.wBits+bfPsum)
	output := padOC*pixels*bfPsum + all*(s.aBits+s.wBits)
	weight := padDepth*padOC*s.wBits + all*(s.aBits+bfPsum)
	products := tiles * pixels * depth * oc
	w, i, o := products*s.wBits, products*s.aBits, products*bfPsum
	switch least := min(input, output, weight); least {
	case input:
		i = tiles * pixels * depth * s.aBits
	case output:
		o = tiles * pixels * oc * bfPsum
	default:
		w = tiles * depth * oc * s.wBits
	}
	p.read, p.write = [hardware.NumOperands]float64{w, i, o}, [hardware.NumOperands]float64{0, 0, o}
}

// try follows the streams through an order of the loops, innermost first, and
// keeps the plan if it is the best so far.
func (s *bitFusionSearch) try(p bitFusionPlan, tile [bfStreams]float64, order []int) {
	p.dram = tile
	first, resident := tile, [bfStreams]bool{true, true, true, true}
	for _, loop := range order {
		n := float64(p.count[loop])
		for i := range bfStreams {
			switch {
			case !resident[i]:
				p.dram[i] *= n
			case bfChanges[loop][i]:
				p.dram[i] *= n
				if p.dram[i] > bfHalf[i] {
					resident[i] = false
				} else {
					first[i] = p.dram[i]
				}
			}
		}
	}
	total, begin := 0.0, 0.0
	for i := range bfStreams {
		total += p.dram[i]
		begin += first[i]
	}
	end := first[bfStoreO]
	p.stalls = max(0, math.Ceil((total-begin)/bfWidth)-p.compute) + math.Ceil((begin-end)/bfWidth) + math.Ceil(end/bfWidth)
	if s.found && p.cycles() > s.best.cycles() {
		return
	}
	p.read[hardware.Outputs] += p.dram[bfStoreO]
	for i := range hardware.NumOperands {
		p.write[i] += p.dram[i]
	}
	p.energy = p.compute*bfArrayPJ*s.scale + total*bfDRAMPJ
	for i := range hardware.NumOperands {
		p.energy += p.read[i]*bfReadPJ[i] + p.write[i]*bfWritePJ[i]
	}
	if !s.found || p.cycles() < s.best.cycles() || p.energy < s.best.energy {
		p.order = ""
		for i := len(order) - 1; i >= 0; i-- {
			p.order += fmt.Sprintf("%s×%d ", [bfLoops]string{"N", "Q", "P", "C", "K"}[order[i]], p.count[order[i]])
		}
		s.best, s.found = p, true
	}
}

// cost makes the layer's cost of the best plan of one group.
func (s *bitFusionSearch) cost() hardware.Cost {
	p, g := &s.best, float64(s.layer.Size[hardware.G])
	c := hardware.Cost{Cycles: g * p.cycles(), ComputeCycles: g * p.compute, MACEnergy: g * p.compute * bfArrayPJ * s.scale, Mapping: p.order}
	width := [hardware.NumOperands]float64{s.wBits, s.aBits, bfPsum}
	dram, buffer := hardware.LevelCost{Name: "DRAM", Bits: width}, hardware.LevelCost{Name: "buffer", Bits: width}
	for i := range hardware.NumOperands {
		dram.Traffic[i].Reads = g * p.dram[i] / width[i]
		dram.Energy[i] = g * p.dram[i] * bfDRAMPJ
		buffer.Traffic[i] = hardware.Traffic{Reads: g * p.read[i] / width[i], Writes: g * p.write[i] / width[i]}
		buffer.Energy[i] = g * (p.read[i]*bfReadPJ[i] + p.write[i]*bfWritePJ[i])
		c.DRAMBytes += g * p.dram[i] / 8
	}
	stored := g * p.dram[bfStoreO]
	dram.Traffic[hardware.Outputs].Writes = stored / bfPsum
	dram.Energy[hardware.Outputs] += stored * bfDRAMPJ
	c.DRAMBytes += stored / 8
	dram.Cycles = c.DRAMBytes * 8 / bfWidth
	c.Levels = []hardware.LevelCost{dram, buffer}
	if dram.Cycles > c.ComputeCycles {
		c.Bound = "DRAM"
	}
	return c
}
