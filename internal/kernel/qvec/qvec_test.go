package qvec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/drawknife/drawknife/internal/parallel"
)

// paths runs a test without vector code, and with vectors of each width.
func paths(t *testing.T, f func(t *testing.T)) {
	was, wasWide, wasVBMI := useSIMD, useWide, useVBMI
	defer func() { useSIMD, useWide, useVBMI = was, wasWide, wasVBMI }()
	for _, p := range []struct {
		name             string
		simd, wide, vbmi bool
	}{{"portable", false, false, false}, {"simd", true, false, false}, {"wide", true, true, false}, {"vbmi", true, true, true}} {
		if p.simd && !hasSIMD || p.wide && !hasWide || p.vbmi && !hasVBMI {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			useSIMD, useWide, useVBMI = p.simd, p.wide, p.vbmi
			f(t)
		})
	}
}

var lengths = []int{0, 1, 7, 8, 15, 31, 32, 33, 40, 63, 64, 71, 127, 128, 130, 200}

func randomBytes(rng *rand.Rand, n int) []uint8 {
	b := make([]uint8, n)
	for i := range b {
		b[i] = uint8(rng.Uint32())
	}
	return b
}

// round64 is the rounding rule written with math.RoundToEven.
func round64(v float32, zero, lo, hi uint8) uint8 {
	if v != v {
		return lo
	}
	r := math.RoundToEven(min(max(float64(v), -1e9), 1e9)) + float64(zero)
	return uint8(min(max(r, float64(lo)), float64(hi)))
}

func TestRound(t *testing.T) {
	for _, c := range []struct {
		v            float32
		zero, lo, hi uint8
		want         uint8
	}{
		{0.5, 10, 0, 255, 10}, {1.5, 10, 0, 255, 12}, {-0.5, 10, 0, 255, 10}, {-1.5, 10, 0, 255, 8},
		{1e30, 10, 0, 200, 200}, {-1e30, 10, 3, 255, 3}, {inf, 0, 0, 255, 255}, {-inf, 255, 0, 255, 0},
		{float32(math.NaN()), 10, 4, 255, 4}, {254.49998, 0, 0, 255, 254}, {0.49999997, 128, 0, 255, 128},
	} {
		if got := Round(c.v, c.zero, c.lo, c.hi); got != c.want {
			t.Errorf("Round(%g, %d, %d, %d) = %d, want %d", c.v, c.zero, c.lo, c.hi, got, c.want)
		}
	}
}

func TestQuantize(t *testing.T) {
	// Range [-1, 3] on uint8, and ties on a power of two.
	got := make([]uint8, 6)
	Quantize(got, []float32{-1, 0, 0.5, 1, 3, 4}, 4.0/255, 64)
	if want := []uint8{0, 64, 96, 128, 255, 255}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s8 := make([]int8, 4)
	QuantizeS8(s8, []float32{-2.54, -0.05, 0.011, 1}, 0.02, 0)
	if want := []int8{-127, -2, 1, 50}; !slices.Equal(s8, want) {
		t.Errorf("got %v, want %v", s8, want)
	}
	paths(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 1))
		for _, n := range lengths {
			src := make([]float32, n)
			for i := range src {
				src[i] = float32(rng.NormFloat64() * 60)
				if special := []float32{inf, -inf, float32(math.NaN()), 1e30, -1e30, 0.75, 1.25}; rng.IntN(5) == 0 {
					src[i] = special[rng.IntN(len(special))]
				}
			}
			scale, zero := float32(0.5), uint8(rng.Uint32())
			dst, signed := make([]uint8, n), make([]int8, n)
			Quantize(dst, src, scale, zero)
			QuantizeS8(signed, src, scale, int8(zero^0x80))
			for i, x := range src {
				want := zero
				if x == x {
					want = round64(x/scale, zero, 0, 255)
				}
				if dst[i] != want || signed[i] != int8(want^0x80) {
					t.Fatalf("n %d: %g, zero %d: got %d and %d, want %d", n, x, zero, dst[i], signed[i], want)
				}
			}
			back, backS8 := make([]float32, n), make([]float32, n)
			Dequantize(back, dst, scale, zero)
			DequantizeS8(backS8, signed, scale, int8(zero^0x80))
			for i, q := range dst {
				want := float32(int(q)-int(zero)) * scale
				if back[i] != want || backS8[i] != want {
					t.Fatalf("n %d: dequantize %d: got %g and %g, want %g", n, q, back[i], backS8[i], want)
				}
			}
			again := make([]uint8, n)
			Quantize(again, back, scale, zero)
			if !slices.Equal(again, dst) {
				t.Fatalf("quantization is not idempotent: %v, %v", dst, again)
			}
		}
	})
}

