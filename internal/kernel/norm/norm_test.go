package norm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/parallel"
)

var inf = float32(math.Inf(1))

// levels runs f with every implementation that this CPU can run.
func levels(t *testing.T, f func(t *testing.T)) {
	best := level
	defer func() { level = best }()
	for _, l := range []cpu.Level{cpu.Portable, cpu.AVX2, cpu.AVX512, cpu.NEON} {
		if cpu.Has(l) {
			level = l
			t.Run(l.String(), f)
		}
	}
}

// problem holds the operands of one normalization.
type problem struct {
	Batch
	x, add, dy, gamma, beta []float32
}

func newProblem(rng *rand.Rand, b Batch, add bool) *problem {
	random := func(n int, offset float32) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = rng.Float32()*2 - 1 + offset
		}
		return v
	}
	p := &problem{Batch: b, x: random(b.Rows*b.C, 0.5), dy: random(b.Rows*b.C, 0), gamma: random(b.C, 1), beta: random(b.C, 0)}
	if add {
		p.add = random(b.Rows*b.C, 0)
	}
	return p
}

// results are what a pass forward and back computes.
type results struct{ y, mean, variance, inv, dx, dadd, dgamma, dbeta []float32 }

func (p *problem) run(workers int) results {
	pool := parallel.New(workers)
	defer pool.Close()
	n := p.Rows * p.C
	f := func(n int) []float32 { return make([]float32, n) }
	r := results{f(n), f(p.C), f(p.C), f(p.C), f(n), nil, f(p.C), f(p.C)}
	scratch := make([]float64, p.Scratch())
	p.Forward(pool, r.y, p.x, p.add, p.gamma, p.beta, r.mean, r.variance, r.inv, scratch)
	g := Grad{DX: r.dx, DY: p.dy, X: p.x, Gamma: p.gamma, Beta: p.beta, Mean: r.mean, Inv: r.inv, DGamma: r.dgamma, DBeta: r.dbeta}
	if p.add != nil {
		r.dadd = f(n)
		g.DAdd, g.Y = r.dadd, r.y
	}
	p.Backward(pool, g, scratch)
	return r
}

// define computes the same in float64, channel by channel. Which outputs the
// clamp cut is taken from y, where rounding decides.
func (p *problem) define(y []float32) results {
	r := results{y: make([]float32, len(p.x)), dx: make([]float32, len(p.x)), dadd: make([]float32, len(p.x))}
	for c := range p.C {
		mean, variance := 0.0, 0.0
		for i := c; i < len(p.x); i += p.C {
			mean += float64(p.x[i]) / float64(p.Rows)
		}
		for i := c; i < len(p.x); i += p.C {
			d := float64(p.x[i]) - mean
			variance += d * d / float64(p.Rows)
		}
		inv := 1 / math.Sqrt(variance+float64(p.Eps))
		dbeta, dgamma := 0.0, 0.0
		for i := c; i < len(p.x); i += p.C {
			hat := (float64(p.x[i]) - mean) * inv
			v := hat*float64(p.gamma[c]) + float64(p.beta[c])
			if p.add != nil {
				v += float64(p.add[i])
			}
			r.y[i] = float32(min(max(v, float64(p.Lo)), float64(p.Hi)))
			if y[i] > p.Lo && y[i] < p.Hi {
				r.dadd[i] = p.dy[i]
			}
			dbeta += float64(r.dadd[i])
			dgamma += float64(r.dadd[i]) * hat
		}
		for i := c; i < len(p.x); i += p.C {
			hat := (float64(p.x[i]) - mean) * inv
			r.dx[i] = float32(float64(p.gamma[c]) * inv * (float64(r.dadd[i]) - (dbeta+hat*dgamma)/float64(p.Rows)))
		}
		r.mean, r.variance, r.inv = append(r.mean, float32(mean)), append(r.variance, float32(variance)), append(r.inv, float32(inv))
		r.dgamma, r.dbeta = append(r.dgamma, float32(dgamma)), append(r.dbeta, float32(dbeta))
	}
	return r
}

func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d elements, want %d", what, len(got), len(want))
	}
	for i, g := range got {
		if !(math.Abs(float64(g-want[i])) <= tolerance*(1+math.Abs(float64(want[i])))) {
			t.Fatalf("%s[%d] = %g, want %g", what, i, g, want[i])
		}
	}
}

