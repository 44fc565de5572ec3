package zoo

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// builder adds layers to a graph. The first error sticks; later calls do
// nothing harmful.
type builder struct {
	g      *graph.Graph
	in     fmap
	opts   options
	seed   uint64
	params int
	err    error
	// zeros leaves the weights at zero, which is quick (for counting).
	zeros bool
	// fills draw the weights, once the whole network is known to fit.
	fills []func()
	// eps and momentum of batch normalization; 0 means ONNX's defaults
	// (1e-5 and 0.9).
	eps, momentum float32

	clip6 [2]*graph.Value
}

// fmap is a feature map (or, with h = w = 0, a matrix of c features a row).
type fmap struct {
	v       *graph.Value
	c, h, w int
}

func (b *builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// fits counts n more parameters and reports whether they may be allocated.
func (b *builder) fits(n int) bool {
	b.params += n
	if b.params > maxParams {
		b.fail("more than %d parameters; choose a smaller width", maxParams)
	}
	return b.err == nil
}

// rng returns the generator of one parameter: it depends on the seed and the
// parameter's name only.
func (b *builder) rng(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(b.seed, h.Sum64()))
}

// normal adds a parameter drawn from a normal distribution of standard
// deviation std.
func (b *builder) normal(name string, std float64, shape ...int) *graph.Value {
	n, ok := tensor.NumElements(shape)
	if !ok || !b.fits(n) {
		b.fail("parameter %s of shape %v is too large", name, shape)
		return b.g.AddConst(name, tensor.New(tensor.Float32, 1))
	}
	t := tensor.New(tensor.Float32, shape...)
	if !b.zeros {
		b.fills = append(b.fills, func() {
			r := b.rng(name)
			for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
				d[i] = float32(r.NormFloat64() * std)
			}
		})
	}
	return b.g.AddConst(name, t)
}

// constant adds a parameter of n equal elements.
func (b *builder) constant(name string, v float32, n int) *graph.Value {
	if !b.fits(n) {
		n = 1
	}
	d := make([]float32, n)
	for i := range d {
		d[i] = v
	}
	return b.g.AddConst(name, tensor.Of(d, n))
}

// node appends a node with one output.
func (b *builder) node(op, name string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
	return b.g.Add(op, name, attrs, in...)
}

// last appends the node whose output is the network's.
func (b *builder) last(op, name string, attrs graph.Attrs, in ...*graph.Value) {
	n := b.g.Append(b.g.NewNode("", op, name, in, []string{"logits"}, attrs))
	b.g.AddOutput(n.Outputs[0])
}

// window is the geometry of a convolution or pool. The zero value of a field
// means its usual default.
type window struct {
	k, kw  int  // kernel height and width; kw 0 means k
	s      int  // stride, 0 means 1
	p      int  // padding on every side
	same   bool // pad as TensorFlow's SAME does (less at the start)
	ceil   bool
	groups int
	bias   bool
}

// dims returns the kernel, the pads (top, left, bottom, right) and the output
// size of w over x.
func (w window) dims(x fmap) (kernel, pads [4]int, oh, ow int) {
	kw := w.kw
	if kw == 0 {
		kw = w.k
	}
	s := max(w.s, 1)
	kernel = [4]int{w.k, kw, s, s}
	pads = [4]int{w.p, w.p, w.p, w.p}
	if w.same {
		th := max(0, ((x.h+s-1)/s-1)*s+w.k-x.h)
		tw := max(0, ((x.w+s-1)/s-1)*s+kw-x.w)
		pads = [4]int{th / 2, tw / 2, th - th/2, tw - tw/2}
	}
	size := func(n, k, a, z int) int {
		free := n + a + z - k
		if free < 0 {
			return 0
		}
		o := free/s + 1
		if w.ceil {
			o = (free+s-1)/s + 1
			if (o-1)*s >= n+a {
				o--
			}
		}
		return o
	}
	return kernel, pads, size(x.h, w.k, pads[0], pads[2]), size(x.w, kw, pads[1], pads[3])
}

