package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// trainingGraph extends a network of the zoo by a loss and its gradients.
func trainingGraph(t *testing.T, spec string) (g *graph.Graph, variables []string) {
	t.Helper()
	g, err := zoo.Build(spec, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Nodes {
		if n.Is("BatchNormalization") {
			n.SetInt("training_mode", 1)
		}
	}
	labels := g.AddInput("labels", tensor.Int32, graph.Shape{graph.Sym("N")})
	n := g.Append(g.NewNode(graph.DrawknifeDomain, "SoftmaxCrossEntropy", "loss", []*graph.Value{g.Outputs[0], labels}, []string{"loss", "dlogits"}, nil))
	if err := n.InferShape(); err != nil {
		t.Fatal(err)
	}
	var wrt []*graph.Value
	for _, v := range g.Constants() {
		if v.Type == tensor.Float32 && len(v.Shape) > 0 {
			wrt = append(wrt, v)
		}
	}
	grads, err := autodiff.Gradient(g, n.Outputs[0], wrt)
	if err != nil {
		t.Fatal(err)
	}
	g.Outputs = g.Outputs[:0]
	g.AddOutput(n.Outputs[0])
	for _, v := range wrt {
		if grads[v] != nil {
			g.AddOutput(grads[v])
			variables = append(variables, v.Name)
		}
	}
	if err := g.Verify(); err != nil {
		t.Fatal(err)
	}
	return g, variables
}

// TestTrainingAgreesWithEval runs one forward and backward pass both ways.
func TestTrainingAgreesWithEval(t *testing.T) {
	for _, spec := range []string{"lenet5?size=12x16", "resnet8?size=8&width=0.5", "resnet8-mlperf?size=10&width=0.5", "vww?size=64&width=0.5&classes=5", "dscnn?width=0.25",
		"squeezenet1.1?size=40&width=0.25&classes=5", "shufflenetv2?size=96&width=0.5&classes=5", "mobilenetv3-small?size=96&width=0.25&classes=5", "efficientnet-b0?size=64&width=0.25&classes=5"} {
		t.Run(spec, func(t *testing.T) {
			g, variables := trainingGraph(t, spec)
			rng := rand.New(rand.NewPCG(3, 4))
			shape := append([]int{3}, g.Inputs[0].Shape.Ints()[1:]...)
			var in map[string]*tensor.Tensor
			for tries := 0; ; tries++ {
				x := tensor.New(tensor.Float32, shape...)
				for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
					d[i] = float32(rng.NormFloat64())
				}
				in = map[string]*tensor.Tensor{"input": x, "labels": tensor.Of([]int32{4, 0, 2}, 3)}
				if tries == 20 || !nearKink(t, g, in) {
					break
				}
			}
			want, err := eval.Run(g, in)
			if err != nil {
				t.Fatal(err)
			}
			var first map[string]*tensor.Tensor
			for _, threads := range []int{1, 3} {
				p, err := engine.Compile(g, engine.Options{Batch: 3, Threads: threads, Variables: variables})
				if err != nil {
					t.Fatal(err)
				}
				got, err := p.Run(context.Background(), in)
				if err != nil {
					t.Fatal(err)
				}
				for name, w := range want {
					if err := close32(got[name], w); err != nil {
						t.Errorf("%d threads: %s: %v", threads, name, err)
					}
					if first != nil && !first[name].Equal(got[name]) {
						t.Errorf("%s: one and three threads give other bits", name)
					}
				}
				first = got
			}
		})
	}
}

// nearKink reports whether the input of a Relu is as near to 0 as rounding errors
// are large: on which side it is, and with it the gradients before it, would
// depend on the order of sums.
func nearKink(t *testing.T, g *graph.Graph, in map[string]*tensor.Tensor) bool {
	t.Helper()
	errNear := errors.New("near")
	err := eval.Trace(g, in, func(v *graph.Value, x *tensor.Tensor) error {
		if !slices.ContainsFunc(v.Uses(), func(u graph.Use) bool { return u.Node.Is("Relu") }) {
			return nil
		}
		for _, e := range x.Float32s() {
			if e != 0 && math.Abs(float64(e)) < 1e-5 {
				return errNear
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNear) {
		t.Fatal(err)
	}
	return err != nil
}

// close32 compares up to 0.1 % of the tensor's largest element: gradients add
// up rounding errors of many layers.
func close32(got, want *tensor.Tensor) error {
	g, w := got.Float32s(), want.Float32s()
	if len(g) != len(w) {
		return fmt.Errorf("%v, want %v", got, want)
	}
	scale := 0.0
	for _, v := range w {
		scale = max(scale, math.Abs(float64(v)))
	}
	for i := range g {
		if !(math.Abs(float64(g[i]-w[i])) <= 1e-3*scale+1e-6) {
			return fmt.Errorf("element %d is %g, want %g (largest %g)", i, g[i], w[i], scale)
		}
	}
	return nil
}
