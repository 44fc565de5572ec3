package hardware

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/graph"
)

// Options say how FromGraph reads a model.
type Options struct {
	// Batch replaces dimensions of unknown size; 0 is 1.
	Batch int
	// Unfused keeps normalization, activations and additions as layers of
	// their own.
	Unfused bool
	// Activations gives the share of non-zero elements of values by name, as
	// measured on real data. Values that are missing count as dense.
	Activations map[string]float64
}

// FromGraph reads a workload out of a graph whose shapes have been inferred.
// Weights carry their real bits and sparsity. Operators that move no data
// (Reshape and the like), those that only prepare constants and, unless Unfused
// is set, rounding to integers and back (QuantizeLinear) are left out.
func FromGraph(g *graph.Graph, o Options) (*Workload, error) {
	if o.Batch == 0 {
		o.Batch = 1
	}
	if o.Batch < 1 || o.Batch > 1<<20 {
		return nil, fmt.Errorf("hardware: batch %d must be from 1 to 2^20", o.Batch)
	}
	x := &extractor{options: o, done: map[*graph.Node]bool{}}
	w := &Workload{Name: g.Name, Batch: o.Batch, Fused: !o.Unfused}
	for _, n := range g.Nodes {
		if x.done[n] || movesNothing(n) || !o.Unfused && n.Is("QuantizeLinear", "DequantizeLinear") {
			continue
		}
		l, err := x.layer(n)
		if err == nil {
			err = l.Check()
		}
		if err != nil {
			return nil, fmt.Errorf("hardware: node %q (%s): %w", n.Name, n.Op, err)
		}
		w.Layers = append(w.Layers, l)
	}
	if len(w.Layers) == 0 {
		return nil, fmt.Errorf("hardware: the model %q computes nothing", g.Name)
	}
	return w, nil
}

// movesNothing tells operators that only rename or describe data, or that
// prepare constants, from those that compute.
func movesNothing(n *graph.Node) bool {
	if n.Is("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Constant", "ConstantOfShape", "Shape", "Size") {
		return true
	}
	for _, v := range n.Inputs {
		if v != nil && graph.Source(v) == nil && v.Elems == nil {
			return false
		}
	}
	return true
}

type extractor struct {
	options Options
	done    map[*graph.Node]bool
}

func (x *extractor) layer(n *graph.Node) (*Layer, error) {
	l := &Layer{Name: n.Name, Op: n.Op, Nodes: []string{n.Name}, Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Density: Density{1, 1, 1}}
	var err error
	in, weight, tail := n.In(0), -1, n
	switch {
	case n.Is("Conv", "ConvInteger"), n.Domain == graph.MicrosoftDomain && n.Op == "FusedConv":
		weight, err = 1, x.conv(l, n, n.In(1))
	case n.Is("QLinearConv"):
		weight, err = 3, x.conv(l, n, n.In(3))
	case graph.IsBinaryConv(n):
		w := n.In(1)
		if shape := n.Ints("weight_shape"); w != nil && len(shape) > 0 { // packed
			w = &graph.Value{Name: w.Name, Shape: graph.ShapeOf(shape)}
		}
		weight, err = 1, x.conv(l, n, w)
	case n.Is("ConvTranspose"):
		weight, err = 1, x.convTranspose(l, n)
	case n.Is("Gemm"), n.Domain == graph.MicrosoftDomain && n.Op == "QGemm":
		weight = map[bool]int{true: 1, false: 3}[n.Is("Gemm")]
		err = x.gemm(l, n)
	case n.Is("MatMul", "MatMulInteger", "QLinearMatMul"):
		in, weight, err = x.matMul(l, n)
	default:
		err = x.mover(l, n)
	}
	if err != nil {
		return nil, err
	}
	if weight >= 0 && !x.options.Unfused {
		tail = x.fuse(l, n)
	}
	var w *graph.Value
	if weight >= 0 {
		w = n.In(weight)
	}
	x.widths(l, n, in, w, tail.Out(0))
	return l, nil
}

// widths sets bits and densities.
func (x *extractor) widths(l *Layer, n *graph.Node, in, weight, out *graph.Value) {
	l.Bits = Bits{W: weightBits(weight), A: activationBits(in), Psum: 32, Out: storedBits(out, 32)}
	if graph.IsBinaryConv(n) {
		l.Bits.W, l.Bits.A = 1, 1
		return // signs are never zero
	}
	if s := graph.Source(weight); weight != nil && s != nil {
		l.Weight = s.Data
		l.Density.W = 1 - n.Cost().Sparsity
	}
	l.Density.In, l.Density.Out = x.density(in), x.density(out)
}

func (x *extractor) density(v *graph.Value) float64 {
	if v == nil {
		return 1
	}
	d, ok := x.options.Activations[v.Name]
	if !ok || !(d > 0 && d <= 1) {
		return 1
	}
	return d
}

