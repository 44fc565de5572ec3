package graph_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
)

// shuffled is a random order of a group's channels that Permute allows.
func shuffled(gr *graph.Group, r *rand.Rand) (order []int, moved int) {
	for c := range gr.Size {
		order = append(order, c)
	}
	for _, set := range gr.Alike() {
		for i, k := range r.Perm(len(set)) {
			order[set[i]] = set[k]
			if i != k {
				moved++
			}
		}
	}
	return order, moved
}

// TestPermute: networks compute the same whatever the order of their channels.
func TestPermute(t *testing.T) {
	networks := map[string]*graph.Graph{}
	for _, p := range slices.Concat(patterns, networkPatterns) {
		networks[p.name] = p.build().Graph
	}
	for _, spec := range []string{"resnet20?width=0.5", "densenet121?size=32&width=0.125", "shufflenetv2?size=32&width=0.5", "mobilenetv3-small?size=32",
		"vgg11-cifar?width=0.125", "shufflenetv1?size=32"} {
		networks[spec] = build(t, spec)
	}
	total := 0
	for name, g := range networks {
		if err := g.InferShapes(); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(17, 18))
		x := images(g, r)
		before := execute(t, g, x...)
		groups, err := g.Groups()
		if err != nil {
			t.Fatal(err)
		}
		for _, gr := range groups {
			order, moved := shuffled(gr, r)
			total += moved
			if err := gr.Permute(order); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if d := difference(t, before, execute(t, g, x...)); !(d <= 1e-4) {
			t.Errorf("%s: other orders of channels change the output by %.3g of its largest value", name, d)
		}
	}
	if total < 1000 {
		t.Errorf("only %d channels changed places", total)
	}
}

func TestPermuteRefuses(t *testing.T) {
	n, x := newNet(1, 4, 6, 6)
	n.head(n.conv(n.relu(n.conv(x, 8, 3, 2)), 4, 1, 1))
	groups, err := n.Groups()
	if err != nil {
		t.Fatal(err)
	}
	g := groups[0]
	for want, order := range map[string][]int{
		"want 8":       {0, 1},
		"twice":        {0, 0, 1, 2, 3, 4, 5, 6},
		"change place": {4, 1, 2, 3, 0, 5, 6, 7}, // of different groups of the convolution
	} {
		if err := g.Permute(order); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want an error with %q", order, err, want)
		}
	}
	last := groups[len(groups)-1]
	if err := last.Permute([]int{1, 0, 2, 3, 4}); err == nil || last.Alike() != nil {
		t.Errorf("the outputs changed places: %v", err)
	}
}
