package accel

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

func TestTetrisReads(t *testing.T) {
	e := tetrisEngine{bufBytes: 400} // 100 words for the operand that stays
	for _, c := range []struct{ weights, inputs, w, i float64 }{
		{50, 1000, 50, 1000},   // weights stay
		{1000, 50, 1000, 50},   // inputs stay
		{150, 1000, 150, 2000}, // two parts of weights, or 10 of inputs
		{1000, 150, 2000, 150},
	} {
		if w, i := e.dramReads(c.weights, c.inputs); w != c.w || i != c.i {
			t.Errorf("%v weights, %v inputs: reads %v and %v, want %v and %v", c.weights, c.inputs, w, i, c.w, c.i)
		}
	}
}

// TestTetrisMonotone checks that more bandwidth is never slower, and a larger
// buffer of the same energy never takes more energy at one engine.
func TestTetrisMonotone(t *testing.T) {
	w := hardware.AlexNet(4)
	var cycles, energy float64
	for i, factor := range []float64{0.1, 0.5, 1, 4} {
		fast, large := tetris, tetrisBase
		fast.dramWords *= factor
		large.bufBytes *= factor
		a, err := fast.run(w, hardware.Latency)
		if err != nil {
			t.Fatal(err)
		}
		b, err := large.run(w, hardware.Latency)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && (a.Cycles > cycles || b.Energy > energy*(1+1e-12)) {
			t.Errorf("factor %v: %v cycles after %v, %v pJ after %v", factor, a.Cycles, cycles, b.Energy, energy)
		}
		cycles, energy = a.Cycles, b.Energy
	}
}

func TestTetrisRows(t *testing.T) {
	for r, want := range map[int]float64{1: 1, 3: 12.0 / 14, 5: 10.0 / 14, 11: 11.0 / 14, 15: 1} {
		l := hardware.Conv("c", 1, 1, 8, 8, 32, r, 1, 0)
		if got := tetris.rows(l); got != want {
			t.Errorf("%d rows of a filter fill %v of the array, want %v", r, got, want)
		}
	}
}
