package graph

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/tensor"
)

// folding carries, through the graph, the constants that removed channels hold
// once their filters are zero, and adds them to the biases of what reads them.
type folding struct {
	*removal
	value map[*Value][]float64 // by place on the channel axis; NaN is unknown
	note  func(string)
}

func (r *removal) fold(note func(string)) {
	if note == nil {
		note = func(string) {}
	}
	f := &folding{r, map[*Value][]float64{}, note}
	for _, n := range slices.Clone(r.g.Nodes) {
		if l := r.labels(n); l != nil {
			f.consume(n, l)
		}
		for i, o := range n.Outputs {
			if l := r.a.at[o]; o != nil && l != nil && r.cut(l.ids) {
				f.value[o] = f.output(n, i, len(l.ids))
			}
		}
	}
}

func unknowable(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}

// output is what removed channels of output i hold.
func (f *folding) output(n *Node, i, size int) []float64 {
	var out []float64
	switch n.Op {
	case "Conv", "FusedConv", "ConvTranspose", "Gemm", "MatMul":
		out = f.produced(n, size)
	case "BatchNormalization":
		out = f.normalized(n)
	case "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "PRelu":
		out = f.combined(n, size)
	case "MaxPool", "GlobalMaxPool", "GlobalAveragePool", "AveragePool", "Resize", "Identity", "Dropout", "Cast":
		out = f.value[n.In(0)]
		if n.Is("AveragePool") && padded(n) && n.Int("count_include_pad", 0) != 0 && nonzero(out) {
			f.note(fmt.Sprintf("%v averages padding in: the border differs", n))
		}
	case "Concat", "Split", "Slice", "Gather", "Pad", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze":
		out = f.moved(n, i, size)
	default:
		if g := scalarFunction(n); g != nil {
			for _, v := range f.value[n.In(0)] {
				out = append(out, g(v))
			}
		}
	}
	if len(out) != size {
		return unknowable(size)
	}
	return out
}

// floatVector returns the elements of a float constant.
func floatVector(v *Value) []float64 {
	if v == nil || v.Data == nil || !v.Data.DType.IsFloat() {
		return nil
	}
	out := make([]float64, v.Data.Len())
	for i := range out {
		out[i] = v.Data.At(i)
	}
	return out
}

// produced is the bias of a layer whose filters are zero; a depthwise filter,
// which computes no channel of its own, passes its input on.
func (f *folding) produced(n *Node, size int) []float64 {
	out := make([]float64, size)
	if b := n.In(2); b != nil && n.Op != "MatMul" {
		v := floatVector(b)
		if len(v) == 1 && size != 1 {
			v = slices.Repeat(v, size)
		}
		if len(v) != size {
			return nil
		}
		copy(out, v)
	}
	if n.Op == "Gemm" {
		for i := range out {
			out[i] *= float64(n.Float("beta", 1))
		}
	}
	w := n.In(1)
	in := f.value[n.In(0)]
	if group := n.Int("group", 1); n.Op == "Conv" && group > 1 && group == len(in) {
		if w.Data == nil {
			return nil
		}
		sums := innerSums(w.Data, 1)
		for i := range out {
			out[i] += in[i/(size/group)] * sums[i]
		}
		if padded(n) && nonzero(out) {
			f.note(fmt.Sprintf("%v pads a constant channel: the border differs", n))
		}
	}
	if n.Op == "FusedConv" || n.Op == "ConvTranspose" && n.Int("group", 1) > 1 {
		return nil
	}
	return out
}

// innerSums sums a tensor over all but its first axes.
func innerSums(t *tensor.Tensor, axes int) []float64 {
	outer := 1
	for _, d := range t.Shape[:axes] {
		outer *= d
	}
	out := make([]float64, outer)
	inner := t.Len() / max(outer, 1)
	for i := range t.Len() {
		out[i/inner] += t.At(i)
	}
	return out
}

func padded(n *Node) bool {
	if p := n.Str("auto_pad", "NOTSET"); p == "SAME_UPPER" || p == "SAME_LOWER" {
		return true
	}
	return slices.ContainsFunc(n.Ints("pads"), func(p int) bool { return p != 0 })
}

func nonzero(list []float64) bool {
	return slices.ContainsFunc(list, func(v float64) bool { return v != 0 })
}

func (f *folding) normalized(n *Node) []float64 {
	in := f.value[n.In(0)]
	g, b, m, v := floatVector(n.In(1)), floatVector(n.In(2)), floatVector(n.In(3)), floatVector(n.In(4))
	if len(g) != len(in) || len(b) != len(in) || len(m) != len(in) || len(v) != len(in) {
		return nil
	}
	out := make([]float64, len(in))
	for i, x := range in {
		out[i] = g[i]*(x-m[i])/math.Sqrt(v[i]+float64(n.Float("epsilon", 1e-5))) + b[i]
	}
	return out
}

// combined applies an elementwise operator to what its operands hold.
func (f *folding) combined(n *Node, size int) []float64 {
	var acc []float64
	for i, v := range n.Inputs {
		x := f.operandValues(n, v, size)
		if x == nil {
			return nil
		}
		if i == 0 {
			acc = slices.Clone(x)
			continue
		}
		for k := range acc {
			acc[k] = combine(n.Op, acc[k], x[k])
		}
	}
	return acc
}

