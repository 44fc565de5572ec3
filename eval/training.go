package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register(graph.DrawknifeDomain, arithmetic, 2, map[string]Func{
		"MaxPoolGrad": maxPoolGrad, "AveragePoolGrad": averagePoolGrad, "GlobalAveragePoolGrad": globalAveragePoolGrad,
		"SoftmaxGrad": softmaxGrad, "DropoutTrain": dropoutTrain,
	})
	register(graph.DrawknifeDomain, arithmetic, 3, map[string]Func{
		"ConvGradInput": convGradInput, "ConvGradWeight": convGradWeight, "LpPoolGrad": lpPoolGrad, "LRNGrad": lrnGrad,
	})
	register(graph.DrawknifeDomain, arithmetic, 2, map[string]Func{
		"SliceGrad": adjointOfMove("Slice"), "PadGrad": adjointOfMove("Pad"), "GatherGrad": adjointOfMove("Gather"),
		"ResizeGrad": resizeGrad,
	})
}

// convGradInput is Σ over the taps: dx[c, o·stride + k] += w[m, c, k]·dy[m, o].
func convGradInput(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	dy, w, x := in[0], in[1], in[2]
	win, err := convGradWindow(n, x, w, dy)
	if err != nil {
		return nil, err
	}
	dx, dyv, wv := make([]float64, x.Len()), floats(dy), floats(w)
	eachKernel(n, win, x, w, func(xAt, wAt, yAt int) {
		stride := win.stride[2]
		win.taps(func(tap, count, o, i int) {
			k, g := wv[wAt+tap], dyv[yAt+o:][:count]
			for j, v := range g {
				dx[xAt+i+j*stride] += k * v
			}
		})
	})
	return one(ofFloats(x.DType, dx, x.Shape))
}

// convGradWeight is Σ over images and pixels: dw[m, c, k] += x[c, o·stride + k]·dy[m, o],
// and db[m] += dy[m, o].
func convGradWeight(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, dy, w := in[0], in[1], in[2]
	win, err := convGradWindow(n, x, w, dy)
	if err != nil {
		return nil, err
	}
	dw, dyv, xv := make([]float64, w.Len()), floats(dy), floats(x)
	eachKernel(n, win, x, w, func(xAt, wAt, yAt int) {
		stride := win.stride[2]
		win.taps(func(tap, count, o, i int) {
			total := 0.0
			for j, v := range dyv[yAt+o:][:count] {
				total += v * xv[xAt+i+j*stride]
			}
			dw[wAt+tap] += total
		})
	})
	out, err := one(ofFloats(w.DType, dw, w.Shape))
	if err != nil || !wants(n, 1) {
		return out, err
	}
	db := make([]float64, w.Shape[0])
	size := volume(win.out)
	for i := range dyv {
		db[i/size%len(db)] += dyv[i]
	}
	bias, err := ofFloats(w.DType, db, w.Shape[:1])
	return append(out, bias), err
}

// convGradWindow is the window of the convolution whose gradient is wanted.
func convGradWindow(n *graph.Node, x, w, dy *tensor.Tensor) (*window, error) {
	groups := n.Int("group", 1)
	if x.Rank() < 3 || w.Rank() != x.Rank() || dy.Rank() != x.Rank() || groups < 1 || w.Shape[0]%groups != 0 || x.Shape[1] != w.Shape[1]*groups {
		return nil, fmt.Errorf("input %v, weights %v and gradient %v do not fit in %d groups", x.Shape, w.Shape, dy.Shape, groups)
	}
	win, err := newWindow(n, x.Shape[2:], w.Shape[2:], false)
	if err != nil {
		return nil, err
	}
	// ConvTranspose's output padding makes the image larger than it need be.
	for a, d := range dy.Shape[2:] {
		if d > win.out[3-win.rank+a] {
			return nil, fmt.Errorf("gradient %v is larger than the output %v", dy.Shape, win.outShape())
		}
		win.out[3-win.rank+a] = d
	}
	if dy.Shape[0] != x.Shape[0] || dy.Shape[1] != w.Shape[0] {
		return nil, fmt.Errorf("gradient %v does not fit input %v and weights %v", dy.Shape, x.Shape, w.Shape)
	}
	return win, nil
}

