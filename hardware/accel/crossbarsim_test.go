package accel

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/tensor"
)

// TestCrossbarMultiply checks that the steps add up to the product if the
// converter is wide enough, and that a narrower one loses some of it.
func TestCrossbarMultiply(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for _, x := range []crossbar{
		{rows: 20, cellBits: 2, weightBits: 8, inputBits: 8, dacBits: 1, activeRows: 20},
		{rows: 20, cellBits: 4, weightBits: 8, inputBits: 6, dacBits: 3, activeRows: 7},
		{rows: 20, cellBits: 1, weightBits: 5, inputBits: 3, dacBits: 2, activeRows: 9},
	} {
		weights, inputs := make([][]uint, x.rows), make([]uint, x.rows)
		want := make([]uint, 4)
		for i := range inputs {
			inputs[i] = r.UintN(1 << x.inputBits)
			weights[i] = make([]uint, len(want))
			for k := range want {
				weights[i][k] = r.UintN(1 << x.weightBits)
				want[k] += weights[i][k] * inputs[i]
			}
		}
		exact, clipped := x.multiply(weights, inputs, x.adcBits()), x.multiply(weights, inputs, 2)
		for k := range want {
			if exact[k] != want[k] || clipped[k] >= want[k] {
				t.Errorf("%+v: column %d is %d, and clipped %d; want %d and less", x, k, exact[k], clipped[k], want[k])
			}
		}
		// All ones need every bit of the converter.
		for i := range inputs {
			inputs[i] = 1<<x.inputBits - 1
			for k := range want {
				weights[i][k] = 1<<x.weightBits - 1
			}
		}
		full := uint(x.rows) * inputs[0] * weights[0][0]
		if got, less := x.multiply(weights, inputs, x.adcBits())[0], x.multiply(weights, inputs, x.adcBits()-1)[0]; got != full || less >= full {
			t.Errorf("%+v: %d at full scale, %d with a bit less; want %d and less", x, got, less, full)
		}
	}
}

func TestCrossbarNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	values := make([]float32, 400)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	w := tensor.Of(values, 20, 20)
	distance := func(n CrossbarNoise) float64 {
		p, err := n.Perturb(w, 8, 2)
		if err != nil {
			t.Fatal(err)
		}
		again, err := n.Perturb(w, 8, 2)
		if err != nil || !again.Equal(p) {
			t.Errorf("%+v: a second run differs, %v", n, err)
		}
		sum := 0.0
		for i, v := range p.Float32s() {
			sum += math.Pow(float64(v-values[i]), 2)
		}
		return math.Sqrt(sum / 400)
	}
	none := distance(CrossbarNoise{})
	if none > 4.0/127 {
		t.Errorf("without noise the weights differ by %v, more than rounding", none)
	}
	for _, n := range []CrossbarNoise{{Sigma: 0.05}, {StuckOff: 0.02}, {StuckOn: 0.02}, {Drift: 0.05, Decades: 2}} {
		more := n
		more.Sigma, more.StuckOff, more.StuckOn, more.Drift = 3*n.Sigma, 3*n.StuckOff, 3*n.StuckOn, 3*n.Drift
		if a, b := distance(n), distance(more); a <= none || b <= a {
			t.Errorf("%+v: distance %v, three times the noise %v, none %v", n, a, b, none)
		}
	}
	zero, err := CrossbarNoise{Sigma: 1}.Perturb(tensor.Of(make([]float32, 3), 3), 8, 2)
	if err != nil || zero.Float32s()[0] != 0 {
		t.Errorf("zeros become %v, %v", zero, err)
	}
	for _, n := range []CrossbarNoise{{Sigma: -1}, {Sigma: math.NaN()}, {StuckOff: 0.6, StuckOn: 0.6}} {
		if _, err := n.Perturb(w, 8, 2); err == nil {
			t.Errorf("%+v was accepted", n)
		}
	}
	if _, err := (CrossbarNoise{}).Perturb(tensor.Of([]float32{float32(math.Inf(1))}, 1), 8, 2); err == nil {
		t.Error("an infinite weight was accepted")
	}
}
