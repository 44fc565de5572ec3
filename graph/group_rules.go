package graph

import (
	"fmt"
	"slices"
)

// visit propagates labels through one node.
func (a *analysis) visit(n *Node) {
	if a.inside[n] {
		return
	}
	rule := groupRules[[2]string{n.Domain, n.Op}]
	if rule == nil && n.Domain == DrawknifeDomain && n.keepsWeight() {
		rule = (*analysis).quantizer
	}
	if rule == nil {
		a.unknown(n, fmt.Sprintf("%v is not understood", n))
		return
	}
	if !a.hasLabels(n) && !computesFromUnlabelled[n.Op] {
		return
	}
	rule(a, n)
}

// computesFromUnlabelled lists operators whose output has channels of its own
// whatever the input is.
var computesFromUnlabelled = map[string]bool{"Conv": true, "ConvTranspose": true, "Gemm": true, "MatMul": true,
	"QLinearConv": true, "ConvInteger": true, "FusedConv": true, "QLinearMatMul": true, "MatMulInteger": true, "QGemm": true}

func (a *analysis) hasLabels(n *Node) bool {
	for i := range n.Inputs {
		if a.of(n, i) != nil {
			return true
		}
	}
	return false
}

// unknown freezes all that goes into n; what comes out is frozen too.
func (a *analysis) unknown(n *Node, why string) {
	if !a.hasLabels(n) {
		return
	}
	a.freezeInputs(n, why)
	axis := 1
	for i := range n.Inputs {
		if l := a.of(n, i); l != nil && n.Out(0) != nil && len(n.in(i)) == len(n.Outputs[0].Shape) {
			axis = l.axis // likely still where the channels are
			break
		}
	}
	for _, o := range n.Outputs {
		a.opaque(o, axis, why)
	}
}

func (a *analysis) freezeInputs(n *Node, why string) {
	for i := range n.Inputs {
		if l := a.of(n, i); l != nil {
			a.freeze(l.ids, "%s", why)
		}
	}
}

var groupRules map[[2]string]func(*analysis, *Node)

