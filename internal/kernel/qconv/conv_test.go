package qconv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/qvec"
	"github.com/drawknife/drawknife/internal/parallel"
)

// levels are the instruction sets this CPU can run.
func levels() []cpu.Level {
	all := []cpu.Level{}
	for _, l := range []cpu.Level{cpu.Portable, cpu.AVX2, cpu.AVXVNNI, cpu.AVX512, cpu.VNNI, cpu.AMX, cpu.NEON, cpu.DotProd} {
		if cpu.Has(l) {
			all = append(all, l)
		}
	}
	return all
}

// naive computes the sums in int64 with loops straight from the definition.
func naive(s Shape, p Params, src []uint8) []int64 {
	s = normal(s)
	out := make([]int64, pixels(&s)*s.K)
	cg, kg := s.C/s.Groups, s.K/s.Groups
	for m := range pixels(&s) {
		q, y, d, n := m%s.Q, m/s.Q%s.P, m/s.Q/s.P%s.OD, m/s.Q/s.P/s.OD
		for k := range s.K {
			sum := int64(0)
			if p.Bias != nil {
				sum = int64(p.Bias[k])
			}
			for t := range s.T {
				for r := range s.R {
					for c := range s.S {
						iz, iy, ix := d*s.StrideD-s.PadD+t*s.DilD, y*s.StrideH-s.PadH+r*s.DilH, q*s.StrideW-s.PadW+c*s.DilW
						if iz < 0 || iz >= s.D || iy < 0 || iy >= s.H || ix < 0 || ix >= s.W {
							continue
						}
						for ch := range cg {
							x := int64(src[(((n*s.D+iz)*s.H+iy)*s.W+ix)*s.SrcStride+k/kg*cg+ch]) - int64(p.SrcZero)
							w := int64(p.Weights[(((k*cg+ch)*s.T+t)*s.R+r)*s.S+c]^int8(p.Flip)) - int64(pick(p.WeightZero, k, 0))
							sum += x * w
						}
					}
				}
			}
			out[m*s.K+k] = sum
		}
	}
	return out
}

// problem is a convolution with data.
type problem struct {
	s   Shape
	p   Params
	src []uint8
	add []uint8
	q   AddParams
}

func newProblem(rng *rand.Rand, s Shape) *problem {
	s = normal(s)
	pr := &problem{s: s}
	pr.p = Params{
		Weights: make([]int8, s.K*s.C/s.Groups*taps(&s)),
		SrcZero: uint8(rng.IntN(256)), DstZero: uint8(rng.IntN(256)),
		Scale: make([]float32, s.K),
		Min:   uint8(rng.IntN(50)), Max: uint8(200 + rng.IntN(56)),
		FMin: -3, FMax: 6,
	}
	for i := range pr.p.Weights {
		pr.p.Weights[i] = int8(rng.IntN(256) - 128)
	}
	if rng.IntN(4) > 0 {
		pr.p.Bias = make([]int32, s.K)
		for i := range pr.p.Bias {
			pr.p.Bias[i] = int32(rng.IntN(20001) - 10000)
		}
	}
	pr.p.Flip, pr.p.Workers = []uint8{0, 128}[rng.IntN(2)], rng.IntN(3)
	pr.p.WeightZero = make([]int8, []int{0, 1, s.K}[rng.IntN(3)])
	for i := range pr.p.WeightZero {
		pr.p.WeightZero[i] = int8(rng.IntN(256) - 128)
	}
	typical := math.Sqrt(float64(s.C/s.Groups*taps(&s))) * 73 * 73
	for i := range pr.p.Scale {
		pr.p.Scale[i] = float32((20 + 60*rng.Float64()) / typical)
	}
	pr.src = make([]uint8, s.N*s.D*s.H*s.W*s.SrcStride)
	pr.add = make([]uint8, pixels(&s)*s.AddStride)
	for _, b := range [][]uint8{pr.src, pr.add} {
		for i := range b {
			b[i] = uint8(rng.Uint32())
		}
	}
	pr.q = AddParams{ScaleA: 0.03, ScaleB: 0.05, ScaleY: 0.07, ZeroA: pr.p.DstZero, ZeroB: 100, ZeroY: 90, Min: 90, Max: 250}
	return pr
}

