package sparse

import (
	"math"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/conv"
)

// method is a way to compute a layer.
type method int

const (
	byRows   method = iota // each output channel has non-zeros of its own
	byBlocks               // blockRows output channels share their places
	byLanes                // output channels are the lanes of a vector
	methods
)

func (m method) String() string {
	return [...]string{"rows", "4-blocks", "lanes"}[m]
}

// zeros describes where the weights of a layer are not zero: products counts
// what each method multiplies by each pixel.
type zeros struct {
	nonzero  int
	products [methods]int
	lanes    float64 // by lanes, the time of all steps for a pixel
}

// census counts the weights.
func census(r *rates, s conv.Shape, w []float32) zeros {
	var z zeros
	depth := s.C * s.R * s.S
	used := make([]int, depth) // of a block's output channels, by weight
	for k := 0; k < s.K; k += blockRows {
		clear(used)
		for r := k; r < min(k+blockRows, s.K); r++ {
			for i, v := range w[r*depth:][:depth] {
				if v != 0 {
					used[i]++
				}
			}
		}
		for _, n := range used {
			z.nonzero += n
			z.products[byBlocks] += blockRows * min(n, 1)
		}
	}
	z.products[byRows] = z.nonzero
	g := newStrip(s, tilePixels(&s))
	z.lanes, _ = laneCost(r, &g, w)
	return z
}

// rates are the figures of the cost model, fitted to BenchmarkAgainstDense
// (docs/results/sparse.md), which they meet within a quarter or, with AVX-512, a
// third. Times are in nanoseconds on the machine of the table for that
// instruction set; only their ratios matter.
type rates struct {
	dense    float64 // one multiply-accumulate of the dense convolution
	denseRow float64 // the same where there is one pixel, and weights are read once
	// Of the dense convolution, the output channels of a vector, the time to store
	// one, and how much longer it takes with one vector of them.
	denseLanes              int
	denseStore, denseNarrow float64
	load                    float64                   // transposing a vector of inputs
	call                    float64                   // beginning to load, or store, a number of vectors
	store                   float64                   // a vector of outputs, from the sums to the pixels
	spill                   float64                   // for each byte of inputs and outputs that the second-level cache does not hold
	resume                  float64                   // putting sums by and going on with them at the next depth
	step                    [methods]float64          // a weight by a vector
	astride                 float64                   // how much longer that takes by rows off vector boundaries, in planes
	cached                  float64                   // and by blocks where the first-level cache holds a panel
	once                    [methods]float64          // reading a weight from memory
	scalar                  float64                   // a weight by one pixel
	lanes                   [len(laneWindows)]float64 // a step of lanes by a pixel, for each window
	move                    float64                   // copying a vector of inputs to a strip
	// By how much Winograd's algorithm outruns the direct dense convolution where
	// package conv chooses it and squares of 4x4 fill the image.
	winograd     float64
	winogradHalf float64 // channels that reach half of that
}

var portableRates = rates{dense: 0.5, denseRow: 1, load: 8, store: 10, resume: 2, step: [methods]float64{5.5, 4.5}, astride: 1, cached: 1, scalar: 4, winograd: 2.4, lanes: [len(laneWindows)]float64{100, 100}, move: 100, denseLanes: 1, denseNarrow: 1}

var avx2Rates = rates{dense: 0.0235, denseRow: 0.11, load: 1.2, store: 1.3, resume: 1.1,
	step: [methods]float64{0.22, 0.175}, astride: 1.35, cached: 1, once: [methods]float64{0.6, 0.33}, scalar: 0.43, winograd: 2.4, denseLanes: 1, denseNarrow: 1}

// avx512Rates are those of the second machine of that page, of Intel's.
var avx512Rates = rates{dense: 0.0122, denseRow: 0.14, load: 2.6, store: 2.8, spill: 0.045, resume: 1.9,
	step: [methods]float64{0.28, 0.175}, astride: 1.25, cached: 0.8, once: [methods]float64{0.5, 0.3, 1.6}, scalar: 0.51, winograd: 2.6, winogradHalf: 10, call: 20, denseLanes: 16, denseStore: 1, denseNarrow: 1.3, lanes: [len(laneWindows)]float64{0.385, 0.435}, move: 1.5}

// Worthwhile reports whether so many of the weights are zero that looking
// closer may pay. It looks at a sample.
func Worthwhile(w []float32) bool {
	const step = 17 // meets every place of patterns that repeat after 4, 8, 16...
	seen, zero := 0, 0
	for i := 0; i < len(w); i += step {
		seen++
		if w[i] == 0 {
			zero++
		}
	}
	return 4*zero > seen
}

// Gain estimates how many times faster than package conv the convolution runs
// here. It is 0 where these kernels do not support the shape.
func Gain(s conv.Shape, p conv.Params) float64 {
	s = normal(s)
	if !Supports(s) || len(p.Weights) != s.K*s.C*s.R*s.S {
		return 0
	}
	k := best()
	if k.level == cpu.Portable && cpu.Best() != cpu.Portable {
		return 0 // the dense kernels have instructions that these do not
	}
	_, t := k.choose(s, census(k.rates, s, p.Weights))
	return k.rates.denseTime(s, p.Winograd) / t
}

