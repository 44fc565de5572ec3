package loopnest

import (
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// eyeriss03 has the shape of public examples of version 0.3.
const eyeriss03 = `
architecture:
  version: 0.3
  subtree:
    - name: system
      local:
        - name: DRAM
          class: DRAM
          attributes: {type: LPDDR4, width: 64, block-size: 4, word-bits: 16}
      subtree:
        - name: eyeriss
          attributes: {technology: 45nm}
          local:
            - name: shared_glb
              class: smartbuffer_SRAM
              attributes: {memory_depth: 12800, memory_width: 64, n_banks: 32, block-size: 4, word-bits: 16, read_bandwidth: 16, write_bandwidth: 16}
          subtree:
            - name: PE[0..167]
              local:
                - {name: ifmap_spad, class: smartbuffer_RF, attributes: {memory_depth: 12, memory_width: 16, word-bits: 16, meshX: 14}}
                - {name: weights_spad, class: smartbuffer_RF, attributes: {memory_depth: 224, memory_width: 16, word-bits: 16, meshX: 14}}
                - {name: psum_spad, class: smartbuffer_RF, attributes: {memory_depth: 24, memory_width: 16, word-bits: 16, meshX: 14}}
                - {name: mac, class: intmac, attributes: {datawidth: 16, meshX: 14}}
architecture_constraints:
  targets:
    - {target: ifmap_spad, type: bypass, keep: [Inputs], bypass: [Weights, Outputs]}
    - {target: weights_spad, type: bypass, keep: [Weights], bypass: [Inputs, Outputs]}
    - {target: psum_spad, type: bypass, keep: [Outputs], bypass: [Inputs, Weights]}
    - {target: shared_glb, type: bypass, bypass: [Weights], keep: [Inputs, Outputs]}
    - {target: weights_spad, type: temporal, factors: R=1 S=0, permutation: RSCMNPQ}
`

// eyeriss04 is the same machine in version 0.4.
const eyeriss04 = `
architecture:
  version: 0.4
  nodes:
    - !Container
      name: system
      attributes: {technology: 45}
    - !Component
      name: DRAM
      class: DRAM
      attributes: {width: 64, datawidth: 16}
    - !Component
      name: shared_glb
      class: smartbuffer_SRAM
      attributes: {depth: 12800, width: 64, datawidth: 16, read_bandwidth: 16, write_bandwidth: 16}
      constraints: {dataspace: {keep: [Inputs, Outputs], bypass: [Weights]}}
    - !Container
      name: PE_column
      spatial: {meshX: 14}
    - !Container
      name: PE
      spatial: {meshY: 12}
    - !Component
      name: ifmap_spad
      class: smartbuffer_RF
      attributes: {depth: 12, width: 16, datawidth: 16}
      constraints: {dataspace: {keep: [Inputs], bypass: [Weights, Outputs]}}
    - !Component
      name: weights_spad
      class: smartbuffer_RF
      attributes: {depth: 224, width: 16, datawidth: 16}
      constraints:
        dataspace: {keep: [Weights], bypass: [Inputs, Outputs]}
        temporal: {factors: [R=1, S=0], permutation: [R, S, C, M, N, P, Q]}
    - !Component
      name: psum_spad
      class: smartbuffer_RF
      attributes: {depth: 24, width: 16, datawidth: 16}
      constraints: {dataspace: {keep: [Outputs], bypass: [Weights, Inputs]}}
    - !Component
      name: mac
      class: intmac
      attributes: {datawidth: 16}
`

func TestTimeloopArchitectures(t *testing.T) {
	for name, text := range map[string]string{"0.3": eyeriss03, "0.4": eyeriss04} {
		a, err := Parse("examples/eyeriss.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.Name != "eyeriss" || a.TechnologyNM != 45 || a.Lanes() != 168 || len(a.Array.Axes) != 2 || a.Array.Axes[0].Size != 14 || a.Array.Bits != (Precision{16, 16, 16}) {
			t.Errorf("%s: %s, %v nm, axes %+v, bits %+v", name, a.Name, a.TechnologyNM, a.Array.Axes, a.Array.Bits)
		}
		want := []Level{{Name: "DRAM"}, {Name: "shared_glb", Bytes: 102400, Holds: "IO"}, {Name: "ifmap_spad", Bytes: 24, Holds: "I"},
			{Name: "weights_spad", Bytes: 448, Holds: "W", Order: "QPNKCSR"}, {Name: "psum_spad", Bytes: 48, Holds: "O"}}
		for i, l := range want {
			g := a.Levels[i]
			if g.Name != l.Name || g.Bytes != l.Bytes || g.Holds != l.Holds || g.Bypass != "" || g.Order != l.Order {
				t.Errorf("%s: level %d is %+v, want %+v", name, i, g, l)
			}
		}
		if g := a.Levels[1]; g.ReadWords != 16 || len(g.FanOut) != 2 {
			t.Errorf("%s: the buffer reads %v words and fans out along %v", name, g.ReadWords, g.FanOut)
		}
		if b := a.Levels[3].Bounds; len(b) != 1 || b["R"] != 1 {
			t.Errorf("%s: bounds %v", name, b)
		}
		f, err := Search(a, hardware.Conv("c", 1, 1, 16, 8, 8, 3, 1, 1), Options{Objective: hardware.EDP, Tilings: 300})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if f.Result.Active < 2 {
			t.Errorf("%s: %v elements are active", name, f.Result.Active)
		}
	}
}

// energyTable goes with eyeriss04.
const energyTable = `
ERT:
  version: '0.4'
  tables:
    - name: system.DRAM[1..1]
      actions: [{name: read, arguments: {}, energy: 512}, {name: write, arguments: {}, energy: 520}]
    - name: system.shared_glb[1..1]
      actions:
        - {name: read, arguments: {data_delta: 0, address_delta: 0}, energy: 0}
        - {name: read, arguments: {data_delta: 1, address_delta: 1}, energy: 48}
        - {name: write, energy: 36}
        - {name: update, energy: 40}
        - {name: leak, energy: 1.5}
    - name: system.PE.psum_spad[1..168]
      actions: [{name: read, energy: 0.25}]
    - name: system.PE.mac[1..168]
      actions: [{name: mac_random, energy: 2.2}, {name: mac_gated, energy: 0.07}, {name: idle, energy: 3}]
    - name: system.router
      actions: [{name: transfer, energy: 9}]
`

// TestEnergyTable reads energies as Accelergy writes them: an access of the
// buffer moves the four words of a row.
func TestEnergyTable(t *testing.T) {
	a, err := Parse("t.yaml", []byte(eyeriss04+energyTable))
	if err != nil {
		t.Fatal(err)
	}
	m, err := compile(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"MAC", m.mac, 2.2}, {"DRAM read", m.stores[0].read[hardware.Inputs], 128}, {"DRAM write", m.stores[0].write[hardware.Outputs], 130},
		{"buffer read", m.stores[1].read[hardware.Inputs], 12}, {"buffer write", m.stores[1].write[hardware.Inputs], 10},
		{"spad read", m.stores[4].read[hardware.Outputs], 0.25}, {"spad write", m.stores[4].write[hardware.Outputs], 1.1 * 0.25},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v pJ, want %v", c.name, c.got, c.want)
		}
	}
	for from, want := range map[string]string{"energy: 48": "energy: lots", "{name: write, energy: 36}": "{name: write}", "tables:": "tables: 3"} {
		bad := strings.Replace(eyeriss04+energyTable, from, want, 1)
		if _, err := Parse("t.yaml", []byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "t.yaml:") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestTimeloopFree checks that what no constraint speaks of may pass by.
func TestTimeloopFree(t *testing.T) {
	text, _, _ := strings.Cut(eyeriss03, "architecture_constraints")
	a, err := Parse("e.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if a.Levels[4].Bypass != "WIO" || a.Levels[3].Bypass != "WIO" || a.Levels[2].Bypass != "" {
		t.Errorf("%+v", a.Levels)
	}
}

// TestTimeloopSpatial checks that loops with a factor of 1 in space are kept
// off the axis, and that a search finds its way where all must pass by.
func TestTimeloopSpatial(t *testing.T) {
	text := strings.Replace(eyeriss04, "spatial: {meshY: 12}\n", "spatial: {meshY: 12}\n      constraints: {spatial: {factors: [N=1, P=1, M=1]}}\n", 1)
	text = strings.Replace(text, "    - !Component\n      name: mac", "    - !Nothing {constraints: {dataspace: {keep: [Inputs]}}}\n    - !Component\n      name: mac", 1)
	a, err := Parse("e.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if x := a.Array.Axes; x[0].Loops != "" || x[1].Loops != "GCQRS" {
		t.Errorf("%+v", x)
	}
	sub, _, _ := strings.Cut(eyeriss03, "architecture_constraints")
	if a, err = Parse("e.yaml", []byte(sub+"architecture_constraints:\n  targets:\n    - {target: shared_glb, type: spatial, factors: R=1 S=1}\n")); err != nil {
		t.Fatal(err)
	}
	if x := a.Array.Axes; x[0].Loops != "GNKCPQ" || x[1].Loops != "GNKCPQ" {
		t.Errorf("%+v", x)
	}
	registers := strings.NewReplacer("memory_depth: 12,", "memory_depth: 1,", "memory_depth: 224,", "memory_depth: 1,", "memory_depth: 24,", "memory_depth: 1,").Replace(sub) + `
architecture_constraints:
  targets:
    - {target: ifmap_spad, type: bypass, keep: [Inputs]}
    - {target: weights_spad, type: bypass, keep: [Weights]}
    - {target: psum_spad, type: bypass, keep: [Outputs]}
`
	if a, err = Parse("e.yaml", []byte(registers)); err != nil {
		t.Fatal(err)
	}
	if _, err := Search(a, hardware.Conv("c", 1, 1, 16, 8, 8, 3, 1, 1), Options{Tilings: 50, Exhaustive: -1}); err != nil {
		t.Error(err)
	}
}

func TestBadTimeloop(t *testing.T) {
	edit := func(text, from, to string) string {
		if !strings.Contains(text, from) {
			t.Fatalf("no %q", from)
		}
		return strings.Replace(text, from, to, 1)
	}
	for _, c := range []struct{ text, want string }{
		{"architecture: {version: 0.3}", "t.yaml:1: the architecture has neither nodes"},
		{"architecture: [", "t.yaml"},
		{edit(eyeriss03, "memory_depth: 12800", "memory_depth: glb_depth"), `t.yaml:16: memory_depth is "glb_depth"; want a positive number`},
		{edit(eyeriss03, "memory_depth: 12,", ""), `t.yaml:20: memory "ifmap_spad" has no capacity`},
		{edit(eyeriss03, "PE[0..167]", "PE[5..1]"), "no range of instances"},
		{edit(eyeriss03, "PE[0..167]", "PE[0..99999999]"), "does not divide"},
		{edit(eyeriss03, "meshX: 14", "meshX: 13"), "meshX is 13, which does not divide the 168 instances"},
		{edit(eyeriss03, "class: intmac", "class: intadder"), "has no multiplier"},
		{edit(eyeriss03, "keep: [Inputs]", "keep: [Biases]"), `no operand is called "Biases"`},
		{edit(eyeriss03, "permutation: RSCMNPQ", "permutation: RRS"), "named twice"},
		{edit(eyeriss03, "technology: 45nm", "technology: &t 45nm"), "t.yaml:12: anchors"},
		{edit(eyeriss04, "- !Container\n      name: PE\n", "- !Chiplet\n      name: PE\n"), "t.yaml:21: want a node tagged"},
		{edit(eyeriss04, "meshX: 14", "meshX: 99999999"), "t.yaml:19: meshX is 9.9999999e+07"},
		{edit(eyeriss04, "name: DRAM\n", "title: DRAM\n"), "a node has no name"},
		{edit(eyeriss04, "class: intmac", "kind: intmac"), `component "mac" has no class`},
	} {
		if _, err := Parse("t.yaml", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func FuzzTimeloop(f *testing.F) {
	f.Add([]byte(eyeriss03))
	f.Add([]byte(eyeriss04))
	f.Add([]byte(eyeriss04 + energyTable))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse("t.yaml", b)
		if err == nil && (a.Lanes() < 1 || a.Check() != nil) {
			t.Fatalf("%q is accepted", b)
		}
	})
}