func TestChannels(t *testing.T) {
	scale, zero := []float32{0.5, 2, 0.1}, []uint8{0, 128, 7}
	src := []float32{1, -4, 0.2, 7.75, 300, -5}
	q, back := make([]uint8, 6), make([]float32, 6)
	QuantizeChannels(q, src, scale, zero)
	if want := []uint8{2, 126, 9, 16, 255, 0}; !slices.Equal(q, want) {
		t.Errorf("got %v, want %v", q, want)
	}
	DequantizeChannels(back, q, scale, zero)
	if want := []float32{1, -4, 2 * float32(0.1), 8, 254, -7 * float32(0.1)}; !slices.Equal(back, want) {
		t.Errorf("got %v, want %v", back, want)
	}
}

// TestArithmetic compares Add and Mul with dequantize, float32 operator,
// quantize, on every pair of some bytes.
func TestArithmetic(t *testing.T) {
	paths(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(2, 2))
		for _, n := range append(lengths, 5000) {
			a, b := randomBytes(rng, n), randomBytes(rng, n)
			p := AddParams{ScaleA: rng.Float32(), ScaleB: rng.Float32(), ScaleY: rng.Float32() * 2,
				ZeroA: uint8(rng.Uint32()), ZeroB: uint8(rng.Uint32()), ZeroY: uint8(rng.Uint32())}
			if n%2 == 1 {
				p.Min, p.Max = 20, 220
			}
			if n == 200 {
				p.ScaleY = 1e-30 // quotients beyond an int32
			}
			fa, fb, f := make([]float32, n), make([]float32, n), make([]float32, n)
			Dequantize(fa, a, p.ScaleA, p.ZeroA)
			Dequantize(fb, b, p.ScaleB, p.ZeroB)
			for name, op := range map[string]struct {
				run   func(dst, a, b []uint8, p AddParams)
				float func(x, y float32) float32
			}{
				"add": {Add, func(x, y float32) float32 { return x + y }},
				"mul": {Mul, func(x, y float32) float32 { return x * y }},
			} {
				got, want := make([]uint8, n), make([]uint8, n)
				op.run(got, a, b, p)
				for i := range f {
					f[i] = op.float(fa[i], fb[i])
				}
				Quantize(want, f, p.ScaleY, p.ZeroY)
				for i := range want {
					want[i] = min(max(want[i], p.Min), top(p.Max))
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s, n %d, %+v: %v and %v give %v, want %v", name, n, p, a, b, got, want)
				}
				op.run(a, a, b, p) // in place
				if !slices.Equal(a, want) {
					t.Fatalf("%s, n %d, in place: got %v, want %v", name, n, a, want)
				}
				copy(a, randomBytes(rng, n))
				Dequantize(fa, a, p.ScaleA, p.ZeroA)
			}
		}
	})
}

