package engine

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	lower("", lowerConcat, "Concat")
	lower("", lowerSplit, "Split")
	lower("", lowerSlice, "Slice")
	lower("", lowerTranspose, "Transpose")
	lower("", lowerExpand, "Expand")
	lower("", lowerPad, "Pad")
}

// movable reports whether v's elements can be copied as plain bytes.
func movable(v *graph.Value) bool {
	switch v.Type.Bits() {
	case 8, 16, 32, 64:
		_, ok := concrete(v)
		return ok && v.Type != tensor.Bool
	}
	return false
}

// preferred is the layout in which v is at hand.
func (c *compiler) preferred(v *graph.Value) layout {
	if c.isLast(v) {
		return channelsLast
	}
	return plain
}

// block splits an array around one axis in memory order: outer × (axis × inner).
func block(shape []int, l layout, axis int) (outer, inner int) {
	outer, inner = 1, 1
	before := true
	for _, d := range order(len(shape), l) {
		switch {
		case d == axis:
			before = false
		case before:
			outer *= shape[d]
		default:
			inner *= shape[d]
		}
	}
	return outer, inner
}

func lowerConcat(c *compiler, n *graph.Node) error {
	if c.quant.concat(c, n) {
		return nil
	}
	out := n.Outputs[0]
	if !movable(out) {
		return fallback(c, n)
	}
	l := plain
	for _, v := range n.Inputs {
		if c.isLast(v) {
			l = channelsLast
		}
	}
	axis := n.Int("axis", 0)
	if axis < 0 {
		axis += len(out.Shape)
	}
	if l == channelsLast && axis == 1 && (c.shuffleJoined(n) || c.joinWide(n)) {
		return nil
	}
	in := make([]*buf, len(n.Inputs))
	for i, v := range n.Inputs {
		in[i] = c.use(v, l)
	}
	dst := c.def(out, l)
	c.join(dst, in, axis)
	return nil
}

// join emits the step that copies in side by side into dst along axis.
func (c *compiler) join(dst *buf, in []*buf, axis int) {
	outer, inner := block(dst.shape, dst.layout, axis)
	size := dst.dtype.Bits() / 8
	widths := make([]int, len(in)) // bytes of one outer row of each input
	total := 0
	for i, b := range in {
		widths[i] = b.shape[axis] * inner * size
		total += widths[i]
	}
	c.emit(step{kernel: "concat", in: slices.Clone(in), out: []*buf{dst}, run: c.loop(outer, max(1, 4*grain/max(total, 1)), func(x *frame, lo, hi int) {
		d, at := x.raw(dst), 0
		for i, b := range in {
			w := widths[i]
			s := x.raw(b)
			for r := lo; r < hi; r++ {
				copy(d[r*total+at:r*total+at+w], s[r*w:])
			}
			at += w
		}
	})})
}

func lowerSplit(c *compiler, n *graph.Node) error {
	in := n.Inputs[0]
	if !movable(in) {
		return fallback(c, n)
	}
	axis := n.Int("axis", 0)
	if axis < 0 {
		axis += len(in.Shape)
	}
	use, def, l := c.use, c.def, c.preferred(in)
	if in.Type == tensor.Int8 {
		use, def, l = c.useBytes, c.defBytes, plain
		if c.lastBytes(in) {
			l = channelsLast
		}
	}
	if l == channelsLast && axis == 1 && in.Type == tensor.Float32 {
		c.splitChannels(n)
		return nil
	}
	src := use(in, l)
	strides := denseStrides(src.shape, l)
	at := 0
	for _, o := range n.Outputs {
		if o == nil {
			continue
		}
		dst := def(o, l)
		c.stridedCopy("split", dst, src, strides, at*strides[axis])
		at += dst.shape[axis]
	}
	return nil
}

func lowerSlice(c *compiler, n *graph.Node) error {
	in := n.Inputs[0]
	starts, ends := c.constant(n.In(1)), c.constant(n.In(2))
	if !movable(in) || !movable(n.Outputs[0]) || starts == nil || ends == nil {
		return fallback(c, n)
	}
	rank := len(in.Shape)
	axes, steps := make([]int, starts.Len()), ones(starts.Len())
	for i := range axes {
		axes[i] = i
	}
	if v := n.In(3); v != nil {
		t := c.constant(v)
		if t == nil {
			return fallback(c, n)
		}
		axes = t.Ints()
	}
	if v := n.In(4); v != nil {
		t := c.constant(v)
		if t == nil {
			return fallback(c, n)
		}
		steps = t.Ints()
	}
	use, def, l := c.use, c.def, c.preferred(in)
	if in.Type == tensor.Int8 {
		use, def, l = c.useBytes, c.defBytes, plain
		if c.lastBytes(in) {
			l = channelsLast
		}
	}
	if l == channelsLast && in.Type == tensor.Float32 && len(axes) == 1 && steps[0] == 1 && (axes[0] == 1 || axes[0] == 1-rank) {
		from := int(starts.Int64s()[0])
		if from < 0 {
			from += in.Shape[1].Size
		}
		c.cutChannels(n.Outputs[0], c.pixels(in), max(from, 0))
		return nil
	}
	src := use(in, l)
	own := denseStrides(src.shape, l)
	strides := slices.Clone(own)
	start := 0
	for i, s := range starts.Int64s() {
		a := axes[i]
		if a < 0 {
			a += rank
		}
		d := int64(src.shape[a])
		if s < 0 {
			s += d
		}
		if steps[i] > 0 {
			s = min(max(s, 0), d)
		} else {
			s = min(max(s, 0), d-1)
		}
		start += int(s) * own[a]
		strides[a] *= steps[i]
	}
	dst := def(n.Outputs[0], l)
	c.stridedCopy("slice", dst, src, strides, start)
	return nil
}

