package pool

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/parallel"
)

// levels are the implementations this package has.
var levels = []cpu.Level{cpu.Portable, cpu.AVX2, cpu.NEON}

// eachLevel runs f once with each implementation the CPU can run.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	old := level
	defer func() { level = old }()
	for _, l := range levels {
		if cpu.Has(l) {
			level = l
			t.Run(l.String(), f)
		}
	}
}

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func near(t *testing.T, what string, got, want []float32, tol float64) {
	t.Helper()
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		if g == w || g != g && w != w {
			continue
		}
		if !(math.Abs(g-w) <= tol*math.Max(1, math.Abs(w))) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, g, w)
		}
	}
}

// shapes are poolings of every kind: padded, strided, dilated, ceiling mode,
// deep, with pixels apart.
func shapes() []Shape {
	var all []Shape
	for _, c := range []int{1, 3, 8, 20, 32, 67} {
		all = append(all,
			Shape{N: 2, H: 7, W: 9, C: c, R: 3, S: 3, P: 4, Q: 5, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, PadHEnd: 1, PadWEnd: 1},
			Shape{N: 1, H: 6, W: 6, C: c, R: 2, S: 2, P: 3, Q: 3, StrideH: 2, StrideW: 2},
			Shape{N: 3, H: 7, W: 8, C: c, R: 2, S: 3, P: 3, Q: 3, StrideH: 2, StrideW: 3, PadW: 1},
			Shape{N: 1, H: 6, W: 5, C: c, R: 3, S: 2, P: 3, Q: 3, StrideH: 2, StrideW: 2}, // ceiling mode
			Shape{N: 1, H: 5, W: 5, C: c, R: 3, S: 3, P: 5, Q: 5, PadH: 1, PadW: 1, PadHEnd: 1, PadWEnd: 1, CountPad: true},
			Shape{N: 1, H: 5, W: 6, C: c, R: 3, S: 3, P: 3, Q: 4, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, CountPad: true},
			Shape{N: 1, H: 9, W: 9, C: c, R: 2, S: 3, P: 7, Q: 7, DilH: 3, DilW: 2, PadH: 1, PadW: 1},
			Shape{N: 2, D: 4, H: 5, W: 4, C: c, T: 2, R: 3, S: 2, OD: 3, P: 3, Q: 2, StrideD: 1, StrideH: 2, StrideW: 2, PadD: 0, PadH: 1},
			Shape{N: 1, D: 5, H: 3, W: 3, C: c, T: 3, R: 1, S: 1, OD: 3, P: 3, Q: 3, StrideD: 2, PadD: 1, PadDEnd: 1, CountPad: true},
			Shape{N: 1, H: 4, W: 4, C: c, R: 2, S: 2, P: 2, Q: 2, StrideH: 2, StrideW: 2, SrcStride: c + 5, DstStride: c + 3},
			Shape{N: 1, H: 2, W: 2, C: c, R: 1, S: 1, P: 2, Q: 2, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}, // some windows are all padding
		)
	}
	return all
}

func (s Shape) label() string { return fmt.Sprintf("%+v", s) }

// sizes are the elements of source and destination.
func (g *geometry) sizes() (src, dst int) {
	return g.n * g.pixels() * g.srcPixel, g.n * g.d.out * g.h.out * g.w.out * g.dstPixel
}

// visit calls body for every output element with its offset, and for every
// tap of it inside the image with the tap's offset and pixel.
func visit(g *geometry, tap func(out, in, pixel int), count func(out, cells int)) {
	for n := range g.n {
		for od := range g.d.out {
			for p := range g.h.out {
				for q := range g.w.out {
					at := ((n*g.d.out+od)*g.h.out+p)*g.w.out + q
					cells := 0
					for t := range g.d.size {
						for r := range g.h.size {
							for s := range g.w.size {
								d := od*g.d.stride - g.d.pad + t*g.d.dil
								h := p*g.h.stride - g.h.pad + r*g.h.dil
								w := q*g.w.stride - g.w.pad + s*g.w.dil
								inside := d >= 0 && d < g.d.in && h >= 0 && h < g.h.in && w >= 0 && w < g.w.in
								padded := d < g.d.in+g.d.padEnd && h < g.h.in+g.h.padEnd && w < g.w.in+g.w.padEnd
								if inside || g.countPad && padded {
									cells++
								}
								if inside {
									pixel := (d*g.h.in+h)*g.w.in + w
									for c := range g.c {
										tap(at*g.dstPixel+c, (n*g.pixels()+pixel)*g.srcPixel+c, pixel)
									}
								}
							}
						}
					}
					for c := range g.c {
						count(at*g.dstPixel+c, cells)
					}
				}
			}
		}
	}
}

