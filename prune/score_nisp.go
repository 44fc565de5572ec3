package prune

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "nisp", Family: method.Prune, Summary: "channels that reach the responses before the classifier through the smallest weights",
		Paper: "Yu et al., NISP: Pruning networks using neuron importance score propagation, CVPR", Year: 2018,
		Needs: method.Needs{Data: true},
		New:   func(map[string]string) (any, error) { return &nisp{score: map[*graph.Group][]float64{}}, nil },
	})
}

// nisp ranks the responses that the classifier reads, by Σ_class |W|·std of
// each, and propagates that importance backwards: s_{l−1} = |W_l|ᵀ s_l, with
// |γ|/√(σ²+ε) for batch normalization, activations passed through, and max
// pooling giving each pixel of its window the whole score. A channel's score
// is the sum over its map, behind the normalization of the layer that computes
// it: before it, a filter would count the more the less it has to say, since
// normalization divides by that. Tied layers' scores are averaged in units of
// their means.
//
// The propagation is the gradient of the network with all weights replaced by
// their magnitudes and everything that is not linear by the identity.
type nisp struct{ score map[*graph.Group][]float64 }

func (s *nisp) Observe(ctx context.Context, g *graph.Graph, groups []*graph.Group, d *Data) error {
	final, err := classifier(g)
	if err != nil {
		return err
	}
	importance, err := finalImportance(ctx, g, final, d)
	if err != nil {
		return err
	}
	var wanted []string
	for _, gr := range groups {
		for _, p := range gr.Producers() {
			wanted = append(wanted, normalized(p.Node).Name)
		}
	}
	grads, err := propagate(ctx, g, final.In(0).Name, importance, wanted, d)
	if err != nil {
		return err
	}
	for _, gr := range groups {
		var from []graph.Member
		for _, p := range gr.Producers() {
			for _, m := range gr.Activations {
				if m.Value == normalized(p.Node) && grads[m.Value.Name] != nil {
					from = append(from, m)
				}
			}
		}
		if from == nil {
			continue
		}
		s.score[gr], err = average(gr.Size, from, func(m graph.Member) ([]float64, error) {
			out := make([]float64, gr.Size)
			eachMap(m, grads[m.Value.Name], func(c int, x []float32) {
				for _, v := range x {
					out[c] += float64(v)
				}
			})
			return out, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// normalized is what a layer computes, behind a batch normalization that alone
// reads it.
func normalized(n *graph.Node) *graph.Value {
	v := n.Out(0)
	if u := v.SoleUse(); u != nil && u.Is("BatchNormalization") {
		return u.Out(0)
	}
	return v
}

func (s *nisp) Channels(gr *graph.Group) ([]float64, error) {
	if s.score[gr] == nil {
		return nil, Unrated("it does not reach the classifier's input")
	}
	return s.score[gr], nil
}

// classifier is the last layer with weights.
func classifier(g *graph.Graph) (*graph.Node, error) {
	for _, n := range slices.Backward(g.Nodes) {
		if n.Is("Gemm", "MatMul", "Conv") && n.In(1).IsConst() {
			return n, nil
		}
	}
	return nil, fmt.Errorf("the model has no layer with weights")
}

// finalImportance is Σ_class |W|·std for each feature that the classifier
// reads; of maps (a convolution as classifier) for each channel.
func finalImportance(ctx context.Context, g *graph.Graph, final *graph.Node, d *Data) ([]float32, error) {
	w := final.In(1).Data
	x := w.Float32s()
	div, inputs := w.Shape[len(w.Shape)-1], w.Shape[0] // element i belongs to feature i/div mod inputs: [C, O]
	switch {
	case final.Is("Conv"): // [O, C, kh, kw]
		inputs = w.Shape[1]
		div = w.Len() / (w.Shape[0] * inputs)
	case final.Int("transB", 0) == 1: // [O, C]
		div, inputs = 1, w.Shape[1]
	}
	weight := make([]float64, inputs)
	for i, v := range x {
		weight[i/div%inputs] += math.Abs(float64(v))
	}
	sum, squares, n := make([]float64, inputs), make([]float64, inputs), 0.0
	err := d.Run(ctx, g, []string{final.In(0).Name}, func(_ int, v map[string]*tensor.Tensor) error {
		t := v[final.In(0).Name]
		y := tensor.Data[float32](t)
		inner := 1
		if len(t.Shape) > 2 {
			inner = t.Len() / (t.Shape[0] * t.Shape[1])
		}
		if len(y)%(inputs*inner) != 0 {
			return fmt.Errorf("layer %q reads %v, which does not fit its weights", final.Name, t.Shape)
		}
		for i, v := range y {
			c := i / inner % inputs
			sum[c] += float64(v)
			squares[c] += float64(v) * float64(v)
		}
		n += float64(len(y) / inputs)
		return nil
	})
	out := make([]float32, inputs)
	for c := range out {
		mean := sum[c] / max(n, 1)
		out[c] = float32(weight[c] * sqrt(squares[c]/max(n, 1)-mean*mean))
	}
	return out, err
}

// propagate gives the scores of the wanted values (of one image, by name) when
// the value called final has the given importance by channel.
func propagate(ctx context.Context, g *graph.Graph, final string, importance []float32, wanted []string, d *Data) (map[string]*tensor.Tensor, error) {
	l := g.Clone()
	if err := l.BindInputs(map[string][]int{l.Inputs[0].Name: d.shape(1)}); err != nil {
		return nil, err
	}
	last := l.Value(final)
	l.Outputs = nil // what replaces an output would take its name
	top, err := linearize(l, last)
	if err != nil {
		return nil, err
	}
	if err := l.InferShapes(); err != nil {
		return nil, err
	}
	shape := make([]int, max(len(top.Shape)-1, 1))
	for i := range shape {
		shape[i] = 1
	}
	axis := 0 // of the importance, the batch left out
	if len(shape) == 1 || top.Shape[len(top.Shape)-1].Size == len(importance) && top.Shape[1].Size != len(importance) {
		axis = len(shape) - 1
	}
	shape[axis] = len(importance)
	loss := l.Add("Mul", "", nil, top, l.AddConst(l.UniqueName("importance"), tensor.Of(importance, shape...)))
	if err := l.InferShapes(); err != nil {
		return nil, err
	}
	var wrt []*graph.Value
	for _, name := range wanted {
		if v := l.Value(name); v != nil && !slices.Contains(wrt, v) {
			wrt = append(wrt, v)
		}
	}
	grads, err := autodiff.Gradient(l, loss, wrt)
	if err != nil {
		return nil, err
	}
	of := map[string]string{}
	for _, v := range wrt {
		if dv := grads[v]; dv != nil {
			of[v.Name] = dv.Name
			if !dv.IsOutput() {
				l.AddOutput(dv)
			}
		}
	}
	l.RemoveDead()
	p, err := engine.NewModel(l, engine.Options{Threads: d.Threads}).Run(ctx, inputsOf(l, d))
	if err != nil {
		return nil, err
	}
	out := map[string]*tensor.Tensor{}
	for name, grad := range of {
		out[name] = p[grad]
	}
	return out, nil
}

// inputsOf feeds zeros to what is left of a graph's inputs.
func inputsOf(g *graph.Graph, d *Data) map[string]*tensor.Tensor {
	in := map[string]*tensor.Tensor{}
	for _, v := range g.Inputs {
		in[v.Name] = tensor.New(tensor.Float32, d.shape(1)...)
	}
	return in
}

// linearize replaces weights by their magnitudes and operators that are not
// linear by the identity (activations), the sum (products), or a window's sum
// (max pooling). It returns what has become of the value top.
func linearize(g *graph.Graph, top *graph.Value) (*graph.Value, error) {
	done := map[*graph.Value]bool{}
	magnitude := func(v *graph.Value) {
		if v == nil || v.Data == nil || v.Data.DType != tensor.Float32 || done[v] {
			return
		}
		done[v] = true
		t := v.Data.Clone()
		for i, x := 0, tensor.Data[float32](t); i < len(x); i++ {
			x[i] = float32(math.Abs(float64(x[i])))
		}
		v.SetData(t)
	}
	for _, n := range slices.Clone(g.Nodes) {
		switch {
		case n.Is("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization"):
			magnitude(n.In(1))
		case n.Is(unaryActivations...), n.Is("Dropout", "LRN", "Softmax", "LogSoftmax", "Identity"):
			if top == n.Outputs[0] {
				top = n.Inputs[0]
			}
			g.ReplaceUses(n.Outputs[0], n.Inputs[0])
			g.Remove(n)
		case n.Is("Sub", "Max", "Min", "Mul") && !n.In(0).IsConst() && !n.In(1).IsConst():
			n.Op = "Add"
		case n.Is("Mul", "Div"):
			magnitude(n.In(0))
			magnitude(n.In(1))
		case n.Is("MaxPool", "GlobalMaxPool"):
			if err := windowSum(g, n); err != nil {
				return nil, err
			}
			if top == n.Outputs[0] {
				top = n.Outputs[0].SoleUse().Outputs[0]
			}
		}
	}
	return top, nil
}

// windowSum turns a max pooling into the sum over its window.
func windowSum(g *graph.Graph, n *graph.Node) error {
	window := 1
	if n.Is("GlobalMaxPool") {
		n.Op = "GlobalAveragePool"
		for _, d := range n.Inputs[0].Shape[2:] {
			window *= d.Size
		}
	} else {
		n.Op = "AveragePool"
		n.Attrs["count_include_pad"] = int64(1)
		delete(n.Attrs, "storage_order")
		for _, k := range n.Ints("kernel_shape") {
			window *= k
		}
	}
	if n.Out(1) != nil {
		return n.Errorf("its indices are used; importance cannot pass")
	}
	old := n.Outputs[0]
	times := g.NewNode("", "Mul", g.UniqueNodeName(n.Name+"/window"), []*graph.Value{old, g.AddConst(g.UniqueName("window"), tensor.Scalar(float32(window)))},
		[]string{g.UniqueName(old.Name + "/sum")}, nil)
	g.InsertAfter(n, times)
	if err := times.InferShape(); err != nil {
		return err
	}
	g.ReplaceUses(old, times.Outputs[0])
	times.SetInput(0, old)
	return nil
}