// shapes is a set of small convolutions of every kind.
func shapes() []Shape {
	list := []Shape{
		{N: 1, H: 1, W: 1, C: 64, K: 10, R: 1, S: 1, P: 1, Q: 1},                                                                           // fully connected
		{N: 5, H: 1, W: 1, C: 33, K: 7, R: 1, S: 1, P: 1, Q: 1},                                                                            // odd depth, few outputs
		{N: 1, H: 7, W: 7, C: 16, K: 32, R: 3, S: 3, P: 7, Q: 7, PadH: 1, PadW: 1},                                                         // same padding
		{N: 2, H: 9, W: 11, C: 3, K: 16, R: 7, S: 7, P: 5, Q: 6, PadH: 3, PadW: 3, StrideH: 2, StrideW: 2},                                 // stem
		{N: 1, H: 28, W: 28, C: 1, K: 6, R: 5, S: 5, P: 28, Q: 28, PadH: 2, PadW: 2},                                                       // LeNet
		{N: 1, H: 14, W: 13, C: 24, K: 40, R: 1, S: 1, P: 14, Q: 13},                                                                       // pointwise
		{N: 2, H: 13, W: 9, C: 20, K: 19, R: 1, S: 1, P: 7, Q: 5, StrideH: 2, StrideW: 2},                                                  // strided pointwise
		{N: 1, H: 12, W: 12, C: 8, K: 24, R: 3, S: 3, P: 12, Q: 12, PadH: 2, PadW: 2, DilH: 2, DilW: 2},                                    // dilated
		{N: 1, H: 10, W: 10, C: 12, K: 18, R: 3, S: 3, P: 10, Q: 10, PadH: 1, PadW: 1, Groups: 3},                                          // grouped
		{N: 1, H: 8, W: 8, C: 32, K: 32, R: 3, S: 3, P: 8, Q: 8, PadH: 1, PadW: 1, Groups: 8},                                              // ResNeXt
		{N: 1, H: 9, W: 9, C: 6, K: 12, R: 3, S: 3, P: 9, Q: 9, PadH: 1, PadW: 1, Groups: 6},                                               // multiplier 2
		{N: 1, D: 5, H: 6, W: 7, C: 5, K: 9, T: 3, R: 3, S: 3, OD: 5, P: 6, Q: 7, PadD: 1, PadH: 1, PadW: 1},                               // 3-D
		{N: 2, D: 6, H: 5, W: 5, C: 4, K: 8, T: 2, R: 1, S: 3, OD: 3, P: 5, Q: 5, StrideD: 2, PadW: 1},                                     // 3-D, odd kernel
		{N: 1, H: 9, W: 9, C: 10, K: 11, R: 3, S: 3, P: 9, Q: 9, PadH: 1, PadW: 1, SrcStride: 15, DstStride: 20},                           // part of wider tensors
		{N: 1, H: 6, W: 6, C: 10, K: 16, R: 3, S: 3, P: 8, Q: 9, PadH: 3, PadW: 2, DstStride: 17, AddStride: 31},                           // much padding
		{N: 1, H: 4, W: 4, C: 3, K: 3, R: 2, S: 2, P: 2, Q: 2, PadH: -1, PadW: -1},                                                         // negative padding
		{N: 1, H: 16, W: 40, C: 300, K: 33, R: 1, S: 1, P: 16, Q: 40},                                                                      // several blocks
		{N: 3, H: 30, W: 30, C: 16, K: 16, R: 3, S: 3, P: 30, Q: 30, PadH: 1, PadW: 1},                                                     // CIFAR
		{N: 1, H: 6, W: 8, C: 512, K: 24, P: 6, Q: 8},                                                                                      // pixels a power of two apart
		{N: 1, H: 3, W: 3, C: 600, K: 48, R: 3, S: 3, P: 3, Q: 3, PadH: 1, PadW: 1},                                                        // deep
		{N: 1, H: 2, W: 2, C: 4, K: 4, R: 1, S: 1, P: 5, Q: 5, PadH: 1, PadW: 2},                                                           // whole rows of padding
		{N: 2, H: 11, W: 10, C: 19, K: 19, R: 3, S: 3, P: 11, Q: 10, PadH: 1, PadW: 1, Groups: 19},                                         // depthwise
		{N: 1, H: 11, W: 12, C: 24, K: 24, R: 3, S: 3, P: 6, Q: 6, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2, Groups: 24},                   // strided
		{N: 1, H: 9, W: 8, C: 40, K: 40, R: 5, S: 5, P: 9, Q: 8, PadH: 2, PadW: 2, Groups: 40},                                             // 5x5
		{N: 1, H: 9, W: 9, C: 16, K: 16, R: 5, S: 5, P: 5, Q: 5, PadH: 2, PadW: 2, StrideH: 2, StrideW: 2, Groups: 16},                     // 5x5 strided
		{N: 1, H: 9, W: 9, C: 8, K: 8, R: 7, S: 7, P: 9, Q: 9, PadH: 3, PadW: 3, Groups: 8},                                                // 7x7
		{N: 1, H: 9, W: 10, C: 40, K: 40, R: 7, S: 7, P: 9, Q: 10, PadH: 3, PadW: 3, Groups: 40},                                           // 7x7, many channels
		{N: 1, H: 15, W: 14, C: 21, K: 21, R: 7, S: 7, P: 5, Q: 5, PadH: 3, PadW: 3, StrideH: 3, StrideW: 3, Groups: 21},                   // 7x7 strided
		{N: 1, H: 9, W: 15, C: 48, K: 48, R: 3, S: 3, P: 9, Q: 15, PadH: 1, PadW: 1, Groups: 48},                                           // tiles of every size
		{N: 1, H: 9, W: 15, C: 64, K: 64, R: 3, S: 3, P: 9, Q: 15, PadH: 1, PadW: 1, Groups: 64},                                           // 64 channels at once
		{N: 2, H: 8, W: 11, C: 130, K: 130, R: 3, S: 3, P: 4, Q: 6, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2, Groups: 130, DstStride: 133}, // the last chunk overlaps
		{N: 1, H: 9, W: 9, C: 72, K: 72, R: 5, S: 5, P: 9, Q: 9, PadH: 2, PadW: 2, Groups: 72, SrcStride: 75},                              // 5x5
		{N: 1, H: 12, W: 11, C: 96, K: 96, R: 5, S: 5, P: 6, Q: 6, PadH: 2, PadW: 2, StrideH: 2, StrideW: 2, Groups: 96},                   // 5x5 strided
		{N: 1, H: 10, W: 9, C: 70, K: 70, R: 3, S: 3, P: 10, Q: 9, PadH: 2, PadW: 2, DilH: 2, DilW: 2, Groups: 70},                         // dilated
		{N: 1, H: 10, W: 10, C: 36, K: 36, R: 5, S: 5, P: 4, Q: 4, PadH: 2, PadW: 2, StrideH: 3, StrideW: 3, Groups: 36},                   // stride 3
		{N: 2, H: 6, W: 7, C: 100, K: 96, R: 3, S: 3, P: 6, Q: 7, PadH: 1, PadW: 1},                                                        // weights outweigh the input
		{N: 1, H: 7, W: 9, C: 9, K: 9, R: 3, S: 3, P: 7, Q: 9, PadH: 2, PadW: 2, DilH: 2, DilW: 2, Groups: 9, DstStride: 11},               // dilated
		{N: 1, H: 1, W: 9, C: 9, K: 9, R: 1, S: 3, P: 1, Q: 3, Groups: 9, SrcStride: 10, StrideW: 3},                                       // one row
		{N: 1, D: 4, H: 4, W: 4, C: 8, K: 8, T: 3, R: 3, S: 3, OD: 4, P: 4, Q: 4, PadD: 1, PadH: 1, PadW: 1, Groups: 8},                    // 3-D depthwise
	}
	return list
}

