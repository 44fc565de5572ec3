package graph

import (
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

func init() {
	conv := operator("Conv", 2, 3, 1, inferConv)
	conv.MACs = func(n *Node) int64 { return convMACs(n, n.in(1)) }
	fused := conv
	fused.Domain, fused.Name, fused.MaxIn = MicrosoftDomain, "FusedConv", 4
	transpose := operator("ConvTranspose", 2, 3, 1, inferConvTranspose)
	transpose.MACs = convTransposeMACs
	qlinear := operator("QLinearConv", 8, 9, 1, inferQLinearConv)
	qlinear.MACs = func(n *Node) int64 { return convMACs(n, n.in(3)) }
	integer := operator("ConvInteger", 2, 4, 1, inferConvInteger)
	integer.MACs = conv.MACs
	Register(conv, fused, transpose, qlinear, integer)
}

// window is the geometry that convolutions and pools share, per spatial
// dimension.
type window struct {
	kernel, strides, dilations []int
	pads                       []int // all the starts, then all the ends
	autoPad                    string
	ceil                       bool
}

// newWindow reads and checks the attributes for a kernel over len(kernel)
// spatial dimensions; an unknown kernel size is -1.
func newWindow(n *Node, kernel []int) (window, error) {
	d := len(kernel)
	w := window{kernel: kernel, autoPad: n.Str("auto_pad", "NOTSET"), ceil: n.Int("ceil_mode", 0) != 0}
	var err error
	if w.strides, err = windowList(n, "strides", d, 1, 1); err != nil {
		return w, err
	}
	if w.dilations, err = windowList(n, "dilations", d, 1, 1); err != nil {
		return w, err
	}
	if w.pads, err = windowList(n, "pads", 2*d, 0, 0); err != nil {
		return w, err
	}
	switch w.autoPad {
	case "NOTSET", "", "VALID", "SAME_UPPER", "SAME_LOWER":
	default:
		return w, fmt.Errorf("auto_pad %q is not one of NOTSET, VALID, SAME_UPPER, SAME_LOWER", w.autoPad)
	}
	for i, k := range kernel {
		if k == 0 || k < -1 {
			return w, fmt.Errorf("kernel size %d in dimension %d; it must be at least 1", k, i)
		}
	}
	return w, nil
}

// windowList reads an integer list of the given length whose elements are at
// least least and small enough for safe arithmetic.
func windowList(n *Node, name string, length, def, least int) ([]int, error) {
	list := n.Ints(name)
	if len(list) == 0 {
		list = make([]int, length)
		for i := range list {
			list[i] = def
		}
		return list, nil
	}
	if len(list) != length {
		return nil, fmt.Errorf("%s = %v has %d numbers, want %d", name, list, len(list), length)
	}
	for _, v := range list {
		if v < least || v > 1<<31 {
			return nil, fmt.Errorf("%s = %v: every number must be from %d to 2^31", name, list, least)
		}
	}
	return list, nil
}

// extent is the number of input elements that one window spans in dimension i.
func (w window) extent(i int) (int, error) {
	e, ok := checkedMul(w.kernel[i]-1, w.dilations[i])
	if !ok || e > 1<<40 {
		return 0, fmt.Errorf("kernel %v with dilations %v is too large", w.kernel, w.dilations)
	}
	return e + 1, nil
}

// out is the output size in dimension i.
func (w window) out(i int, in Dim) (Dim, error) {
	if !in.Known() || w.kernel[i] < 0 {
		if w.strides[i] == 1 && (w.autoPad == "SAME_UPPER" || w.autoPad == "SAME_LOWER") {
			return in, nil
		}
		return w.keeps(i, in), nil
	}
	d := len(w.kernel)
	begin, end := w.pads[i], w.pads[d+i]
	s := w.strides[i]
	switch w.autoPad {
	case "SAME_UPPER", "SAME_LOWER":
		return D((in.Size + s - 1) / s), nil
	case "VALID":
		begin, end = 0, 0
	}
	e, err := w.extent(i)
	if err != nil {
		return in, err
	}
	free := in.Size + begin + end - e
	if free < 0 {
		return in, fmt.Errorf("the window spans %d elements, but dimension %d has only %d with padding; the input image is too small", e, i, in.Size+begin+end)
	}
	out := free/s + 1
	if w.ceil && w.autoPad != "VALID" {
		out = (free+s-1)/s + 1
		// The last window must start inside the input or its start padding.
		if (out-1)*s >= in.Size+begin {
			out--
		}
	}
	return D(out), nil
}

// keeps returns in if the window certainly keeps an unknown size, else
// unknown.
func (w window) keeps(i int, in Dim) Dim {
	if in.Known() || w.kernel[i] < 0 || w.strides[i] != 1 {
		return unknown
	}
	e, err := w.extent(i)
	begin, end := w.pads[i], w.pads[len(w.kernel)+i]
	if w.autoPad == "VALID" {
		begin, end = 0, 0
	}
	if err == nil && begin+end == e-1 {
		return in
	}
	return unknown
}

// kernelOf returns the kernel sizes: the weight's, which the attribute
// kernel_shape, if present, must repeat.
func kernelOf(n *Node, w Shape) ([]int, error) {
	attr := n.Ints("kernel_shape")
	if w == nil {
		return attr, nil
	}
	if len(w) < 3 {
		return nil, fmt.Errorf("the weight of shape %v needs at least 3 dimensions (output channels, input channels, kernel)", w)
	}
	k := w[2:].Ints()
	if len(attr) == 0 {
		return k, nil
	}
	if len(attr) != len(k) {
		return nil, fmt.Errorf("kernel_shape %v does not fit the weight's shape %v", attr, w)
	}
	for i := range k {
		if k[i] >= 0 && attr[i] != k[i] {
			return nil, fmt.Errorf("kernel_shape %v does not fit the weight's shape %v", attr, w)
		}
		k[i] = attr[i]
	}
	return k, nil
}

func inferConv(n *Node) error {
	if z := n.In(3); z != nil && n.Domain != MicrosoftDomain {
		return fmt.Errorf("has an input too many (%q)", z.Name)
	}
	s, err := convShape(n, n.in(0), n.in(1), n.in(2))
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), s)
	return nil
}

