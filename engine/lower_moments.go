package engine

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	lower("", lowerGroupNorm, "InstanceNormalization", "GroupNormalization")
	lower("", lowerLayerNorm, "LayerNormalization")
}

// lowerGroupNorm normalises groups of channels of each image; for
// InstanceNormalization a group is one channel.
func lowerGroupNorm(c *compiler, n *graph.Node) error {
	x := n.Inputs[0]
	shape, ok := concrete(x)
	if !ok || x.Type != tensor.Float32 || len(shape) < 3 {
		return fallback(c, n)
	}
	batch, ch, size := split(shape)
	groups := ch
	if n.Op == "GroupNormalization" {
		groups = n.Int("num_groups", 0)
	}
	scale, bias := n.Inputs[1], n.Inputs[2]
	if groups < 1 || ch%groups != 0 || batch*size == 0 || scale.Shape.Ints()[0] != ch || bias.Shape.Ints()[0] != ch {
		return fallback(c, n)
	}
	gamma, beta := c.use(scale, plain), c.use(bias, plain)
	eps := float64(n.Float("epsilon", 1e-5))
	if n.Op == "InstanceNormalization" && !c.isLast(x) {
		return c.planeNorm(n, gamma, beta, float32(eps))
	}
	src := c.use(x, channelsLast)
	t := c.fuse(n, false)
	dst := c.def(t.out, channelsLast)
	// Per image: mean and sum of squared deviations of each channel, then the
	// scale and shift that follow from them in their place.
	st := step{kernel: n.Op, in: []*buf{src, gamma, beta}, out: []*buf{dst}, scratch: c.scratch(batch * ch * (16 + 8))}
	tiles := (ch + vec.MomentsTile - 1) / vec.MomentsTile
	moments := c.loop(batch*tiles, 1, func(x *frame, lo, hi int) {
		m := view[float64](x, st.scratch)
		for i := lo; i < hi; i++ {
			image, first := i/tiles, i%tiles*vec.MomentsTile
			k := min(vec.MomentsTile, ch-first)
			at := 2*image*ch + first
			vec.Moments(m[at:at+k], m[at+ch:at+ch+k], f32(x, src)[image*size*ch:], size, ch, first)
		}
	})
	norm := groupNorm{channels: ch, groups: groups, size: size, eps: eps}
	affine := c.loop(batch, 1, func(x *frame, lo, hi int) {
		m, a := view[float64](x, st.scratch), view[float32](x, st.scratch)[4*batch*ch:]
		for i := lo; i < hi; i++ {
			norm.affine(a[2*i*ch:][:2*ch], m[2*i*ch:][:2*ch], f32(x, gamma), f32(x, beta))
		}
	})
	step := max(1, grain/ch)
	blocks := (size + step - 1) / step
	apply := c.loop(batch*blocks, 1, func(x *frame, lo, hi int) {
		d, s, a := f32(x, dst), f32(x, src), view[float32](x, st.scratch)[4*batch*ch:]
		for i := lo; i < hi; i++ {
			image, p := i/blocks, i%blocks*step
			from, to := (image*size+p)*ch, (image*size+min(p+step, size))*ch
			vec.ScaleShiftClamp(d[from:to], s[from:to], a[2*image*ch:][:ch], a[2*image*ch+ch:][:ch], t.min, t.max)
		}
	})
	st.run = func(x *frame) error {
		for _, part := range [...]func(*frame) error{moments, affine, apply} {
			if err := part(x); err != nil {
				return err
			}
		}
		return nil
	}
	c.emit(st)
	return nil
}

// groupNorm turns the moments of the channels of one image into the scale and
// shift of each channel.
type groupNorm struct {
	channels, groups, size int
	eps                    float64
}

// affine reads mean and sum of squared deviations of each channel in m and
// writes scale and shift to a.
func (g groupNorm) affine(a []float32, m []float64, gamma, beta []float32) {
	per := g.channels / g.groups
	mean, dev := m[:g.channels], m[g.channels:]
	for lo := 0; lo < g.channels; lo += per {
		centre, total := 0.0, 0.0
		for k := lo; k < lo+per; k++ {
			centre += mean[k]
		}
		centre /= float64(per)
		for k := lo; k < lo+per; k++ {
			total += dev[k] + float64(g.size)*(mean[k]-centre)*(mean[k]-centre)
		}
		inv := 1 / math.Sqrt(total/float64(per*g.size)+g.eps)
		for k := lo; k < lo+per; k++ {
			s := float64(gamma[k]) * inv
			a[k], a[g.channels+k] = float32(s), float32(float64(beta[k])-centre*s)
		}
	}
}

// planeNorm is InstanceNormalization in plain layout, where a channel of an
// image is a row.
func (c *compiler) planeNorm(n *graph.Node, gamma, beta *buf, eps float32) error {
	src := c.use(n.Inputs[0], plain)
	dst := c.def(n.Outputs[0], plain)
	batch, ch, size := src.channels()
	c.emit(step{kernel: "LayerNormalization", in: []*buf{src, gamma, beta}, out: []*buf{dst}, run: c.loop(batch*ch, max(1, grain/size), func(x *frame, lo, hi int) {
		g, b := f32(x, gamma), f32(x, beta)
		for r := lo; r < hi; r++ {
			row := f32(x, dst)[r*size : (r+1)*size]
			vec.LayerNorm(row, f32(x, src)[r*size:(r+1)*size], nil, nil, size, eps)
			vec.BinaryScalar(vec.Mul, row, row, g[r%ch], false)
			vec.BinaryScalar(vec.Add, row, row, b[r%ch], false)
		}
	})})
	return nil
}

// lowerLayerNorm normalises over the last axes, which are rows in plain layout.
func lowerLayerNorm(c *compiler, n *graph.Node) error {
	x := n.Inputs[0]
	shape, ok := concrete(x)
	axis := n.Int("axis", -1)
	if axis < 0 {
		axis += len(shape)
	}
	if !ok || x.Type != tensor.Float32 || axis < 0 || axis >= len(shape) || n.Out(1) != nil || n.Out(2) != nil {
		return fallback(c, n)
	}
	cols, rows := 1, 1
	for i, d := range shape {
		if i < axis {
			rows *= d
		} else {
			cols *= d
		}
	}
	whole := func(v *graph.Value) bool {
		return v == nil || v.Shape.Known() && equalInts(v.Shape.Ints(), shape[axis:])
	}
	if rows*cols == 0 || !whole(n.Inputs[1]) || !whole(n.In(2)) {
		return fallback(c, n)
	}
	src, gamma := c.use(x, plain), c.use(n.Inputs[1], plain)
	var beta *buf
	if n.In(2) != nil {
		beta = c.use(n.In(2), plain)
	}
	dst := c.def(n.Outputs[0], plain)
	eps := n.Float("epsilon", 1e-5)
	c.emit(step{kernel: n.Op, in: compact([]*buf{src, gamma, beta}), out: []*buf{dst}, run: c.loop(rows, max(1, grain/cols), func(x *frame, lo, hi int) {
		vec.LayerNorm(f32(x, dst)[lo*cols:hi*cols], f32(x, src)[lo*cols:hi*cols], f32(x, gamma), f32(x, beta), cols, eps)
	})})
	return nil
}
