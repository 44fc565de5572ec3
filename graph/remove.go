package graph

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/tensor"
)

// RemoveOptions control RemoveChannels.
type RemoveOptions struct {
	// FoldConstants takes the filters of removed channels for zero, and adds
	// what their bias and normalization then leave behind, a constant, to the
	// biases of the layers that read it. Without it removed channels are taken
	// to carry zero.
	FoldConstants bool
	// Note is told what folding could not do exactly: at the border of a
	// padded convolution, or behind an operator that no constant passes.
	Note func(string)
}

// RemoveChannels really removes logical channels from groups that Groups
// found in g: constants are cut, and attributes, sizes and bounds that count
// channels are rewritten. Shapes are inferred again. It is all or nothing: an
// error before the first change leaves g as it was. Afterwards the groups are
// spent; call Groups again.
func (g *Graph) RemoveChannels(remove map[*Group][]int, opts ...RemoveOptions) error {
	r, err := newRemoval(g, remove)
	if err != nil || r == nil {
		return err
	}
	for _, o := range opts {
		if o.FoldConstants {
			r.fold(o.Note)
		}
	}
	for _, n := range slices.Clone(g.Nodes) {
		r.rewrite(n)
	}
	r.cutConstants()
	for v, l := range r.a.at {
		if v.producer == nil || v.Shape == nil {
			continue
		}
		r.want[v] = len(r.keep(l.ids))
	}
	g.ClearShapes()
	if err := g.InferShapes(); err != nil {
		return fmt.Errorf("graph: after removing channels: %w", err)
	}
	for v, count := range r.want {
		l := r.a.at[v]
		if v.graph.names[v.Name] == v && v.Shape != nil && v.Shape[l.axis].Known() && v.Shape[l.axis].Size != count {
			return fmt.Errorf("graph: after removing channels: %q has %v channels, expected %d", v.Name, v.Shape[l.axis], count)
		}
	}
	return nil
}

// removal is a removal in progress.
type removal struct {
	g    *Graph
	a    *analysis
	gone map[int32]bool // roots
	want map[*Value]int
}

// newRemoval checks what is to be removed; nil if that is nothing.
func newRemoval(g *Graph, remove map[*Group][]int) (*removal, error) {
	var r *removal
	for gr, channels := range remove {
		if len(channels) == 0 {
			continue
		}
		if gr.graph != g {
			return nil, fmt.Errorf("graph: group %q belongs to another graph", gr.Name)
		}
		if r == nil {
			r = &removal{g, gr.from, map[int32]bool{}, map[*Value]int{}}
		}
		if gr.from != r.a {
			return nil, fmt.Errorf("graph: group %q comes from another call of Groups", gr.Name)
		}
		if err := gr.Check(channels); err != nil {
			return nil, err
		}
		for _, c := range channels {
			r.gone[gr.roots[c]] = true
		}
	}
	if r == nil {
		return nil, nil
	}
	for _, k := range r.a.order {
		c := r.a.consts[k]
		if k.v.Data == nil || k.axis >= k.v.Data.Rank() || k.v.Data.Shape[k.axis]*max(c.groups, 1) != len(c.ids) || g.names[k.v.Name] != k.v {
			return nil, fmt.Errorf("graph: %q has changed since the groups were found; call Groups again", k.v.Name)
		}
	}
	return r, nil
}

// keep lists the places that stay.
func (r *removal) keep(ids []int32) []int {
	out := make([]int, 0, len(ids))
	for i, id := range ids {
		if !r.gone[r.a.find(id)] {
			out = append(out, i)
		}
	}
	return out
}

// cut reports whether some of the places go.
func (r *removal) cut(ids []int32) bool {
	return slices.ContainsFunc(ids, func(id int32) bool { return r.gone[r.a.find(id)] })
}

// cutConstants slices every constant of which an axis loses places.
func (r *removal) cutConstants() {
	for _, k := range r.a.order {
		c := r.a.consts[k]
		if !r.cut(c.ids) {
			continue
		}
		t := k.v.Data
		if c.groups > 1 {
			t = cutGrouped(t, c.groups, r.keep(c.ids))
		} else {
			t = cutAxis(t, k.axis, r.keep(c.ids))
		}
		k.v.SetData(t)
	}
}

// cutAxis returns a copy of t with only the given indices of an axis.
func cutAxis(t *tensor.Tensor, axis int, keep []int) *tensor.Tensor {
	shape := slices.Clone(t.Shape)
	shape[axis] = len(keep)
	outer, inner := 1, 1
	for i, d := range t.Shape {
		switch {
		case i < axis:
			outer *= d
		case i > axis:
			inner *= d
		}
	}
	out := tensor.New(t.DType, shape...)
	to := 0
	for o := range outer {
		for _, k := range keep {
			copyRun(out, to, t, (o*t.Shape[axis]+k)*inner, inner)
			to += inner
		}
	}
	return out
}

