package qat

import (
	"context"
	"fmt"
	"math"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/rewrite"
	"github.com/drawknife/drawknife/tensor"
)

// Finish turns a network that was trained after Prepare into the form that
// runs: where activations are signs, layers become BinaryConv with
// normalization folded into their scales and the rest stays float; else weights
// and activations go to integers on the grids that training found, and what it
// left alone is quantized to 8 bits on the batches. g is not changed.
func Finish(ctx context.Context, g *graph.Graph, batches quantize.Batches, o quantize.Options) (*graph.Graph, *quantize.Report, error) {
	g = g.Clone()
	fixed := map[string]*quantize.Fixed{}
	binary := 0
	for _, n := range append([]*graph.Node(nil), g.Nodes...) {
		if fake.Is(n, fake.QuantizeGradient) || fake.Is(n, fake.Learned) {
			g.ReplaceUses(n.Outputs[0], n.Inputs[0])
			continue
		}
		if fake.Is(n, fake.Compensate) {
			if err := compensated(g, n); err != nil {
				return nil, nil, fmt.Errorf("quantize: %w", n.Errorf("%w", err))
			}
			continue
		}
		if !n.Is("Conv", "Gemm") {
			continue
		}
		f, err := fix(g, n)
		if err != nil {
			return nil, nil, fmt.Errorf("quantize: %w", n.Errorf("%w", err))
		}
		if fake.Is(n.Inputs[0].Producer(), fake.Binarize) {
			if f == nil || !binarized(f) || !n.Is("Conv") {
				return nil, nil, fmt.Errorf("quantize: %w", n.Errorf("reads signs, but its weights are not of one bit"))
			}
			binaryConv(g, n, f)
			binary++
			continue
		}
		if f != nil {
			fixed[n.Name] = f
		}
	}
	g.RemoveDead()
	if err := g.Sort(); err != nil {
		return nil, nil, err
	}
	if err := g.InferShapes(); err != nil {
		return nil, nil, err
	}
	if binary > 0 {
		return finishBinary(g, binary)
	}
	o.Fixed = fixed
	o.BiasCorrection, o.Rounding = false, nil
	return quantize.Static(ctx, g, batches, o)
}

// compensated adds what the Compensate n gives, a number for each channel, to
// the bias of the layer before it.
func compensated(g *graph.Graph, n *graph.Node) error {
	sum := n.Outputs[0].SoleUse()
	if !sum.Is("Add") || n.Inputs[0].Data == nil || n.Inputs[1].Data == nil || n.Inputs[2].Data == nil {
		return fmt.Errorf("its compensation is not constant")
	}
	layer := sum.Inputs[0].Producer()
	if layer != nil && fake.Is(layer, fake.QuantizeGradient) {
		layer = layer.Inputs[0].Producer()
	}
	if !layer.Is("Conv", "Gemm") {
		return fmt.Errorf("it does not follow a layer")
	}
	shift := fake.Compensation(n.Inputs[0].Data, n.Inputs[1].Data, n.Inputs[2].Data)
	if b := layer.In(2); b != nil {
		if b.Data == nil || b.Data.Len() != len(shift) {
			return fmt.Errorf("the bias of %v is not one for each of %d channels", layer, len(shift))
		}
		for i, v := range b.Data.Float32s() {
			shift[i] += v
		}
	}
	layer.SetInput(2, g.AddConst(layer.Name+"/bias", tensor.Of(shift, len(shift))))
	g.ReplaceUses(sum.Outputs[0], sum.Inputs[0])
	return nil
}

