package eval

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("", arithmetic, 2, map[string]Func{"Conv": conv, "ConvTranspose": convTranspose})
}

// conv is the cross-correlation of x [N, C, …] with w [M, C/group, …].
func conv(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if err := sameTypes(in[0], in[1]); err != nil {
		return nil, err
	}
	if !in[0].DType.IsFloat() {
		return nil, fmt.Errorf("not defined for %v", in[0].DType)
	}
	var bias []float64
	if b := input(in, 2); b != nil {
		bias = floats(b)
	}
	out, shape, err := convolve(n, in[0].Shape, in[1].Shape, floats(in[0]), floats(in[1]), bias)
	if err != nil {
		return nil, err
	}
	return one(ofFloats(in[0].DType, out, shape))
}

// convolve computes a convolution over elements of type A, accumulating in A.
func convolve[A float64 | int64](n *graph.Node, xs, ws []int, x, w, bias []A) ([]A, []int, error) {
	groups := n.Int("group", 1)
	if len(xs) < 3 || len(ws) != len(xs) {
		return nil, nil, fmt.Errorf("input %v and weights %v have unsuitable ranks", xs, ws)
	}
	m, c := ws[0], xs[1]
	if groups < 1 || groups > m || m%groups != 0 || c != ws[1]*groups {
		return nil, nil, fmt.Errorf("weights %v in %d groups do not fit input %v", ws, groups, xs)
	}
	if bias != nil && len(bias) != m {
		return nil, nil, fmt.Errorf("%d biases for %d channels", len(bias), m)
	}
	if ks := n.Ints("kernel_shape"); ks != nil && !slices.Equal(ks, ws[2:]) {
		return nil, nil, fmt.Errorf("kernel_shape %v differs from the weights %v", ks, ws)
	}
	win, err := newWindow(n, xs[2:], ws[2:], false)
	if err != nil {
		return nil, nil, err
	}
	shape := append([]int{xs[0], m}, win.outShape()...)
	if err := checkSize(shape); err != nil {
		return nil, nil, err
	}
	out := make([]A, product(shape))
	inSize, outSize, taps, cg := volume(win.in), volume(win.out), volume(win.kernel), ws[1]
	for i := range xs[0] * m {
		image, o := i/m, i%m
		acc := out[i*outSize:][:outSize]
		if bias != nil {
			fill(acc, bias[o])
		}
		first := image*c + o/(m/groups)*cg
		for j := range cg {
			correlate(win, acc, x[(first+j)*inSize:][:inSize], w[(o*cg+j)*taps:][:taps])
		}
	}
	return out, shape, nil
}

// correlate adds one channel's contribution: acc[o] += Σ kernel[k]·x[o·stride + k].
func correlate[A float64 | int64](win *window, acc, x, kernel []A) {
	stride := win.stride[2]
	win.taps(func(tap, n, o, i int) {
		k, dst := kernel[tap], acc[o:o+n]
		if stride == 1 {
			src := x[i : i+n]
			for j, v := range src {
				dst[j] += k * v
			}
			return
		}
		for j := range dst {
			dst[j] += k * x[i+j*stride]
		}
	})
}

func fill[T any](s []T, v T) {
	for i := range s {
		s[i] = v
	}
}

// convTranspose is the adjoint of conv: x [N, C, …], w [C, M/group, …].
func convTranspose(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	xs, ws, groups := in[0].Shape, in[1].Shape, n.Int("group", 1)
	if err := sameTypes(in[0], in[1]); err != nil {
		return nil, err
	}
	if len(xs) < 3 || len(ws) != len(xs) || ws[0] != xs[1] || groups < 1 || groups > max(xs[1], 1) || xs[1]%groups != 0 {
		return nil, fmt.Errorf("weights %v in %d groups do not fit input %v", ws, groups, xs)
	}
	win, err := transposedWindow(n, xs[2:], ws[2:])
	if err != nil {
		return nil, err
	}
	c, mg := xs[1], ws[1]
	m := mg * groups
	shape := append([]int{xs[0], m}, win.in[3-win.rank:]...)
	if err := checkSize(shape); err != nil {
		return nil, err
	}
	bias := make([]float64, m)
	if b := input(in, 2); b != nil {
		if bias = floats(b); len(bias) != m {
			return nil, fmt.Errorf("%d biases for %d channels", len(bias), m)
		}
	}
	x, w, out := floats(in[0]), floats(in[1]), make([]float64, product(shape))
	inSize, outSize, taps := volume(win.out), volume(win.in), volume(win.kernel)
	for i := range xs[0] * m {
		image, o := i/m, i%m
		acc := out[i*outSize:][:outSize]
		fill(acc, bias[o])
		for j := range c / groups {
			ch := o/mg*(c/groups) + j
			scatter(win, acc, x[(image*c+ch)*inSize:][:inSize], w[(ch*mg+o%mg)*taps:][:taps])
		}
	}
	return one(ofFloats(in[0].DType, out, shape))
}

// scatter is the adjoint of correlate: acc[i·stride + k] += kernel[k]·x[i].
func scatter(win *window, acc, x, kernel []float64) {
	stride := win.stride[2]
	win.taps(func(tap, n, o, i int) {
		k := kernel[tap]
		for j, v := range x[o : o+n] {
			acc[i+j*stride] += k * v
		}
	})
}

// transposedWindow is the window of the convolution whose adjoint the node
// computes: its input is the node's output.
func transposedWindow(n *graph.Node, spatial, kernel []int) (*window, error) {
	w, err := bareWindow(n, spatial, kernel)
	if err != nil {
		return nil, err
	}
	if err := w.readPads(n); err != nil {
		return nil, err
	}
	w.in, w.out = w.out, w.in // the node's input is the window's output
	extra, size := n.Ints("output_padding"), n.Ints("output_shape")
	if extra != nil && len(extra) != w.rank {
		return nil, fmt.Errorf("output_padding %v for %d spatial axes", extra, w.rank)
	}
	if len(size) == w.rank+2 {
		size = size[2:]
	}
	if size != nil && len(size) != w.rank {
		return nil, fmt.Errorf("output_shape %v for %d spatial axes", size, w.rank)
	}
	mode := n.Str("auto_pad", "NOTSET")
	for a := 3 - w.rank; a < 3; a++ {
		i := a - (3 - w.rank)
		full := (w.out[a]-1)*w.stride[a] + w.reach(a)
		if extra != nil {
			full += extra[i]
		}
		switch {
		case size != nil:
			w.in[a] = size[i]
		case mode == "SAME_UPPER" || mode == "SAME_LOWER":
			w.in[a] = w.out[a] * w.stride[a]
		case mode == "VALID":
			w.in[a], w.begin[a], w.end[a] = full, 0, 0
		default:
			w.in[a] = full - w.begin[a] - w.end[a]
		}
		if size != nil || mode == "SAME_UPPER" || mode == "SAME_LOWER" {
			pad := max(full-w.in[a], 0)
			w.begin[a], w.end[a] = pad-pad/2, pad/2
			if mode == "SAME_UPPER" {
				w.begin[a], w.end[a] = w.end[a], w.begin[a]
			}
		}
		if w.in[a] < 1 || w.in[a] > maxExtent {
			return nil, fmt.Errorf("the output would have %d elements along spatial axis %d", w.in[a], i)
		}
	}
	return w, nil
}