// operandValues spreads an operand over the channels of n's output. What
// varies within a channel is unknown.
func (f *folding) operandValues(n *Node, v *Value, size int) []float64 {
	if x := f.value[v]; len(x) == size {
		return x
	}
	src := floatVector(v)
	out := f.a.at[n.Outputs[0]]
	if src == nil || out == nil {
		return unknowable(size)
	}
	k := out.axis - len(n.Outputs[0].Shape) + len(v.Shape)
	switch {
	case len(src) == 1:
		return slices.Repeat(src, size)
	case k >= 0 && v.Data.Shape[k] == size && len(src) == size:
		return src
	}
	return unknowable(size)
}

func combine(op string, a, b float64) float64 {
	switch op {
	case "Add", "Sum":
		return a + b
	case "Sub":
		return a - b
	case "Mul":
		if a == 0 || b == 0 {
			return 0 // whatever the other is
		}
		return a * b
	case "Div":
		return a / b
	case "Max":
		return math.Max(a, b)
	case "Min":
		return math.Min(a, b)
	case "PRelu":
		if a < 0 {
			return a * b
		}
		return a
	}
	return math.NaN()
}

// moved follows places through operators that only move elements: the places
// of the output's channels in the input are found by following numbers.
func (f *folding) moved(n *Node, i, size int) []float64 {
	if n.Op == "Concat" {
		var out []float64
		for _, v := range n.Inputs {
			x := f.value[v]
			if l := f.a.at[v]; l != nil && x == nil {
				x = unknowable(len(l.ids))
			} else if v.Data != nil {
				if x = floatVector(v); v.Data.Rank() == 0 || len(x) != v.Data.Shape[f.a.at[n.Outputs[0]].axis] {
					return nil
				}
			}
			out = append(out, x...)
		}
		return out
	}
	if f.a.inside[n] {
		return f.shuffled(n)
	}
	in, l := f.value[n.In(0)], f.a.of(n, 0)
	if in == nil || l == nil {
		return nil
	}
	switch n.Op {
	case "Split":
		sizes, err := SplitSizes(n, len(in))
		if err != nil || len(in) == size {
			return in
		}
		for _, s := range sizes[:i] {
			in = in[s:]
		}
		return in[:size]
	case "Slice":
		first, count, step, _, all, _ := channelSlice(n, l.axis)
		if all {
			return in
		}
		out := make([]float64, count)
		for k := range out {
			out[k] = in[first+k*step]
		}
		return out
	case "Gather":
		if k, _ := axis(n.Int("axis", 0), len(n.in(0))); k != l.axis {
			return in
		}
		var out []float64
		for _, p := range n.In(1).Data.Ints() {
			out = append(out, in[(p+len(in))%len(in)])
		}
		return out
	case "Pad":
		return f.paddedValues(n, in, l.axis)
	case "Reshape", "Flatten", "Squeeze", "Unsqueeze":
		places := make([]int32, len(in))
		for k := range places {
			places[k] = int32(k)
		}
		to, ok := movedLabels(n.in(0), n.Outputs[0].Shape, &labels{l.axis, places})
		if !ok {
			return nil
		}
		out := make([]float64, len(to.ids))
		for k, p := range to.ids {
			out[k] = in[p]
		}
		return out
	}
	return in // Transpose
}

// shuffled follows a channel shuffle of which n is the last node.
func (f *folding) shuffled(n *Node) []float64 {
	for _, s := range f.a.shuffles {
		in := f.value[s.first.In(0)]
		if s.last != n || len(in) != len(s.perm) {
			continue
		}
		out := make([]float64, len(in))
		for i, p := range s.perm {
			out[i] = in[p]
		}
		return out
	}
	return nil
}

func (f *folding) paddedValues(n *Node, in []float64, axis int) []float64 {
	begin, end, _, _, ok := channelPads(n, axis)
	if !ok {
		return nil
	}
	fill := 0.0
	if v := n.In(2); v != nil {
		if v.Data == nil || v.Data.Len() != 1 {
			return nil
		}
		fill = v.Data.At(0)
	}
	if begin == 0 && end == 0 {
		if slices.ContainsFunc(in, func(v float64) bool { return v != fill }) {
			f.note(fmt.Sprintf("%v pads a constant channel: the border differs", n))
		}
		return in
	}
	return slices.Concat(slices.Repeat([]float64{fill}, begin), in, slices.Repeat([]float64{fill}, end))
}