// TestArithmeticOfAllPairs covers each pair of bytes, ties among them where the
// scales are powers of two, and scales at the ends of what fused kernels take.
func TestArithmeticOfAllPairs(t *testing.T) {
	a, b := make([]uint8, 1<<16), make([]uint8, 1<<16)
	for i := range a {
		a[i], b[i] = uint8(i>>8), uint8(i)
	}
	rng := rand.New(rand.NewPCG(1, 9))
	scale := func() float32 {
		switch rng.IntN(3) {
		case 0:
			return float32(math.Ldexp(1, rng.IntN(8)-6))
		case 1:
			return float32(math.Ldexp(0.5+rng.Float64()/2, rng.IntN(46)-23))
		}
		return rng.Float32() * 0.1
	}
	got := make([]uint8, len(a))
	for range 40 {
		p := AddParams{ScaleA: scale(), ScaleB: scale(), ScaleY: scale(),
			ZeroA: uint8(rng.Uint32()), ZeroB: uint8(rng.Uint32()), ZeroY: uint8(rng.Uint32()), Min: uint8(rng.IntN(20)), Max: uint8(230 + rng.IntN(26))}
		Add(got, a, b, p)
		for i := range a {
			if want := addOne(a[i], b[i], &p); got[i] != want {
				t.Fatalf("%+v: %d + %d is %d, want %d", p, a[i], b[i], got[i], want)
			}
		}
		Mul(got, a, b, p)
		for i := range a {
			if want := mulOne(a[i], b[i], &p); got[i] != want {
				t.Fatalf("%+v: %d * %d is %d, want %d", p, a[i], b[i], got[i], want)
			}
		}
	}
}

func TestBroadcast(t *testing.T) {
	paths(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(4, 4))
		p := AddParams{ScaleA: 0.1, ScaleB: 0.05, ScaleY: 0.2, ZeroA: 3, ZeroB: 100, ZeroY: 9}
		const hw, c = 5, 19
		a, gate := randomBytes(rng, hw*c), randomBytes(rng, c)
		wide := slices.Repeat(gate, hw)
		got, want := make([]uint8, hw*c), make([]uint8, hw*c)
		MulChannels(got, a, gate, p)
		if Mul(want, a, wide, p); !slices.Equal(got, want) {
			t.Errorf("MulChannels: got %v, want %v", got, want)
		}
		AddChannels(got, a, gate, p)
		if Add(want, a, wide, p); !slices.Equal(got, want) {
			t.Errorf("AddChannels: got %v, want %v", got, want)
		}
	})
}

func TestLUT(t *testing.T) {
	paths(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 5))
		table := (*[256]uint8)(randomBytes(rng, 256))
		for _, n := range append(lengths, 256) {
			src := randomBytes(rng, n)
			if n == 256 {
				for i := range src {
					src[i] = uint8(i)
				}
			}
			dst := make([]uint8, n)
			LUT(dst, src, table)
			for i, q := range src {
				if dst[i] != table[q] {
					t.Fatalf("n %d: %d gives %d, want %d", n, q, dst[i], table[q])
				}
			}
		}
	})
}

func TestRequantize(t *testing.T) {
	p := RequantParams{ScaleX: 0.03, ScaleY: 0.05, ZeroX: 12, ZeroY: 40}
	src := make([]uint8, 256)
	for i := range src {
		src[i] = uint8(i)
	}
	x, want, got := make([]float32, 256), make([]uint8, 256), make([]uint8, 256)
	Dequantize(x, src, p.ScaleX, p.ZeroX)
	Quantize(want, x, p.ScaleY, p.ZeroY)
	if Requantize(got, src, p); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	wide := make([]uint8, 4*100)
	LUTRows(wide[7:], 100, src, 64, 4, 64, p.Table())
	for r := range 4 {
		if !slices.Equal(wide[r*100+7:r*100+71], want[r*64:r*64+64]) || wide[r*100+6] != 0 || wide[r*100+71] != 0 {
			t.Errorf("row %d: got %v", r, wide[r*100:r*100+100])
		}
	}
}

func TestMinMaxFlip(t *testing.T) {
	paths(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(6, 6))
		nan := float32(math.NaN())
		for _, n := range lengths {
			x := make([]float32, n)
			lo, hi := inf, -inf
			for i := range x {
				if x[i] = float32(rng.NormFloat64()); rng.IntN(4) == 0 {
					x[i] = nan
					continue
				}
				lo, hi = min(lo, x[i]), max(hi, x[i])
			}
			if l, h := MinMax(x); l != lo || h != hi {
				t.Errorf("n %d: got %g, %g, want %g, %g", n, l, h, lo, hi)
			}
		}
	})
	b := []uint8{0, 127, 128, 255, 1, 2, 3, 4, 5}
	if Flip(b, b); !slices.Equal(b, []uint8{128, 255, 0, 127, 129, 130, 131, 132, 133}) {
		t.Errorf("flipped: %v", b)
	}
}

