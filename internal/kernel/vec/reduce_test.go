package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/parallel"
)

func TestReduce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	eachLevel(t, func(t *testing.T) {
		for _, n := range append(sizes, 4096, 10000) {
			x, y := random(r, n), random(r, n)
			sum, squares, abs, dot := 0.0, 0.0, 0.0, 0.0
			top, low, topAbs := math.Inf(-1), math.Inf(1), 0.0
			for i, v := range x {
				f := float64(v)
				sum += f
				squares += f * f
				abs += math.Abs(f)
				dot += f * float64(y[i])
				top, low, topAbs = math.Max(top, f), math.Min(low, f), math.Max(topAbs, math.Abs(f))
			}
			within := func(what string, got float32, want, scale float64) {
				if !(math.Abs(float64(got)-want) <= 1e-6*scale) && float64(got) != want {
					t.Errorf("%s of %d elements = %g, want %g", what, n, got, want)
				}
			}
			within("Sum", Sum(x), sum, abs)
			within("SumSquares", SumSquares(x), squares, squares)
			within("SumAbs", Reduce(RedSumAbs, x), abs, abs)
			within("Dot", Dot(x, y), dot, squares+abs)
			within("Max", Reduce(RedMax, x), top, 0)
			within("Min", Reduce(RedMin, x), low, 0)
			within("MaxAbs", MaxAbs(x), topAbs, 0)
			for i := 0; i < n; i += max(1, n/40) {
				old := x[i]
				x[i] = float32(math.NaN())
				for red := range RedProd {
					if v := Reduce(red, x); v == v {
						t.Errorf("%v of %d elements with a NaN at %d is %g", red, n, i, v)
					}
				}
				x[i] = old
			}
		}
	})
}

func TestProdArgMax(t *testing.T) {
	nan := float32(math.NaN())
	if v := Reduce(RedProd, []float32{2, -3, 0.5}); v != -3 {
		t.Errorf("product %g", v)
	}
	for _, c := range []struct {
		x    []float32
		want int
	}{
		{nil, -1}, {[]float32{1}, 0}, {[]float32{1, 3, 3, 2}, 1}, {[]float32{1, nan, 5, nan}, 1}, {[]float32{-5, -2}, 1},
	} {
		if got := ArgMax(c.x); got != c.want {
			t.Errorf("ArgMax(%v) = %d, want %d", c.x, got, c.want)
		}
	}
}

func TestRowReduce(t *testing.T) {
	src := []float32{1, 2, 3, -4, 5, -6}
	for _, c := range []struct {
		name string
		f    func(dst, src []float32, cols int)
		want []float32
	}{
		{"sum", RowSum, []float32{6, -5}},
		{"max", RowMax, []float32{3, 5}},
		{"min", RowMin, []float32{1, -6}},
		{"squares", RowSumSquares, []float32{14, 77}},
	} {
		dst := make([]float32, 2)
		c.f(dst, src, 3)
		near(t, c.name, dst, c.want, 0)
	}
}

func TestColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	pool := parallel.New(3)
	defer pool.Close()
	eachLevel(t, func(t *testing.T) {
		for _, c := range []int{1, 3, 8, 13, 32, 40, 64, 67, 130} {
			for _, rows := range []int{0, 1, 2, 17, 256, 700} {
				a, b, mean := random(r, rows*c), random(r, rows*c), random(r, c)
				sum, dot, dev, top := make([]float64, c), make([]float64, c), make([]float64, c), make([]float64, c)
				for j := range top {
					top[j] = math.Inf(-1)
				}
				for i := range a {
					x, y := float64(a[i]), float64(b[i])
					sum[i%c] += x
					dot[i%c] += x * y
					dev[i%c] += x * (y - float64(mean[i%c]))
					top[i%c] = math.Max(top[i%c], x)
				}
				check := func(what string, tol float64, want []float64, f func(dst []float32)) {
					t.Helper()
					d := newCanary(c)
					f(d.x)
					d.check(t)
					w := make([]float32, c)
					for j := range w {
						w[j] = float32(want[j])
					}
					near(t, fmt.Sprint(what, " of ", rows, " rows"), d.x, w, tol)
				}
				tol := 1e-6 * math.Sqrt(float64(rows)) * 8
				check("ColSum", tol, sum, func(d []float32) { ColSum(d, a, c) })
				check("ColDot", tol, dot, func(d []float32) { ColDot(d, a, b, c) })
				check("ColDotDev", tol, dev, func(d []float32) { ColDotDev(d, a, b, mean, c) })
				check("ColMax", 0, top, func(d []float32) { ColMax(d, a, c) })
				check("ParallelColSum", tol, sum, func(d []float32) { ParallelColSum(pool, d, a, c, nil) })
				check("ParallelColDotDev", tol, dev, func(d []float32) { ParallelColDotDev(pool, d, a, b, mean, c, nil) })
				if c > 2 {
					check("ColSumTile", tol, append(sum[1:c-1:c-1], 0, 0), func(d []float32) {
						ColSumTile(d[:c-2], a[min(1, len(a)):], rows, c)
						clear(d[c-2:])
					})
				}
			}
		}
	})
}

func TestColMaxNaN(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for row := range 5 {
			src := make([]float32, 5*9)
			src[row*9+4] = float32(math.NaN())
			dst := make([]float32, 9)
			ColMax(dst, src, 9)
			for j, v := range dst {
				if (v != v) != (j == 4) {
					t.Errorf("NaN in row %d column 4: column %d has %g", row, j, v)
				}
			}
		}
	})
}

func TestParallelColSum(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	one, three := parallel.New(1), parallel.New(3)
	defer one.Close()
	defer three.Close()
	eachLevel(t, func(t *testing.T) {
		for _, shape := range [][2]int{{1, 5}, {2, 3}, {100, 7}, {3000, 3}, {4000, 65}, {2100, 64}, {0, 4}} {
			rows, c := shape[0], shape[1]
			src, want := random(r, rows*c), make([]float64, c)
			for i, v := range src {
				want[i%c] += float64(v)
			}
			sum, sum3 := make([]float32, c), make([]float32, c)
			ParallelColSum(one, sum, src, c, nil)
			ParallelColSum(three, sum3, src, c, nil)
			near(t, "sum with 3 workers", sum3, sum, 0)
			for j := range c {
				if math.Abs(float64(sum[j])-want[j]) > 1e-5*float64(rows) {
					t.Errorf("%d rows, channel %d of %d: sum %g, want %g", rows, j, c, sum[j], want[j])
				}
			}
		}
	})
}

func BenchmarkColumns(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	x := random(r, 1<<18)
	for _, c := range []int{16, 64, 512} {
		sum := make([]float32, c)
		b.Run(fmt.Sprint("ColSum", c), func(b *testing.B) {
			b.SetBytes(int64(4 * len(x)))
			for b.Loop() {
				ColSum(sum, x, c)
			}
		})
	}
	b.Run("Sum", func(b *testing.B) {
		b.SetBytes(int64(4 * len(x)))
		for b.Loop() {
			Sum(x)
		}
	})
}
