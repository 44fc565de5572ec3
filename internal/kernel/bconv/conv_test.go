package bconv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/parallel"
)

// levels are the instruction sets this CPU can run.
func levels() []cpu.Level {
	all := []cpu.Level{}
	for _, l := range []cpu.Level{cpu.Portable, cpu.AVX2, cpu.AVX512, cpu.VBMI, cpu.NEON, cpu.DotProd} {
		if cpu.Has(l) {
			all = append(all, l)
		}
	}
	return all
}

// naive computes the sums with loops straight from the definition.
func naive(s Shape, p Params, src []float32) []int {
	s = normal(s)
	out := make([]int, pixels(&s)*s.K)
	cg, kg := s.C/s.Groups, s.K/s.Groups
	for i := range out {
		m, k := i/s.K, i%s.K
		q, y, d, n := m%s.Q, m/s.Q%s.P, m/s.Q/s.P%s.OD, m/s.Q/s.P/s.OD
		for j := range cg * taps(&s) {
			c, tap := j/taps(&s), j%taps(&s)
			iz, iy, ix := d*s.StrideD-s.PadD+tap/s.S/s.R*s.DilD, y*s.StrideH-s.PadH+tap/s.S%s.R*s.DilH, q*s.StrideW-s.PadW+tap%s.S*s.DilW
			x := p.PadValue
			if iz >= 0 && iz < s.D && iy >= 0 && iy < s.H && ix >= 0 && ix < s.W {
				x = -1
				if src[(((n*s.D+iz)*s.H+iy)*s.W+ix)*s.C+k/kg*cg+c] >= 0 {
					x = 1
				}
			}
			out[i] += x * int(p.Signs[k*cg*taps(&s)+j])
		}
	}
	return out
}

// problem is a convolution with data.
type problem struct {
	s        Shape
	p        Params
	src, add []float32
	signs    []uint64 // of src
}

func newProblem(rng *rand.Rand, s Shape, padValue int) *problem {
	s = normal(s)
	pr := &problem{s: s, p: Params{Signs: make([]int8, s.K*s.C/s.Groups*taps(&s)), PadValue: padValue}}
	for i := range pr.p.Signs {
		pr.p.Signs[i] = int8(2*rng.IntN(2) - 1)
	}
	floats := func(n int) []float32 {
		list := make([]float32, n)
		for i := range list {
			list[i] = float32(rng.NormFloat64())
		}
		return list
	}
	if rng.IntN(4) > 0 {
		pr.p.Scale = floats(s.K)
	}
	if rng.IntN(4) > 0 {
		pr.p.Bias = floats(s.K)
	}
	if rng.IntN(2) > 0 {
		pr.p.Above = floats(s.K)
	}
	if rng.IntN(2) > 0 {
		pr.p.Min, pr.p.Max = -2, 3
	}
	pr.src, pr.add = floats(s.N*s.D*s.H*s.W*s.C), floats(pixels(&s)*s.AddStride)
	pr.src[0], pr.src[len(pr.src)-1] = float32(math.Copysign(0, -1)), float32(math.NaN())
	pr.signs = make([]uint64, s.N*s.D*s.H*s.W*Words(s.C))
	packAt(cpu.Portable, pr.signs, pr.src, nil, s.C, s.C, 0, s.N*s.D*s.H*s.W)
	return pr
}

// same returns an image convolution of a square kernel with "same" padding.
func same(size, c, k, r, stride, groups int) Shape {
	out := (size + stride - 1) / stride
	return Shape{N: 1, H: size, W: size, C: c, K: k, R: r, S: r, P: out, Q: out,
		PadH: (r - 1) / 2, PadW: (r - 1) / 2, StrideH: stride, StrideW: stride, Groups: groups}
}

