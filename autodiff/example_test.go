package autodiff_test

import (
	"fmt"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// The derivative of Σ x³ is 3·x².
func ExampleGradient() {
	g := graph.New("cubes")
	x := g.AddInput("x", tensor.Float32, graph.Dims(3))
	three := g.AddConst("three", tensor.Scalar[float32](3))
	loss := g.Add("ReduceSum", "loss", nil, g.Add("Pow", "cube", nil, x, three))
	grads, err := autodiff.Gradient(g, loss, []*graph.Value{x})
	if err != nil {
		fmt.Println(err)
		return
	}
	g.AddOutput(grads[x])
	out, err := eval.Run(g, map[string]*tensor.Tensor{"x": tensor.Of([]float32{1, 2, -3}, 3)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out[grads[x].Name].Float32s())
	// Output: [3 12 27]
}