const untouched = 777

func TestPooling(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	one, three := parallel.New(1), parallel.New(3)
	defer one.Close()
	defer three.Close()
	eachLevel(t, func(t *testing.T) {
		for _, s := range shapes() {
			g := s.geometry()
			ns, nd := g.sizes()
			src := random(r, ns)
			fill := func() []float32 {
				d := make([]float32, nd)
				for i := range d {
					d[i] = untouched
				}
				return d
			}
			top, mean, l2, l3 := fill(), fill(), fill(), fill()
			sum, squares, cubes := make([]float64, nd), make([]float64, nd), make([]float64, nd)
			best := make([]float64, nd)
			for i := range best {
				best[i] = math.Inf(-1)
			}
			visit(&g, func(out, in, _ int) {
				v := float64(src[in])
				best[out] = math.Max(best[out], v)
				sum[out] += v
				squares[out] += v * v
				cubes[out] += math.Abs(v * v * v)
			}, func(out, cells int) {
				top[out] = float32(best[out])
				mean[out] = float32(sum[out] / math.Max(1, float64(cells)))
				l2[out] = float32(math.Sqrt(squares[out]))
				l3[out] = float32(math.Cbrt(cubes[out]))
			})
			for _, p := range []*parallel.Pool{one, three} {
				d := fill()
				Max(p, s, d, src)
				near(t, "Max "+s.label(), d, top, 0)
				d = fill()
				Average(p, s, d, src)
				near(t, "Average "+s.label(), d, mean, 1e-6)
			}
			d := fill()
			Lp(three, s, d, src, 2)
			near(t, "L2 "+s.label(), d, l2, 1e-6)
			Lp(three, s, d, src, 3)
			near(t, "L3 "+s.label(), d, l3, 1e-6)
		}
	})
}

func TestMaxPropagatesNaN(t *testing.T) {
	p := parallel.New(1)
	eachLevel(t, func(t *testing.T) {
		s := Shape{N: 1, H: 2, W: 2, C: 11, R: 2, S: 2, P: 1, Q: 1}
		for pixel := range 4 {
			src := make([]float32, 4*11)
			src[pixel*11+6] = float32(math.NaN())
			dst, index := make([]float32, 11), make([]int32, 11)
			Max(p, s, dst, src)
			for c, v := range dst {
				if (v != v) != (c == 6) {
					t.Errorf("NaN in pixel %d channel 6: channel %d is %g", pixel, c, v)
				}
			}
			MaxWithIndex(p, s, dst, src, index)
			if dst[6] == dst[6] || index[6] != int32(pixel) {
				t.Errorf("NaN in pixel %d: maximum %g at %d", pixel, dst[6], index[6])
			}
		}
	})
}

func TestMaxGrad(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	three := parallel.New(3)
	defer three.Close()
	eachLevel(t, func(t *testing.T) {
		for _, s := range shapes() {
			g := s.geometry()
			ns, nd := g.sizes()
			src, dy := random(r, ns), random(r, nd)
			for i := range src { // many equals
				src[i] = float32(math.Round(float64(src[i])))
			}
			outputs := nd / g.dstPixel
			best, at := make([]float32, nd), make([]int, nd)
			wantIndex := make([]int32, outputs*g.c)
			for i := range best {
				best[i], at[i] = float32(math.Inf(-1)), -1
			}
			for i := range wantIndex {
				wantIndex[i] = -1
			}
			visit(&g, func(out, in, pixel int) {
				if src[in] > best[out] {
					best[out], at[out] = src[in], in
					wantIndex[out/g.dstPixel*g.c+out%g.dstPixel] = int32(pixel)
				}
			}, func(int, int) {})
			dst, index := make([]float32, nd), make([]int32, len(wantIndex))
			MaxWithIndex(three, s, dst, src, index)
			wantDx := make([]float32, ns)
			for o := range outputs {
				for c := range g.c {
					i := o*g.dstPixel + c
					if dst[i] != best[i] || index[o*g.c+c] != wantIndex[o*g.c+c] {
						t.Fatalf("%s: output %d channel %d: %g at %d, want %g at %d", s.label(), o, c, dst[i], index[o*g.c+c], best[i], wantIndex[o*g.c+c])
					}
					if at[i] >= 0 {
						wantDx[at[i]] += dy[i]
					}
				}
			}
			dx := make([]float32, ns)
			MaxGrad(three, s, dx, dy, index)
			near(t, "MaxGrad "+s.label(), dx, wantDx, 1e-6)
			if s.Disjoint() {
				for i := range dx {
					dx[i] = 0
					if i%g.srcPixel < g.c {
						dx[i] = 7
					}
				}
				MaxGradOf(three, s, dx, dy, src)
				near(t, "MaxGradOf "+s.label(), dx, wantDx, 0)
			}
		}
	})
}