// shapes is a set of small convolutions of every kind.
func shapes() []Shape {
	return []Shape{
		{N: 1, C: 64, K: 10}, // fully connected
		{N: 5, C: 33, K: 7},  // odd depth, few outputs
		same(7, 16, 16, 3, 1, 1), same(7, 64, 64, 3, 1, 1), same(8, 128, 32, 3, 2, 1), same(5, 13, 20, 3, 1, 1), same(5, 6, 17, 3, 1, 1),
		same(6, 72, 100, 3, 1, 1), same(9, 24, 48, 5, 2, 1), same(6, 10, 40, 1, 1, 1), same(9, 20, 33, 1, 2, 1),
		same(9, 64, 80, 3, 2, 1), same(6, 96, 70, 3, 1, 1), {N: 2, H: 9, W: 12, C: 64, K: 64, R: 3, S: 3, P: 5, Q: 8, DilH: 2, DilW: 2, PadW: 0}, {N: 3, H: 5, W: 6, C: 64, K: 128, R: 3, S: 3, P: 5, Q: 6, PadH: 1, PadW: 1},
		same(6, 128, 128, 3, 1, 2), same(6, 32, 64, 3, 1, 2), same(5, 16, 192, 3, 1, 2), same(6, 24, 18, 3, 1, 3), same(6, 36, 12, 3, 1, 3), same(5, 7, 7, 3, 1, 7), same(5, 24, 96, 3, 1, 3),
		{N: 2, H: 12, W: 12, C: 8, K: 24, R: 3, S: 3, P: 12, Q: 12, PadH: 2, PadW: 2, DilH: 2, DilW: 2},
		{N: 1, D: 5, H: 6, W: 7, C: 10, K: 18, T: 3, R: 3, S: 3, OD: 5, P: 6, Q: 7, PadD: 1, PadH: 1, PadW: 1},
		{N: 2, D: 6, H: 5, W: 5, C: 16, K: 16, T: 2, R: 1, S: 3, OD: 3, P: 5, Q: 5, StrideD: 2, PadW: 1},
		{N: 1, H: 6, W: 6, C: 16, K: 16, R: 3, S: 3, P: 8, Q: 9, PadH: 3, PadW: 2, DstStride: 17, AddStride: 31},
		{N: 1, H: 4, W: 4, C: 8, K: 3, R: 2, S: 2, P: 2, Q: 2, PadH: -1, PadW: -1},
		{N: 1, H: 2, W: 2, C: 16, K: 32, P: 5, Q: 5, PadH: 1, PadW: 2}, // whole rows of padding
		{N: 3, H: 30, W: 30, C: 16, K: 16, R: 3, S: 3, P: 30, Q: 30, PadH: 1, PadW: 1},
		{N: 7, H: 3, W: 3, C: 256, K: 40, R: 3, S: 3, P: 3, Q: 3, PadH: 1, PadW: 1},
		{N: 1, H: 3, W: 3, C: 3680, K: 16, R: 3, S: 3, P: 3, Q: 3, PadH: 1, PadW: 1}, // sums beyond 16 bits
	}
}

// randomShape draws a small convolution.
func randomShape(rng *rand.Rand) Shape {
	s := Shape{
		N: 1 + rng.IntN(2), H: 1 + rng.IntN(12), W: 1 + rng.IntN(12), C: 1 + rng.IntN(80), K: 1 + rng.IntN(80),
		R: 1 + rng.IntN(4), S: 1 + rng.IntN(4),
		StrideH: 1 + rng.IntN(3), StrideW: 1 + rng.IntN(3), DilH: 1 + rng.IntN(2), DilW: 1 + rng.IntN(2),
	}
	switch rng.IntN(4) {
	case 0:
		s.Groups = 1 + rng.IntN(4)
		s.C = (s.C + 7) / 8 * 8 * s.Groups
		s.K = (s.K + s.Groups - 1) / s.Groups * s.Groups
	case 1:
		s.C = (s.C + 7) / 8 * 8
	}
	s.PadH, s.PadW = rng.IntN(s.R+1), rng.IntN(s.S+1)
	out := func(n, pad, k, dil, stride int) int { return max(1, (n+pad+rng.IntN(pad+1)-(k-1)*dil-1)/stride+1) }
	s.P = out(s.H, s.PadH, s.R, s.DilH, s.StrideH)
	s.Q = out(s.W, s.PadW, s.S, s.DilW, s.StrideW)
	if rng.IntN(3) == 0 {
		s.DstStride, s.AddStride = s.K+rng.IntN(9), s.K+rng.IntN(9)
	}
	return s
}

