package layers

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "resconv", Family: method.Layers, Summary: "trains a shortcut around every convolution and a penalized scale on it; what is left is fused into plain convolutions",
		Paper: "Xu et al., Layer pruning via fusible residual convolutional block for deep neural networks, arXiv", Year: 2020,
		Needs: method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "lambda", Default: "0.01", Help: "weight of the L1 penalty on the scales"},
			{Name: "shortcut", Default: "0", Help: "what the shortcuts begin with: 0 keeps a trained network's function, 1 suits new weights"}},
		New: func(o map[string]string) (any, error) {
			l, err := strconv.ParseFloat(o["lambda"], 64)
			if err != nil || !(l > 0) || math.IsInf(l, 1) {
				return nil, fmt.Errorf("lambda %q: want a number above 0", o["lambda"])
			}
			c, err := strconv.ParseFloat(o["shortcut"], 32)
			if err != nil || math.IsNaN(c) || math.IsInf(c, 0) {
				return nil, fmt.Errorf("shortcut %q: want a number", o["shortcut"])
			}
			return &resconv{lambda: l, control: float32(c)}, nil
		},
	})
}

// resconv trains y = s·BN(W∗x) + c·x in place of BN(W∗x), for each convolution
// with as many outputs as inputs and stride 1: s, which begins at 1, is the
// layer's scale under λ|s|, c the information that passes around it. The layers
// of the smallest |s| are left out, y = c·x; the others become plain
// convolutions again, with s in their filters and c on the diagonal of the
// middle tap.
type resconv struct {
	lambda  float64
	control float32
}

// fusible is a convolution that can have a shortcut.
type fusible struct {
	conv *graph.Node
	norm *graph.Node // its batch normalization, nil if there is none
}

// end is the node that computes BN(W∗x).
func (f fusible) end() *graph.Node {
	if f.norm != nil {
		return f.norm
	}
	return f.conv
}

// names of what Grow adds.
func (f fusible) scale() string   { return f.conv.Name + "/scale" }
func (f fusible) control() string { return f.conv.Name + "/shortcut" }

// fusibles lists the convolutions that can have a shortcut, in order.
func fusibles(g *graph.Graph) []fusible {
	var list []fusible
	for _, n := range g.Nodes {
		if !keepsShape(n) {
			continue
		}
		f := fusible{conv: n}
		if next := n.Outputs[0].SoleUse(); next.Is("BatchNormalization") && next.In(0) == n.Outputs[0] && !n.Outputs[0].IsOutput() {
			f.norm = next
		}
		if sameShape(n.Inputs[0], n.Outputs[0]) && !f.end().Outputs[0].IsOutput() {
			list = append(list, f)
		}
	}
	return list
}

// keepsShape reports convolutions of odd kernels, stride 1 and even padding,
// with float32 weights of their own and as many outputs as inputs.
func keepsShape(n *graph.Node) bool {
	if !n.Is("Conv") || n.In(0).Data != nil || n.In(0).IsInput() || !n.In(1).IsConst() || n.In(1).Data.DType != tensor.Float32 ||
		len(n.In(1).Data.Shape) != 4 || n.In(1).SoleUse() != n || n.Str("auto_pad", "NOTSET") != "NOTSET" {
		return false
	}
	w := n.In(1).Data.Shape
	pads, dilations := n.Ints("pads"), n.Ints("dilations")
	for i := range 2 {
		d, p := 1, []int{0, 0}
		if dilations != nil {
			d = dilations[i]
		}
		if pads != nil {
			p = []int{pads[i], pads[i+2]}
		}
		if k := w[2+i]; k%2 == 0 || p[0] != d*(k/2) || p[1] != p[0] {
			return false
		}
	}
	return w[0] == w[1]*n.Int("group", 1) && !slices.ContainsFunc(n.Ints("strides"), func(s int) bool { return s != 1 })
}

// Grow gives the fusible convolutions of g, but those skipped, their shortcuts.
// Scale and shortcut are depthwise convolutions of one tap, which the hook
// keeps the same for all channels.
func (r *resconv) Grow(g *graph.Graph, skipped func(name string) bool) (train.Hook, int, error) {
	h := &resconvHook{lambda: r.lambda}
	for _, f := range fusibles(g) {
		if skipped(f.conv.Name) {
			continue
		}
		x, y := f.conv.Inputs[0], f.end().Outputs[0]
		channels := f.conv.Inputs[1].Data.Shape[0]
		s, err := perChannel(g, f.scale(), y, channels, 1)
		if err != nil {
			return nil, 0, err
		}
		c, err := perChannel(g, f.control(), x, channels, r.control)
		if err != nil {
			return nil, 0, err
		}
		sum := g.NewNode("", "Add", f.conv.Name+"/sum", []*graph.Value{s.Outputs[0], c.Outputs[0]}, []string{g.UniqueName(f.conv.Name + "/sum")}, nil)
		g.ReplaceUses(y, sum.Outputs[0])
		s.SetInput(0, y)
		at := f.end()
		for _, n := range []*graph.Node{s, c, sum} {
			g.InsertAfter(at, n)
			at = n
		}
		h.scales, h.controls = append(h.scales, f.scale()), append(h.controls, f.control())
	}
	g.ClearShapes()
	return h, len(h.scales), g.InferShapes()
}

// perChannel makes a depthwise convolution that multiplies x by a weight of
// the given name.
func perChannel(g *graph.Graph, name string, x *graph.Value, channels int, value float32) (*graph.Node, error) {
	if g.Value(name) != nil {
		return nil, fmt.Errorf("the model has a value %q already", name)
	}
	w := g.AddConst(name, tensor.Of(slices.Repeat([]float32{value}, channels), channels, 1, 1, 1))
	return g.NewNode("", "Conv", name, []*graph.Value{x, w}, []string{g.UniqueName(name + "/out")}, graph.Attrs{"group": int64(channels)}), nil
}

// resconvHook ties the channels of scales and shortcuts, and shrinks scales.
type resconvHook struct {
	train.NoHook
	lambda           float64
	scales, controls []string
}

// AfterBackward gives every channel the whole gradient of the one number.
func (h *resconvHook) AfterBackward(s *train.State) error {
	for _, list := range [][]string{h.scales, h.controls} {
		for _, name := range list {
			t := s.Grad(name)
			if t == nil {
				continue
			}
			d := tensor.Data[float32](t)
			sum := 0.0
			for _, v := range d {
				sum += float64(v)
			}
			for i := range d {
				d[i] = float32(sum)
			}
		}
	}
	return nil
}

// AfterStep is s ← sign(s)·max(|s| − ηλ, 0).
func (h *resconvHook) AfterStep(s *train.State) error {
	by := float32(s.LR * h.lambda)
	for _, name := range h.scales {
		if p := s.Param(name); p != nil {
			for i, v := range tensor.Data[float32](p) {
				tensor.Data[float32](p)[i] = shrunk(v, by)
			}
		}
	}
	return nil
}

func shrunk(v, by float32) float32 {
	switch {
	case v > by:
		return v - by
	case v < -by:
		return v + by
	}
	return 0
}
