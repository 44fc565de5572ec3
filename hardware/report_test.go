package hardware_test

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestCSV checks that reports of different machines share a table: a line for
// each layer, columns of its own for each level of any machine.
func TestCSV(t *testing.T) {
	w := &hardware.Workload{Name: "w", Batch: 1, Layers: []*hardware.Layer{hardware.FC("a", 1, 3, 5), hardware.FC("b", 1, 2, 3)}}
	report := func(machine, level string, bits float64) *hardware.Report {
		r, err := hardware.RunLayers(hardware.Machine{Name: machine, ClockMHz: 1}, w, func(l *hardware.Layer) (hardware.Cost, error) {
			x := hardware.LevelCost{Name: level, Bits: hardware.WordBits(bits)}
			x.Traffic[hardware.Weights].Reads, x.Energy[hardware.Weights] = float64(l.MACs()), 2
			return hardware.Cost{Cycles: 1, Levels: []hardware.LevelCost{x}}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	one, two := report("one", "DRAM", 0), report("two", "buffer", 4)
	if l := one.Levels; len(l) != 1 || l[0].Traffic[hardware.Weights].Reads != 21 || l[0].Bytes != 42 || l[0].EnergyPJ() != 4 || one.Energy != 4 {
		t.Errorf("%+v", l)
	}
	var b strings.Builder
	if err := hardware.WriteCSV(&b, []*hardware.Report{one, two}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%v\n%s", err, b.String())
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, c := range []struct {
		row        int
		name, want string
	}{
		{1, "machine", "one"}, {1, "DRAM_bytes", "30"}, {1, "DRAM_W_reads", "15"}, {1, "buffer_bytes", ""}, {2, "layer", "b"},
		{3, "machine", "two"}, {4, "buffer_bytes", "3"}, {4, "buffer_W_pj", "2"}, {4, "DRAM_W_reads", ""},
	} {
		if i, ok := column[c.name]; !ok || rows[c.row][i] != c.want {
			t.Errorf("row %d, %s: %q in\n%s", c.row, c.name, c.want, b.String())
		}
	}
}
