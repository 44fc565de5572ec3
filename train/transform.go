package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// seedInput is the name of the graph input that holds the seed of a step's
// dropout.
const seedInput = "train/seed"

// statistic is a running statistic: a constant of the graph and the value
// that holds its successor after a step.
type statistic struct {
	name string
	next *graph.Value
}

// training rewrites g for training: batch normalization on the statistics of
// the batch (with what follows it fused in), dropout that really drops.
func training(g *graph.Graph, freezeNorm bool) (stats []statistic, err error) {
	for _, n := range slices.Clone(g.Nodes) {
		switch {
		case n.Is("BatchNormalization") && !freezeNorm:
			s, err := trainNorm(g, n)
			if err != nil {
				return nil, err
			}
			stats = append(stats, s...)
		case n.Is("Dropout"):
			if err := trainDropout(g, n); err != nil {
				return nil, err
			}
		}
	}
	return stats, nil
}

// trainNorm replaces a batch normalization, the residual addition and the
// activation behind it (each if it is the only reader) by one BatchNormTrain.
func trainNorm(g *graph.Graph, n *graph.Node) ([]statistic, error) {
	for i := 1; i < 5; i++ {
		if n.In(i) == nil {
			return nil, n.Errorf("lacks input %d", i)
		}
	}
	attrs := graph.Attrs{"epsilon": n.Float("epsilon", 1e-5), "momentum": n.Float("momentum", 0.9)}
	in := slices.Clone(n.Inputs[:5])
	chain := []*graph.Node{n}
	last := n
	if next := soleReader(last); next.Is("Add") {
		other := next.Inputs[0]
		if other == last.Outputs[0] {
			other = next.Inputs[1]
		}
		if other != last.Outputs[0] && other.Data == nil && sameShape(other, last.Outputs[0]) {
			in, last = append(in, other), next
			chain = append(chain, last)
		}
	}
	if next := soleReader(last); next != nil {
		if lo, hi, ok := clamp(next); ok {
			attrs["min"], attrs["max"] = lo, hi
			last = next
			chain = append(chain, last)
		}
	}
	name := n.Name
	t := g.NewNode(graph.DrawknifeDomain, "BatchNormTrain", name+"/train", in,
		[]string{name + "/y", name + "/mean", name + "/inv_std", name + "/new_mean", name + "/new_var"}, attrs)
	g.InsertAfter(last, t)
	if err := t.InferShape(); err != nil {
		return nil, err
	}
	g.ReplaceUses(last.Outputs[0], t.Outputs[0])
	for _, fused := range slices.Backward(chain) {
		g.Remove(fused)
	}
	var stats []statistic
	for i := range 2 {
		if v := in[3+i]; v.Data != nil {
			stats = append(stats, statistic{v.Name, t.Outputs[3+i]})
		}
	}
	return stats, nil
}

// soleReader is the only node that reads n's output, nil if there are more or
// the output is one of the graph's.
func soleReader(n *graph.Node) *graph.Node {
	v := n.Outputs[0]
	if v.IsOutput() {
		return nil
	}
	return v.SoleUse()
}

func sameShape(a, b *graph.Value) bool {
	return a.Shape != nil && b.Shape != nil && len(a.Shape) == len(b.Shape) &&
		slices.EqualFunc(a.Shape, b.Shape, func(x, y graph.Dim) bool { return x.Same(y) })
}

// clamp recognises activations that only limit their input.
func clamp(n *graph.Node) (lo, hi float32, ok bool) {
	lo, hi = float32(math.Inf(-1)), float32(math.Inf(1))
	switch {
	case n.Is("Relu"):
		return 0, hi, true
	case n.Is("Clip"):
		for i, p := range []*float32{&lo, &hi} {
			if v := n.In(1 + i); v != nil {
				if v.Data == nil || v.Data.Len() != 1 {
					return 0, 0, false
				}
				*p = float32(v.Data.At(0))
			}
		}
		return lo, hi, true
	}
	return 0, 0, false
}