// TestAgainstNaive checks every level with several numbers of workers.
func TestAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	list := shapes()
	for range 80 {
		list = append(list, randomShape(rng))
	}
	pools := []*parallel.Pool{}
	for _, w := range []int{1, 2, 3} {
		p := parallel.New(w)
		defer p.Close()
		pools = append(pools, p)
	}
	for i, s := range list {
		pr := newProblem(rng, s, i%3-1)
		want := naive(pr.s, pr.p, pr.src)
		for _, l := range levels() {
			t.Run(fmt.Sprintf("%d/%v", i, l), func(t *testing.T) {
				for _, pool := range pools {
					pr.floats(t, l, pool, want, false)
					pr.floats(t, l, pool, want, true)
					pr.compareSigns(t, l, pool, want)
				}
			})
		}
	}
}

const guard = 12345

// floats compares the float output, with an addend or without, with the sums
// wanted.
func (pr *problem) floats(t *testing.T, l cpu.Level, pool *parallel.Pool, want []int, withAdd bool) {
	t.Helper()
	s := &pr.s
	c := newAt(l, *s, pr.p)
	dst, scratch := make([]float32, pixels(s)*s.DstStride), make([]byte, c.Scratch(pool.Workers()))
	for i := range dst {
		dst[i] = guard
	}
	var add []float32
	if withAdd {
		add = pr.add
	}
	c.Run(pool, dst, pr.signs, add, scratch)
	for i, got := range dst {
		m, k := i/s.DstStride, i%s.DstStride
		v := float32(guard)
		if k < s.K {
			v = c.value(k, want[m*s.K+k])
			if withAdd {
				v += add[m*s.AddStride+k]
			}
			if pr.p.Min < pr.p.Max {
				v = min(max(v, pr.p.Min), pr.p.Max)
			}
		}
		if got != v {
			t.Fatalf("%s, %d workers, %+v, padding %d: pixel %d, channel %d is %v, want %v (sum %d)",
				c.Kernel(), pool.Workers(), *s, pr.p.PadValue, m, k, got, v, want[m*s.K+min(k, s.K-1)])
		}
	}
}

// compareSigns compares the sign output with the sums wanted.
func (pr *problem) compareSigns(t *testing.T, l cpu.Level, pool *parallel.Pool, want []int) {
	t.Helper()
	s, p := &pr.s, pr.p
	p.ToSigns = true
	c := newAt(l, *s, p)
	words := Words(s.K)
	dst, scratch := make([]uint64, pixels(s)*words), make([]byte, c.Scratch(pool.Workers()))
	for i := range dst {
		dst[i] = 0x5a5a5a5a5a5a5a5a
	}
	c.RunSigns(pool, dst, pr.signs, scratch)
	for i, got := range dst {
		v := uint64(0)
		for k := i % words * 64; k < min(s.K, i%words*64+64); k++ {
			if c.value(k, want[i/words*s.K+k]) >= c.above[k] {
				v |= 1 << (k % 64)
			}
		}
		if got != v {
			t.Fatalf("%s, %d workers, %+v, padding %d: word %d is %x, want %x", c.Kernel(), pool.Workers(), *s, p.PadValue, i, got, v)
		}
	}
}

// TestSpecialAffine checks that scales and biases of any kind give the same
// bits at every level.
func TestSpecialAffine(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	pool := parallel.New(1)
	defer pool.Close()
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	special := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 1e30, -1e-40, inf, -inf, nan, 3e38}
	pr := newProblem(rng, same(5, 16, len(special)*len(special), 3, 1, 1), 0)
	pr.p.Scale, pr.p.Bias, pr.p.Above = nil, nil, nil
	for i := range pr.s.K {
		pr.p.Scale, pr.p.Bias = append(pr.p.Scale, special[i/len(special)]), append(pr.p.Bias, special[i%len(special)])
	}
	var floats []float32
	var signs []uint64
	for _, l := range levels() {
		c := newAt(l, pr.s, pr.p)
		dst := make([]float32, pixels(&pr.s)*pr.s.K)
		c.Run(pool, dst, pr.signs, nil, make([]byte, c.Scratch(1)))
		pr.p.ToSigns = true
		c = newAt(l, pr.s, pr.p)
		pr.p.ToSigns = false
		bits := make([]uint64, pixels(&pr.s)*Words(pr.s.K))
		c.RunSigns(pool, bits, pr.signs, make([]byte, c.Scratch(1)))
		if floats == nil {
			floats, signs = dst, bits
		}
		for i, v := range dst {
			if math.Float32bits(v) != math.Float32bits(floats[i]) && !(v != v && floats[i] != floats[i]) {
				t.Fatalf("%v: output %d is %v, want %v", l, i, v, floats[i])
			}
		}
		for i, v := range bits {
			if v != signs[i] {
				t.Fatalf("%v: word %d is %x, want %x", l, i, v, signs[i])
			}
		}
	}
}

