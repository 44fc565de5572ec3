package cpu

import "testing"

// TestChoose forces every level: one the CPU has is taken, others are reported
// and leave the choice to what was detected.
func TestChoose(t *testing.T) {
	top := choose("")
	if top.err != nil || !Has(top.level) {
		t.Fatalf("without DRAWKNIFE_CPU: %v, %v", top.level, top.err)
	}
	for l, name := range names {
		got := choose(name)
		switch {
		case Has(l) && (got.level != l || got.err != nil || l > top.level):
			t.Errorf("%s: got %v, %v", name, got.level, got.err)
		case !Has(l) && (got.level != top.level || got.err == nil):
			t.Errorf("%s, which this CPU lacks: got %v, %v", name, got.level, got.err)
		}
	}
	if got := choose("pentium"); got.level != top.level || got.err == nil {
		t.Errorf("an unknown level: got %v, %v", got.level, got.err)
	}
}

// TestLevels says what this CPU has: each level includes those below it of the
// same architecture.
func TestLevels(t *testing.T) {
	for _, ladder := range [][]Level{{Portable, AVX2, AVX512, VNNI, VBMI, AMX}, {Portable, AVX2, AVXVNNI}, {Portable, NEON, DotProd}} {
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
