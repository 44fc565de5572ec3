package accel

import (
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestYOLOPipeline: the ends run on the processor, the rest in the fabric, and
// the slower of the two sets the pace.
func TestYOLOPipeline(t *testing.T) {
	w := tinyYOLO()
	if got := w.MACs(); got < 3.4e9 || got > 3.6e9 {
		t.Errorf("%d MACs", got)
	}
	r, err := runYOLO(w)
	if err != nil {
		t.Fatal(err)
	}
	hidden, ends := 0.0, 0.0
	for i := range r.Layers {
		c := &r.Layers[i]
		if end := i == 0 || i == len(r.Layers)-1; end != (c.Mapping == "processor") {
			t.Errorf("%s is on %q", c.Layer, c.Mapping)
		} else if end {
			ends += c.Cycles
		} else {
			hidden = max(hidden, c.Cycles)
		}
	}
	if r.Cycles != max(hidden, ends) {
		t.Errorf("%v cycles; the ends take %v, the slowest engine %v", r.Cycles, ends, hidden)
	}
	if !strings.Contains(strings.Join(r.Notes, "\n"), "the chip has 432") {
		t.Errorf("nothing says that the weights are too large: %q", r.Notes)
	}
}

// TestYOLOEndsOnly: without hidden layers only the processor works.
func TestYOLOEndsOnly(t *testing.T) {
	w := &hardware.Workload{Name: "fc", Batch: 1, Layers: []*hardware.Layer{hardware.FC("fc", 1, 192, 100)}}
	r, err := runYOLO(w)
	if err != nil {
		t.Fatal(err)
	}
	if want := 192 * 100 / yoloHost; r.Cycles != want || r.Bound != "host" {
		t.Errorf("%v cycles, bound %q; want %v by the host", r.Cycles, r.Bound, want)
	}
}