func inferQLinearConv(n *Node) error {
	s, err := convShape(n, n.in(0), n.in(3), n.in(8))
	if err != nil {
		return err
	}
	n.set(0, n.inType(7), s)
	return nil
}

func inferConvInteger(n *Node) error {
	s, err := convShape(n, n.in(0), n.in(1), nil)
	if err != nil {
		return err
	}
	n.set(0, tensor.Int32, s)
	return nil
}

// convShape infers a convolution over x (N, C, spatial…) with weight w
// (O, C/group, kernel…) and bias b (O).
func convShape(n *Node, x, w, b Shape) (Shape, error) {
	kernel, err := kernelOf(n, w)
	if err != nil {
		return nil, err
	}
	if kernel == nil {
		if x == nil {
			return nil, nil
		}
		return unknowns(len(x)), nil
	}
	win, err := newWindow(n, kernel)
	if err != nil {
		return nil, err
	}
	group := n.Int("group", 1)
	if group < 1 {
		return nil, fmt.Errorf("group = %d; it must be at least 1", group)
	}
	out := unknowns(len(kernel) + 2)
	if w != nil {
		if out[1], err = convOutChannels(w[0], b, group); err != nil {
			return nil, err
		}
	}
	if x == nil {
		return out, nil
	}
	if len(x) != len(out) {
		return nil, fmt.Errorf("the input of shape %v has %d dimensions, a kernel of %d needs %d", x, len(x), len(kernel), len(out))
	}
	if w != nil && x[1].Known() && w[1].Known() {
		if want, ok := checkedMul(w[1].Size, group); !ok || want != x[1].Size {
			return nil, fmt.Errorf("the input has %d channels, but the weight of shape %v with group %d takes %d", x[1].Size, w, group, want)
		}
	}
	out[0] = x[0]
	for i := range kernel {
		if out[i+2], err = win.out(i, x[i+2]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// convOutChannels checks that group divides the output channels and that the
// bias has one element for each.
func convOutChannels(o Dim, bias Shape, group int) (Dim, error) {
	if o.Known() && o.Size%group != 0 {
		return o, fmt.Errorf("group %d does not divide the %d output channels", group, o.Size)
	}
	if bias == nil {
		return o, nil
	}
	if len(bias) != 1 {
		return o, fmt.Errorf("the bias has shape %v, want one dimension of %v", bias, o)
	}
	return agree(o, bias[0], "the weight's output channels and the bias's length")
}

func inferConvTranspose(n *Node) error {
	x, w := n.in(0), n.in(1)
	kernel, err := kernelOf(n, w)
	if err != nil {
		return err
	}
	if kernel == nil {
		n.set(0, n.inType(0), nil)
		return nil
	}
	win, err := newWindow(n, kernel)
	if err != nil {
		return err
	}
	group := n.Int("group", 1)
	if group < 1 {
		return fmt.Errorf("group = %d; it must be at least 1", group)
	}
	out := unknowns(len(kernel) + 2)
	if w != nil {
		o := dimMul(w[1], D(group))
		if out[1], err = convOutChannels(o, n.in(2), group); err != nil {
			return err
		}
	}
	if x != nil {
		if err := checkConvTransposeInput(x, w, len(out), group); err != nil {
			return err
		}
		out[0] = x[0]
		if err := convTransposeSpatial(n, win, x[2:], out[2:]); err != nil {
			return err
		}
	}
	n.set(0, n.inType(0), out)
	return nil
}

func checkConvTransposeInput(x, w Shape, rank, group int) error {
	if len(x) != rank {
		return fmt.Errorf("the input of shape %v has %d dimensions, the kernel needs %d", x, len(x), rank)
	}
	if w == nil {
		return nil
	}
	c, err := agree(x[1], w[0], "the input's channels and the weight's first dimension")
	if err != nil {
		return err
	}
	if c.Known() && c.Size%group != 0 {
		return fmt.Errorf("group %d does not divide the %d input channels", group, c.Size)
	}
	return nil
}

func convTransposeSpatial(n *Node, w window, in, out Shape) error {
	d := len(in)
	extra, err := windowList(n, "output_padding", d, 0, 0)
	if err != nil {
		return err
	}
	fixed := n.Ints("output_shape")
	if len(fixed) == d+2 { // some exporters give batch and channels too
		fixed = fixed[2:]
	}
	if len(fixed) != 0 && len(fixed) != d {
		return fmt.Errorf("output_shape %v has %d numbers, want %d", fixed, len(fixed), d)
	}
	for i, size := range in {
		switch {
		case len(fixed) > 0:
			if fixed[i] < 0 {
				return fmt.Errorf("output_shape %v is negative", fixed)
			}
			out[i] = D(fixed[i])
		case !size.Known() || w.kernel[i] < 0:
			out[i] = unknown
		default:
			if out[i], err = w.transposed(i, size.Size, extra[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// transposed is the output size of a transposed convolution in dimension i.
func (w window) transposed(i, in, extra int) (Dim, error) {
	span, ok := checkedMul(w.strides[i], in)
	if !ok || span > tensor.MaxElements {
		return unknown, fmt.Errorf("output dimension %d is too large", i)
	}
	if w.autoPad == "SAME_UPPER" || w.autoPad == "SAME_LOWER" {
		return D(span), nil
	}
	e, err := w.extent(i)
	if err != nil {
		return unknown, err
	}
	size := span - w.strides[i] + e + extra
	if w.autoPad != "VALID" {
		size -= w.pads[i] + w.pads[len(w.kernel)+i]
	}
	if in == 0 {
		size = 0
	}
	if size < 0 {
		return unknown, fmt.Errorf("output dimension %d would have size %d; the padding is too large", i, size)
	}
	return D(size), nil
}

// convMACs is batch x output channels x output positions x inputs of one
// output.
func convMACs(n *Node, w Shape) int64 {
	if n.Out(0) == nil || n.Out(0).Shape == nil || len(w) < 3 {
		return 0
	}
	return productOf(n.Out(0).Shape, w[1:])
}

func convTransposeMACs(n *Node) int64 {
	x, w := n.in(0), n.in(1)
	if x == nil || len(w) < 3 {
		return 0
	}
	return productOf(x, w[1:])
}

// productOf multiplies all the dimensions, an unknown one counting as 1.
func productOf(shapes ...Shape) int64 {
	var list []int
	for _, s := range shapes {
		for _, d := range s {
			list = append(list, d.size())
		}
	}
	return clampMul(list...)
}
