package quantize

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Synthesize makes images to calibrate on when there are none: from noise, it
// moves the pixels until what enters each batch normalization has the mean and
// variance that the normalization remembers from training (Cai et al., "ZeroQ: a
// novel zero shot quantization framework", CVPR 2020). shape is that of a batch.
// Pixels are in the units that the network takes.
func Synthesize(ctx context.Context, g *graph.Graph, shape []int, steps, threads int, seed uint64) (Batches, error) {
	fail := func(err error) (Batches, error) { return nil, fmt.Errorf("quantize: synthetic images: %w", err) }
	if len(g.Inputs) != 1 || len(shape) != 4 {
		return fail(fmt.Errorf("the model must take one batch of images; it has %d inputs", len(g.Inputs)))
	}
	g = g.Clone()
	if err := g.BindInputs(map[string][]int{g.Inputs[0].Name: shape}); err != nil {
		return fail(err)
	}
	if _, err := eval.Fold(g); err != nil {
		return fail(err)
	}
	rng := rand.New(rand.NewPCG(seed, 0x5e70))
	noise := tensor.New(tensor.Float32, shape...)
	for i, d := 0, tensor.Data[float32](noise); i < len(d); i++ {
		d[i] = float32(rng.NormFloat64())
	}
	x := g.AddConst("synthetic", noise)
	in := g.Inputs[0]
	for len(in.Uses()) > 0 {
		u := in.Uses()[0]
		u.Node.SetInput(u.Index, x)
	}
	g.Inputs = nil
	loss, err := statisticsLoss(g)
	if err != nil {
		return fail(err)
	}
	grads, err := autodiff.Gradient(g, loss, []*graph.Value{x})
	if err != nil {
		return fail(err)
	}
	g.Outputs = []*graph.Value{loss, grads[x]}
	g.RemoveDead()
	program, err := engine.Compile(g, engine.Options{Threads: threads, Variables: []string{x.Name}})
	if err != nil {
		return fail(err)
	}
	out := program.NewOutputs()
	p := &roundParam{v: tensor.Data[float32](program.Variable(x.Name)), g: tensor.Data[float32](out[1])}
	p.a, p.b = make([]float32, len(p.v)), make([]float32, len(p.v))
	for step := range steps {
		if err := program.RunInto(ctx, nil, out); err != nil {
			return fail(err)
		}
		if l := out[0].At(0); l-l != 0 {
			return fail(errors.New("the statistics of the model do not fit it: no images come out"))
		}
		rate := 0.1 * (1 + math.Cos(math.Pi*float64(step)/float64(steps))) / 2
		p.adam(rate, step+1, nil)
	}
	images := append([]float32(nil), p.v...)
	return func(yield func(*data.Batch, error) bool) {
		yield(&data.Batch{N: shape[0], C: shape[1], H: shape[2], W: shape[3], X: images, Y: make([]int32, shape[0])}, nil)
	}, nil
}

// statisticsLoss adds Σ mean((m − μ)²/σ²) + mean((s/σ − 1)²) over the batch
// normalizations, m and s being the mean and deviation of what enters.
func statisticsLoss(g *graph.Graph) (*graph.Value, error) {
	var loss *graph.Value
	for _, n := range append([]*graph.Node(nil), g.Nodes...) {
		if !n.Is("BatchNormalization") || n.In(3) == nil || n.In(4) == nil || n.Inputs[3].Data == nil || n.Inputs[4].Data == nil || len(n.Inputs[0].Shape) != 4 {
			continue
		}
		mean, variance := n.Inputs[3].Data.Float32s(), n.Inputs[4].Data.Float32s()
		shape := []int{1, len(mean), 1, 1}
		inverse := make([]float32, len(mean))
		for i, v := range variance {
			inverse[i] = float32(1 / math.Sqrt(float64(max(v, 0))+float64(n.Float("epsilon", 1e-5))))
		}
		at := func(op string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
			return g.Add(op, n.Name+"/statistics", attrs, in...)
		}
		axes := g.AddConst("axes", tensor.Of([]int64{0, 2, 3}, 3))
		average := func(v *graph.Value) *graph.Value {
			return at("ReduceMean", graph.Attrs{"keepdims": int64(1)}, v, axes)
		}
		scale := g.AddConst("inverse", tensor.Of(inverse, shape...))
		x := at("Mul", nil, at("Sub", nil, n.Inputs[0], g.AddConst("mean", tensor.Of(mean, shape...))), scale)
		m := average(x)
		centered := at("Sub", nil, x, m)
		s := at("Sqrt", nil, at("Add", nil, average(at("Mul", nil, centered, centered)), g.AddConst("least", tensor.Scalar(float32(1e-6)))))
		off := at("Sub", nil, s, g.AddConst("one", tensor.Scalar(float32(1))))
		sum := at("Add", nil, at("Mul", nil, m, m), at("Mul", nil, off, off))
		term := at("ReduceMean", graph.Attrs{"keepdims": int64(0)}, sum)
		if loss != nil {
			term = at("Add", nil, loss, term)
		}
		loss = term
	}
	if loss == nil {
		return nil, errors.New("the model has no batch normalization whose statistics images could follow; give it data")
	}
	return loss, nil
}