func init() {
	groupRules = map[[2]string]func(*analysis, *Node){}
	on := func(domain string, f func(*analysis, *Node), names ...string) {
		for _, name := range names {
			groupRules[[2]string{domain, name}] = f
		}
	}
	ms := MicrosoftDomain
	on("", (*analysis).pass, "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Mish",
		"Gelu", "Erf", "Tanh", "Softplus", "Softsign", "ThresholdedRelu", "Shrink", "Swish", "Abs", "Neg", "Exp", "Log",
		"Sqrt", "Reciprocal", "Sign", "Ceil", "Floor", "Round", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Asinh",
		"Identity", "Cast", "Clip", "Dropout", "Not", "IsNaN", "IsInf")
	on("", (*analysis).pool, "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "Resize")
	on(ms, (*analysis).pass, "QLinearSigmoid", "QLinearLeakyRelu", "Gelu")
	on(ms, (*analysis).pool, "QLinearAveragePool", "QLinearGlobalAveragePool")
	on("", (*analysis).elementwise, "Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean", "Where", "PRelu",
		"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor")
	on(ms, (*analysis).qlinearBinary, "QLinearAdd", "QLinearMul")
	on("", (*analysis).quantizer, "QuantizeLinear", "DequantizeLinear")
	on(ms, (*analysis).quantizer, "QuantizeLinear", "DequantizeLinear")
	on("", (*analysis).dynamicQuantize, "DynamicQuantizeLinear")
	on("", (*analysis).batchNorm, "BatchNormalization")
	on("", (*analysis).instanceNorm, "InstanceNormalization")
	on("", (*analysis).lrn, "LRN")
	on("", (*analysis).conv, "Conv", "QLinearConv", "ConvInteger")
	on(ms, (*analysis).conv, "FusedConv")
	on("", (*analysis).convTranspose, "ConvTranspose")
	on("", (*analysis).gemm, "Gemm")
	on(ms, (*analysis).gemm, "QGemm")
	on("", (*analysis).matMul, "MatMul", "QLinearMatMul", "MatMulInteger")
	on("", (*analysis).shapeOf, "Shape", "Size")
	on("", (*analysis).reduce, "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
		"ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
	on("", (*analysis).mixesAxis, "Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "CumSum")
	on("", (*analysis).layerNorm, "LayerNormalization", "RMSNormalization")
	on("", (*analysis).concat, "Concat")
	on(ms, (*analysis).concat, "QLinearConcat")
	on("", (*analysis).split, "Split")
	on("", (*analysis).slice, "Slice")
	on("", (*analysis).gather, "Gather")
	on("", (*analysis).pad, "Pad")
	on("", (*analysis).reshape, "Reshape", "Flatten", "Squeeze", "Unsqueeze")
	on("", (*analysis).transpose, "Transpose")
	on("", (*analysis).depthToSpace, "DepthToSpace")
	on("", (*analysis).spaceToDepth, "SpaceToDepth")
}

// pass is for operators that treat every element alike.
func (a *analysis) pass(n *Node) {
	l := a.of(n, 0)
	for i := 1; i < len(n.Inputs); i++ {
		if m := a.of(n, i); m != nil {
			a.freeze(m.ids, "%v reads it as a parameter", n)
		}
	}
	if l == nil {
		return
	}
	for _, o := range n.Outputs {
		a.set(o, l)
	}
}

// pool is for operators that treat every channel alike.
func (a *analysis) pool(n *Node) {
	l := a.of(n, 0)
	switch {
	case l == nil || l.axis != 1 || n.Int("channels_last", 0) != 0:
		a.unknown(n, fmt.Sprintf("%v runs along the channels", n))
	case n.Out(1) != nil && (len(n.Outputs[1].uses) > 0 || n.Outputs[1].IsOutput()):
		a.unknown(n, fmt.Sprintf("%v numbers places across channels", n))
	case n.Op == "Resize" && a.resizesChannels(n, l):
		a.unknown(n, fmt.Sprintf("%v sets the channel count by a computed or absolute size", n))
	default:
		a.set(n.Out(0), l)
	}
}

// resizesChannels reports whether a Resize names the channel axis other than by
// a constant scale of 1, a constant size, which removal can rewrite, or the size
// of the same channels as the graph computes it.
func (a *analysis) resizesChannels(n *Node, l *labels) bool {
	axes := n.Ints("axes")
	if axes != nil && indexOf(axes, 1) < 0 {
		return false
	}
	if present(n.In(3)) {
		if n.In(3).Data != nil {
			return false
		}
		at := 1
		if axes != nil {
			at = indexOf(axes, 1)
		}
		of, axis := shapeElement(n.In(3), at)
		m := a.at[of]
		return of == nil || m == nil || m.axis != axis || !a.equal(m.ids, l.ids)
	}
	return n.In(2) == nil || n.In(2).Data == nil
}

// equal reports that two lists are tied place by place.
func (a *analysis) equal(x, y []int32) bool {
	return slices.EqualFunc(x, y, func(i, j int32) bool { return a.find(i) == a.find(j) })
}

// shapeElement finds the value and its axis whose size element i of a computed
// vector is, through the operators that put sizes together; nil if it is no
// such thing.
func shapeElement(v *Value, i int) (*Value, int) {
	n := v.Producer()
	if n == nil {
		return nil, 0
	}
	switch n.Op {
	case "Identity", "Cast", "Squeeze", "Unsqueeze":
		return shapeElement(n.In(0), i)
	case "Shape":
		return n.In(0), i + n.Int("start", 0)
	case "Concat":
		for _, part := range n.Inputs {
			size := part.Shape
			if len(size) != 1 || !size[0].Known() {
				break
			}
			if i < size[0].Size {
				return shapeElement(part, i)
			}
			i -= size[0].Size
		}
	case "Slice":
		if starts, ok := n.In(1).IntElems(); ok && len(starts) == 1 && starts[0] >= 0 && n.In(4) == nil {
			return shapeElement(n.In(0), starts[0]+i)
		}
	case "Gather":
		if at, ok := n.In(1).IntElems(); ok && i < len(at) && at[i] >= 0 && n.Int("axis", 0) == 0 {
			return shapeElement(n.In(0), at[i])
		}
	}
	return nil, 0
}

func indexOf(list []int, v int) int {
	for i, x := range list {
		if x == v {
			return i
		}
	}
	return -1
}

func (a *analysis) elementwise(n *Node) {
	operands := make([]int, len(n.Inputs))
	for i := range operands {
		operands[i] = i
	}
	a.broadcasting(n, operands)
}

func (a *analysis) qlinearBinary(n *Node) { a.broadcasting(n, []int{0, 3}) }

// broadcasting ties the operands of an elementwise operator.
func (a *analysis) broadcasting(n *Node, operands []int) {
	out := n.Out(0)
	if out == nil || out.Shape == nil {
		a.unknown(n, fmt.Sprintf("the shape of %v is not known", n))
		return
	}
	rank := len(out.Shape)
	var main *labels // in the output's axes
	carriers := 0
	for _, i := range operands {
		l := a.of(n, i)
		if l == nil || len(l.ids) == 1 && out.Shape[l.axis+rank-len(n.in(i))].size() != 1 {
			continue
		}
		if len(l.ids) == 1 && main != nil {
			continue
		}
		carriers++
		if main == nil || len(main.ids) == 1 && len(l.ids) > 1 {
			main = &labels{l.axis + rank - len(n.in(i)), l.ids}
		}
	}
	if main == nil {
		a.unknown(n, fmt.Sprintf("%v broadcasts its one channel", n))
		return
	}
	for _, i := range operands {
		a.operand(n, i, main, rank)
	}
	if carriers > 1 && n.Op != "Mul" && n.Op != "Div" && n.Op != "QLinearMul" {
		for _, id := range main.ids {
			a.residual[a.find(id)] = true
		}
	}
	a.set(out, main)
}

// operand ties input i of n to the labels of its output.
func (a *analysis) operand(n *Node, i int, main *labels, rank int) {
	shape := n.in(i)
	k := main.axis - rank + len(shape)
	if l := a.of(n, i); l != nil {
		switch {
		case l.axis == k && len(l.ids) == len(main.ids):
			a.tie(main.ids, l.ids)
		case l.axis == k && len(l.ids) == 1:
			a.freeze(l.ids, "%v broadcasts its one channel", n)
		default:
			a.freeze(l.ids, "%v mixes different axes", n)
			a.freeze(main.ids, "%v mixes different axes", n)
		}
		return
	}
	p := a.param(n, i)
	switch {
	case shape == nil:
		a.freeze(main.ids, "%v reads %q of unknown shape", n, n.In(i).Name)
	case k < 0 || shape[k].Known() && shape[k].Size == 1 && len(main.ids) != 1:
	case p == nil:
		a.freeze(main.ids, "%v reads %q, whose channels are not known", n, n.In(i).Name)
	default:
		a.tie(main.ids, a.member(n, p.v, p.axes[k], Follows, 1))
	}
}

// quantizer is for QuantizeLinear and DequantizeLinear of activations.
func (a *analysis) quantizer(n *Node) {
	l := a.of(n, 0)
	if l == nil {
		return
	}
	k, err := axis(n.Int("axis", 1), len(n.in(0)))
	for i := 1; i < len(n.Inputs); i++ {
		s := n.In(i)
		if s == nil || oneElement(s.Shape) {
			continue
		}
		switch {
		case err != nil || len(s.Shape) != 1 || n.Int("block_size", 0) != 0:
			a.freeze(l.ids, "%v quantizes blocks", n)
		case k == l.axis:
			a.vector(n, i, l.ids)
		}
	}
	a.set(n.Out(0), l)
}

// dynamicQuantize takes the range of all channels: a channel of zeros never
// widens it, so that removing it changes nothing.
func (a *analysis) dynamicQuantize(n *Node) {
	if l := a.of(n, 0); l != nil {
		a.set(n.Out(0), l)
	}
}

func (a *analysis) batchNorm(n *Node) {
	l := a.of(n, 0)
	if l == nil || l.axis != 1 || n.Int("training_mode", 0) != 0 {
		a.unknown(n, fmt.Sprintf("%v does not normalize along its channels alone", n))
		return
	}
	for i := 1; i <= 4; i++ {
		a.vector(n, i, l.ids)
	}
	a.set(n.Out(0), l)
}

func (a *analysis) instanceNorm(n *Node) {
	l := a.of(n, 0)
	if l == nil || l.axis != 1 {
		a.unknown(n, fmt.Sprintf("%v does not normalize along its channels alone", n))
		return
	}
	a.vector(n, 1, l.ids)
	a.vector(n, 2, l.ids)
	a.set(n.Out(0), l)
}

// lrn mixes neighbouring channels, so that removing a channel of zeros makes
// others neighbours: it can be done, but it changes the result.
func (a *analysis) lrn(n *Node) {
	l := a.of(n, 0)
	if l == nil || l.axis != 1 {
		a.unknown(n, fmt.Sprintf("%v runs along another axis", n))
		return
	}
	for _, id := range l.ids {
		a.inexact[a.find(id)] = fmt.Sprintf("%v mixes neighbouring channels", n)
	}
	a.set(n.Out(0), l)
}

// layerNorm mixes what it normalizes over.
func (a *analysis) layerNorm(n *Node) {
	l := a.of(n, 0)
	k, err := axis(n.Int("axis", -1), max(len(n.in(0)), 1))
	if l == nil || err != nil || l.axis >= k || n.Out(1) != nil || n.Out(2) != nil {
		a.unknown(n, fmt.Sprintf("%v mixes the channels", n))
		return
	}
	a.set(n.Out(0), l)
}

// mixesAxis is for operators that work along an attribute axis.
func (a *analysis) mixesAxis(n *Node) {
	l := a.of(n, 0)
	k, err := axis(n.Int("axis", -1), max(len(n.in(0)), 1))
	if n.Op == "CumSum" {
		list, ok := n.In(1).IntElems()
		if !ok || len(list) != 1 {
			err = ErrNoShapes
		} else {
			k, err = axis(list[0], max(len(n.in(0)), 1))
		}
	}
	if l == nil || err != nil || k == l.axis {
		a.unknown(n, fmt.Sprintf("%v mixes the channels", n))
		return
	}
	a.set(n.Out(0), l)
}

func (a *analysis) reduce(n *Node) {
	l := a.of(n, 0)
	axes, ok := n.Ints("axes"), true
	if n.In(1) != nil {
		axes, ok = n.In(1).IntElems()
	}
	if l != nil && ok && len(axes) == 0 && n.Int("noop_with_empty_axes", 0) != 0 {
		a.set(n.Out(0), l)
		return
	}
	var err error
	if ok {
		axes, err = axesOf(axes, len(n.in(0)))
	}
	if l == nil || !ok || err != nil || len(axes) == 0 || indexOf(axes, l.axis) >= 0 {
		a.unknown(n, fmt.Sprintf("%v reduces over the channels", n))
		return
	}
	to := l.axis
	if n.Int("keepdims", 1) == 0 {
		for _, k := range axes {
			if k < l.axis {
				to--
			}
		}
	}
	a.set(n.Out(0), &labels{to, l.ids})
}

// shapeOf reads no elements; what is computed from a shape follows when shapes
// are inferred again.
func (a *analysis) shapeOf(*Node) {}
