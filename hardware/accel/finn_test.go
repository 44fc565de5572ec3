package accel

import (
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestFoldingExact: PEs and lanes must divide the matrix.
func TestFoldingExact(t *testing.T) {
	l := hardware.Conv("c", 1, 1, 64, 3, 32, 3, 1, 0)
	for _, f := range []folding{{5, 16}, {3, 17}, {0, 1}, {1, 0}, {-3, 16}} {
		if _, err := f.fold(l); err == nil || !strings.Contains(err.Error(), `"c"`) {
			t.Errorf("%d lanes, %d PEs: %v", f.simd, f.pe, err)
		}
	}
	if n, err := (folding{27, 64}).cycles(l); err != nil || n != 900 {
		t.Errorf("fully unrolled: %v cycles, %v; want one a pixel", n, err)
	}
	if n, err := (folding{1, 1}).cycles(l); err != nil || n != float64(l.MACs()) {
		t.Errorf("one lane: %v cycles, %v; want %d", n, err, l.MACs())
	}
}

// TestFINNCheapest compares with all foldings of a layer.
func TestFINNCheapest(t *testing.T) {
	l := hardware.Conv("c", 1, 2, 24, 20, 6, 3, 1, 0)
	for _, limit := range []float64{32, 100, 999, 1e4, 1e6} {
		got, ok := finnCheapest(l, limit)
		least := 0
		for pe := 1; pe <= 12; pe++ {
			for simd := 1; simd <= 90; simd++ {
				if n, err := (folding{simd, pe}).cycles(l); err == nil && n <= limit && (least == 0 || pe*simd < least) {
					least = pe * simd
				}
			}
		}
		if !ok || got.lanes() != least {
			t.Errorf("%v cycles: %v, %v; %d lanes are enough", limit, got, ok, least)
		}
	}
	if _, ok := finnCheapest(l, 31); ok {
		t.Error("faster than fully unrolled")
	}
}

// TestFINNBudget: more LUTs never make a slower pipeline, and they are kept to.
func TestFINNBudget(t *testing.T) {
	last := 0.0
	for _, luts := range []float64{400e3, 200e3, 100e3, 50e3, 20e3} {
		p, ok := finnWithin(finnCNV(10), luts)
		if !ok || p.luts() > luts || p.interval() < last || p.latency() < p.interval() {
			t.Errorf("%v LUTs: %v are used, %v cycles, latency %v, before %v", luts, p.luts(), p.interval(), p.latency(), last)
		}
		last = p.interval()
	}
	if p, ok := finnWithin(finnCNV(10), 100); ok || p.lanes() != 9 {
		t.Errorf("100 LUTs: %v lanes, fits %v", p.lanes(), ok)
	}
}

// TestFINNStream: two images take one interval more than one.
func TestFINNStream(t *testing.T) {
	one, err := runFINN(&hardware.Workload{Name: "cnv", Batch: 1, Layers: finnCNV(10)})
	if err != nil {
		t.Fatal(err)
	}
	w := &hardware.Workload{Name: "cnv", Batch: 2}
	for _, l := range finnCNV(10) {
		w.Layers = append(w.Layers, l.With(2))
	}
	two, err := runFINN(w)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := finnWithin(finnCNV(10), finnLUTs)
	if two.Cycles != one.Cycles+p.interval() || one.Cycles != p.latency() {
		t.Errorf("one image takes %v cycles, two %v; interval %v, latency %v", one.Cycles, two.Cycles, p.interval(), p.latency())
	}
}