// attrs makes the node attributes of w over x and the output size.
func (b *builder) attrs(name string, x fmap, w window) (graph.Attrs, int, int) {
	k, p, oh, ow := w.dims(x)
	if oh < 1 || ow < 1 {
		b.fail("%s: an input of %dx%d is too small for a %dx%d window; choose a larger size", name, x.h, x.w, k[0], k[1])
		oh, ow = 1, 1
	}
	a := graph.Attrs{
		"kernel_shape": []int64{int64(k[0]), int64(k[1])},
		"strides":      []int64{int64(k[2]), int64(k[3])},
		"pads":         []int64{int64(p[0]), int64(p[1]), int64(p[2]), int64(p[3])},
	}
	return a, oh, ow
}

// conv adds a convolution to c output channels.
func (b *builder) conv(name string, x fmap, c int, w window) fmap {
	g := max(w.groups, 1)
	if x.c%g != 0 || c%g != 0 {
		b.fail("%s: %d to %d channels cannot be split into %d groups", name, x.c, c, g)
		return fmap{x.v, c, x.h, x.w}
	}
	a, oh, ow := b.attrs(name, x, w)
	a["group"] = int64(g)
	a["dilations"] = []int64{1, 1}
	kw := w.kw
	if kw == 0 {
		kw = w.k
	}
	fan := x.c / g * w.k * kw
	in := []*graph.Value{x.v, b.normal(name+".weight", math.Sqrt(2/float64(fan)), c, x.c/g, w.k, kw)}
	if w.bias {
		in = append(in, b.constant(name+".bias", 0, c))
	}
	return fmap{b.node("Conv", name, a, in...), c, oh, ow}
}

// bn adds batch normalization.
func (b *builder) bn(name string, x fmap) fmap {
	a := graph.Attrs{}
	if b.eps != 0 {
		a["epsilon"] = b.eps
	}
	if b.momentum != 0 {
		a["momentum"] = b.momentum
	}
	x.v = b.node("BatchNormalization", name, a, x.v,
		b.constant(name+".weight", 1, x.c), b.constant(name+".bias", 0, x.c),
		b.constant(name+".running_mean", 0, x.c), b.constant(name+".running_var", 1, x.c))
	b.params -= 2 * x.c
	return x
}

// activation is the name of an ONNX activation, or one of "Relu6" and "Silu",
// or "" for none.
type activation string

// act adds an activation.
func (b *builder) act(name string, x fmap, a activation) fmap {
	switch a {
	case "":
	case "Relu6":
		if b.clip6[0] == nil {
			b.clip6[0] = b.g.AddConst("relu6.min", tensor.Scalar[float32](0))
			b.clip6[1] = b.g.AddConst("relu6.max", tensor.Scalar[float32](6))
		}
		x.v = b.node("Clip", name, nil, x.v, b.clip6[0], b.clip6[1])
	case "Silu":
		s := b.node("Sigmoid", name+".sigmoid", nil, x.v)
		x.v = b.node("Mul", name, nil, x.v, s)
	case "HardSigmoid":
		x.v = b.node("HardSigmoid", name, graph.Attrs{"alpha": float32(1.0 / 6), "beta": float32(0.5)}, x.v)
	default:
		x.v = b.node(string(a), name, nil, x.v)
	}
	return x
}

func (b *builder) relu(name string, x fmap) fmap { return b.act(name, x, "Relu") }

// convBN adds a convolution without bias, batch normalization and an
// activation, named name, bnName and name+".act".
func (b *builder) convBN(name, bnName string, x fmap, c int, w window, a activation) fmap {
	x = b.bn(bnName, b.conv(name, x, c, w))
	return b.act(name+".act", x, a)
}

// maxPool adds a max pool.
func (b *builder) maxPool(name string, x fmap, w window) fmap {
	a, oh, ow := b.attrs(name, x, w)
	if w.ceil {
		a["ceil_mode"] = int64(1)
	}
	return fmap{b.node("MaxPool", name, a, x.v), x.c, oh, ow}
}

// avgPool adds an average pool that counts the padding.
func (b *builder) avgPool(name string, x fmap, w window) fmap {
	a, oh, ow := b.attrs(name, x, w)
	a["count_include_pad"] = int64(1)
	return fmap{b.node("AveragePool", name, a, x.v), x.c, oh, ow}
}