func poolShapes() []PoolShape {
	return []PoolShape{
		{N: 2, H: 7, W: 9, C: 5, R: 3, S: 3, P: 4, Q: 5, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1},
		{N: 1, H: 6, W: 6, C: 70, R: 2, S: 2, P: 3, Q: 3, StrideH: 2, StrideW: 2},
		{N: 1, H: 5, W: 5, C: 33, R: 3, S: 2, P: 5, Q: 4, PadH: 2, DilH: 2, SrcStride: 40, DstStride: 37},
		{N: 2, D: 4, H: 4, W: 3, C: 8, T: 2, R: 2, S: 2, OD: 3, P: 3, Q: 2},
		{N: 1, H: 4, W: 4, C: 3, R: 3, S: 3, P: 2, Q: 2, StrideH: 2, StrideW: 2}, // the last windows overhang
	}
}

func TestPools(t *testing.T) {
	paths(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 7))
		for i, s := range poolShapes() {
			for _, workers := range []int{1, 2, 3} {
				for _, pad := range []bool{false, true} {
					t.Run(fmt.Sprintf("%d/%d/%v", i, workers, pad), func(t *testing.T) {
						checkPools(t, rng, s, workers, pad)
					})
				}
			}
		}
	})
}

func checkPools(t *testing.T, rng *rand.Rand, shape PoolShape, workers int, includePad bool) {
	pool := parallel.New(workers)
	defer pool.Close()
	s := shape.norm()
	src := randomBytes(rng, s.N*s.D*s.H*s.W*s.SrcStride)
	p := AverageParams{ScaleX: 0.1, ScaleY: 0.07, ZeroX: 30, ZeroY: 90, IncludePad: includePad, PadEndH: 1, PadEndW: 1}
	n := s.N * s.OD * s.P * s.Q * s.DstStride
	maxGot, avgGot := make([]uint8, n), make([]uint8, n)
	MaxPool(pool, maxGot, src, shape)
	AveragePool(pool, avgGot, src, shape, p)
	for m := range s.N * s.OD * s.P * s.Q {
		for c := range s.C {
			best, sum, inside, count := 0, 0, 0, 0
			for tap := range s.T * s.R * s.S {
				z := m/(s.Q*s.P)%s.OD*s.StrideD - s.PadD + tap/(s.R*s.S)*s.DilD
				y := m/s.Q%s.P*s.StrideH - s.PadH + tap/s.S%s.R*s.DilH
				x := m%s.Q*s.StrideW - s.PadW + tap%s.S*s.DilW
				if z < s.D && y < s.H+p.PadEndH && x < s.W+p.PadEndW {
					count++
				}
				if z < 0 || y < 0 || x < 0 || z >= s.D || y >= s.H || x >= s.W {
					continue
				}
				v := int(src[(((m/(s.Q*s.P*s.OD)*s.D+z)*s.H+y)*s.W+x)*s.SrcStride+c])
				best, sum, inside = max(best, v), sum+v, inside+1
			}
			if !includePad {
				count = inside
			}
			mult := float32(float64(p.ScaleX) / (float64(p.ScaleY) * float64(count)))
			want := round64(float32(sum-inside*int(p.ZeroX))*mult, p.ZeroY, 0, 255)
			if g := maxGot[m*s.DstStride+c]; int(g) != best {
				t.Fatalf("max of pixel %d channel %d: got %d, want %d", m, c, g, best)
			}
			if g := avgGot[m*s.DstStride+c]; g != want {
				t.Fatalf("average of pixel %d channel %d: got %d, want %d", m, c, g, want)
			}
		}
	}
}