// eachKernel visits the planes of every image that one two-dimensional kernel
// connects, by the offset of their first elements.
func eachKernel(n *graph.Node, win *window, x, w *tensor.Tensor, f func(xAt, wAt, yAt int)) {
	m, cg, c := w.Shape[0], w.Shape[1], x.Shape[1]
	per := m / n.Int("group", 1)
	inSize, outSize, taps := volume(win.in), volume(win.out), volume(win.kernel)
	for image := range x.Shape[0] {
		for o := range m {
			for j := range cg {
				ch := o/per*cg + j
				f((image*c+ch)*inSize, (o*cg+j)*taps, (image*m+o)*outSize)
			}
		}
	}
}

// maxPoolGrad sends each gradient to the (first) greatest element of its
// window.
func maxPoolGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	dy, x := in[0], in[1]
	pool := &graph.Node{Name: n.Name, Op: "MaxPool", Attrs: n.Attrs}
	out, err := maxPool(pool, []*tensor.Tensor{x})
	if err != nil {
		return nil, err
	}
	if !slices.Equal(out[0].Shape, dy.Shape) {
		return nil, fmt.Errorf("gradient %v does not fit the output %v", dy.Shape, out[0].Shape)
	}
	dx, g := make([]float64, x.Len()), floats(dy)
	for i, at := range tensor.Data[int64](out[1]) {
		dx[at] += g[i]
	}
	return one(ofFloats(x.DType, dx, x.Shape))
}

// averagePoolGrad spreads each gradient over its window.
func averagePoolGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	dy, x := in[0], in[1]
	return poolGrad(n, dy, x, func(win *window) func(out, at int) float64 {
		counts := win.counts(n.Int("count_include_pad", 0) != 0)
		return func(out, _ int) float64 { return 1 / float64(counts[out%len(counts)]) }
	})
}

// lpPoolGrad is dy·sign(x)·|x|^(p-1)·y^(1-p).
func lpPoolGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	dy, x := in[0], in[1]
	xv, yv, p := floats(x), floats(in[2]), float64(n.Int("p", 2))
	return poolGrad(n, dy, x, func(*window) func(out, at int) float64 {
		return func(out, at int) float64 {
			if yv[out] == 0 {
				return 0
			}
			return math.Copysign(math.Pow(math.Abs(xv[at])/yv[out], p-1), xv[at])
		}
	})
}

// poolGrad adds slope(output, input)·dy[output] to dx[input] over all windows.
func poolGrad(n *graph.Node, dy, x *tensor.Tensor, slope func(*window) func(out, at int) float64) ([]*tensor.Tensor, error) {
	win, shape, err := poolWindow(n, x)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(shape, dy.Shape) {
		return nil, fmt.Errorf("gradient %v does not fit the output %v", dy.Shape, shape)
	}
	dx, g, f := make([]float64, x.Len()), floats(dy), slope(win)
	inSize, outSize := volume(win.in), volume(win.out)
	for p := range shape[0] * shape[1] {
		win.taps(func(_, count, o, i int) {
			for j := range count {
				from, to := p*outSize+o+j, p*inSize+i+j*win.stride[2]
				dx[to] += g[from] * f(from, to)
			}
		})
	}
	return one(ofFloats(x.DType, dx, x.Shape))
}

// globalAveragePoolGrad spreads each gradient over its channel.
func globalAveragePoolGrad(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	dy, x := in[0], in[1]
	images, channels, size, err := planes(x)
	if err != nil {
		return nil, err
	}
	if dy.Len() != images*channels {
		return nil, fmt.Errorf("gradient %v does not fit input %v", dy.Shape, x.Shape)
	}
	dx, g := make([]float64, x.Len()), floats(dy)
	for i := range dx {
		dx[i] = g[i/size] / float64(size)
	}
	return one(ofFloats(x.DType, dx, x.Shape))
}