// TestPack compares every level with the definition.
func TestPack(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, channels := range []int{1, 3, 7, 8, 15, 16, 24, 31, 32, 40, 63, 64, 65, 72, 128, 200} {
		for _, stride := range []int{channels, channels + 3} {
			const n, lo = 5, 1
			src := make([]float32, n*stride)
			for i := range src {
				src[i] = []float32{0, float32(math.Copysign(0, -1)), float32(math.NaN()), -1e-45, 1e-45, -2, 3}[rng.IntN(7)]
			}
			words := Words(channels)
			above := make([]float32, channels)
			for i := range above {
				above[i] = []float32{0, float32(math.Copysign(0, -1)), -1e-45, -2, 3}[rng.IntN(5)]
			}
			if stride == channels {
				above = nil
			}
			for _, l := range levels() {
				dst := make([]uint64, n*words)
				for i := range dst {
					dst[i] = guard
				}
				packAt(l, dst, src, above, channels, stride, lo, n)
				for i, got := range dst {
					want := uint64(guard)
					if m := i / words; m >= lo {
						want = 0
						for c := i % words * 64; c < min(channels, i%words*64+64); c++ {
							if v := src[m*stride+c]; above == nil && v >= 0 || above != nil && v >= above[c] {
								want |= 1 << (c % 64)
							}
						}
					}
					if got != want {
						t.Fatalf("%v, %d channels, stride %d: word %d is %x, want %x", l, channels, stride, i, got, want)
					}
				}
			}
		}
	}
}

// TestRunAllocatesNothing checks the steady state.
func TestRunAllocatesNothing(t *testing.T) {
	pool := parallel.New(1)
	defer pool.Close()
	rng := rand.New(rand.NewPCG(1, 9))
	for _, l := range levels() {
		for _, s := range []Shape{same(8, 16, 24, 3, 1, 1), same(5, 16, 5, 3, 1, 1), {C: 64, K: 20}} {
			pr := newProblem(rng, s, 0)
			c := newAt(l, pr.s, pr.p)
			scratch, dst := make([]byte, c.Scratch(1)), make([]float32, pixels(&pr.s)*pr.s.K)
			if n := testing.AllocsPerRun(20, func() {
				c.Run(pool, dst, pr.signs, nil, scratch)
				c.Run(pool, dst, pr.signs, pr.add, scratch)
			}); n >= 1 {
				t.Errorf("%s, %+v: %g allocations a run", c.Kernel(), s, n)
			}
		}
	}
}

// TestCountsAreTaken checks which convolutions take the path by population counts
// where the CPU has the instruction.
func TestCountsAreTaken(t *testing.T) {
	if !cpu.Has(cpu.VBMI) || !hasCounts(cpu.VBMI) {
		t.Skip("this CPU has no such instruction")
	}
	rng := rand.New(rand.NewPCG(3, 9))
	for _, c := range []struct {
		s    Shape
		want string
	}{
		{same(56, 64, 64, 3, 1, 1), "avx512 popcount 3x8x16"},
		{same(14, 256, 256, 3, 2, 1), "avx512 popcount 3x8x16"},
		{same(9, 16, 20, 3, 1, 1), "avx512 popcount 8x16"},
		{same(9, 64, 64, 5, 1, 1), "avx512 popcount 8x16"},
		{same(9, 13, 20, 3, 1, 1), "popcount"}, // an odd number of channels
	} {
		pr := newProblem(rng, c.s, 0)
		if got := newAt(cpu.VBMI, pr.s, pr.p).Kernel(); got != c.want {
			t.Errorf("%+v takes %s, want %s", c.s, got, c.want)
		}
	}
}
