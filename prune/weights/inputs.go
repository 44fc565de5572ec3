package weights

import (
	"context"
	"math/rand/v2"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/gemm"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
)

// hessians are the second derivatives of a layer's squared output error,
// H = 2·XXᵀ over what its rows are multiplied with, in blocks of consecutive
// columns on the diagonal, for each group of a grouped convolution.
type hessians struct {
	layer  *Layer
	groups int
	width  int         // of a block; the last may be narrower
	h      [][]float64 // by group and block
}

// placesPerImage is how many output positions of an image are looked at.
const placesPerImage = 48

func newHessians(l *Layer, width int) *hessians {
	h := &hessians{layer: l, groups: 1, width: min(width, l.Cols)}
	if l.Node.Is("Conv") {
		h.groups = max(l.Node.Int("group", 1), 1)
	}
	for range h.groups {
		for first := 0; first < l.Cols; first += h.width {
			n := min(h.width, l.Cols-first)
			h.h = append(h.h, make([]float64, n*n))
		}
	}
	return h
}

// blocks is the number of blocks of a row.
func (h *hessians) blocks() int { return len(h.h) / h.groups }

// of is the Hessian of a row's block: its columns from first on.
func (h *hessians) of(row, block int) (hess []float64, first, n int) {
	first = block * h.width
	group := row / max(h.layer.Rows/h.groups, 1)
	return h.h[min(group, h.groups-1)*h.blocks()+block], first, min(h.width, h.layer.Cols-first)
}

// splittable reports layers whose inputs can be collected.
func splittable(l *Layer) bool {
	n := l.Node
	switch {
	case n.Is("Conv"):
		return len(l.Shape) == 4 && n.Str("auto_pad", "NOTSET") == "NOTSET" && n.In(0).Data == nil
	case n.Is("Gemm"):
		return n.Int("transA", 0) == 0 && n.In(0).Data == nil
	}
	return n.Is("MatMul") && len(l.Shape) == 2 && n.In(0).Data == nil
}

// collect measures the Hessians of layers on images. Of a layer that cannot be
// split it is the identity, which makes every method fall back on magnitudes.
func collect(ctx context.Context, g *graph.Graph, layers []*Layer, width func(*Layer) int, d *prune.Data) (map[*Layer]*hessians, error) {
	out := map[*Layer]*hessians{}
	var names []string
	for _, l := range layers {
		out[l] = newHessians(l, width(l))
		if splittable(l) {
			names = append(names, l.Node.In(0).Name)
			continue
		}
		for i, h := range out[l].h {
			_, _, n := out[l].of(0, i%out[l].blocks())
			for k := range n {
				h[k*n+k] = 1
			}
		}
	}
	rng := rand.New(rand.NewPCG(7, 7))
	err := d.Run(ctx, g, names, func(n int, v map[string]*tensor.Tensor) error {
		for _, l := range layers {
			if splittable(l) {
				out[l].add(v[l.Node.In(0).Name], n, rng)
			}
		}
		return nil
	})
	for _, l := range layers { // only the upper triangle was added up
		for i, h := range out[l].h {
			_, _, n := out[l].of(0, i%out[l].blocks())
			for a := range n {
				for b := range a {
					h[a*n+b] = h[b*n+a]
				}
			}
		}
	}
	return out, err
}

// add takes in a batch of n inputs.
func (h *hessians) add(x *tensor.Tensor, n int, rng *rand.Rand) {
	l := h.layer
	d := tensor.Data[float32](x)
	per := len(d) / max(x.Shape[0], 1)
	rows := n
	var win window
	if l.Node.Is("Conv") {
		win = windowOf(l, x.Shape)
		rows = n * placesPerImage
	} else {
		rows = len(d) / l.Cols
	}
	for g := range h.groups {
		m := d
		if l.Node.Is("Conv") {
			m = make([]float32, rows*l.Cols)
			for r := range rows {
				win.fill(m[r*l.Cols:][:l.Cols], d[r/placesPerImage*per:][:per], g*l.Cols/l.Taps, rng)
			}
		}
		for b := range h.blocks() {
			first := b * h.width
			w := min(h.width, l.Cols-first)
			c := make([]float32, w*w)
			gemm.SGEMM(engine.Pool(0), true, false, w, w, rows, 2, m[first:], l.Cols, m[first:], l.Cols, 0, c, w)
			to := h.h[g*h.blocks()+b]
			for i, v := range c {
				to[i] += float64(v)
			}
		}
	}
}

// window is how a convolution reads its input.
type window struct {
	h, w, height, width           int // of input and output
	kernel, stride, pad, dilation [2]int
	taps                          int
}

func windowOf(l *Layer, in []int) window {
	pair := func(name string, def int) [2]int {
		if v := l.Node.Ints(name); len(v) >= 2 {
			return [2]int{v[0], v[1]}
		}
		return [2]int{def, def}
	}
	w := window{h: in[2], w: in[3], kernel: [2]int{l.Shape[2], l.Shape[3]}, stride: pair("strides", 1), pad: pair("pads", 0), dilation: pair("dilations", 1), taps: l.Taps}
	end := w.pad
	if v := l.Node.Ints("pads"); len(v) == 4 {
		end = [2]int{v[2], v[3]}
	}
	out := func(i, size int) int {
		return max(1, (size+w.pad[i]+end[i]-w.dilation[i]*(w.kernel[i]-1)-1)/w.stride[i]+1)
	}
	w.height, w.width = out(0, w.h), out(1, w.w)
	return w
}

// fill reads the inputs of one output position, drawn at random, of the
// channels from first on.
func (w *window) fill(row []float32, x []float32, first int, rng *rand.Rand) {
	top, left := rng.IntN(w.height)*w.stride[0]-w.pad[0], rng.IntN(w.width)*w.stride[1]-w.pad[1]
	for ; len(row) >= w.taps; first, row = first+1, row[w.taps:] {
		plane := x[first*w.h*w.w:][:w.h*w.w]
		for i := range w.kernel[0] {
			r := top + i*w.dilation[0]
			if r < 0 || r >= w.h {
				continue
			}
			for j := range w.kernel[1] {
				if q := left + j*w.dilation[1]; q >= 0 && q < w.w {
					row[i*w.kernel[1]+j] = plane[r*w.w+q]
				}
			}
		}
	}
}