// lrnGrad differentiates y = x·s^(-β), s = bias + α/size·Σ x²:
// dx = dy·s^(-β) - 2αβ/size·x·Σ dy·y/s over the windows that hold x.
func lrnGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	dy, x := in[0], in[1]
	images, channels, plane, err := planes(x)
	if err != nil {
		return nil, err
	}
	size := n.Int("size", 1)
	if size < 1 || size > maxExtent {
		return nil, fmt.Errorf("size %d is out of range", size)
	}
	alpha, beta := float64(n.Float("alpha", 1e-4)), float64(n.Float("beta", 0.75))
	bias := float64(n.Float("bias", 1))
	xv, g, dx := floats(x), floats(dy), make([]float64, x.Len())
	s, ratio := make([]float64, channels), make([]float64, channels)
	before, after := (size-1)/2, size-1-(size-1)/2
	for i := range images {
		for p := range plane {
			at := func(c int) int { return (i*channels+c)*plane + p }
			for c := range channels {
				total := 0.0
				for j := max(0, c-before); j <= min(channels-1, c+after); j++ {
					total += xv[at(j)] * xv[at(j)]
				}
				s[c] = bias + alpha/float64(size)*total
				ratio[c] = g[at(c)] * xv[at(c)] * math.Pow(s[c], -beta-1)
			}
			for c := range channels {
				total := 0.0
				for j := max(0, c-after); j <= min(channels-1, c+before); j++ {
					total += ratio[j]
				}
				dx[at(c)] = g[at(c)]*math.Pow(s[c], -beta) - 2*alpha*beta/float64(size)*xv[at(c)]*total
			}
		}
	}
	return one(ofFloats(x.DType, dx, x.Shape))
}

// softmaxGrad is y·(dy - Σ y·dy) along the axis; with log, dy - exp(y)·Σ dy.
func softmaxGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	dy, y := in[0], in[1]
	axis, err := normAxis(n.Int("axis", -1), y.Rank())
	if err != nil {
		return nil, err
	}
	log := n.Int("log", 0) != 0
	g, v, dx := floats(dy), floats(y), make([]float64, y.Len())
	size, inner := y.Shape[axis], product(y.Shape[axis+1:])
	for o := range product(y.Shape[:axis]) * inner {
		first := o/inner*size*inner + o%inner
		total := 0.0
		for k := range size {
			if at := first + k*inner; log {
				total += g[at]
			} else {
				total += g[at] * v[at]
			}
		}
		for k := range size {
			if at := first + k*inner; log {
				dx[at] = g[at] - math.Exp(v[at])*total
			} else {
				dx[at] = v[at] * (g[at] - total)
			}
		}
	}
	return one(ofFloats(y.DType, dx, y.Shape))
}

// adjointOfMove is the gradient of an operator that only copies elements (or
// fills in constants): it moves the positions of x instead of its elements
// and adds each gradient where its element came from.
func adjointOfMove(op string) Func {
	return func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
		dy, x := in[0], in[1]
		position := make([]int64, x.Len())
		for i := range position {
			position[i] = int64(i)
		}
		args := append([]*tensor.Tensor{tensor.Of(position, x.Shape...)}, in[2:]...)
		if op == "Pad" { // (pads, axes); what is filled in comes from nowhere
			args = []*tensor.Tensor{args[0], in[2], tensor.Scalar[int64](-1), input(in, 3)}
		}
		out, err := Node(&graph.Node{Name: n.Name, Op: op, Attrs: n.Attrs}, args)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(out[0].Shape, dy.Shape) {
			return nil, fmt.Errorf("gradient %v does not fit the output %v", dy.Shape, out[0].Shape)
		}
		dx, g := make([]float64, x.Len()), floats(dy)
		for i, at := range tensor.Data[int64](out[0]) {
			if at >= 0 {
				dx[at] += g[i]
			}
		}
		return one(ofFloats(x.DType, dx, x.Shape))
	}
}

// DropoutKeep decides whether element i of a Dropout of that ratio survives,
// from the seed of the step and the stream of the node: a hash (SplitMix64),
// so that the answer depends on nothing else.
func DropoutKeep(seed, stream, i uint64, ratio float32) bool {
	z := seed + (stream<<40+i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return float32(z>>40)/(1<<24) >= ratio
}

// dropoutTrain zeroes elements at random and divides the others by 1-ratio.
func dropoutTrain(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, seed := in[0], in[1]
	if seed.Len() != 1 || seed.DType != tensor.Int64 {
		return nil, fmt.Errorf("seed is %v, want one int64", seed)
	}
	ratio, stream := n.Float("ratio", 0.5), uint64(n.Int("stream", 0))
	if !(ratio >= 0 && ratio < 1) {
		return nil, fmt.Errorf("ratio %v is not in [0, 1)", ratio)
	}
	s := uint64(tensor.Data[int64](seed)[0])
	v, out := floats(x), make([]float64, x.Len())
	for i := range out {
		if DropoutKeep(s, stream, uint64(i), ratio) {
			out[i] = v[i] / float64(1-ratio)
		}
	}
	return one(ofFloats(x.DType, out, x.Shape))
}
