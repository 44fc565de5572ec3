package cpu

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain prints the choice where TestForced asks for it.
func TestMain(m *testing.M) {
	if os.Getenv("CPU_TEST_PRINT") == "" {
		os.Exit(m.Run())
	}
	line := Best().String()
	if err := Check(); err != nil {
		line += " " + err.Error()
	}
	os.Stdout.WriteString(line)
}

// TestForced starts processes with DRAWKNIFE_CPU set: a level the CPU has is
// taken, others are reported and leave the choice to what was detected.
func TestForced(t *testing.T) {
	top := Portable
	for l := range names {
		if Has(l) {
			top = max(top, l)
		}
	}
	choose := func(value string) string {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "CPU_TEST_PRINT=1", "DRAWKNIFE_CPU="+value)
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("this test cannot start itself: %v", err)
		}
		return string(out)
	}
	for l, name := range names {
		got, want := choose(name), name
		if !Has(l) {
			want = top.String() + " DRAWKNIFE_CPU=" + name + ": this CPU lacks it"
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("DRAWKNIFE_CPU=%s chooses %q, want %q", name, got, want)
		}
	}
	if got := choose(""); got != top.String() {
		t.Errorf("without DRAWKNIFE_CPU the choice is %q, want %v", got, top)
	}
	if got := choose("pentium"); !strings.HasPrefix(got, top.String()) || !strings.Contains(got, "unknown level") {
		t.Errorf("an unknown level gives %q", got)
	}
}

// TestLevels says what this CPU has: each level includes those below it of the
// same architecture.
func TestLevels(t *testing.T) {
	for _, ladder := range [][]Level{{Portable, AVX2, AVX512, VNNI}, {Portable, NEON, DotProd}} {
		for i := 1; i < len(ladder); i++ {
			if Has(ladder[i]) && !Has(ladder[i-1]) {
				t.Errorf("%v without %v", ladder[i], ladder[i-1])
			}
		}
	}
	if !Has(Portable) || Has(AVX2) && Has(NEON) {
		t.Error("no CPU lacks portable, or has both AVX2 and NEON")
	}
}