func lowerTranspose(c *compiler, n *graph.Node) error {
	in, out := n.Inputs[0], n.Outputs[0]
	if !movable(in) {
		return fallback(c, n)
	}
	rank := len(in.Shape)
	perm := n.Ints("perm")
	if perm == nil {
		for d := rank - 1; d >= 0; d-- {
			perm = append(perm, d)
		}
	}
	seen := make([]bool, rank)
	for _, d := range perm {
		if d < 0 || d >= rank || seen[d] {
			return n.Errorf("perm %v is not an order of %d axes", perm, rank)
		}
		seen[d] = true
	}
	if len(perm) != rank {
		return n.Errorf("perm %v is not an order of %d axes", perm, rank)
	}
	// A move of the channels between the two layouts is no work at all.
	toLast, toFirst := order(rank, channelsLast), make([]int, rank)
	for i, d := range toLast {
		toFirst[d] = i
	}
	if rank >= 3 && slices.Equal(perm, toFirst) && !c.isLast(in) {
		c.alias(out, c.use(in, plain), channelsLast)
		return nil
	}
	if rank >= 3 && slices.Equal(perm, toLast) && c.isLast(in) {
		c.alias(out, c.use(in, channelsLast), plain)
		return nil
	}
	l := plain
	src := c.use(in, plain)
	own := denseStrides(src.shape, plain)
	strides := make([]int, rank)
	for i, d := range perm {
		strides[i] = own[d]
	}
	dst := c.def(out, l)
	c.stridedCopy("transpose", dst, src, strides, 0)
	return nil
}

func lowerExpand(c *compiler, n *graph.Node) error {
	if !movable(n.Inputs[0]) || !movable(n.Outputs[0]) {
		return fallback(c, n)
	}
	src := c.use(n.Inputs[0], plain)
	dst := c.def(n.Outputs[0], plain)
	c.stridedCopy("expand", dst, src, broadcastStrides(src, dst.shape), 0)
	return nil
}

// lowerPad handles constant padding of non-negative amounts.
func lowerPad(c *compiler, n *graph.Node) error {
	in := n.Inputs[0]
	pads := c.constant(n.In(1))
	eight := in.Type == tensor.Uint8 || in.Type == tensor.Int8
	if !movable(in) || in.Type != tensor.Float32 && !eight || pads == nil || n.Str("mode", "constant") != "constant" {
		return fallback(c, n)
	}
	fill := 0.0
	if v := n.In(2); v != nil {
		t := c.constant(v)
		if t == nil || t.Len() != 1 {
			return fallback(c, n)
		}
		fill = t.At(0)
	}
	rank := len(in.Shape)
	axes := make([]int, rank)
	for i := range axes {
		axes[i] = i
	}
	if v := n.In(3); v != nil {
		t := c.constant(v)
		if t == nil {
			return fallback(c, n)
		}
		axes = t.Ints()
	}
	amounts := pads.Ints()
	if len(amounts) != 2*len(axes) {
		return fallback(c, n)
	}
	before := make([]int, rank)
	for i, a := range axes {
		if a < 0 {
			a += rank
		}
		if amounts[i] < 0 || amounts[len(axes)+i] < 0 {
			return fallback(c, n)
		}
		before[a] = amounts[i]
	}
	if eight {
		if in.Type == tensor.Int8 {
			fill += 128
		}
		l := plain
		if c.lastBytes(in) {
			l = channelsLast
		}
		src := c.useBytes(in, l)
		dst := c.defBytes(n.Outputs[0], l)
		emitPad(c, dst, src, before, uint8(fill))
		return nil
	}
	l := c.preferred(in)
	src := c.use(in, l)
	emitPad(c, c.def(n.Outputs[0], l), src, before, float32(fill))
	return nil
}

// emitPad fills dst, then copies src to where before says.
func emitPad[T uint8 | float32](c *compiler, dst, src *buf, before []int, fill T) {
	to := denseStrides(dst.shape, dst.layout)
	start := 0
	for d, b := range before {
		start += b * to[d]
	}
	// Walk the input in its own memory order; operand 0 is the output.
	walk := newNest(src.shape, src.layout, to, denseStrides(src.shape, src.layout))
	k := len(walk.dims) - 1
	inner, so, si := walk.dims[k], walk.strides[0][k], walk.strides[1][k]
	background := c.loop(dst.len(), 4*grain, func(x *frame, lo, hi int) {
		part := view[T](x, dst)[lo:hi]
		if fill == 0 {
			clear(part)
			return
		}
		part[0] = fill
		for n := 1; n < len(part); n *= 2 {
			copy(part[n:], part[:n])
		}
	})
	image := func(*frame) error { return nil }
	if src.len() > 0 {
		image = c.loop(walk.outer(1), max(1, grain/inner), func(x *frame, lo, hi int) {
			d, s := view[T](x, dst), view[T](x, src)
			walk.rows(lo, hi, func(_, count int, at, step [2]int) {
				o, i := start+at[0], at[1]
				for range count {
					if so == 1 && si == 1 {
						copy(d[o:o+inner], s[i:i+inner])
					} else {
						for j := range inner {
							d[o+j*so] = s[i+j*si]
						}
					}
					o, i = o+step[0], i+step[1]
				}
			})
		})
	}
	c.emit(step{kernel: "pad", in: []*buf{src}, out: []*buf{dst}, run: func(x *frame) error {
		if err := background(x); err != nil {
			return err
		}
		return image(x)
	}})
}
