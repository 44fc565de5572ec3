package quantize

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// importance weighs the elements of the value of that name, for each image, by
// the gradient of the network's loss with respect to them: (1 + |g|/mean|g|)/2.
// The squares of such weights are BRECQ's diagonal Fisher information, softened
// as in the authors' program, so that images of which the network is certain
// count too. The loss is the cross-entropy with the class that the network
// itself chooses; labels are not needed.
func importance(ctx context.Context, g *graph.Graph, name string, images []*tensor.Tensor, threads int) ([]float32, error) {
	labels, err := ownClasses(ctx, g, images, threads)
	if err != nil {
		return nil, err
	}
	programs := map[int]*engine.Program{} // by the number of images
	var all []float32
	sum := 0.0
	for i, x := range images {
		p := programs[x.Shape[0]]
		if p == nil {
			if p, err = sensitivities(g, name, x.Shape, threads); err != nil {
				return nil, err
			}
			programs[x.Shape[0]] = p
		}
		in := []*tensor.Tensor{x, labels[i]}
		if p.Inputs()[0] != g.Inputs[0].Name {
			slices.Reverse(in)
		}
		out := p.NewOutputs()
		if err := p.RunInto(ctx, in, out); err != nil {
			return nil, err
		}
		for _, v := range out[0].Float32s() {
			a := math.Abs(float64(v)) * float64(x.Shape[0]) // the loss is a mean
			sum += a
			all = append(all, float32(a))
		}
	}
	mean := sum / float64(max(len(all), 1))
	for i, a := range all {
		all[i] = 1
		if mean > 0 {
			all[i] = float32((1 + float64(a)/mean) / 2)
		}
	}
	return all, nil
}

// sensitivities compiles the gradient of the cross-entropy with respect to the
// value of that name; its inputs are the images and their classes.
func sensitivities(g *graph.Graph, name string, shape []int, threads int) (*engine.Program, error) {
	g = g.Clone()
	if err := g.BindInputs(map[string][]int{g.Inputs[0].Name: shape}); err != nil {
		return nil, err
	}
	loss, err := crossEntropy(g, "fisher")
	if err != nil {
		return nil, err
	}
	v := g.Value(name)
	grads, err := autodiff.Gradient(g, loss, []*graph.Value{v})
	if err != nil {
		return nil, err
	}
	if grads[v] == nil {
		return nil, fmt.Errorf("the outputs do not depend on %q", name)
	}
	g.Outputs = []*graph.Value{grads[v]}
	g.RemoveDead()
	return engine.Compile(g, engine.Options{Threads: threads})
}

// crossEntropy adds the loss of a classifier's first output against labels, an
// input called what/labels.
func crossEntropy(g *graph.Graph, what string) (*graph.Value, error) {
	z := g.Outputs[0]
	if z.Producer().Is("Softmax") {
		z = z.Producer().Inputs[0]
	}
	if len(z.Shape) != 2 {
		return nil, fmt.Errorf("quantize: the loss needs a classifier; output %q has shape %v", z.Name, z.Shape)
	}
	target := g.AddInput(what+"/labels", tensor.Int32, z.Shape[:1])
	n := g.Append(g.NewNode(graph.DrawknifeDomain, "SoftmaxCrossEntropy", what+"/loss", []*graph.Value{z, target}, []string{what + "/loss", what + "/grad"}, nil))
	return n.Outputs[0], n.InferShape()
}
