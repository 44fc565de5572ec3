package loopnest

import (
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// BenchmarkEvaluate times one evaluation on a machine of three levels; the goal
// is a microsecond.
func BenchmarkEvaluate(b *testing.B) {
	for _, c := range []struct{ name, mapping string }{
		{"exact", "DRAM: K6 C64 | GLB: N4 P13 / X:Q13 Y:K4 Y:S3 | spad: R3 C4 K16"},
		{"ragged", "DRAM: K6 C64 | GLB: N4 P13 Q2 K2 / X:Q7 Y:K4 Y:S3 | spad: R3 C4 K8"},
	} {
		b.Run(c.name, func(b *testing.B) {
			a, err := Parse("conv3.yaml", []byte(conv3Arch))
			if err != nil {
				b.Fatal(err)
			}
			e, err := NewEvaluator(a, hardware.AlexNet(4).Layer("conv3"))
			if err != nil {
				b.Fatal(err)
			}
			m, err := ParseMapping(a, c.mapping)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := e.Evaluate(m); err != nil {
				b.Fatal(err)
			}
			var r Result
			for b.Loop() {
				e.t.set(&e.full, len(e.m.stores))
				if e.overflow(&e.t) >= 0 {
					b.Fatal("overflow")
				}
				e.evaluate(&e.t, &r)
			}
		})
	}
}
