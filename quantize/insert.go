package quantize

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// inserter puts Q and DQ nodes where the plan says.
type inserter struct {
	g       *graph.Graph
	plan    *plan
	watch   map[*graph.Value]*watched
	options *Options
	report  *Report

	grids  map[*graph.Value]Grid // by representative of those that share one
	layers []*layer              // in order of computation
	of     map[*graph.Node]*layer
	low    map[*graph.Node]Grid // of the inputs of layers that read fewer bits
}

// run chooses all grids and integers, then inserts them.
func (s *inserter) run(round func([]*layer) error) error {
	s.decide()
	if err := s.prepareLayers(); err != nil {
		return err
	}
	if err := round(s.layers); err != nil {
		return err
	}
	for _, l := range s.layers {
		if err := s.weights(l); err != nil {
			return err
		}
	}
	for _, v := range s.plan.points {
		if err := s.activation(v); err != nil {
			return err
		}
	}
	return nil
}

// bits is the width of the grids that all readers but layers share.
func (s *inserter) bits() int { return max(s.options.ABits, 8) }

// decide gives every group of values its grid: the union of their ranges.
func (s *inserter) decide() {
	t := s.plan.target.Activations
	qmin, qmax := activationRange(t, s.bits())
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
		s.grids[r] = s.activationGrid(sp.lo, sp.hi, s.bits())
	}
	for _, v := range s.plan.points {
		w, sp, g := s.watch[v], spans[s.plan.find(v)], s.grid(v)
		s.report.Ranges = append(s.report.Ranges, Range{v.Name, w.lo, w.hi, sp.lo, sp.hi, g.Scale, g.Zero})
	}
}

// activationGrid is the target's grid of that many bits for the range [lo, hi].
func (s *inserter) activationGrid(lo, hi float32, bits int) Grid {
	qmin, qmax := activationRange(s.plan.target.Activations, bits)
	if !s.plan.target.SymmetricActivations {
		return Affine(lo, hi, qmin, qmax)
	}
	g := Symmetric(max(-lo, hi), max(qmax, 1))
	g.Min = qmin
	return g
}

func (s *inserter) grid(v *graph.Value) Grid { return s.grids[s.plan.find(v)] }

// prepareLayers makes the layers, their input grids and their weights' grids.
func (s *inserter) prepareLayers() error {
	s.of, s.low = map[*graph.Node]*layer{}, map[*graph.Node]Grid{}
	edge := Edges(s.g)
	for _, n := range s.g.Nodes {
		if !s.plan.nodes[n] || !multiplies(n) || n.Inputs[1].Data == nil {
			continue
		}
		l := newLayer(n, s.options.bitsOf(n, edge[n]))
		if f := s.options.Fixed[n.Name]; f != nil {
			if err := l.fix(f); err != nil {
				return err
			}
			if f.Input != nil {
				s.low[n] = *f.Input
			}
		} else if l.bits.Activations < 8 {
			qmin, qmax := activationRange(s.plan.target.Activations, l.bits.Activations)
			lo, hi := s.watch[n.Inputs[0]].observer.Range(qmin, qmax)
			s.low[n] = s.activationGrid(lo, hi, l.bits.Activations)
		}
		if err := l.fit(s.options, s.inputGrid(n).Scale); err != nil {
			return err
		}
		s.layers = append(s.layers, l)
		s.of[n] = l
	}
	return nil
}

// inputGrid is the grid of what n reads.
func (s *inserter) inputGrid(n *graph.Node) Grid {
	if g, ok := s.low[n]; ok {
		return g
	}
	return s.grid(n.Inputs[0])
}

