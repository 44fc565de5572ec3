package engine

import (
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/pool"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	lower("", lowerResize, "Resize")
}

// lowerResize resamples images whose scales or sizes are fixed: the
// coordinates and weights of every mode become tables.
func lowerResize(c *compiler, n *graph.Node) error {
	x, y := n.Inputs[0], n.Outputs[0]
	if !movable(x) || !movable(y) || len(x.Shape) < 3 || len(x.Shape) > 5 || x.Type != tensor.Float32 && !nearest(n) {
		return fallback(c, n)
	}
	in := make([]*tensor.Tensor, len(n.Inputs))
	for i := 1; i < len(n.Inputs); i++ {
		if v := n.Inputs[i]; v != nil {
			if in[i] = c.constant(v); in[i] == nil {
				return fallback(c, n)
			}
		}
	}
	shape := x.Shape.Ints()
	taps, outside, err := eval.ResizeTaps(n, shape, in)
	if err != nil {
		return n.Errorf("%w", err)
	}
	if !taps[0].Same || !taps[1].Same {
		return fallback(c, n)
	}
	axes := [3]pool.Axis{pool.Whole(1), pool.Whole(1), pool.Whole(1)}
	for i, t := range taps[2:] {
		axes[5-len(shape)+i] = resizeAxis(t, shape[2+i])
	}
	if x.Type != tensor.Float32 {
		c.pickPixels(n, axes)
		return nil
	}
	src, dst := c.use(x, channelsLast), c.def(y, channelsLast)
	ch := shape[1]
	d, h, w := &axes[0], &axes[1], &axes[2]
	rows := shape[0] * d.Out * h.Out
	if dst.bytes == 0 {
		rows = 0
	}
	c.emit(step{kernel: "resize", in: []*buf{src}, out: []*buf{dst}, run: c.loop(rows, max(1, grain/max(w.Out*ch, 1)), func(x *frame, lo, hi int) {
		pool.ResizeRows(ch, d, h, w, outside, f32(x, dst), f32(x, src), lo, hi)
	})})
	return nil
}

// nearest reports whether the Resize n takes the nearest elements, none of them
// from outside the image, so that it only moves elements.
func nearest(n *graph.Node) bool {
	return n.Str("mode", "nearest") == "nearest" && n.Str("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize"
}

// pickPixels emits the step that copies the nearest pixels, of any type.
func (c *compiler) pickPixels(n *graph.Node, axes [3]pool.Axis) {
	x, y := n.Inputs[0], n.Outputs[0]
	use, def := c.use, c.def
	if x.Type == tensor.Int8 {
		use, def = c.useBytes, c.defBytes
	}
	src, dst := use(x, channelsLast), def(y, channelsLast)
	d, h, w := &axes[0], &axes[1], &axes[2]
	_, ch, _ := src.channels()
	size := ch * src.dtype.Bits() / 8
	rows := src.shape[0] * d.Out * h.Out
	if dst.bytes == 0 {
		rows = 0
	}
	c.emit(step{kernel: "resize", in: []*buf{src}, out: []*buf{dst}, run: c.loop(rows, max(1, 4*grain/max(w.Out*size, 1)), func(x *frame, lo, hi int) {
		to, from := x.raw(dst), x.raw(src)
		for r := lo; r < hi; r++ {
			line := (r/(h.Out*d.Out)*d.In+int(d.Index[r/h.Out%d.Out]))*h.In + int(h.Index[r%h.Out])
			for o, i := range w.Index {
				copy(to[(r*w.Out+o)*size:][:size], from[(line*w.In+int(i))*size:])
			}
		}
	})})
}

// resizeAxis makes the kernel's tables, in which every output has the same
// number of taps.
func resizeAxis(t eval.Taps, in int) pool.Axis {
	if t.Same {
		return pool.Whole(in)
	}
	a := pool.Axis{In: in, Out: len(t.At), Taps: 1}
	for _, at := range t.At {
		a.Taps = max(a.Taps, len(at))
	}
	a.Index, a.Weight = make([]int32, a.Out*a.Taps), make([]float32, a.Out*a.Taps)
	for o, at := range t.At {
		for k := range a.Taps {
			i := o*a.Taps + k
			switch {
			case t.Outside[o]:
				a.Index[i] = -1
			case k < len(at):
				a.Index[i], a.Weight[i] = int32(at[k]), float32(t.Weight[o][k])
			default:
				a.Index[i] = int32(at[0])
			}
		}
	}
	return a
}