func TestAverageGrad(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	three := parallel.New(3)
	defer three.Close()
	for _, s := range shapes() {
		g := s.geometry()
		ns, nd := g.sizes()
		dy := random(r, nd)
		inverse := make([]float32, nd)
		visit(&g, func(int, int, int) {}, func(out, cells int) { inverse[out] = 1 / float32(max(1, cells)) })
		want := make([]float32, ns)
		visit(&g, func(out, in, _ int) { want[in] += dy[out] * inverse[out] }, func(int, int) {})
		dx := make([]float32, ns)
		AverageGrad(three, s, dx, dy)
		near(t, "AverageGrad "+s.label(), dx, want, 1e-6)
	}
}

func TestGlobal(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	three := parallel.New(3)
	defer three.Close()
	eachLevel(t, func(t *testing.T) {
		for _, c := range []int{1, 10, 64, 130} {
			for _, spatial := range []int{1, 49, 3000} {
				const n = 2
				src := random(r, n*spatial*c)
				mean, top, l1 := make([]float32, n*c), make([]float32, n*c), make([]float32, n*c)
				grad := make([]float32, len(src))
				dy := random(r, n*c)
				for i := range n {
					for j := range c {
						sum, abs, best := 0.0, 0.0, math.Inf(-1)
						for s := range spatial {
							v := float64(src[(i*spatial+s)*c+j])
							sum += v
							abs += math.Abs(v)
							best = math.Max(best, v)
							grad[(i*spatial+s)*c+j] = dy[i*c+j] / float32(spatial)
						}
						mean[i*c+j], top[i*c+j], l1[i*c+j] = float32(sum/float64(spatial)), float32(best), float32(abs)
					}
				}
				d := make([]float32, n*c)
				GlobalAverage(three, n, spatial, c, d, src)
				near(t, "GlobalAverage", d, mean, 1e-6)
				GlobalMax(three, n, spatial, c, d, src)
				near(t, "GlobalMax", d, top, 0)
				GlobalLp(three, n, spatial, c, d, src, 1)
				near(t, "GlobalLp", d, l1, 1e-6)
				dx := make([]float32, len(src))
				GlobalAverageGrad(three, n, spatial, c, dx, dy)
				near(t, "GlobalAverageGrad", dx, grad, 1e-6)
			}
		}
	})
}

func BenchmarkPool(b *testing.B) {
	p := parallel.New(1)
	r := rand.New(rand.NewPCG(1, 1))
	s := Shape{N: 1, H: 112, W: 112, C: 64, R: 3, S: 3, P: 56, Q: 56, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	src, dst, index := random(r, 112*112*64), make([]float32, 56*56*64), make([]int32, 56*56*64)
	dx := make([]float32, len(src))
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"Max", func() { Max(p, s, dst, src) }},
		{"Average", func() { Average(p, s, dst, src) }},
		{"MaxWithIndex", func() { MaxWithIndex(p, s, dst, src, index) }},
		{"MaxGrad", func() { MaxGrad(p, s, dx, dst, index) }},
		{"AverageGrad", func() { AverageGrad(p, s, dx, dst) }},
		{"GlobalAverage", func() { GlobalAverage(p, 1, 112*112, 64, dst, src) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			MaxWithIndex(p, s, dst, src, index)
			b.SetBytes(int64(4 * len(src)))
			for b.Loop() {
				c.f()
			}
		})
	}
}

func TestRowsDoNotAllocate(t *testing.T) {
	s := Shape{N: 1, H: 8, W: 8, C: 12, R: 3, S: 3, P: 4, Q: 4, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1}
	src, dst := make([]float32, 64*12), make([]float32, 16*12)
	eachLevel(t, func(t *testing.T) {
		for name, f := range map[string]func(){
			"MaxRows":            func() { MaxRows(&s, dst, src, 0, s.Rows()) },
			"AverageRows":        func() { AverageRows(&s, dst, src, 0, s.Rows()) },
			"GlobalAverageTiles": func() { GlobalAverageTiles(64, 12, dst, src, 0, GlobalTiles(1, 12)) },
			"GlobalMaxTiles":     func() { GlobalMaxTiles(64, 12, dst, src, 0, GlobalTiles(1, 12)) },
		} {
			if n := testing.AllocsPerRun(3, f); n != 0 {
				t.Errorf("%s allocates %g times", name, n)
			}
		}
	})
}