func TestForwardBackward(t *testing.T) {
	for _, b := range []Batch{
		{Rows: 1000, C: 16, Eps: 1e-5, Lo: 0, Hi: inf},
		{Rows: 40000, C: 8, Eps: 1e-5, Lo: 0, Hi: inf},
		{Rows: 333, C: 3, Eps: 1e-3, Lo: -inf, Hi: inf},
		{Rows: 100, C: 70, Eps: 1e-5, Lo: 0, Hi: 0.75},
		{Rows: 65, C: 300, Eps: 1e-5, Lo: 0, Hi: 6},
		{Rows: 7, C: 27, Eps: 1e-5, Lo: -inf, Hi: inf},
	} {
		for _, add := range []bool{false, true} {
			t.Run(fmt.Sprintf("%dx%d/add=%v", b.Rows, b.C, add), func(t *testing.T) {
				levels(t, func(t *testing.T) {
					p := newProblem(rand.New(rand.NewPCG(1, 2)), b, add)
					got := p.run(1)
					want := p.define(got.y)
					near(t, "y", got.y, want.y, 1e-5)
					near(t, "mean", got.mean, want.mean, 1e-6)
					near(t, "variance", got.variance, want.variance, 1e-5)
					near(t, "inv", got.inv, want.inv, 1e-5)
					sum := 1e-6 * math.Sqrt(float64(b.Rows)) * 4
					near(t, "dbeta", got.dbeta, want.dbeta, sum)
					near(t, "dgamma", got.dgamma, want.dgamma, sum)
					near(t, "dx", got.dx, want.dx, 1e-5)
					if add {
						near(t, "dadd", got.dadd, want.dadd, 0)
					}
					three := p.run(3)
					for name, pair := range map[string][2][]float32{"y": {got.y, three.y}, "dx": {got.dx, three.dx},
						"dgamma": {got.dgamma, three.dgamma}, "dbeta": {got.dbeta, three.dbeta}} {
						if !slices.Equal(pair[0], pair[1]) {
							t.Errorf("%s differs between one and three workers", name)
						}
					}
				})
			})
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	p := newProblem(rand.New(rand.NewPCG(1, 2)), Batch{Rows: 3000, C: 24, Eps: 1e-5, Lo: 0, Hi: inf}, true)
	r := p.run(1)
	pool, scratch := parallel.New(1), make([]float64, p.Scratch())
	g := Grad{DX: r.dx, DY: p.dy, X: p.x, Gamma: p.gamma, Beta: p.beta, Mean: r.mean, Inv: r.inv, DGamma: r.dgamma, DBeta: r.dbeta, DAdd: r.dadd, Y: r.y}
	if n := testing.AllocsPerRun(5, func() {
		p.Forward(pool, r.y, p.x, p.add, p.gamma, p.beta, r.mean, r.variance, r.inv, scratch)
		p.Backward(pool, g, scratch)
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// TestStreams compares results that are written around the caches with those
// that are not.
func TestStreams(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	levels(t, func(t *testing.T) {
		b := Batch{Rows: 1000, C: 24, Lo: 0, Hi: 1}
		p := newProblem(rng, b, true)
		k := coefficients{}
		for _, v := range []*[]float32{&k.scale, &k.shift, &k.a, &k.b, &k.c} {
			*v = newProblem(rng, Batch{Rows: b.period() / b.C, C: b.C}, false).x
		}
		n := len(p.x)
		got := [2][][]float32{}
		for i, stream := range []bool{false, true} {
			for range 4 {
				got[i] = append(got[i], make([]float32, n))
			}
			forward(got[i][0], p.x, nil, &k, 0, 1, stream)
			forward(got[i][1], p.x, p.add, &k, 0, 1, stream)
			backward(got[i][2], p.dy, p.x, &k, stream)
			backwardClamp(got[i][3], p.dy, p.x, &k, 0, 1, stream)
		}
		for i := range got[0] {
			if !slices.Equal(got[0][i], got[1][i]) {
				t.Errorf("kernel %d gives other bits when it streams", i)
			}
		}
	})
}

func BenchmarkForwardBackward(b *testing.B) {
	for _, add := range []bool{false, true} {
		b.Run(fmt.Sprintf("add=%v", add), func(b *testing.B) {
			p := newProblem(rand.New(rand.NewPCG(1, 2)), Batch{Rows: 128 * 32 * 32, C: 16, Eps: 1e-5, Lo: 0, Hi: inf}, add)
			pool := parallel.New(0)
			defer pool.Close()
			r := p.run(1)
			scratch := make([]float64, p.Scratch())
			g := Grad{DX: r.dx, DY: p.dy, X: p.x, Gamma: p.gamma, Beta: p.beta, Mean: r.mean, Inv: r.inv, DGamma: r.dgamma, DBeta: r.dbeta}
			if add {
				g.DAdd, g.Y = r.dadd, r.y
			}
			b.SetBytes(int64(4 * len(p.x)))
			for b.Loop() {
				p.Forward(pool, r.y, p.x, p.add, p.gamma, p.beta, r.mean, r.variance, r.inv, scratch)
				p.Backward(pool, g, scratch)
			}
		})
	}
}
