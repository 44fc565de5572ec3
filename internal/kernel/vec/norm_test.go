package vec

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSoftmax(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	eachLevel(t, func(t *testing.T) {
		for _, cols := range []int{1, 2, 7, 8, 10, 33, 1000, 5000} {
			const rows = 3
			x := random(r, rows*cols)
			x[0] = 300 // must not overflow
			want, wantLog := make([]float32, len(x)), make([]float32, len(x))
			for i := range rows {
				row := x[i*cols : (i+1)*cols]
				top, sum := math.Inf(-1), 0.0
				for _, v := range row {
					top = math.Max(top, float64(v))
				}
				for _, v := range row {
					sum += math.Exp(float64(v) - top)
				}
				for j, v := range row {
					want[i*cols+j] = float32(math.Exp(float64(v)-top) / sum)
					wantLog[i*cols+j] = float32(float64(v) - top - math.Log(sum))
				}
			}
			d := newCanary(len(x))
			Softmax(d.x, x, cols, false)
			d.check(t)
			near(t, "Softmax", d.x, want, 1e-6)
			Softmax(d.x, x, cols, true)
			d.check(t)
			near(t, "LogSoftmax", d.x, wantLog, 1e-6)
		}
		inf := float32(math.Inf(-1))
		d := make([]float32, 3)
		Softmax(d, []float32{0, inf, 0}, 3, false)
		near(t, "masked", d, []float32{0.5, 0, 0.5}, 1e-7)
		Softmax(d, []float32{inf, inf, inf}, 3, false)
		if d[0] == d[0] {
			t.Errorf("softmax of minus infinities is %g, want NaN", d[0])
		}
	})
}

func TestSoftmaxGrad(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 3))
	const rows, cols = 2, 9
	x, dy := random(r, rows*cols), random(r, rows*cols)
	for _, log := range []bool{false, true} {
		y, dx := make([]float32, len(x)), make([]float32, len(x))
		Softmax(y, x, cols, log)
		if log {
			LogSoftmaxGrad(dx, dy, y, cols)
		} else {
			SoftmaxGrad(dx, dy, y, cols)
		}
		loss := func() float64 { Softmax(y, x, cols, log); return float64(Dot(y, dy)) }
		for i := range x {
			const h = 1e-2
			old := x[i]
			x[i] = old + h
			up := loss()
			x[i] = old - h
			down := loss()
			x[i] = old
			if want := (up - down) / (2 * h); math.Abs(want-float64(dx[i])) > 2e-3 {
				t.Errorf("log %v: gradient %d is %g, want %g", log, i, dx[i], want)
			}
		}
	}
}

func TestLayerNorm(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 5))
	eachLevel(t, func(t *testing.T) {
		for _, cols := range []int{1, 5, 96, 3000} {
			x, scale, shift := random(r, 2*cols), random(r, cols), random(r, cols)
			want := make([]float32, len(x))
			for i := 0; i < len(x); i += cols {
				mean, variance := 0.0, 0.0
				for _, v := range x[i : i+cols] {
					mean += float64(v) / float64(cols)
				}
				for _, v := range x[i : i+cols] {
					variance += (float64(v) - mean) * (float64(v) - mean) / float64(cols)
				}
				for j := range cols {
					want[i+j] = float32((float64(x[i+j])-mean)/math.Sqrt(variance+1e-5)*float64(scale[j]) + float64(shift[j]))
				}
			}
			d := newCanary(len(x))
			LayerNorm(d.x, x, scale, shift, cols, 1e-5)
			d.check(t)
			near(t, "LayerNorm", d.x, want, 5e-6)
		}
	})
}

func TestLRN(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 7))
	eachLevel(t, func(t *testing.T) {
		for _, c := range []int{1, 3, 96, 300} {
			for _, size := range []int{1, 2, 3, 5, 9} {
				for _, beta := range []float32{0.75, 0.5, 1, 0.6} {
					x := random(r, 2*c)
					want := make([]float32, len(x))
					for i := range x {
						row, j := i/c*c, i%c
						sum := 0.0
						for k := max(0, j-(size-1)/2); k <= min(c-1, j+size/2); k++ {
							sum += float64(x[row+k]) * float64(x[row+k])
						}
						want[i] = float32(float64(x[i]) / math.Pow(2+0.1/float64(size)*sum, float64(beta)))
					}
					d := newCanary(len(x))
					LRN(d.x, x, c, size, 0.1, beta, 2)
					d.check(t)
					near(t, "LRN", d.x, want, 2e-6)
				}
			}
		}
	})
}

func BenchmarkSoftmax(b *testing.B) {
	x := random(rand.New(rand.NewPCG(1, 1)), 1000)
	y := make([]float32, len(x))
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		Softmax(y, x, len(x), false)
	}
}

func BenchmarkLRN(b *testing.B) {
	x := random(rand.New(rand.NewPCG(1, 1)), 27*27*96)
	y := make([]float32, len(x))
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		LRN(y, x, 96, 5, 1e-4, 0.75, 1)
	}
}
