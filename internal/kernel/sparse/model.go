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
	methods
)

func (m method) String() string {
	return [...]string{"rows", "4-blocks"}[m]
}

// vecs is the number of vectors to give a block of pixels, for the methods with
// panels.
func (m method) vecs(s conv.Shape) int {
	if m == byBlocks {
		return maxBlock
	}
	return wideRows
}

// zeros describes where the weights of a layer are not zero: products counts
// what each method multiplies by each pixel.
type zeros struct {
	nonzero  int
	products [methods]int
}

// census counts the weights.
func census(s conv.Shape, w []float32) zeros {
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
	return z
}

// rates are the figures of the cost model, fitted to BenchmarkAgainstDense
// (docs/results/sparse.md). Times are in nanoseconds on the machine of that
// table; only their ratios matter.
type rates struct {
	dense    float64 // one multiply-accumulate of the dense convolution
	denseRow float64 // the same where there is one pixel, and weights are read once
	load     float64 // transposing a vector of inputs
	store    float64 // a vector of outputs, from the sums to the pixels
	strip    float64 // beginning and ending an output channel of a block
	near     float64 // a weight by a vector of a panel in the first-level cache
	far      float64 // the same in the second-level cache
	shared   float64 // the same where output channels share their inputs
	scalar   float64 // a weight by one pixel
}

var portableRates = rates{dense: 0.5, denseRow: 0.5, load: 8, store: 8, strip: 20, near: 8, far: 8, shared: 8, scalar: 2}

var avx2Rates = rates{dense: 0.0235, denseRow: 0.09, load: 0.45, store: 1.1, strip: 4, near: 0.2, far: 0.31, shared: 0.11, scalar: 0.42}

// modelOf returns the figures for a set of kernels.
func modelOf(k *kernels) *rates {
	if k.level == cpu.Portable {
		return &portableRates
	}
	return &avx2Rates
}

// nearBytes is the size of a panel that stays in the first-level cache.
const nearBytes = 24 << 10

// winogradGain is by how much Winograd's algorithm outruns the direct dense
// convolution where package conv chooses it and squares of 4x4 fill the image.
const winogradGain = 2.4

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
	r := modelOf(best())
	_, t := r.choose(s, census(s, p.Weights))
	return r.denseTime(s, p.Winograd) / t
}

// choose returns the fastest method and its time.
func (r *rates) choose(s conv.Shape, z zeros) (method, float64) {
	fastest, least := byRows, math.Inf(1)
	for m := range methods {
		if t := r.time(m, s, z); t < least {
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
	squares := s.N * ceilDiv(s.P, 4) * ceilDiv(s.Q, 4)
	full := float64(s.N*s.P*s.Q) / float64(16*squares)
	if winograd && s.R == 3 && s.S == 3 && s.StrideH*s.StrideW*s.DilH*s.DilW == 1 && s.C >= 32 && s.K >= 32 && squares >= 12 {
		return macs * r.dense / max(1, winogradGain*full)
	}
	return macs * r.dense
}

// time estimates the time of method m; it is infinite if the method cannot
// compute the shape.
func (r *rates) time(m method, s conv.Shape, z zeros) float64 {
	products := float64(z.products[m])
	g := newGeometry(s, m.vecs(s))
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
	loads := vecs * g.inputs()
	if g.planes {
		loads = g.blocks * g.C * g.plane / lanes
	}
	outputs := float64(s.K)
	t := float64(loads)*r.load + float64(vecs)*outputs*r.store + float64(g.blocks)*outputs*r.strip
	if m == byBlocks {
		return t + float64(vecs)*products*r.shared
	}
	bytes := 4 * float64(g.panel())
	if g.planes {
		bytes = 4 * float64(g.inputs()*lanes*g.vecs) / 3 // neighbouring elements overlap
	}
	near := min(1, nearBytes/bytes)
	return t + float64(vecs)*products*(r.near*near+r.far*(1-near))
}
