package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// opWant defines the operations in float64.
var opWant = [numOps]func(a, b float64) float64{
	Add:  func(a, b float64) float64 { return a + b },
	Sub:  func(a, b float64) float64 { return a - b },
	Mul:  func(a, b float64) float64 { return a * b },
	Div:  func(a, b float64) float64 { return a / b },
	Min:  func(a, b float64) float64 { return -max64(-a, -b) },
	Max:  max64,
	Pow:  math.Pow,
	Fmod: math.Mod,
	PRelu: func(a, b float64) float64 {
		if a < 0 {
			return a * b
		}
		return a
	},
	SquDiff: func(a, b float64) float64 { d := float64(float32(a - b)); return d * d },
}

// max64 is math.Max, but for a NaN beside an infinity.
func max64(a, b float64) float64 {
	if a != a || b != b {
		return math.NaN()
	}
	return math.Max(a, b)
}

func wantBinary(op Op, a, b []float32) []float32 {
	d := make([]float32, len(a))
	for i := range a {
		d[i] = float32(opWant[op](float64(a[i]), float64(b[i])))
	}
	return d
}

// operands returns two vectors of n random elements, some special.
func operands(r *rand.Rand, n int) (a, b []float32) {
	a, b = random(r, n), random(r, n)
	special := []float32{0, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 1, -1}
	for i := 0; i < n; i += 7 {
		a[i] = special[r.IntN(len(special))]
	}
	for i := 0; i < n; i += 5 {
		b[i] = special[r.IntN(len(special))]
	}
	return a, b
}

func TestBinary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	eachLevel(t, func(t *testing.T) {
		for op := range numOps {
			for _, n := range sizes {
				a, b := operands(r, n)
				d := newCanary(n)
				Binary(op, d.x, a, b)
				d.check(t)
				near(t, op.String(), d.x, wantBinary(op, a, b), 0)
				for _, s := range []float32{0, 2, -1, 1, 0.7, float32(math.NaN())} {
					row := slices.Repeat([]float32{s}, n)
					BinaryScalar(op, d.x, a, s, false)
					d.check(t)
					near(t, fmt.Sprint(op, " scalar ", s), d.x, wantBinary(op, a, row), 0)
					BinaryScalar(op, d.x, a, s, true)
					near(t, fmt.Sprint(s, " scalar ", op), d.x, wantBinary(op, row, a), 0)
				}
			}
		}
	})
}

func TestRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	eachLevel(t, func(t *testing.T) {
		for _, c := range []int{1, 2, 3, 7, 8, 24, 63, 64, 127, 128, 300} {
			for _, rows := range []int{0, 1, 2, 9, 100} {
				n := rows * c
				a, row, shift := random(r, n), random(r, c), random(r, c)
				full, fullShift := slices.Repeat(row, rows), slices.Repeat(shift, rows)
				d := newCanary(n)
				for _, op := range []Op{Add, Sub, PRelu, Max} {
					BinaryRow(op, d.x, a, row, false)
					d.check(t)
					near(t, op.String(), d.x, wantBinary(op, a, full), 0)
					BinaryRow(op, d.x, a, row, true)
					near(t, op.String()+" swapped", d.x, wantBinary(op, full, a), 0)
				}
				want := make([]float32, n)
				for i := range want {
					want[i] = fma(a[i], full[i], fullShift[i])
				}
				ScaleShift(d.x, a, row, shift)
				d.check(t)
				near(t, "ScaleShift", d.x, want, 0)
				y := random(r, n)
				RowAffine(d.x, y, a, shift, row, shift)
				d.check(t)
				both := make([]float32, n)
				for i := range both {
					both[i] = fma(y[i], fullShift[i], want[i])
				}
				near(t, "RowAffine", d.x, both, 0)
				for i := range want {
					want[i] = clip(want[i], -0.5, 6)
				}
				ScaleShiftClamp(d.x, a, row, shift, -0.5, 6)
				near(t, "ScaleShiftClamp", d.x, want, 0)
			}
		}
	})
}

func TestAddClampAxpyLerp(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	eachLevel(t, func(t *testing.T) {
		for _, n := range sizes {
			a, b := operands(r, n)
			d := newCanary(n)
			AddClamp(d.x, a, b, 0, 6)
			d.check(t)
			want := make([]float32, n)
			for i := range want {
				want[i] = clip(a[i]+b[i], 0, 6)
			}
			near(t, "AddClamp", d.x, want, 0)

			copy(d.x, b)
			Axpy(0.3, a, d.x)
			d.check(t)
			for i := range want {
				want[i] = fma(0.3, a[i], b[i])
			}
			near(t, "Axpy", d.x, want, 0)

			copy(d.x, b)
			Lerp(d.x, 0.9, 0.1, a)
			d.check(t)
			for i := range want {
				want[i] = fma(0.1, a[i], float32(b[i]*0.9))
			}
			near(t, "Lerp", d.x, want, 0)

			Scale(3, d.x, a)
			near(t, "Scale", d.x, wantBinary(Mul, a, slices.Repeat([]float32{3}, n)), 0)
		}
	})
}

func TestNothingAllocates(t *testing.T) {
	const c = 24
	x, y := make([]float32, 50*c), make([]float32, 50*c)
	row := make([]float32, c)
	eachLevel(t, func(t *testing.T) {
		for _, k := range []struct {
			name string
			f    func()
		}{
			{"BinaryRow", func() { BinaryRow(Add, y, x, row, false) }},
			{"ScaleShift", func() { ScaleShift(y, x, row, row) }},
			{"RowAffine", func() { RowAffine(y, x, x, row, row, row) }},
			{"LRN", func() { LRN(y, x, c, 5, 1e-4, 0.75, 1) }},
			{"Softmax", func() { Softmax(y, x, c, true) }},
			{"LogSoftmaxGrad", func() { LogSoftmaxGrad(y, x, x, c) }},
			{"ColSum", func() { ColSum(row, x, c) }},
			{"Unary", func() { Unary(Silu, 0, 0, y, x) }},
			{"Transpose2D", func() { Transpose2D(y, x, 50, c) }},
			{"AdamW", func() { AdamW(x, x, x, y, 0, 0, 0, 1, 0, 1, 1, true) }},
		} {
			if n := testing.AllocsPerRun(3, k.f); n != 0 {
				t.Errorf("%s allocates %g times", k.name, n)
			}
		}
	})
}

func BenchmarkBinary(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	x, y := random(r, 16384), random(r, 16384)
	d := make([]float32, len(x))
	rate := func(b *testing.B) {
		b.ReportMetric(float64(len(x))*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelem/s")
	}
	b.Run("Add", func(b *testing.B) {
		for b.Loop() {
			Binary(Add, d, x, y)
		}
		rate(b)
	})
	b.Run("AddClamp", func(b *testing.B) {
		for b.Loop() {
			AddClamp(d, x, y, 0, 6)
		}
		rate(b)
	})
	for _, c := range []int{16, 64, 512} {
		b.Run(fmt.Sprint("ScaleShift", c), func(b *testing.B) {
			for b.Loop() {
				ScaleShift(d, x, y[:c], y[c:2*c])
			}
			rate(b)
		})
	}
}