// fix reads the integers of n's weights and the grid of its input, and takes
// the operators of training away. It returns nil if training left n alone.
func fix(g *graph.Graph, n *graph.Node) (*quantize.Fixed, error) {
	f := &quantize.Fixed{}
	var values []float32
	if p := weightNode(n); p != nil {
		w, err := weights(p)
		if err != nil {
			return nil, err
		}
		channels := p.Inputs[0].Data.Shape[0]
		f.Codes = w.Codes
		for c := range channels {
			f.Grids = append(f.Grids, quantize.Grid{Scale: w.Steps[c*len(w.Steps)/channels], Min: w.Min, Max: w.Max})
		}
		row := len(w.Codes) / channels
		for i, q := range w.Codes {
			values = append(values, f.Grids[i/row].Value(q))
		}
		n.SetInput(1, g.AddConst(p.Inputs[0].Name+"_rounded", tensor.Of(values, p.Inputs[0].Data.Shape...)))
	} else if w := n.In(1); w != nil && w.Data != nil && Trainable(n) {
		f.Codes, f.Grids = powersOfTwo(w.Data)
	}
	if p := n.Inputs[0].Producer(); fake.Is(p, fake.FakeQuantize) {
		grids, err := fake.Grids(p, tensor.New(tensor.Float32, 1), constant(p.In(1)), constant(p.In(2)))
		if err != nil {
			return nil, err
		}
		n.SetInput(0, p.Inputs[0])
		if s := grids[0]; s.Step > 0 {
			// An offset that was learned moves to the nearest zero point.
			zero := int(math.RoundToEven(float64(-s.Offset / s.Step)))
			lo, hi := int(s.Min), int(s.Max)
			f.Input = &quantize.Grid{Scale: s.Step, Zero: zero, Min: lo, Max: hi}
			if zero < lo || zero > hi { // zero itself must be on the grid
				f.Input.Zero = min(max(zero, lo), hi)
			}
		}
	}
	if f.Codes == nil {
		return nil, nil
	}
	return f, nil
}

func constant(v *graph.Value) *tensor.Tensor {
	if v == nil {
		return nil
	}
	return v.Data
}

// weights quantizes the constant behind p, FakeQuantize or QuantizeWeights.
func weights(p *graph.Node) (fake.Weights, error) {
	w := p.Inputs[0].Data
	if w == nil {
		return fake.Weights{}, fmt.Errorf("its weights are not constant")
	}
	if fake.Is(p, fake.QuantizeWeights) {
		t := constant(p.In(1))
		if p.Str("kind", "") == "stochastic" {
			t = nil
		}
		return fake.WeightsOf(p, w, t)
	}
	grids, err := fake.Grids(p, w, constant(p.In(1)), nil)
	if err != nil {
		return fake.Weights{}, err
	}
	out := fake.Weights{Codes: make([]int, w.Len()), Min: p.Int("qmin", 0), Max: p.Int("qmax", 255)}
	x := w.Float32s()
	y := make([]float32, len(x))
	for i, grid := range grids {
		step := grid.Step
		if !(step > 0) {
			step = 1
		}
		grid.Step = step
		lo, hi := i*len(x)/len(grids), (i+1)*len(x)/len(grids)
		grid.Quantize(y[lo:hi], x[lo:hi])
		for k := lo; k < hi; k++ {
			out.Codes[k] = int(math.RoundToEven(float64(y[k] / step)))
		}
		out.Steps = append(out.Steps, step)
	}
	return out, nil
}

// powersOfTwo reads weights that are powers of two or zero, of at most 15
// neighbouring exponents, as integers in units of the least.
func powersOfTwo(t *tensor.Tensor) ([]int, []quantize.Grid) {
	least, most := math.MaxInt, math.MinInt
	for _, v := range t.Float32s() {
		if v == 0 {
			continue
		}
		m, e := math.Frexp(math.Abs(float64(v)))
		if m != 0.5 {
			return nil, nil
		}
		least, most = min(least, e-1), max(most, e-1)
	}
	if least > most || most-least > 14 {
		return nil, nil
	}
	unit := math.Ldexp(1, least)
	top := 1 << (most - least)
	codes := make([]int, t.Len())
	for i, v := range t.Float32s() {
		codes[i] = int(float64(v) / unit)
	}
	grids := make([]quantize.Grid, t.Shape[0])
	for c := range grids {
		grids[c] = quantize.Grid{Scale: float32(unit), Min: -top, Max: top}
	}
	return codes, grids
}

// binarized reports whether all weights are +1 or −1 in units of their scale.
func binarized(f *quantize.Fixed) bool {
	for _, q := range f.Codes {
		if q != 1 && q != -1 {
			return false
		}
	}
	return true
}

