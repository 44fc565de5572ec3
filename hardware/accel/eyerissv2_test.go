package accel

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestEyeriss2Window compares the expected time of a window with drawing
// inputs and columns of weights.
func TestEyeriss2Window(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 6))
	m := eyeriss2Map{m0: 20, window: 15}
	density := hardware.Density{W: 0.3, In: 0.4}
	const rounds, pes = 3000, 12
	mean, slowest := 0.0, 0.0
	for range rounds {
		most := 0
		for range pes {
			cycles := 0
			for range m.window {
				if r.Float64() >= density.In {
					continue
				}
				column := 0
				for range m.m0 {
					if r.Float64() < density.W {
						column++
					}
				}
				cycles += max(1, (column+1)/2)
			}
			mean += float64(cycles) / rounds / pes
			most = max(most, cycles)
		}
		slowest += float64(most) / rounds
	}
	d := m.work(density)
	if math.Abs(d.Mean()-mean) > 0.01*mean {
		t.Errorf("a window takes %v, drawn %v", d.Mean(), mean)
	}
	if got := d.ExpectMax(pes); math.Abs(got-slowest) > 0.01*slowest {
		t.Errorf("the slowest of %d takes %v, drawn %v", pes, got, slowest)
	}
}

// TestEyeriss2Cut holds the mapping to the sizes of the memories.
func TestEyeriss2Cut(t *testing.T) {
	for _, c := range []struct {
		layer *hardware.Layer
		w     float64
		want  eyeriss2Map
	}{
		{hardware.Conv("3×3", 1, 1, 384, 256, 13, 3, 1, 1), 1, eyeriss2Map{c0: 5, m0: 12, segments: 1, tasks: 13 * 3 * 52 * 32, window: 15}},
		{hardware.Conv("3×3, sparse", 1, 1, 384, 256, 13, 3, 1, 1), 0.3, eyeriss2Map{c0: 5, m0: 32, segments: 1, tasks: 13 * 3 * 52 * 12, window: 15}},
		{hardware.Conv("11×11", 1, 1, 96, 3, 227, 11, 4, 0), 1, eyeriss2Map{c0: 1, m0: 16, segments: 1, tasks: 55 * 11 * 3 * 6, window: 11}},
		{hardware.Conv("depthwise", 1, 32, 32, 32, 16, 3, 1, 1), 1, eyeriss2Map{c0: 1, m0: 1, segments: 1, tasks: 32 * 16 * 3, window: 3}},
		{hardware.Conv("wide", 1, 1, 8, 1, 40, 31, 1, 15), 1, eyeriss2Map{c0: 1, m0: 8, segments: 3, tasks: 40 * 31 * 3, window: 11}},
	} {
		c.layer.Density.W = c.w
		if got := eyeriss2.cut(c.layer); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.layer.Name, got, c.want)
		}
	}
}

// TestEyeriss2Bounds: fully connected layers wait for their weights, and
// depthwise layers keep at most one MAC of a PE busy.
func TestEyeriss2Bounds(t *testing.T) {
	r, err := eyeriss2.run(eyeriss2Nets[0].load())
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Layer("fc6"); c.Bound != "mesh" || math.Abs(c.Cycles-4096*9216/96.0) > 1 {
		t.Errorf("fc6 takes %v cycles, bound by %s", c.Cycles, c.Bound)
	}
	if c := r.Layer("conv3"); c.Bound != "compute" {
		t.Errorf("conv3 is bound by %s", c.Bound)
	}
	l := hardware.Conv("depthwise", 1, 192, 192, 192, 32, 3, 1, 1)
	if c, _ := eyeriss2.cost(l); float64(l.MACs())/c.Cycles > eyeriss2PEs {
		t.Errorf("a depthwise layer does %v MACs a cycle", float64(l.MACs())/c.Cycles)
	}
	limited, err := eyeriss2Design{pes: eyeriss2PEs, dram: 1}.run(eyeriss2Nets[0].load())
	if err != nil || limited.Bound != "DRAM" || limited.Cycles < r.Cycles+limited.DRAMBytes-1 {
		t.Errorf("with a byte a cycle: %v cycles, bound by %s, %v", limited.Cycles, limited.Bound, err)
	}
}

func TestMobileNetHalf(t *testing.T) {
	w := mobileNetHalf()
	if len(w.Layers) != 28 || w.MACs() != 49160192 {
		t.Errorf("%d layers with %d MACs", len(w.Layers), w.MACs())
	}
	for i, want := range [][3]int{{64, 64, 32}, {128, 64, 16}, {256, 256, 8}, {512, 512, 4}} {
		k := mobileNetKnown[i]
		l := w.Layers[k.layer-1]
		if got := [3]int{l.Size[hardware.K], l.Size[hardware.C], l.Size[hardware.P]}; got != want {
			t.Errorf("%s is %v, want %v", l.Name, got, want)
		}
		if in, weights := between(k.layer); in != k.in || weights != k.weights {
			t.Errorf("%s has densities %v and %v", l.Name, in, weights)
		}
	}
	if in, _ := between(15); math.Abs(in-0.75) > 1e-12 {
		t.Errorf("halfway between 0.86 and 0.64 is %v", in)
	}
}
