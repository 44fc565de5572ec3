package quantize

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// inserter puts Q and DQ nodes where the plan says.
type inserter struct {
	g       *graph.Graph
	plan    *plan
	watch   map[*graph.Value]*watched
	options Options
	report  *Report

	grids map[*graph.Value]Grid // by representative of those that share one
	dq    map[*graph.Value]*graph.Value
}

func (s *inserter) run() error {
	s.decide()
	s.dq = map[*graph.Value]*graph.Value{}
	// Weights first: they read the ranges of the activations they meet.
	for _, n := range append([]*graph.Node(nil), s.g.Nodes...) {
		if s.plan.nodes[n] && n.Is("Conv", "Gemm", "MatMul") {
			if err := s.weights(n); err != nil {
				return err
			}
		}
	}
	for _, v := range s.plan.points {
		s.activation(v)
	}
	return nil
}

// decide gives every group of values its grid: the union of their ranges.
func (s *inserter) decide() {
	qmin, qmax := 0, 255
	if s.plan.target.Activations == tensor.Int8 {
		qmin, qmax = -128, 127
	}
	type span struct{ lo, hi float32 }
	spans := map[*graph.Value]span{}
	for _, v := range s.plan.points {
		w := s.watch[v]
		lo, hi := w.observer.Range(qmin, qmax)
		r := s.plan.find(v)
		old, ok := spans[r]
		if ok {
			lo, hi = min(lo, old.lo), max(hi, old.hi)
		}
		spans[r] = span{lo, hi}
	}
	s.grids = map[*graph.Value]Grid{}
	for r, sp := range spans {
		if s.plan.target.SymmetricActivations {
			g := Symmetric(max(-sp.lo, sp.hi), 127)
			g.Min = qmin
			s.grids[r] = g
		} else {
			s.grids[r] = Affine(sp.lo, sp.hi, qmin, qmax)
		}
	}
	for _, v := range s.plan.points {
		w, sp, g := s.watch[v], spans[s.plan.find(v)], s.grid(v)
		s.report.Ranges = append(s.report.Ranges, Range{v.Name, w.lo, w.hi, sp.lo, sp.hi, g.Scale, g.Zero})
	}
}

func (s *inserter) grid(v *graph.Value) Grid { return s.grids[s.plan.find(v)] }

// zero makes the zero point constant of an activation grid.
func (s *inserter) zero(z int) *tensor.Tensor {
	if s.plan.target.Activations == tensor.Int8 {
		return tensor.Scalar(int8(z))
	}
	return tensor.Scalar(uint8(z))
}

// activation puts Q and DQ behind v. All its readers read the result, except
// the clamp that belongs to v's own kernel.
func (s *inserter) activation(v *graph.Value) {
	g, grid := s.g, s.grid(v)
	scale := g.AddConst(v.Name+"_scale", tensor.Scalar(grid.Scale))
	zero := g.AddConst(v.Name+"_zero_point", s.zero(grid.Zero))
	uses := append([]graph.Use(nil), v.Uses()...)
	isOutput := v.IsOutput()
	q := g.NewNode("", "QuantizeLinear", v.Name+"_QuantizeLinear", []*graph.Value{v, scale, zero}, []string{v.Name + "_quantized"}, nil)
	d := g.NewNode("", "DequantizeLinear", v.Name+"_DequantizeLinear", []*graph.Value{q.Outputs[0], scale, zero}, []string{v.Name + "_dequantized"}, nil)
	if p := v.Producer(); p != nil {
		g.InsertAfter(p, q)
	} else {
		g.Nodes = append([]*graph.Node{q}, g.Nodes...)
	}
	g.InsertAfter(q, d)
	for _, u := range uses {
		u.Node.SetInput(u.Index, d.Outputs[0])
	}
	if isOutput { // the user's name stays with the output
		for i, o := range g.Outputs {
			if o == v {
				name := v.Name
				g.Rename(v, name+"_float")
				g.Rename(d.Outputs[0], name)
				g.Outputs[i] = d.Outputs[0]
			}
		}
	}
}

