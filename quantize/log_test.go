package quantize

import (
	"math"
	"math/bits"
	"testing"

	"github.com/drawknife/drawknife/method"
)

// TestLogGrid holds the grid to the catalogue: 3 bits, full-scale range 0.
func TestLogGrid(t *testing.T) {
	g := LogGrid{0, 3}
	for x, want := range map[float32]float32{1: .5, .72: .5, .36: .5, .35: .25, .1: .125, .05: .0625, .006: .0078125, .005: 0, 0: 0, -.36: -.5} {
		if got := g.Quantize(x); got != want {
			t.Errorf("%g became %g, want %g", x, got, want)
		}
	}
}

// TestLogWeights: integers are powers of two, and the network computes nearly
// the same.
func TestLogWeights(t *testing.T) {
	g := net(t, nets["residual"])
	p, err := method.New[Preset](method.Quantize, "log")
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{4, 5} {
		o := Defaults()
		p(&o)
		o.WBits = width
		q, r := static(t, g, o)
		inner := 0
		for _, n := range q.Nodes {
			if !n.Is("Conv") || inner == 0 && n.Inputs[0].Producer().Inputs[0].Producer().Inputs[0].IsInput() {
				continue
			}
			inner++
			for _, c := range n.Inputs[1].Producer().Inputs[0].Data.Ints() {
				if c < 0 {
					c = -c
				}
				if bits.OnesCount(uint(c)) > 1 {
					t.Fatalf("%v has the integer %d", n, c)
				}
			}
		}
		if inner == 0 {
			t.Error("no layer has powers of two")
		}
		for _, l := range r.Layers[1 : len(r.Layers)-1] {
			if l.SQNR < 12 || math.IsInf(l.SQNR, 0) {
				t.Errorf("%d bits: %s at %.1f dB", width, l.Node, l.SQNR)
			}
		}
		x := sample(g, 2, 11)
		if diff, top := distance(runEval(t, q, x), runEngine(t, q, x)); diff > 0.02*top {
			t.Errorf("%d bits: engine and interpreter differ by %g of %g", width, diff, top)
		}
	}
}