// activation puts Q and DQ behind v. All its readers read the result, except
// the clamp that belongs to v's own kernel and layers of fewer bits: these
// read a coarser Q and DQ, which stand behind the first, or alone if v has no
// other readers.
func (s *inserter) activation(v *graph.Value) error {
	var main, low []graph.Use
	for _, u := range v.Uses() {
		if _, ok := s.low[u.Node]; ok && u.Index == 0 {
			low = append(low, u)
		} else {
			main = append(main, u)
		}
	}
	p := v.Producer()
	alone := len(main) == 0 && len(low) > 0 && !v.IsOutput() && (p == nil || !keepsGrid[p.Op])
	base := v
	if !alone {
		var err error
		if base, err = s.pair(v, v.Name, s.grid(v)); err != nil {
			return err
		}
		for _, u := range main {
			u.Node.SetInput(u.Index, base)
		}
	}
	coarse := map[Grid]*graph.Value{}
	for _, u := range low {
		g := s.low[u.Node]
		d := coarse[g]
		if d == nil {
			var err error
			if d, err = s.narrow(base, v.Name, g, alone && len(low) == len(usesOf(low, s.low, g))); err != nil {
				return err
			}
			coarse[g] = d
		}
		u.Node.SetInput(u.Index, d)
	}
	if v.IsOutput() { // the user's name stays with the output
		for i, o := range s.g.Outputs {
			if o == v {
				name := v.Name
				s.g.Rename(v, name+"_float")
				s.g.Rename(base, name)
				s.g.Outputs[i] = base
			}
		}
	}
	return nil
}

// usesOf lists those of the uses whose grid is g.
func usesOf(list []graph.Use, grids map[*graph.Node]Grid, g Grid) (out []graph.Use) {
	for _, u := range list {
		if grids[u.Node] == g {
			out = append(out, u)
		}
	}
	return out
}

// place puts n behind the producer of v, or first if there is none.
func (s *inserter) place(v *graph.Value, n *graph.Node) {
	if p := v.Producer(); p != nil {
		s.g.InsertAfter(p, n)
	} else {
		s.g.Nodes = append([]*graph.Node{n}, s.g.Nodes...)
	}
}

// pair adds Q and DQ behind v and returns what DQ gives.
func (s *inserter) pair(v *graph.Value, name string, grid Grid) (*graph.Value, error) {
	t := s.plan.target.Activations
	if grid.Min >= -128 && grid.Max <= 127 && grid.Min < 0 {
		t = tensor.Int8
	} else if grid.Min >= 0 && grid.Max <= 255 {
		t = tensor.Uint8
	} else {
		t = wider(t, 16)
	}
	z, err := integers(t, []int{grid.Zero})
	if err != nil {
		return nil, fmt.Errorf("quantize: value %q: %w", name, err)
	}
	scale := s.g.AddConst(name+"_scale", tensor.Scalar(grid.Scale))
	zero := s.g.AddConst(name+"_zero_point", z)
	q := s.g.NewNode("", "QuantizeLinear", name+"_QuantizeLinear", []*graph.Value{v, scale, zero}, []string{name + "_quantized"}, nil)
	d := s.g.NewNode("", "DequantizeLinear", name+"_DequantizeLinear", []*graph.Value{q.Outputs[0], scale, zero}, []string{name + "_dequantized"}, nil)
	s.place(v, q)
	s.g.InsertAfter(q, d)
	return d.Outputs[0], nil
}

// narrow adds a Clip to the reach of the grid, then Q and DQ: the integers use
// a part of their type only. merge lets a Relu or Clip that computes v become
// that Clip.
func (s *inserter) narrow(v *graph.Value, name string, grid Grid, merge bool) (*graph.Value, error) {
	lo, hi := grid.Value(grid.Min), grid.Value(grid.Max)
	whole := grid.Max-grid.Min == 255 || grid.Max-grid.Min == 65535
	switch p := v.Producer(); {
	case whole:
	case merge && p.Is("Relu", "Clip") && isClamp(p):
		if was := clipLimits(p); was[0] > lo {
			lo = was[0]
		}
		if was := clipLimits(p); was[1] < hi {
			hi = was[1]
		}
		p.Op = "Clip"
		p.SetInputs(p.Inputs[0], s.g.AddConst(name+"_least", tensor.Scalar(lo)), s.g.AddConst(name+"_most", tensor.Scalar(hi)))
	default:
		c := s.g.NewNode("", "Clip", name+"_Clip", []*graph.Value{v, s.g.AddConst(name+"_least", tensor.Scalar(lo)), s.g.AddConst(name+"_most", tensor.Scalar(hi))},
			[]string{name + "_clipped"}, nil)
		s.place(v, c)
		v = c.Outputs[0]
	}
	return s.pair(v, name+"_low", grid)
}