// choose returns the fastest method and its time.
func (k *kernels) choose(s conv.Shape, z zeros) (method, float64) {
	fastest, least := byRows, math.Inf(1)
	for m := range methods {
		if t := k.time(m, s, z); t < least {
			fastest, least = m, t
		}
	}
	return fastest, least
}

// denseTime estimates the time of package conv.
func (r *rates) denseTime(s conv.Shape, winograd bool) float64 {
	macs := float64(s.MACs())
	if s.N*s.P*s.Q == 1 {
		return macs * r.denseRow
	}
	outputs := s.N * s.P * s.Q * ceilDiv(s.K, r.denseLanes)
	direct := macs*r.dense*float64(ceilDiv(s.K, r.denseLanes)*r.denseLanes)/float64(s.K) + float64(outputs)*r.denseStore
	if s.K <= r.denseLanes {
		direct *= r.denseNarrow
	}
	squares := s.N * ceilDiv(s.P, 4) * ceilDiv(s.Q, 4)
	full := float64(s.N*s.P*s.Q) / float64(16*squares)
	if winograd && s.R == 3 && s.S == 3 && s.StrideH*s.StrideW*s.DilH*s.DilW == 1 && s.C >= 32 && s.K >= 32 && squares >= 12 {
		channels := float64(min(s.C, s.K))
		return direct / max(1, r.winograd*full*channels/(channels+r.winogradHalf))
	}
	return direct
}

// lanesTime estimates the time by lanes. A step takes as long as a few pixels
// more for each tile.
func (k *kernels) lanesTime(s conv.Shape, z zeros) float64 {
	const (
		tile    = 1.2     // a step of a tile, besides its pixels
		store   = 2.5     // a vector of sums
		widest  = 768     // inputs of a pixel of which a tile stays in the first-level cache
		outside = 1.2     // how much longer it takes with up to twice as many, and so on
		held    = 1 << 20 // bytes of inputs that the second-level cache holds
		beyond  = 1.1
	)
	r := k.rates
	if k.lanesRun[0][1] == nil {
		return math.Inf(1)
	}
	size := tilePixels(&s)
	g := newStrip(s, size)
	pixels, groups := g.N*g.P*g.Q, ceilDiv(g.K, laneGroup)
	size = ceilDiv(pixels, ceilDiv(pixels, size))
	last := len(laneWindows) - 1
	t := float64(pixels) * (z.lanes*(1+tile/float64(size)) + store*float64(groups)*r.lanes[last])
	for c := s.C; c > widest; c /= 2 {
		t *= outside
	}
	if 4*g.N*g.H*g.W*s.C > held {
		t *= beyond
	}
	return t + z.lanes/r.lanes[last]*r.once[byLanes] + float64(g.blocks*g.floats()/laneGroup)*r.move
}

// time estimates the time of method m; it is infinite if the method cannot
// compute the shape.
func (k *kernels) time(m method, s conv.Shape, z zeros) float64 {
	if m == byLanes {
		return k.lanesTime(s, z)
	}
	t := k.panelTime(m, s, z)
	if most, rest, ok := k.divide(s); ok {
		t = min(t, k.dividedTime(m, most, rest, z))
	}
	return t
}

// panelTime estimates the time by panels.
func (k *kernels) panelTime(m method, s conv.Shape, z zeros) float64 {
	r := k.rates
	products := float64(z.products[m])
	g := newGeometry(s, k.lanes, k.vecs[m])
	if g.vecs == 0 {
		if m == byBlocks {
			return math.Inf(1)
		}
		return products * r.scalar
	}
	vecs := 0
	for i := range g.blocks {
		vecs += g.blockAt(i).vecs
	}
	loads, calls := vecs*g.inputs(), vecs*g.R*g.S*ceilDiv(g.C, loadRows)
	step := float64(vecs) * r.step[m]
	if g.planes {
		loads, calls = g.blocks*g.C*g.plane/g.lanes, g.blocks*g.plane/g.lanes
		if m == byRows {
			step *= r.astride
		}
	}
	if m == byBlocks && 4*g.panel() <= k.depthBytes*3/2 {
		step *= r.cached
	}
	if !oneToOne(&s) {
		calls *= 2 // each pixel has to be found
	}
	calls += g.blocks * g.tileRows * ceilDiv(s.K, groupOutput)
	rows, _ := g.panelRows()
	resumes := ceilDiv(rows, g.split(k, z.nonzero, m == byBlocks)) - 1
	const held = 1600 << 10 // bytes of inputs and outputs
	spilled := float64(max(0, 4*s.N*(s.H*s.W*s.C+s.P*s.Q*s.K)-held))
	return spilled*r.spill + float64(loads)*r.load + float64(calls)*r.call + float64(vecs*s.K)*(r.store+float64(resumes)*r.resume) + products*(step+r.once[m])
}
