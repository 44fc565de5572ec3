package loopnest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// conv3Arch is the machine of the worked example: 12×14 elements with separate
// memories for the operands, a buffer for inputs and partial sums, weights
// straight from DRAM.
const conv3Arch = `
name: conv3
clock_mhz: 200
array:
  axes: [{name: X, size: 14}, {name: Y, size: 12}]
  bits: {w: 16, a: 16, psum: 16}
levels:
  - name: DRAM
  - name: GLB
    holds: IO
    bytes: 102400
    fan_out: [X, Y]
  - name: spad
    parts: {W: {words: 224}, I: {words: 12}, O: {words: 24}}
`

// TestWorkedExample checks the access counts of AlexNet's third layer, batch 4,
// row-stationary, that an independent tool gives.
func TestWorkedExample(t *testing.T) {
	a, err := Parse("conv3.yaml", []byte(conv3Arch))
	if err != nil {
		t.Fatal(err)
	}
	layer := hardware.AlexNet(4).Layer("conv3")
	mapping, err := ParseMapping(a, "DRAM: K6 C64 | GLB: N4 P13 / X:Q13 Y:K4 Y:S3 | spad: R3 C4 K16")
	if err != nil {
		t.Fatal(err)
	}
	evaluate := func() *Result {
		e, err := NewEvaluator(a, layer)
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.Evaluate(mapping)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := evaluate()
	const pe = 156
	dram, glb, spad := r.Access[0], r.Access[1], r.Access[2]
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"active elements", r.Active, pe},
		{"cycles", r.Cycles, 3_833_856},
		{"weight spad reads", spad[hardware.Weights].Reads, pe * 3_833_856},
		{"weight spad fills", spad[hardware.Weights].Fills, pe * 73_728},
		{"input spad reads", spad[hardware.Inputs].Reads, pe * 3_833_856},
		{"input spad fills", spad[hardware.Inputs].Fills, pe * 92_160},
		{"psum spad updates", spad[hardware.Outputs].Updates, pe * 3_833_856},
		{"psum spad reads", spad[hardware.Outputs].Reads, pe * 3_828_864},
		{"psum spad fills", spad[hardware.Outputs].Fills, pe * 314_496},
		{"GLB input reads", glb[hardware.Inputs].Reads, 3_594_240},
		{"GLB input fills", glb[hardware.Inputs].Fills, 1_382_400},
		{"DRAM input reads", dram[hardware.Inputs].Reads, 1_382_400},
		{"GLB psum updates", glb[hardware.Outputs].Updates, 16_613_376},
		{"GLB psum reads", glb[hardware.Outputs].Reads, 16_353_792},
		{"DRAM weight reads", dram[hardware.Weights].Reads, 884_736},
		{"DRAM output writes", dram[hardware.Outputs].Updates, 259_584},
		{"DRAM output reads", dram[hardware.Outputs].Reads, 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
	if s := mapping.Format(a); s != "DRAM: K6 C64 | GLB: N4 P13 / X:Q13 Y:K4 Y:S3 | spad: R3 C4 K16" {
		t.Errorf("the mapping prints as %s", s)
	}
	a.Overheads.ReadFirst = true
	if got := evaluate().Access[2][hardware.Outputs].Fills; got != pe*319_488 {
		t.Errorf("psum spad fills with the first read: %v, want %d", got, pe*319_488)
	}
	a.Overheads.ReadFirst = false
	a.Levels[1].Network.SharedWindows = true
	if got := evaluate().Access[1][hardware.Inputs].Reads; got != 3_594_240*15/39 {
		t.Errorf("GLB input reads with shared windows: %v, want %v", got, 3_594_240*15/39)
	}
}

func TestMappingErrors(t *testing.T) {
	a, err := Parse("conv3.yaml", []byte(conv3Arch))
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEvaluator(a, hardware.AlexNet(1).Layer("conv3"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ mapping, want string }{
		{"nowhere: K6", "does not begin with a level"},
		{"DRAM: X3", "no loop is called"},
		{"DRAM: K0", "bound from 1"},
		{"GLB: K2 / Z:K3", "axis"},
		{"DRAM: K384 C256 P13 Q13 R3", "loop S multiply to 1"},
		{"DRAM: K384 C256 P13 Q13 R3 / X:S3", "does not fan out"},
		{"DRAM: K384 C256 P13 Q13 R3 | GLB: / X:S15", "more than its 14"},
		{"DRAM: K2 K384 C256 P13 Q13 R3 S3", "runs twice"},
		{"DRAM: K16 C256 P13 Q13 R3 S3 | spad: K24 C3", ""},
		{"DRAM: K16 C256 P13 Q13 R3 S3 | spad: K25", "do not fit"},
		{"DRAM: K16 C1 P13 Q13 R3 S3 | GLB: C256 | spad: K24 P2", "do not fit: 24 words of weights of 224, 2 words of inputs of 12, 48 words of outputs of 24"},
	} {
		m, err := ParseMapping(a, c.mapping)
		if err == nil {
			_, err = e.Evaluate(m)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.mapping, err, c.want)
		}
	}
}

func TestBadDescriptions(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"clock_mhz: 200", "clock_mhz: 0", "x.yaml:3: clock_mhz: 0"},
		{"clock_mhz: 200", "clock_hmz: 200", `x.yaml:3: unknown key "clock_hmz"; did you mean "clock_mhz"?`},
		{"bytes: 102400", "bytes: -1", "x.yaml:11: levels[1].bytes: -1 is no possible capacity"},
		{"bytes: 102400", "doc: 3", `x.yaml:11: unknown key "doc"`},
		{"bytes: 102400", "read_pj: 1", `level "GLB" has no capacity`},
		{"bytes: 102400", "bytes: 100\n    read_words_per_cycle: -2", "x.yaml:12: levels[1].read_words_per_cycle: -2 is out of range"},
		{"bytes: 102400", "bytes: 100\n    write_words_per_cycle: 0", "x.yaml:12: write_words_per_cycle is 0: nothing could move"},
		{"holds: IO", "holds: IO\n    bypass: W", "x.yaml:11: levels[1].bypass: level \"GLB\" does not hold W"},
		{"holds: IO", "holds: IO\n    order: KCK", "x.yaml:11: levels[1].order: loop K is named twice"},
		{"holds: IO", "holds: IO\n    bounds: {Z: 3}", "x.yaml:11: levels[1].bounds: no loop is called"},
		{"holds: IO", "holds: IO\n    bounds: {R: 0}", "x.yaml:11: levels[1].bounds.R: 0"},
		{"name: conv3", "base: x.yaml", "x.yaml:2: base: goes round in a circle: x.yaml builds on x.yaml"},
		{"name: conv3", "base: no-such", "x.yaml:2: base: no architecture is called"},
		{"fan_out: [X, Y]", "fan_out: [X]", "fans out at no level"},
		{"fan_out: [X, Y]", "fan_out: [X, Z]", `x.yaml:12: levels[1].fan_out[1]: no axis of the array is called "Z"`},
		{"size: 12", "size: 0", "x.yaml:5: array.axes[1].size: 0"},
		{"size: 12", "size: 12, loops: KZ", `no loop is called "Z"`},
		{"name: GLB", "name: DRAM", "used twice"},
		{"holds: IO", "holds: IX", "x.yaml:10: levels[1].holds"},
		{"W: {words: 224}", "X: {words: 3}", "no operand is called"},
		{"W: {words: 224}", "W: {words: 0}", "no possible capacity"},
		{"name: conv3", "name: [", "x.yaml:"},
		{"name: conv3", "name: &a conv3", "x.yaml:2: anchors"},
		{"clock_mhz: 200", "include: x.yaml", `unknown key "include"`},
		{"clock_mhz: 200", "clock_mhz: fast", "x.yaml:3: want a number"},
		{"bytes: 102400", "bytes: lots", "x.yaml:11: want a whole number"},
		{"bytes: 102400", "bytes: 99999999999999999999", "x.yaml:11: 99999999999999999999 is out of range"},
		{"bytes: 102400", "bytes: 3", "x.yaml:11: levels[1].bytes: 3 is less than a word of each operand, 32 bits"},
		{"bytes: 102400", "bytes: 7\n    double_buffered: true", "x.yaml:11: levels[1].bytes: half of 7 is less than a word of each operand, 32 bits"},
		{"name: conv3", "name: " + strings.Repeat("[", 1000), "nested"},
		{"name: conv3", "name: " + strings.Repeat("x", 70000), "at most"},
	} {
		text := strings.Replace(conv3Arch, c.old, c.new, 1)
		_, err := Parse("x.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.new[:min(len(c.new), 60)], err, c.want)
		}
	}
	if _, err := Load("no-such-machine"); err == nil || !strings.Contains(err.Error(), "eyeriss-v1") {
		t.Errorf("an unknown name: %v", err)
	}
	for _, name := range Library() {
		if a, err := Load(name); err != nil || a.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBase builds descriptions on others.
func TestBase(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, err := Load(write("faster.yaml", "base: eyeriss-v1\nname: faster\nclock_mhz: 400\n"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Load(write("faster8.yaml", "base: faster.yaml\nname: faster8\narray: {bits: {w: 8, a: 8, psum: 24}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	old, err := Load("eyeriss-v1")
	if err != nil {
		t.Fatal(err)
	}
	if a.Name != "faster" || a.ClockMHz != 400 || a.Lanes() != old.Lanes() || len(a.Levels) != 3 {
		t.Errorf("%+v", a)
	}
	if b.ClockMHz != 400 || b.Array.Bits.W != 8 || b.Lanes() != old.Lanes() || *b.Array.MACPJ != 2 {
		t.Errorf("%+v", b)
	}
	one := write("one.yaml", "base: two.yaml\nname: one\n")
	write("two.yaml", "name: two\nbase: one.yaml\n")
	if _, err := Load(one); err == nil || !strings.Contains(err.Error(), "two.yaml:2: base: goes round in a circle") {
		t.Errorf("a circle: %v", err)
	}
	broken := write("broken.yaml", "base: eyeriss-v1\nname: b\nclock: 3\n")
	if _, err := Load(write("upon.yaml", "base: broken.yaml\n")); err == nil || !strings.Contains(err.Error(), broken+":3: unknown key") {
		t.Errorf("a broken base: %v", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a folder is read")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(conv3Arch))
	for _, name := range Library() {
		b, _ := Source(name)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse("f.yaml", b)
		if err != nil {
			return
		}
		if _, err := NewEvaluator(a, hardware.FC("fc", 1, 10, 10)); err != nil {
			t.Errorf("a checked description does not compile: %v", err)
		}
	})
}

func FuzzMapping(f *testing.F) {
	a, err := Parse("conv3.yaml", []byte(conv3Arch))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("DRAM: K6 C64 | GLB: N4 P13 / X:Q13 Y:K4 Y:S3 | spad: R3 C4 K16")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMapping(a, text)
		if err != nil {
			return
		}
		e, err := NewEvaluator(a, hardware.AlexNet(4).Layer("conv3"))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := e.Evaluate(m); err == nil && r.Cycles*168 < float64(hardware.AlexNet(4).Layer("conv3").MACs()) {
			t.Errorf("%s: %v cycles beat the array", text, r.Cycles)
		}
	})
}

// TestTimeloopReference evaluates the mapping that Timeloop reports for a layer
// of stride 2 on its public model of Eyeriss, and expects the accesses that it
// reports. They differ in one place: two tiles side by side share a column of
// inputs, which Timeloop reads twice (157,296 words).
func TestTimeloopReference(t *testing.T) {
	a, err := Parse("e.yaml", []byte(strings.Replace(conv3Arch, "{W: {words: 224}, I: {words: 12}, O: {words: 24}}", "{W: {words: 384}, I: {words: 24}, O: {words: 16}}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMapping(a, "DRAM: P8 Q2 K4 | GLB: P14 Q4 / X:Q14 Y:C3 Y:S3 | spad: R3 K8")
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEvaluator(a, hardware.Conv("c", 1, 1, 32, 3, 224, 3, 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Evaluate(m)
	if err != nil {
		t.Fatal(err)
	}
	const pe = 126
	dram, glb, spad := r.Access[0], r.Access[1], r.Access[2]
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"active elements", r.Active, pe},
		{"cycles", r.Compute, 86_016},
		{"weight spad reads", spad[hardware.Weights].Reads, pe * 86_016},
		{"weight spad fills", spad[hardware.Weights].Fills, pe * 1536},
		{"input spad reads", spad[hardware.Inputs].Reads, pe * 86_016},
		{"input spad fills", spad[hardware.Inputs].Fills, pe * 10_752},
		{"psum spad reads", spad[hardware.Outputs].Reads, pe * 57_344},
		{"psum spad updates", spad[hardware.Outputs].Updates, pe * 86_016},
		{"GLB input reads", glb[hardware.Inputs].Reads, 1_354_752},
		{"GLB psum updates", glb[hardware.Outputs].Updates, 401_408},
		{"DRAM weight reads", dram[hardware.Weights].Reads, 13_824},
		{"DRAM input reads", dram[hardware.Inputs].Reads, 157_296 - 8*29*3},
		{"DRAM output writes", dram[hardware.Outputs].Updates, 401_408},
	} {
		if c.got != c.want {
			t.Errorf("%s: %.0f, want %.0f", c.name, c.got, c.want)
		}
	}
}
