package fake

import (
	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Learned is its input: it marks a constant that an operator of ONNX reads as
// one to train.
const Learned = "Learned"

func init() {
	graph.Register(graph.Op{Domain: graph.DrawknifeDomain, Name: Learned, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Learned: []int{0}, Infer: sameAs(0)})
	eval.Register(graph.DrawknifeDomain, Learned, func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) { return in[:1], nil })
	rule(Learned, func(_ *autodiff.Builder, _ *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
		return dy[:1], nil
	})
}