// fuse follows the only reader of n's output through operators that work
// element by element, and returns the last node that it took in.
func (x *extractor) fuse(l *Layer, n *graph.Node) *graph.Node {
	for {
		next := (*graph.Node)(nil)
		if o := n.Out(0); o != nil {
			next = o.SoleUse()
		}
		if next == nil || x.done[next] || !fusable(next) {
			return n
		}
		x.done[next] = true
		l.Nodes = append(l.Nodes, next.Name)
		n = next
	}
}

func fusable(n *graph.Node) bool {
	return n.Is("BatchNormalization", "Relu", "Clip", "LeakyRelu", "PRelu", "Add", "Sub", "Mul", "Sigmoid", "Tanh", "HardSigmoid",
		"HardSwish", "Swish", "Elu", "Selu", "Gelu", "Softplus", "QuantizeLinear", "DequantizeLinear", "Cast")
}

// size is the size of dimension i of v, the batch where it is a symbol.
func (x *extractor) size(v *graph.Value, i int) (int, error) {
	if v == nil || v.Shape == nil {
		return 0, fmt.Errorf("a shape is unknown; bind the model's input shape first")
	}
	if i < 0 {
		i += len(v.Shape)
	}
	if i < 0 || i >= len(v.Shape) {
		return 0, fmt.Errorf("value %q of shape %v has too few dimensions", v.Name, v.Shape)
	}
	if d := v.Shape[i]; d.Known() {
		return d.Size, nil
	}
	if i > 0 {
		return 0, fmt.Errorf("dimension %d of value %q of shape %v is unknown; bind the model's input shape first", i, v.Name, v.Shape)
	}
	return x.options.Batch, nil
}

// sizes collects several dimensions into *to.
func (x *extractor) sizes(v *graph.Value, to ...*int) error {
	for i, p := range to {
		if p == nil {
			continue
		}
		n, err := x.size(v, i)
		if err != nil {
			return err
		}
		*p = n
	}
	return nil
}

func (x *extractor) conv(l *Layer, n *graph.Node, weight *graph.Value) error {
	return x.window(l, n, n.In(0), n.Out(0), weight, n.Int("group", 1))
}

// convTranspose describes the convolution whose gradient this is.
func (x *extractor) convTranspose(l *Layer, n *graph.Node) error {
	l.Transposed = true
	return x.window(l, n, n.Out(0), n.In(0), n.In(1), n.Int("group", 1))
}

// window fills in a convolution from in to out; weight has the channels of out
// first.
func (x *extractor) window(l *Layer, n *graph.Node, in, out, weight *graph.Value, group int) error {
	if in == nil || out == nil || weight == nil || len(in.Shape) < 3 || len(in.Shape) > 4 {
		return fmt.Errorf("convolutions over one or two dimensions of known shape can be modelled")
	}
	if len(out.Shape) != len(in.Shape) || len(weight.Shape) != len(in.Shape) || group < 1 {
		return fmt.Errorf("the shapes of input, weight and output do not fit each other")
	}
	s := &l.Size
	for i := range s {
		s[i] = 1
	}
	l.Height, l.Width = 1, 1
	var channels int
	rows, cols, inRows, inCols, kr, ks := &s[P], &s[Q], &l.Height, &l.Width, &s[R], &s[S]
	if len(in.Shape) == 3 {
		rows, cols, inRows, inCols, kr, ks = &s[P], nil, &l.Height, nil, &s[R], nil
	}
	if err := x.sizes(out, nil, &channels, rows, cols); err != nil {
		return err
	}
	if err := x.sizes(in, &s[N], nil, inRows, inCols); err != nil {
		return err
	}
	if err := x.sizes(weight, nil, &s[C], kr, ks); err != nil {
		return err
	}
	s[G], s[K] = group, channels/group
	return x.geometry(l, n, len(in.Shape)-2)
}

func (x *extractor) geometry(l *Layer, n *graph.Node, rank int) error {
	strides, dilations, pads := n.Ints("strides"), n.Ints("dilations"), n.Ints("pads")
	for i := range rank {
		if i < len(strides) {
			l.Stride[i] = strides[i]
		}
		if i < len(dilations) {
			l.Dilation[i] = dilations[i]
		}
		if i < len(pads) {
			l.Pad[i] = pads[i]
		}
	}
	same := n.Str("auto_pad", "NOTSET")
	if same != "SAME_UPPER" && same != "SAME_LOWER" {
		return nil
	}
	for i, span := range []int{l.PaddedHeight() - l.Height, l.PaddedWidth() - l.Width} {
		if span = max(span, 0); same == "SAME_LOWER" {
			span++
		}
		l.Pad[i] = span / 2
	}
	return nil
}