// trainDropout makes a Dropout drop in training. Its ratio must be constant.
func trainDropout(g *graph.Graph, n *graph.Node) error {
	ratio := float32(0.5)
	if v := n.In(1); v != nil {
		if v.Data == nil || v.Data.Len() != 1 {
			return n.Errorf("its ratio %q is not a constant number", v.Name)
		}
		ratio = float32(v.Data.At(0))
	}
	if !(ratio >= 0 && ratio < 1) {
		return n.Errorf("ratio %v is not in [0, 1)", ratio)
	}
	if n.Out(1) != nil && (len(n.Outputs[1].Uses()) > 0 || n.Outputs[1].IsOutput()) {
		return n.Errorf("its mask is used, which training does not support")
	}
	if ratio == 0 {
		g.ReplaceUses(n.Outputs[0], n.Inputs[0])
		g.Remove(n)
		return nil
	}
	seed := g.Value(seedInput)
	if seed == nil {
		seed = g.AddInput(seedInput, tensor.Int64, graph.Shape{})
	}
	stream := int64(len(seed.Uses()))
	t := g.NewNode(graph.DrawknifeDomain, "DropoutTrain", n.Name+"/train", []*graph.Value{n.Inputs[0], seed},
		[]string{n.Name + "/dropped"}, graph.Attrs{"ratio": ratio, "stream": stream})
	g.InsertBefore(n, t)
	if err := t.InferShape(); err != nil {
		return err
	}
	g.ReplaceUses(n.Outputs[0], t.Outputs[0])
	g.Remove(n)
	return nil
}

// logits finds the [N, classes] value to put the loss on: the first output,
// or what enters its final Softmax.
func logits(g *graph.Graph) (*graph.Value, error) {
	if len(g.Outputs) == 0 {
		return nil, fmt.Errorf("the network has no output")
	}
	v := g.Outputs[0]
	if v.Producer().Is("Softmax") {
		if axis := v.Producer().Int("axis", -1); axis == -1 || axis == len(v.Shape)-1 || len(v.Shape) == 4 && axis == 1 {
			v = v.Producer().Inputs[0]
		}
	}
	if len(v.Shape) > 2 {
		v = g.Add("Flatten", "train/flatten", graph.Attrs{"axis": int64(1)}, v)
	}
	if len(v.Shape) != 2 || !v.Shape[1].Known() || v.Shape[1].Size < 1 {
		return nil, fmt.Errorf("output %q has shape %v; a classifier's is [N, classes]", v.Name, v.Shape)
	}
	if v.Type != tensor.Float32 {
		return nil, fmt.Errorf("output %q is %v; only float32 networks can be trained", v.Name, v.Type)
	}
	return v, nil
}

// Names of the loss inputs.
const (
	targetInput  = "train/target"
	teacherInput = "train/teacher"
)

// addLoss adds the loss of c on z and returns it. soft says that targets are
// distributions.
func addLoss(g *graph.Graph, z *graph.Value, c *Config, soft bool, extra []*graph.Value) (*graph.Value, error) {
	batch, classes := z.Shape[0], z.Shape[1]
	own := func(op string, attrs graph.Attrs, target *graph.Value) (*graph.Value, error) {
		n := g.Append(g.NewNode(graph.DrawknifeDomain, op, "train/"+op, []*graph.Value{z, target}, []string{"train/" + op + "/loss", "train/" + op + "/grad"}, attrs))
		return n.Outputs[0], n.InferShape()
	}
	var target *graph.Value
	if soft {
		target = g.AddInput(targetInput, tensor.Float32, graph.Shape{batch, classes})
	} else {
		target = g.AddInput(targetInput, tensor.Int32, graph.Shape{batch})
	}
	op, attrs := "SoftmaxCrossEntropy", graph.Attrs{"smoothing": c.LabelSmoothing}
	if c.Loss == MSE {
		op, attrs = "MSELoss", nil
	}
	loss, err := own(op, attrs, target)
	if err != nil {
		return nil, err
	}
	scaled := func(v *graph.Value, by float32) *graph.Value {
		return g.Add("Mul", "", nil, v, g.AddConst("train/weight", tensor.Scalar(by)))
	}
	if d := c.Distill; d != nil {
		teacher := g.AddInput(teacherInput, tensor.Float32, graph.Shape{batch, classes})
		op, attrs := "KLDistill", graph.Attrs{"temperature": d.Temperature}
		if d.MSE {
			op, attrs = "MSELoss", nil
		}
		second, err := own(op, attrs, teacher)
		if err != nil {
			return nil, err
		}
		loss = g.Add("Add", "", nil, scaled(loss, 1-d.Weight), scaled(second, d.Weight))
	}
	for _, v := range extra {
		if n, ok := tensor.NumElements(v.Shape.Ints()); !v.Shape.Known() || !ok || n != 1 {
			return nil, fmt.Errorf("loss term %q has shape %v, want one number", v.Name, v.Shape)
		}
		loss = g.Add("Add", "", nil, loss, g.Add("Reshape", "", nil, v, g.AddConst("train/scalar", tensor.New(tensor.Int64, 0))))
	}
	return loss, nil
}