// randomShape draws a shape of at most some ten thousand multiplications.
func randomShape(rng *rand.Rand) Shape {
	s := Shape{
		N: 1 + rng.IntN(2), H: 1 + rng.IntN(16), W: 1 + rng.IntN(16), C: 1 + rng.IntN(40), K: 1 + rng.IntN(40),
		R: 1 + rng.IntN(4), S: 1 + rng.IntN(4),
		StrideH: 1 + rng.IntN(3), StrideW: 1 + rng.IntN(3), DilH: 1 + rng.IntN(2), DilW: 1 + rng.IntN(2),
	}
	switch rng.IntN(4) {
	case 0:
		s.Groups = s.C
		s.K = s.C
	case 1:
		s.Groups = 1 + rng.IntN(4)
		s.C *= s.Groups
		s.K = (s.K + s.Groups - 1) / s.Groups * s.Groups
	}
	s.PadH, s.PadW = rng.IntN(s.R), rng.IntN(s.S)
	out := func(n, pad, k, dil, stride int) int { return max(1, (n+2*pad-(k-1)*dil-1)/stride+1) }
	s.P = out(s.H, s.PadH, s.R, s.DilH, s.StrideH)
	s.Q = out(s.W, s.PadW, s.S, s.DilW, s.StrideW)
	if rng.IntN(3) == 0 {
		s.SrcStride, s.DstStride = s.C+rng.IntN(9), s.K+rng.IntN(9)
	}
	return s
}

func TestAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	list := shapes()
	for range 60 {
		list = append(list, randomShape(rng))
	}
	pools := []*parallel.Pool{}
	for _, w := range []int{1, 2, 3} {
		p := parallel.New(w)
		defer p.Close()
		pools = append(pools, p)
	}
	for i, s := range list {
		pr := newProblem(rng, s)
		for _, l := range levels() {
			t.Run(fmt.Sprintf("%d/%v", i, l), func(t *testing.T) { pr.verify(t, l, pools) })
		}
	}
}

// TestLines covers rows of every length that is cut into tiles in another way.
func TestLines(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pools := []*parallel.Pool{parallel.New(1), parallel.New(2)}
	for _, p := range pools {
		defer p.Close()
	}
	for q := 7; q <= 50; q++ {
		stride := 1 + q%2
		s := Shape{N: 1, H: 3, W: q * stride, C: 4 + q%3, K: 16 + q%5, R: 3, S: 3, P: 3 / stride, Q: q, PadH: 1, PadW: 1, StrideH: stride, StrideW: stride}
		if q%4 == 0 { // a single row of all pixels
			s.C, s.R, s.S, s.PadH, s.PadW, s.StrideH, s.StrideW, s.P, s.W = 8, 1, 1, 0, 0, 1, 1, 3, q
		}
		pr := newProblem(rng, s)
		for _, l := range levels() {
			t.Run(fmt.Sprintf("%d/%v", q, l), func(t *testing.T) { pr.verify(t, l, pools) })
		}
	}
}

// verify runs a level with every pool and compares with naive.
func (pr *problem) verify(t *testing.T, l cpu.Level, pools []*parallel.Pool) {
	t.Helper()
	want := naive(pr.s, pr.p, pr.src)
	c := newAt(l, pr.s, pr.p)
	for _, pool := range pools {
		pr.compare(t, c, pool, want)
	}
}

// compare runs every output form and compares with the sums wanted.
func (pr *problem) compare(t *testing.T, c *Conv, pool *parallel.Pool, want []int64) {
	t.Helper()
	const guard = 0x5a
	s := &pr.s
	n := pixels(s) * s.DstStride
	scratch := make([]byte, c.Scratch(pool.Workers()))
	for i := range scratch {
		scratch[i] = uint8(i * 7)
	}
	u8, sum, f32, i32 := make([]uint8, n), make([]uint8, n), make([]float32, n), make([]int32, n)
	for i := range n {
		u8[i], sum[i], f32[i], i32[i] = guard, guard, guard, guard
	}
	c.Run(pool, u8, pr.src, scratch)
	c.RunAdd(pool, sum, pr.src, pr.add, pr.q, scratch)
	c.RunFloat(pool, f32, pr.src, scratch)
	c.RunInt32(pool, i32, pr.src, scratch)
	for i := range n {
		m, k := i/s.DstStride, i%s.DstStride
		wu, ws, wf, wi := uint8(guard), uint8(guard), float32(guard), int32(guard)
		if k < s.K {
			wi = int32(want[m*s.K+k])
			v := float32(wi) * pr.p.Scale[k]
			wf = min(max(v, pr.p.FMin), pr.p.FMax)
			wu = uint8(min(max(int(math.RoundToEven(float64(v)))+int(pr.p.DstZero), int(pr.p.Min)), int(pr.p.Max)))
			var one [1]uint8
			qvec.Add(one[:], []uint8{wu}, pr.add[m*s.AddStride+k:][:1], pr.q)
			ws = one[0]
		}
		if u8[i] != wu || sum[i] != ws || f32[i] != wf || i32[i] != wi {
			t.Fatalf("%s, %d workers, %+v: pixel %d channel %d: got %d, %d, %g, %d, want %d, %d, %g, %d",
				c.Kernel(), pool.Workers(), *s, m, k, u8[i], sum[i], f32[i], i32[i], wu, ws, wf, wi)
		}
	}
}

