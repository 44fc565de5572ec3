package accel

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestSCNNAgainstMasks compares the expected cycles with counting vectors on
// random masks, for every PE and channel.
func TestSCNNAgainstMasks(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 5))
	l := hardware.Conv("c", 1, 1, 32, 48, 32, 3, 1, 1)
	l.Density = hardware.Density{W: 0.35, In: 0.45, Out: 0.5}
	tile := scnn.tile(l)
	if tile != (scnnTile{h: 4, w: 4, pes: 64, k: 28, groups: 2}) {
		t.Fatalf("tiles %+v", tile)
	}
	count := func(n int, d float64) (nz int) {
		for range n {
			if r.Float64() < d {
				nz++
			}
		}
		return nz
	}
	total := 0
	for _, k := range []int{28, 4} {
		work := make([]int, 64)
		for range 48 {
			w := ceil(count(k*9, 0.35), 4)
			for pe := range work {
				work[pe] += w * ceil(count(16, 0.45), 4)
			}
		}
		slowest := 0
		for _, n := range work {
			slowest = max(slowest, n)
		}
		total += slowest
	}
	want := float64(total) * (1 + scnnConflict)
	if got := scnn.cycles(l); math.Abs(got-want) > 0.03*want {
		t.Errorf("%v cycles, counted %v", got, want)
	}
}

// TestSCNNDense: without zeros there is nothing random.
func TestSCNNDense(t *testing.T) {
	for _, c := range []struct {
		layer *hardware.Layer
		want  float64
	}{
		{hardware.Conv("1x1", 1, 1, 64, 16, 32, 1, 1, 0), 16 * 4 * 16},
		{hardware.Conv("grouped", 3, 2, 64, 32, 32, 1, 1, 0), 3 * 2 * 16 * 4 * 8},
		// Phases of the stride: rows and columns 0 have 2 taps, 1 has 1.
		{hardware.Conv("strided", 1, 1, 4, 5, 32, 3, 2, 1), 5 * (4 + 2 + 2 + 1)},
		{hardware.FC("fc", 1, 100, 640), 25 * 10},
		// Only one row of inputs in a million is used.
		{&hardware.Layer{Name: "sparse rows", Size: [hardware.NumDims]int{1, 1, 4, 5, 1, 8, 1, 1}, Height: 8, Width: 8, Stride: [2]int{1 << 40, 1},
			Dilation: [2]int{1, 1}, Density: hardware.Density{W: 1, In: 1, Out: 1}}, 5},
	} {
		if got := scnn.cycles(c.layer) / (1 + scnnConflict); math.Abs(got-c.want) > 1e-6*c.want {
			t.Errorf("%s: %v cycles, want %v", c.layer.Name, got, c.want)
		}
	}
}

func TestSCNNMonotone(t *testing.T) {
	cycles, energy := 0.0, 0.0
	for _, d := range []float64{0.05, 0.2, 0.5, 0.8, 1} {
		w := uniform(inceptions(), d, d)
		c, e := network(w, scnn.cycles), network(w, scnnEnergy)
		if c <= cycles || e <= energy {
			t.Errorf("density %v: %v cycles and %v pJ after %v and %v", d, c, e, cycles, energy)
		}
		cycles, energy = c, e
	}
}

func TestInceptions(t *testing.T) {
	w := inceptions()
	if len(w.Layers) != 54 || w.MACs() != 1103972352 {
		t.Errorf("%d layers with %d MACs", len(w.Layers), w.MACs())
	}
}

// TestSCNNWeights compares expected cycles with those of real weights.
func TestSCNNWeights(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 6))
	for _, l := range []*hardware.Layer{
		hardware.Conv("3×3", 1, 1, 100, 64, 28, 3, 1, 1),
		hardware.Conv("grouped and strided", 2, 2, 96, 64, 28, 5, 2, 2),
	} {
		l.Density = hardware.Density{W: 0.3, In: 0.4, Out: 1}
		expected := scnn.cycles(l)
		real := *l
		real.Weight = randomWeights(r, 0.3, l.Size[hardware.G]*l.Size[hardware.K], l.Size[hardware.C], l.Size[hardware.R], l.Size[hardware.S])
		if counted := scnn.cycles(&real); math.Abs(counted-expected) > 0.01*expected {
			t.Errorf("%s: %v cycles, counted %v", l.Name, expected, counted)
		}
	}
}
