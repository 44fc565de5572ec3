package loopnest

import (
	"math"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// plain is a machine of two levels with the given lines for DRAM and buffer.
func plain(t *testing.T, dram, buffer, more string) *Arch {
	t.Helper()
	a, err := Parse("m.yaml", []byte("name: m\nclock_mhz: 100\narray:\n  axes: [{name: X, size: 4}]\n  bits: {w: 8, a: 8, psum: 32}\n  mac_pj: 2\nlevels:\n"+
		"  - {name: DRAM, read_pj: 100, write_pj: 200"+dram+"}\n  - {name: buffer, fan_out: [X]"+buffer+"}\n"+more))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestMoves checks what an operator without multiplications costs, by hand.
func TestMoves(t *testing.T) {
	w := &hardware.Workload{Name: "w", Batch: 1, Layers: []*hardware.Layer{
		hardware.FC("fc", 1, 4, 4),
		{Name: "pool", Op: "MaxPool", Ops: 900, InWords: 400, OutWords: 100},
	}}
	for _, c := range []struct {
		dram, more string
		cycles     float64
		bound      string
	}{
		{", read_words_per_cycle: 2, write_words_per_cycle: 1", "", 200, "DRAM"},
		{", read_words_per_cycle: 2, write_words_per_cycle: 1", "vector_ops_per_cycle: 3\n", 300, "compute"},
		{"", "", 0, "DRAM"},
	} {
		r, err := Run(plain(t, c.dram, ", bytes: 1024", c.more), w, Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := r.Layer("pool")
		if p == nil || p.Cycles != c.cycles || p.Bound != c.bound || p.DRAMBytes != 500 || p.Energy != 900*2+400*100+100*200 {
			t.Errorf("%q: %+v", c.more, p)
		}
		if l := r.Levels[0]; l.Name != "DRAM" || l.Traffic[hardware.Inputs].Reads != 404 || l.Bytes != r.DRAMBytes {
			t.Errorf("%+v of %v bytes", l, r.DRAMBytes)
		}
	}
}

// TestOuterOnly checks that a move costs the outer access alone.
func TestOuterOnly(t *testing.T) {
	w := &hardware.Workload{Name: "w", Batch: 1, Layers: []*hardware.Layer{hardware.FC("fc", 1, 4, 4)}}
	const given = ", bytes: 1024, read_pj: 1, write_pj: 10"
	both, err := Run(plain(t, "", given, ""), w, Options{Objective: hardware.Energy})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := Run(plain(t, "", given, "outer_only: true\n"), w, Options{Objective: hardware.Energy})
	if err != nil {
		t.Fatal(err)
	}
	// 16 weights and 4 inputs come into the buffer, 4 outputs leave it.
	if saved := both.Energy - outer.Energy; saved != (16+4)*10+4*1 {
		t.Errorf("%v pJ instead of %v: %v saved", outer.Energy, both.Energy, saved)
	}
}

func TestArea(t *testing.T) {
	// 4 elements of 4·64 + 4.3·32 µm² at 45 nm, 1024 bytes of 0.55 µm² a bit.
	m, err := compile(plain(t, "", ", bytes: 1024", ""))
	if err != nil {
		t.Fatal(err)
	}
	if want := (4*(4*64+4.3*32) + 8*1024*0.55) / 1e6; math.Abs(m.areaMM2-want) > 1e-9 {
		t.Errorf("%v mm², want %v", m.areaMM2, want)
	}
	if last := m.estimated[len(m.estimated)-1]; !strings.Contains(last, "area of buffer, arithmetic") {
		t.Errorf("%q", last)
	}
	if m, err = compile(plain(t, "", ", bytes: 1024, area_um2: 1e6", "")); err != nil || math.Abs(m.areaMM2-1-4*(4*64+4.3*32)/1e6) > 1e-9 {
		t.Errorf("%v mm², %v", m.areaMM2, err)
	}
}

// TestMisfit checks that a layer that no mapping fits is reported with the line
// of the level, and that one is not reported because a search is unlucky.
func TestMisfit(t *testing.T) {
	w := &hardware.Workload{Name: "w", Batch: 1, Layers: []*hardware.Layer{hardware.Conv("conv", 1, 1, 8, 4, 20, 3, 1, 1)}}
	for _, c := range []struct{ dram, buffer, want string }{
		{"", ", parts: {W: {words: 4}, I: {words: 4}, O: {words: 4}}, bounds: {R: 3, S: 3}", `m.yaml:9: layer "conv" does not fit: the smallest tiles are too large for level "buffer": 9 words of weights of 4`},
		{", loops: NGKCRS", ", bytes: 64", `m.yaml:8: layer "conv" does not fit: loop P may not run at level "DRAM"`},
		{", bounds: {C: 4}", ", bytes: 1024, bounds: {C: 4}", `m.yaml:8: layer "conv" does not fit: the bound of loop C at level "DRAM", 4, is not what the inner levels leave of it`},
	} {
		_, err := Run(plain(t, c.dram, c.buffer, ""), w, Options{Tilings: 200})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	// The output plane must be whole in the buffer: few mappings are.
	big := &hardware.Workload{Name: "w", Batch: 1, Layers: []*hardware.Layer{hardware.Conv("conv1", 16, 1, 96, 3, 227, 11, 4, 0)}}
	if _, err := Run(plain(t, ", loops: NGKC", ", bytes: 131072", ""), big, Options{Tilings: 500}); err != nil {
		t.Error(err)
	}
}