// TestSaturation takes the extreme of every value, where instructions that
// saturate in between would show.
func TestSaturation(t *testing.T) {
	pool := parallel.New(1)
	defer pool.Close()
	rng := rand.New(rand.NewPCG(3, 4))
	for _, s := range []Shape{
		{N: 1, H: 6, W: 6, C: 64, K: 16, R: 3, S: 3, P: 6, Q: 6, PadH: 1, PadW: 1},
		{N: 1, H: 1, W: 1, C: 512, K: 24, R: 1, S: 1, P: 1, Q: 1},
		{N: 1, H: 6, W: 6, C: 16, K: 16, R: 3, S: 3, P: 6, Q: 6, PadH: 1, PadW: 1, Groups: 16},
		{N: 1, H: 6, W: 6, C: 16, K: 16, R: 5, S: 5, P: 6, Q: 6, PadH: 2, PadW: 2, Groups: 16},
	} {
		for _, w := range []int8{127, -128} {
			for _, z := range []uint8{0, 255} {
				pr := newProblem(rng, s)
				pr.p.SrcZero = z
				for i := range pr.p.Weights {
					pr.p.Weights[i] = w
				}
				pr.p.WeightZero = []int8{[]int8{-128, 0, 127}[rng.IntN(3)]}
				for i := range pr.src {
					pr.src[i] = 255 - z
				}
				for _, l := range levels() {
					pr.verify(t, l, []*parallel.Pool{pool})
				}
			}
		}
	}
}

// TestVector checks fully connected layers of one pixel, whose weights are
// used as they are.
func TestVector(t *testing.T) {
	if !cpu.Has(cpu.AVX2) {
		t.Skip("this CPU has no vector path")
	}
	rng := rand.New(rand.NewPCG(7, 8))
	one, three := parallel.New(1), parallel.New(3)
	defer one.Close()
	defer three.Close()
	for _, s := range []Shape{{C: 4, K: 8}, {C: 12, K: 9}, {C: 100, K: 23}, {C: 64, K: 130}, {C: 36, K: 512}} {
		for _, extreme := range []bool{false, true} {
			pr := newProblem(rng, s)
			pr.p.Flip, pr.p.WeightZero = 0, nil
			if extreme {
				for i := range pr.p.Weights {
					pr.p.Weights[i] = []int8{-128, 127}[rng.IntN(2)]
				}
				for i := range pr.src {
					pr.src[i] = 255
				}
			}
			c := newAt(cpu.AVX2, pr.s, pr.p)
			if c.Kernel() != "avx2 vector" {
				t.Errorf("%+v takes %s", s, c.Kernel())
			}
			for _, pool := range []*parallel.Pool{one, three} {
				pr.compare(t, c, pool, naive(pr.s, pr.p, pr.src))
			}
		}
	}
}

// TestHugeScale takes products beyond an int32, which must saturate.
func TestHugeScale(t *testing.T) {
	pool := parallel.New(1)
	defer pool.Close()
	s := Shape{N: 1, H: 1, W: 1, C: 64, K: 16, R: 1, S: 1, P: 1, Q: 1}
	for _, l := range levels() {
		for sign, want := range map[int8]uint8{1: 230, -1: 20} {
			p := Params{Weights: make([]int8, 64*16), Scale: []float32{1e9}, Min: 20, Max: 230}
			for i := range p.Weights {
				p.Weights[i] = 100 * sign
			}
			src, dst := make([]uint8, 64), make([]uint8, 16)
			for i := range src {
				src[i] = 200
			}
			c := newAt(l, s, p)
			c.Run(pool, dst, src, make([]byte, c.Scratch(1)))
			if dst[0] != want {
				t.Errorf("%v: got %d, want %d", l, dst[0], want)
			}
		}
	}
}

func TestNewRejects(t *testing.T) {
	for name, s := range map[string]Shape{
		"negative": {H: 1, W: 1, C: -1, K: 1},
		"groups":   {C: 5, K: 4, Groups: 2},
		"stride":   {C: 5, K: 4, SrcStride: 4},
		"weights":  {C: 5, K: 5},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			New(s, Params{Weights: make([]int8, 20)})
		})
	}
}