// consume adds what the removed input channels of a layer hold to its bias.
func (f *folding) consume(n *Node, l *labels) {
	sums, outs := f.readerSums(n, l)
	if sums == nil {
		return
	}
	extra := make([]float64, outs)
	any, lost := false, 0
	for i, id := range l.ids {
		c := f.value[n.In(0)]
		switch {
		case !f.gone[f.a.find(id)]:
		case len(c) != len(l.ids) || math.IsNaN(c[i]):
			lost++
		case c[i] != 0:
			any = true
			for o := range extra {
				extra[o] += c[i] * sums(o, i)
			}
		}
	}
	if lost > 0 {
		f.note(fmt.Sprintf("%v: what %d removed channels hold is not a known constant", n, lost))
	}
	if !any {
		return
	}
	if padded(n) {
		f.note(fmt.Sprintf("%v pads with zero, not with the constants of its removed channels: the border differs", n))
	}
	f.addBias(n, extra)
}

// readerSums returns, for a layer that mixes channels by a float weight, the
// sum of the weights from input i to output o.
func (f *folding) readerSums(n *Node, l *labels) (sums func(o, i int) float64, outs int) {
	w := n.In(1)
	if w == nil || w.Data == nil || !w.Data.DType.IsFloat() || n.Domain != "" {
		if n.Is("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger") || n.Is("Conv", "Gemm", "MatMul") {
			f.note(fmt.Sprintf("%v: constants are not folded into quantized layers", n))
		}
		return nil, 0
	}
	shape := w.Data.Shape
	switch {
	case n.Is("Conv") && n.Int("group", 1) == 1:
		s := innerSums(w.Data, 2)
		return func(o, i int) float64 { return s[o*shape[1]+i] }, shape[0]
	case n.Is("Conv") && shape[1] > 1:
		s, group := innerSums(w.Data, 2), n.Int("group", 1)
		return func(o, i int) float64 {
			if o/(shape[0]/group) != i/shape[1] {
				return 0
			}
			return s[o*shape[1]+i%shape[1]]
		}, shape[0]
	case n.Is("ConvTranspose") && n.Int("group", 1) == 1:
		if slices.ContainsFunc(n.Ints("strides"), func(s int) bool { return s != 1 }) {
			f.note(fmt.Sprintf("%v: constants are not folded into a strided transposed convolution", n))
			return nil, 0
		}
		s := innerSums(w.Data, 2)
		return func(o, i int) float64 { return s[i*shape[1]+o] }, shape[1]
	case n.Is("Gemm") && n.Int("transB", 0) != 0:
		alpha := float64(n.Float("alpha", 1))
		return func(o, i int) float64 { return alpha * w.Data.At(o*shape[1]+i) }, shape[0]
	case n.Is("Gemm"):
		alpha := float64(n.Float("alpha", 1))
		return func(o, i int) float64 { return alpha * w.Data.At(i*shape[1]+o) }, shape[1]
	case n.Is("MatMul") && len(shape) == 2 && l.axis == len(n.in(0))-1:
		return func(o, i int) float64 { return w.Data.At(i*shape[1] + o) }, shape[1]
	}
	return nil, 0
}

// addBias adds to a layer's bias, giving it one if need be.
func (f *folding) addBias(n *Node, extra []float64) {
	if n.Is("MatMul") {
		y := n.Outputs[0]
		sum := f.g.NewNode("", "Add", n.Name+"_folded", nil, []string{y.Name + "_folded"}, nil)
		f.g.InsertAfter(n, sum)
		f.g.ReplaceUses(y, sum.Outputs[0])
		sum.SetInputs(y, f.newBias(n, extra))
		_ = sum.infer()
		if l := f.a.at[y]; l != nil {
			f.a.at[sum.Outputs[0]] = l
			f.value[sum.Outputs[0]] = make([]float64, len(l.ids))
		}
		return
	}
	old := n.In(2)
	if n.Is("Gemm") {
		if beta := float64(n.Float("beta", 1)); beta != 0 {
			for i := range extra {
				extra[i] /= beta
			}
		} else {
			n.Attrs["beta"], old = float32(1), nil
		}
	}
	if old != nil {
		v := floatVector(old)
		if len(v) == 1 {
			v = slices.Repeat(v, len(extra))
		}
		if len(v) != len(extra) {
			f.note(fmt.Sprintf("%v: its bias is not a constant vector; constants are not folded", n))
			return
		}
		for i := range extra {
			extra[i] += v[i]
		}
	}
	n.SetInput(2, f.newBias(n, extra))
	if old != nil && old.Data != nil && len(old.uses) == 0 && !old.IsOutput() {
		f.forget(old)
		name := old.Name
		f.g.RemoveConst(old)
		f.g.Rename(n.In(2), name)
	}
}

// newBias adds a constant that is cut with the outputs of n.
func (f *folding) newBias(n *Node, values []float64) *Value {
	t := tensor.New(tensor.Float32, len(values))
	for i, v := range values {
		tensor.Data[float32](t)[i] = float32(v)
	}
	b := f.g.AddConst(n.Name+"_bias", t)
	if l := f.a.at[n.Outputs[0]]; l != nil {
		k := constAxis{b, 0}
		f.a.consts[k] = &constLabels{ids: l.ids, node: n, groups: 1}
		f.a.order = append(f.a.order, k)
	}
	return b
}

// forget drops a constant that is gone from what is to be cut.
func (f *folding) forget(v *Value) {
	f.a.order = slices.DeleteFunc(f.a.order, func(k constAxis) bool { return k.v == v })
}