// gap adds global average pooling, keeping the 1x1 image.
func (b *builder) gap(name string, x fmap) fmap {
	return fmap{b.node("GlobalAveragePool", name, nil, x.v), x.c, 1, 1}
}

// flatten makes a matrix of a feature map.
func (b *builder) flatten(name string, x fmap) fmap {
	return fmap{b.node("Flatten", name, graph.Attrs{"axis": int64(1)}, x.v), x.c * x.h * x.w, 0, 0}
}

// dropout adds a Dropout node, which does nothing outside training.
func (b *builder) dropout(name string, x fmap, ratio float32) fmap {
	x.v = b.node("Dropout", name, nil, x.v, b.g.AddConst(name+".ratio", tensor.Scalar(ratio)))
	return x
}

// gemmInputs adds the parameters of a fully connected layer.
func (b *builder) gemmInputs(name string, x fmap, n int, gain float64, bias bool) []*graph.Value {
	in := []*graph.Value{x.v, b.normal(name+".weight", math.Sqrt(gain/float64(x.c)), n, x.c)}
	if bias {
		in = append(in, b.constant(name+".bias", 0, n))
	}
	return in
}

// fc adds a fully connected layer with bias, to be followed by a ReLU.
func (b *builder) fc(name string, x fmap, n int) fmap {
	return fmap{b.node("Gemm", name, graph.Attrs{"transB": int64(1)}, b.gemmInputs(name, x, n, 2, true)...), n, 0, 0}
}

// classifier adds the last fully connected layer.
func (b *builder) classifier(name string, x fmap) { b.classifierBias(name, x, true) }

func (b *builder) classifierBias(name string, x fmap, bias bool) {
	b.last("Gemm", name, graph.Attrs{"transB": int64(1)}, b.gemmInputs(name, x, b.opts.classes, 1, bias)...)
}

// head adds global average pooling, flattening and the classifier.
func (b *builder) head(name string, x fmap) {
	b.classifier(name, b.flatten("flatten", b.gap("gap", x)))
}

// add adds two feature maps.
func (b *builder) add(name string, x, y fmap) fmap {
	x.v = b.node("Add", name, nil, x.v, y.v)
	return x
}

// concat joins feature maps along their channels.
func (b *builder) concat(name string, xs ...fmap) fmap {
	out := xs[0]
	var in []*graph.Value
	out.c = 0
	for _, x := range xs {
		out.c += x.c
		in = append(in, x.v)
	}
	out.v = b.node("Concat", name, graph.Attrs{"axis": int64(1)}, in...)
	return out
}

// ints adds a constant of integers.
func (b *builder) ints(name string, v ...int) *graph.Value {
	return b.g.AddConst(name, tensor.Of(graph.Int64s(v), len(v)))
}

// shuffle mixes the channels of groups (ShuffleNet): channel i*c/g+j goes to
// place j*g+i.
func (b *builder) shuffle(name string, x fmap, groups int) fmap {
	if groups == 1 || x.c%groups != 0 {
		return x
	}
	v := b.node("Reshape", name+".split", nil, x.v, b.ints(name+".split.shape", 0, groups, x.c/groups, x.h, x.w))
	v = b.node("Transpose", name+".swap", graph.Attrs{"perm": []int64{0, 2, 1, 3, 4}}, v)
	x.v = b.node("Reshape", name, nil, v, b.ints(name+".shape", 0, x.c, x.h, x.w))
	return x
}

// squeezeExcite adds channel attention: global pooling, two 1x1 convolutions
// named fc1 and fc2, a gate, and the product with x.
func (b *builder) squeezeExcite(name string, x fmap, squeeze int, inner, gate activation) fmap {
	s := b.gap(name+".gap", x)
	s = b.act(name+".act", b.conv(name+".fc1", s, squeeze, window{k: 1, bias: true}), inner)
	s = b.act(name+".gate", b.conv(name+".fc2", s, x.c, window{k: 1, bias: true}), gate)
	x.v = b.node("Mul", name+".mul", nil, x.v, s.v)
	return x
}
