package prune

import (
	"math"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/zoo"
)

// TestNorms adds up the weights of every kind of member, in the order of
// memory, to what each of its channels holds.
func TestNorms(t *testing.T) {
	kinds := map[graph.Role]int{}
	for _, spec := range []string{"shufflenetv1?size=32&width=0.5", "mobilenetv2?size=32&width=0.25", "vgg11-cifar?width=0.125", "resnet20?width=0.5"} {
		g, err := zoo.Build(spec, 1)
		if err != nil {
			t.Fatal(err)
		}
		groups, err := g.Groups()
		if err != nil {
			t.Fatal(err)
		}
		for _, gr := range groups {
			for _, m := range gr.Members {
				kinds[m.Role]++
				w := m.Value.Data.Float32s()
				got, err := norms(m, math.Abs)
				if err != nil {
					t.Fatal(err)
				}
				for c, at := range m.At {
					want := 0.0
					for _, i := range at {
						each(m, i, func(k int) { want += math.Abs(float64(w[k])) })
					}
					if math.Abs(got[c]-want) > 1e-12*want {
						t.Fatalf("%s: %q of %q, channel %d: %g, want %g", spec, m.Value.Name, gr.Name, c, got[c], want)
					}
				}
			}
		}
	}
	if kinds[graph.Produces] == 0 || kinds[graph.Consumes] == 0 || kinds[graph.Follows] == 0 {
		t.Errorf("only members of kinds %v were met", kinds)
	}
}