// cutGrouped cuts the input axis of a grouped convolution's weight: keep lists
// global input channels, equally many of each group. The outputs are not cut
// yet or cut already; both fall into equal groups.
func cutGrouped(t *tensor.Tensor, groups int, keep []int) *tensor.Tensor {
	outs, local := t.Shape[0], t.Shape[1]
	shape := slices.Clone(t.Shape)
	shape[1] = len(keep) / groups
	inner := 1
	for _, d := range t.Shape[2:] {
		inner *= d
	}
	out := tensor.New(t.DType, shape...)
	to := 0
	for o := range outs {
		q := o / (outs / groups)
		for _, k := range keep[q*shape[1] : (q+1)*shape[1]] {
			copyRun(out, to, t, (o*local+k%local)*inner, inner)
			to += inner
		}
	}
	return out
}

// copyRun copies n elements between tensors of the same type.
func copyRun(dst *tensor.Tensor, to int, src *tensor.Tensor, from, n int) {
	bits := src.DType.Bits()
	switch {
	case src.DType == tensor.String:
		copy(tensor.Data[string](dst)[to:to+n], tensor.Data[string](src)[from:])
	case bits < 8:
		d, s, per := tensor.Data[uint8](dst), tensor.Data[uint8](src), 8/bits
		for i := range n {
			v := s[(from+i)/per] >> (bits * ((from + i) % per)) & (1<<bits - 1)
			d[(to+i)/per] |= v << (bits * ((to + i) % per))
		}
	default:
		w := bits / 8
		copy(dst.Bytes()[to*w:(to+n)*w], src.Bytes()[from*w:(from+n)*w])
	}
}

// ZeroChannels sets to zero what the members of the given roles (none given:
// all) hold for the given channels: filters, biases, normalization scales and
// shifts. It is the mask whose removal changes nothing: soft pruning zeroes
// Produces alone, and lets the channels come back. Scales of quantization,
// divisors and running variances stay.
func (g *Graph) ZeroChannels(channels map[*Group][]int, roles ...Role) error {
	r, err := newRemoval(g, channels)
	if err != nil || r == nil {
		return err
	}
	copied := map[*Value]bool{}
	for gr, list := range channels {
		for _, m := range gr.Members {
			if len(roles) > 0 && !slices.Contains(roles, m.Role) || keepsScale(m) {
				continue
			}
			if !copied[m.Value] {
				copied[m.Value] = true
				m.Value.SetData(m.Value.Data.Clone())
			}
			for _, c := range list {
				for _, i := range m.At[c] {
					m.zero(i)
				}
			}
		}
	}
	return nil
}

// keepsScale reports members that zero would spoil.
func keepsScale(m Member) bool {
	for _, u := range m.Value.uses {
		switch {
		case u.Node.Is("QuantizeLinear", "DequantizeLinear") && u.Index > 0,
			u.Node.Is("Div", "Pow") && u.Index == 1,
			u.Node.Is("BatchNormalization") && u.Index == 4,
			u.Node.Is("QLinearConv", "QLinearMatMul") && (u.Index == 4 || u.Index == 5),
			u.Node.Domain == MicrosoftDomain && u.Node.Op == "QGemm" && (u.Index == 4 || u.Index == 5),
			u.Node.Is("ConvInteger", "MatMulInteger") && u.Index == 3:
			return true
		}
	}
	return false
}

// zero sets index i of m's axis to zero, or to the zero point of a quantized
// weight.
func (m Member) zero(i int) {
	t := m.Value.Data
	zero := zeroPoints(m.Value)
	inner := 1
	for _, d := range t.Shape[m.Axis+1:] {
		inner *= d
	}
	size := t.Shape[m.Axis]
	outer := t.Len() / max(size*inner, 1)
	local, first, last := i, 0, outer
	if m.Groups > 1 {
		local, first, last = i%size, i/size*(outer/m.Groups), (i/size+1)*(outer/m.Groups)
	}
	for o := first; o < last; o++ {
		for k := range inner {
			at := (o*size+local)*inner + k
			z := 0.0
			if zero != nil {
				z = zero(at)
			}
			setElement(t, at, z)
		}
	}
}

func setElement(t *tensor.Tensor, i int, v float64) {
	switch s := t.Any().(type) {
	case []float32:
		s[i] = float32(v)
	case []float64:
		s[i] = v
	case []int8:
		s[i] = int8(v)
	case []int16:
		s[i] = int16(v)
	case []int32:
		s[i] = int32(v)
	case []int64:
		s[i] = int64(v)
	case []uint16:
		s[i] = uint16(v) // the only value written to float16 is 0
	case []uint8:
		if bits := t.DType.Bits(); bits < 8 {
			per := 8 / bits
			shift := bits * (i % per)
			s[i/per] = s[i/per]&^((1<<bits-1)<<shift) | uint8(int8(v))&(1<<bits-1)<<shift
		} else {
			s[i] = uint8(v)
		}
	}
}