func TestGlobalAverage(t *testing.T) {
	paths(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(8, 8))
		p := AverageParams{ScaleX: 0.1, ScaleY: 0.03, ZeroX: 30, ZeroY: 90, Min: 90}
		for _, workers := range []int{1, 2} {
			pool := parallel.New(workers)
			const n, hw, c, stride = 2, 49, 100, 103
			src, dst := randomBytes(rng, n*hw*stride), make([]uint8, n*c)
			GlobalAverage(pool, dst, src, n, hw, c, stride, p)
			for i := range dst {
				sum := 0
				for px := range hw {
					sum += int(src[(i/c*hw+px)*stride+i%c])
				}
				if want := round64(float32(sum-hw*30)*p.multiplier(hw), 90, 90, 255); dst[i] != want {
					t.Fatalf("%d workers, element %d: got %d, want %d", workers, i, dst[i], want)
				}
			}
			pool.Close()
		}
	})
}

func BenchmarkElementwise(b *testing.B) {
	const n = 1 << 16
	rng := rand.New(rand.NewPCG(9, 9))
	x, y, z := randomBytes(rng, n), randomBytes(rng, n), make([]uint8, n)
	f := make([]float32, n)
	p := AddParams{ScaleA: 0.1, ScaleB: 0.2, ScaleY: 0.3, ZeroA: 1, ZeroB: 2, ZeroY: 3}
	table := (*[256]uint8)(x)
	for name, run := range map[string]func(){
		"quantize":   func() { Quantize(z, f, 0.1, 3) },
		"dequantize": func() { Dequantize(f, x, 0.1, 3) },
		"add":        func() { Add(z, x, y, p) },
		"mul":        func() { Mul(z, x, y, p) },
		"lut":        func() { LUT(z, x, table) },
		"minmax":     func() { MinMax(f) },
		"flip":       func() { Flip(z, x) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(n)
			for b.Loop() {
				run()
			}
		})
	}
}

func BenchmarkPool(b *testing.B) {
	pool := parallel.New(1)
	defer pool.Close()
	s := PoolShape{N: 1, H: 112, W: 112, C: 64, R: 3, S: 3, P: 56, Q: 56, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	src, dst := make([]uint8, 112*112*64), make([]uint8, 56*56*64)
	b.Run("max", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			MaxPool(pool, dst, src, s)
		}
	})
	b.Run("average", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			AveragePool(pool, dst, src, s, AverageParams{ScaleX: 1, ScaleY: 1})
		}
	})
	b.Run("global", func(b *testing.B) {
		b.SetBytes(49 * 1024)
		for b.Loop() {
			GlobalAverage(pool, dst, src, 1, 49, 1024, 0, AverageParams{ScaleX: 1, ScaleY: 1})
		}
	})
}

// TestAddParamsLayout guards the layout that the assembly reads.
func TestAddParamsLayout(t *testing.T) {
	var p AddParams
	got := []uintptr{unsafe.Offsetof(p.ScaleA), unsafe.Offsetof(p.ScaleB), unsafe.Offsetof(p.ScaleY),
		unsafe.Offsetof(p.ZeroA), unsafe.Offsetof(p.ZeroB), unsafe.Offsetof(p.ZeroY), unsafe.Offsetof(p.Min), unsafe.Offsetof(p.Max)}
	if want := []uintptr{0, 4, 8, 12, 13, 14, 15, 16}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestInterleave(t *testing.T) {
	for n := range 70 {
		a, b, dst := make([]uint8, n), make([]uint8, n), make([]uint8, 2*n+1)
		for i := range n {
			a[i], b[i] = uint8(2*i), uint8(2*i+1)
		}
		dst[2*n] = 77
		Interleave(dst, a, b)
		for i, v := range dst[:2*n] {
			if v != uint8(i) {
				t.Fatalf("%d: element %d is %d", n, i, v)
			}
		}
		if dst[2*n] != 77 {
			t.Fatalf("%d: wrote beyond the end", n)
		}
	}
}