// clipLimits are the limits of a Relu or a Clip with constant ones.
func clipLimits(n *graph.Node) [2]float32 {
	limits := [2]float32{float32(math.Inf(-1)), float32(math.Inf(1))}
	if n.Is("Relu") {
		limits[0] = 0
		return limits
	}
	for i := range limits {
		if v := n.In(1 + i); v != nil {
			limits[i] = float32(v.Data.At(0))
		}
	}
	return limits
}

// weights stores l's integers with a DQ, and its bias as int32 at the scale of
// the accumulator.
func (s *inserter) weights(l *layer) error {
	n, g := l.node, s.g
	if s.options.RestoreSpread && !l.fixed {
		l.restoreSpread()
	}
	y := l.values()
	s.report.Layers = append(s.report.Layers, Layer{n.Name, n.Op, sqnr(l.w, y), l.bits.Weights, l.bits.Activations})
	b := l.bias
	if s.options.BiasCorrection && n.Is("Conv") && !l.fixed {
		b = s.correct(n, l.w, y, b)
	}
	q, scale, zero, attrs, err := l.constants(s.options)
	if err != nil {
		return err
	}
	name := n.Inputs[1].Name
	d := g.NewNode("", "DequantizeLinear", name+"_DequantizeLinear", []*graph.Value{
		g.AddConst(name+"_quantized", q), g.AddConst(name+"_scale", scale), g.AddConst(name+"_zero_point", zero),
	}, []string{name + "_dequantized"}, attrs)
	g.InsertBefore(n, d)
	biasName := n.Name + "_bias"
	if v := n.In(2); v != nil {
		biasName = v.Name
	}
	n.SetInput(1, d.Outputs[0])
	if b == nil {
		return nil
	}
	if l.group > 0 { // computed in float
		n.SetInput(2, g.AddConst(biasName+"_corrected", tensor.Of(b, l.channels)))
		return nil
	}
	in := s.inputGrid(n).Scale
	scales := scale.Float32s()
	ib, bs := make([]int32, l.channels), make([]float32, l.channels)
	for c := range ib {
		sw := scales[c%len(scales)]
		bs[c] = in * sw
		v := math.RoundToEven(float64(b[c]) / (float64(in) * float64(sw)))
		ib[c] = int32(max(-math.MaxInt32, min(math.MaxInt32, v)))
	}
	if s.plan.target.FloatBias {
		// A multiple of the accumulator's step all the same, which integer
		// kernels add exactly: at few bits that step is greater than the
		// output's, and half of it would be seen.
		f := make([]float32, l.channels)
		for c := range f {
			f[c] = float32(ib[c]) * bs[c]
		}
		n.SetInput(2, g.AddConst(biasName+"_corrected", tensor.Of(f, l.channels)))
		return nil
	}
	bst := tensor.Of(bs, l.channels)
	if len(scales) == 1 {
		bst = tensor.Scalar(bs[0])
	}
	bz := tensor.New(tensor.Int32, bst.Shape...)
	bd := g.NewNode("", "DequantizeLinear", biasName+"_DequantizeLinear", []*graph.Value{
		g.AddConst(biasName+"_quantized", tensor.Of(ib, l.channels)), g.AddConst(biasName+"_scale", bst), g.AddConst(biasName+"_zero_point", bz),
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