// weights stores n's weights as int8 with a DQ, per output channel, and its
// bias as int32 at the scale of the accumulator.
func (s *inserter) weights(n *graph.Node) error {
	w := n.Inputs[1].Data
	axis := channelAxis(n)
	channels := w.Shape[axis]
	inner := 1
	for _, d := range w.Shape[axis+1:] {
		inner *= d
	}
	x := w.Float32s()
	bound := make([]float32, channels)
	for i, v := range x {
		c := i / inner % channels
		bound[c] = max(bound[c], float32(math.Abs(float64(v))))
	}
	perChannel := s.options.PerChannel
	if !perChannel {
		top := float32(0)
		for _, b := range bound {
			top = max(top, b)
		}
		for c := range bound {
			bound[c] = top
		}
	}
	in := s.grid(n.Inputs[0])
	bias := n.In(2)
	var b []float32
	if bias != nil {
		b = bias.Data.Float32s()
	}
	most := 127
	if s.options.ReduceRange {
		most = 63
	}
	grids := make([]Grid, channels)
	scales := make([]float32, channels)
	for c := range grids {
		grids[c] = Symmetric(bound[c], most)
		// The int32 bias must not overflow at the scale of the accumulator.
		if b != nil {
			if least := math.Abs(float64(b[c])) / float64(in.Scale) / (1 << 30); float64(grids[c].Scale) < least {
				grids[c].Scale = float32(least)
			}
		}
		scales[c] = grids[c].Scale
	}
	q := make([]int8, len(x))
	y := make([]float32, len(x))
	for i, v := range x {
		g := grids[i/inner%channels]
		k := g.Quantize(v)
		q[i], y[i] = int8(k), g.Value(k)
	}
	s.report.Layers = append(s.report.Layers, Layer{n.Name, n.Op, sqnr(x, y)})
	if s.options.BiasCorrection && n.Is("Conv") {
		b = s.correct(n, x, y, b)
	}
	g := s.g
	name := n.Inputs[1].Name
	st, zt := tensor.Of(scales, channels), tensor.New(tensor.Int8, channels)
	if !perChannel {
		st, zt = tensor.Scalar(scales[0]), tensor.Scalar(int8(0))
	}
	d := g.NewNode("", "DequantizeLinear", name+"_DequantizeLinear", []*graph.Value{
		g.AddConst(name+"_quantized", tensor.Of(q, w.Shape...)), g.AddConst(name+"_scale", st), g.AddConst(name+"_zero_point", zt),
	}, []string{name + "_dequantized"}, graph.Attrs{"axis": int64(axis)})
	g.InsertBefore(n, d)
	n.SetInput(1, d.Outputs[0])
	if b == nil {
		return nil
	}
	biasName := n.Name + "_bias"
	if bias != nil {
		biasName = bias.Name
	}
	if s.plan.target.FloatBias {
		n.SetInput(2, g.AddConst(biasName+"_corrected", tensor.Of(b, channels)))
		return nil
	}
	ib, bs := make([]int32, channels), make([]float32, channels)
	for c := range ib {
		bs[c] = in.Scale * scales[c]
		ib[c] = int32(math.RoundToEven(float64(b[c]) / (float64(in.Scale) * float64(scales[c]))))
	}
	bst := tensor.Of(bs, channels)
	if !perChannel {
		bst = tensor.Scalar(bs[0])
	}
	bz := tensor.New(tensor.Int32, bst.Shape...)
	bd := g.NewNode("", "DequantizeLinear", biasName+"_DequantizeLinear", []*graph.Value{
		g.AddConst(biasName+"_quantized", tensor.Of(ib, channels)), g.AddConst(biasName+"_scale", bst), g.AddConst(biasName+"_zero_point", bz),
	}, []string{biasName + "_dequantized"}, graph.Attrs{"axis": int64(0)})
	g.InsertBefore(n, bd)
	n.SetInput(2, bd.Outputs[0])
	return nil
}

// correct subtracts from the bias the mean error that the quantized weights
// make on the calibration data: b −= Σ (Ŵ−W)·E[x] (Nagel et al., "Data-free
// quantization through weight equalization and bias correction", ICCV 2019,
// eq. 17, with measured means). Padding is neglected.
func (s *inserter) correct(n *graph.Node, x, y, b []float32) []float32 {
	w := s.watch[n.Inputs[0]]
	shape := n.Inputs[1].Data.Shape
	if w == nil || w.count == 0 || len(w.mean) != shape[1]*n.Int("group", 1) {
		return b
	}
	out := make([]float32, shape[0])
	copy(out, b)
	group := n.Int("group", 1)
	per := shape[0] / group
	inner := 1
	for _, d := range shape[2:] {
		inner *= d
	}
	for o := range shape[0] {
		sum := 0.0
		for c := range shape[1] {
			e := 0.0
			for k := range inner {
				i := (o*shape[1]+c)*inner + k
				e += float64(y[i]) - float64(x[i])
			}
			ch := o/per*shape[1] + c
			sum += e * w.mean[ch] / w.count
		}
		out[o] -= float32(sum)
	}
	return out
}
