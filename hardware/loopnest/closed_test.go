package loopnest

import (
	"fmt"
	"testing"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/dataflow"
)

// TestClosedForms maps layers by hand as fixed machines run them and compares
// the general model's time with the closed forms: channels by filters (NVDLA),
// and pixels (ShiDianNao).
func TestClosedForms(t *testing.T) {
	a := &Arch{Name: "fixed", ClockMHz: 1, Array: Array{Axes: []Axis{{Name: "X", Size: 16}, {Name: "Y", Size: 8}}, Bits: Precision{8, 8, 32}},
		Levels: []Level{{Name: "DRAM"}, {Name: "buffer", Bytes: 1 << 40, FanOut: []string{"X", "Y"}}}}
	up := func(n, by int) int { return (n + by - 1) / by }
	for _, l := range append(hardware.AlexNet(2).Layers, hardware.Conv("odd", 1, 1, 37, 19, 23, 3, 2, 1)) {
		z := l.Size
		k, c, p, q := z[hardware.K], z[hardware.C], z[hardware.P], z[hardware.Q]
		rest := fmt.Sprintf("G%d N%d R%d S%d", z[hardware.G], z[hardware.N], z[hardware.R], z[hardware.S])
		for _, x := range []struct {
			mapping string
			want    float64
		}{
			{fmt.Sprintf("DRAM: %s P%d Q%d C%d K%d | buffer: / X:C%d Y:K%d", rest, p, q, up(c, 16), up(k, 8), min(c, 16), min(k, 8)),
				dataflow.ChannelCycles(l, 16, 8)},
			{fmt.Sprintf("DRAM: %s K%d C%d P%d Q%d | buffer: / X:P%d Y:Q%d", rest, k, c, up(p, 16), up(q, 8), min(p, 16), min(q, 8)),
				dataflow.PixelCycles(l, 16, 8)},
		} {
			m, err := ParseMapping(a, x.mapping)
			if err != nil {
				t.Fatal(err)
			}
			e, err := NewEvaluator(a, l)
			if err != nil {
				t.Fatal(err)
			}
			r, err := e.Evaluate(m)
			if err != nil {
				t.Fatal(err)
			}
			if r.Cycles != x.want {
				t.Errorf("%s, %s: %v cycles, the closed form says %v", l.Name, x.mapping, r.Cycles, x.want)
			}
		}
	}
}