// gemm is a fully connected layer: the rows of A are images.
func (x *extractor) gemm(l *Layer, n *graph.Node) error {
	l.unit()
	a, out := n.In(0), n.Out(0)
	inner := 1
	if n.Int("transA", 0) != 0 {
		inner = 0
	}
	var err error
	if l.Size[C], err = x.size(a, inner); err != nil {
		return err
	}
	return x.sizes(out, &l.Size[N], &l.Size[K])
}

// unit makes a nest whose loops all have size 1.
func (l *Layer) unit() {
	for i := range l.Size {
		l.Size[i] = 1
	}
	l.Height, l.Width = 1, 1
}

// matMul describes A·B, weights on either side or none. It returns the streamed
// input and the index of the weight.
func (x *extractor) matMul(l *Layer, n *graph.Node) (in *graph.Value, weight int, err error) {
	ai, bi := 0, 1
	if n.Is("QLinearMatMul") {
		bi = 3
	}
	a, b, out := n.In(ai), n.In(bi), n.Out(0)
	if a == nil || b == nil || out == nil || len(a.Shape) < 2 || len(b.Shape) < 2 || len(out.Shape) < 2 {
		return nil, 0, fmt.Errorf("products of vectors cannot be modelled")
	}
	l.unit()
	var rows, cols, inner int
	lead := 1
	for i := range len(out.Shape) - 2 {
		d, err := x.size(out, i)
		if err != nil {
			return nil, 0, err
		}
		if lead > 1<<40/max(d, 1) {
			return nil, 0, fmt.Errorf("too many products")
		}
		lead *= d
	}
	for _, v := range []struct {
		to  *int
		in  *graph.Value
		dim int
	}{{&rows, a, -2}, {&cols, b, -1}, {&inner, a, -1}} {
		if *v.to, err = x.size(v.in, v.dim); err != nil {
			return nil, 0, err
		}
	}
	l.Size[C] = inner
	switch {
	case len(b.Shape) == 2 && graph.Source(a) == nil:
		l.Size[K] = cols
		if len(a.Shape) == 2 { // a fully connected layer
			l.Size[N] = rows
		} else {
			l.Size[N], l.Size[P] = lead, rows
		}
		l.Height = l.Size[P]
		return a, bi, nil
	case graph.Source(a) != nil && len(a.Shape) == 2:
		l.Size[N], l.Size[K], l.Size[P], l.Height = lead, rows, cols, cols
		return b, ai, nil
	}
	l.Size[G], l.Size[K], l.Size[P], l.Height = lead, cols, rows, rows
	return a, bi, nil
}

// mover describes an operator without MACs by what it moves.
func (x *extractor) mover(l *Layer, n *graph.Node) error {
	for _, v := range n.Inputs {
		if v == nil || v.Shape == nil {
			continue
		}
		w, err := x.words(v)
		if err != nil {
			return err
		}
		l.InWords += w
	}
	for _, v := range n.Outputs {
		if v == nil || v.Shape == nil {
			continue
		}
		w, err := x.words(v)
		if err != nil {
			return err
		}
		l.OutWords += w
	}
	l.Ops = l.OutWords
	switch {
	case n.Is("MaxPool", "AveragePool", "LpPool"):
		for _, k := range n.Ints("kernel_shape") {
			if k < 1 || l.Ops > MaxMACs/int64(k) {
				return fmt.Errorf("kernel_shape %v is out of range", n.Ints("kernel_shape"))
			}
			l.Ops *= int64(k)
		}
	case n.Is("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum", "ReduceMax"):
		l.Ops = l.InWords
	case n.Is("BatchNormalization"):
		l.Ops *= 2
	case n.Is("LRN"):
		l.Ops *= int64(min(max(n.Int("size", 1), 1), 1<<10)) + 3
	case n.Is("Softmax", "LogSoftmax", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "Gelu", "Swish", "HardSwish"):
		l.Ops *= 5
	case n.Is("Concat", "Split", "Transpose", "Slice", "Gather", "Pad", "Expand", "Tile", "DepthToSpace", "SpaceToDepth"):
		l.Ops = 0
	}
	return nil
}

// words counts the elements of a value.
func (x *extractor) words(v *graph.Value) (int64, error) {
	n := int64(1)
	for i := range v.Shape {
		d, err := x.size(v, i)
		if err != nil {
			return 0, err
		}
		if d > 0 && n > MaxMACs/int64(d) {
			return 0, fmt.Errorf("value %q of shape %v is too large", v.Name, v.Shape)
		}
		n *= int64(d)
	}
	return n, nil
}

// Names lists the layers' names.
func (w *Workload) Names() []string {
	return slices.Collect(func(yield func(string) bool) {
		for _, l := range w.Layers {
			if !yield(l.Name) {
				return
			}
		}
	})
}