// binaryConv replaces the convolution n of signs by a BinaryConv.
func binaryConv(g *graph.Graph, n *graph.Node, f *quantize.Fixed) {
	sign := n.Inputs[0].Producer()
	x := sign.Inputs[0]
	if th := sign.In(1); th != nil {
		shape := make([]int, len(x.Shape)-1)
		for i := range shape {
			shape[i] = 1
		}
		shape[0] = th.Data.Len()
		t := tensor.Of(th.Data.Float32s(), shape...)
		sub := g.NewNode("", "Sub", n.Name+"/shift", []*graph.Value{x, g.AddConst(n.Name+"/threshold", t)}, []string{n.Name + "/shifted"}, nil)
		g.InsertBefore(n, sub)
		x = sub.Outputs[0]
	}
	signs, scales := make([]float32, len(f.Codes)), make([]float32, len(f.Grids))
	for i, q := range f.Codes {
		signs[i] = float32(q)
	}
	for i, grid := range f.Grids {
		scales[i] = grid.Scale
	}
	packed, shape := graph.PackSigns(tensor.Of(signs, n.Inputs[1].Data.Shape...))
	attrs := n.Attrs.Clone()
	attrs["weight_shape"] = shape
	in := []*graph.Value{x, g.AddConst(n.Name+"/signs", packed), g.AddConst(n.Name+"/scale", tensor.Of(scales, len(scales)))}
	if b := n.In(2); b != nil {
		in = append(in, b)
	}
	c := g.NewNode(graph.DrawknifeDomain, graph.BinaryConv, n.Name+"/binary", in, []string{n.Name + "/binary"}, attrs)
	g.InsertBefore(n, c)
	g.ReplaceUses(n.Outputs[0], c.Outputs[0])
	g.Remove(n)
}

// finishBinary folds batch normalization into the scales of binary
// convolutions and tidies up.
func finishBinary(g *graph.Graph, layers int) (*graph.Graph, *quantize.Report, error) {
	if _, err := eval.Fold(g); err != nil {
		return nil, nil, err
	}
	rewrite.Apply(g, rewrite.Scope{}, rewrite.DropNoOp, rewrite.FoldBinaryNorm, rewrite.FoldBatchNorm, rewrite.FoldPad, rewrite.MergeHardSwish)
	g.RemoveDead()
	if err := g.Sort(); err != nil {
		return nil, nil, err
	}
	if err := g.InferShapes(); err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	r := &quantize.Report{}
	for _, n := range g.Nodes {
		switch {
		case graph.IsBinaryConv(n):
			r.Layers = append(r.Layers, quantize.Layer{Node: n.Name, Op: n.Op, SQNR: 300, WBits: 1, ABits: 1})
		case n.Is("Conv", "Gemm"):
			r.Float = append(r.Float, quantize.Island{Node: n.Name, Op: n.Op, Reason: "first and last layers of binary networks stay float"})
		}
	}
	g.Record("quantize", fmt.Sprintf("%d binary convolutions", layers))
	return g, r, g.Verify()
}

// Standard replaces every BinaryConv by operators of ONNX itself: the input
// compared with zero, signs chosen by Where, and a convolution with signs times
// scales. Runtimes that know nothing of BinaryConv compute the same from it.
func Standard(g *graph.Graph) error {
	for _, n := range append([]*graph.Node(nil), g.Nodes...) {
		if !graph.IsBinaryConv(n) {
			continue
		}
		if n.Float("pad_value", 0) != 0 {
			return n.Errorf("pads with %g, which Conv cannot", n.Float("pad_value", 0))
		}
		signs, shape, err := graph.Signs(n, n.Inputs[1].Data)
		if err != nil {
			return n.Errorf("%w", err)
		}
		w := make([]float32, len(signs))
		row := len(w) / shape[0]
		for i, s := range signs {
			w[i] = float32(s)
			if n.In(2) != nil {
				w[i] *= float32(n.Inputs[2].Data.At(i / row))
			}
		}
		number := func(what string, v float32) *graph.Value { return g.AddConst(n.Name+"/"+what, tensor.Scalar(v)) }
		test := g.NewNode("", "GreaterOrEqual", n.Name+"/positive", []*graph.Value{n.Inputs[0], number("zero", 0)}, []string{n.Name + "/positive"}, nil)
		where := g.NewNode("", "Where", n.Name+"/sign", []*graph.Value{test.Outputs[0], number("plus", 1), number("minus", -1)}, []string{n.Name + "/sign"}, nil)
		attrs := n.Attrs.Clone()
		delete(attrs, "weight_shape")
		delete(attrs, "pad_value")
		in := []*graph.Value{where.Outputs[0], g.AddConst(n.Name+"/weights", tensor.Of(w, shape...))}
		if b := n.In(3); b != nil {
			in = append(in, b)
		}
		conv := g.NewNode("", "Conv", n.Name+"/conv", in, []string{n.Name + "/conv"}, attrs)
		for _, m := range []*graph.Node{test, where, conv} {
			g.InsertBefore(n, m)
		}
		g.ReplaceUses(n.Outputs[0], conv.Outputs[0])
		g.Remove(n)
	}
	g.RemoveDead()
	return g.InferShapes()
}
