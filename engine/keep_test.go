package engine_test

import (
	"context"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// TestKeepEveryValue keeps each value of small networks, alone: whatever
// preparing folds or merges, and whatever runs in bands or in place, it is what
// the graph says.
func TestKeepEveryValue(t *testing.T) {
	for _, spec := range []string{"efficientnet-b0?width=0.1&size=32&classes=10", "mobilenetv3-small?width=0.1&size=32&classes=10",
		"shufflenetv1?width=0.2&size=32&classes=10", "resnet8?width=0.5"} {
		t.Run(spec, func(t *testing.T) {
			g, err := zoo.Build(spec, 1)
			if err != nil {
				t.Fatal(err)
			}
			in := randomInputs(g, 1, 5)
			want := map[string]*tensor.Tensor{}
			if err := eval.Trace(g, in, func(v *graph.Value, x *tensor.Tensor) error {
				want[v.Name] = x.Clone()
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for _, n := range g.Nodes {
				name := n.Outputs[0].Name
				p, err := engine.Compile(g, engine.Options{Shapes: shapesOf(in), Threads: 1, Keep: []string{name}})
				if err != nil {
					t.Fatalf("%s of %s: %v", name, n.Op, err)
				}
				got, err := p.Run(context.Background(), in)
				if err != nil {
					t.Fatal(err)
				}
				if d := worst(got[name], want[name]); d > 1e-5 {
					t.Errorf("%s of %s differs by %.2g of its largest element", name, n.Op, d)
				}
			}
		})
	}
}
