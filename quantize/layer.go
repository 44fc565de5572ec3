package quantize

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// layer is an operator with weights on their way to integers.
type layer struct {
	node     *graph.Node
	bits     Bits
	axis     int // of the weights, that counts output channels
	channels int
	inner    int // elements behind axis
	group    int // input channels that share a scale; 0 is all
	w        []float32
	shape    []int
	// grids holds one grid for each channel, or for each group of it (see at).
	grids []Grid
	codes []int
	bias  []float32 // nil if there is none
	fixed bool      // codes were given
	log   *LogGrid  // weights are powers of two
}

func newLayer(n *graph.Node, bits Bits) *layer {
	t := n.Inputs[1].Data
	l := &layer{node: n, bits: bits, axis: channelAxis(n), w: t.Float32s(), shape: t.Shape, inner: 1}
	l.channels = t.Shape[l.axis]
	for _, d := range t.Shape[l.axis+1:] {
		l.inner *= d
	}
	if b := n.In(2); b != nil {
		l.bias = append([]float32(nil), b.Data.Float32s()...)
	}
	return l
}

// channel is the output channel of weight i.
func (l *layer) channel(i int) int { return i / l.inner % l.channels }

// at is the grid of weight i.
func (l *layer) at(i int) *Grid { return &l.grids[l.gridIndex(i)] }

// gridIndex counts grids in the order in which a blocked DequantizeLinear
// keeps their scales: the weights' order with the input axis shortened.
func (l *layer) gridIndex(i int) int {
	if l.group == 0 {
		return l.channel(i)
	}
	_, size, inner := l.inputAxis()
	blocks := (size + l.group - 1) / l.group
	return (i/(inner*size)*blocks+i/inner%size/l.group)*inner + i%inner
}

// inputAxis is the axis of the weights that counts input channels, its length
// and the number of elements behind it.
func (l *layer) inputAxis() (axis, size, inner int) {
	axis = 1
	if l.axis == len(l.shape)-1 {
		axis = l.axis - 1
	}
	inner = 1
	for _, d := range l.shape[axis+1:] {
		inner *= d
	}
	return axis, l.shape[axis], inner
}

// rows lists the weights of each grid.
func (l *layer) rows() [][]float32 {
	n := 0
	for i := range l.w {
		n = max(n, l.gridIndex(i)+1)
	}
	rows := make([][]float32, n)
	for i, v := range l.w {
		k := l.gridIndex(i)
		rows[k] = append(rows[k], v)
	}
	return rows
}

// fit chooses the grids.
func (l *layer) fit(o *Options, inScale float32) error {
	if l.fixed {
		return nil
	}
	if o.LogWeights && l.bits.Weights < 8 {
		l.fitLog()
		return nil
	}
	if o.Group > 0 && l.node.Is("Conv", "Gemm", "MatMul") {
		if _, size, _ := l.inputAxis(); size > o.Group {
			l.group = o.Group
		}
	}
	ranger, err := weightRange(o.WeightRange, l.bits.Weights)
	if err != nil {
		return err
	}
	rows := l.rows()
	if !o.PerChannel {
		rows = [][]float32{l.w}
	}
	if o.AllocateChannels && l.node.Is("Conv") && l.node.Int("group", 1) > 1 {
		// Channels of a depthwise layer do not add up: what a small one loses
		// is not small for what reads it.
		same := *o
		same.AllocateChannels = false
		o = &same
	}
	l.grids = ranger(rows, l.bits.Weights, o)
	if !o.PerChannel {
		for len(l.grids) < l.channels {
			l.grids = append(l.grids, l.grids[0])
		}
	}
	// The int32 bias must not overflow at the scale of the accumulator.
	if l.bias != nil && l.group == 0 {
		for c := range l.grids {
			least := math.Abs(float64(l.bias[c])) / float64(inScale) / (1 << 30)
			l.grids[c].Scale = max(l.grids[c].Scale, float32(least))
		}
	}
	return nil
}

// round quantizes every weight to the nearest point of its grid.
func (l *layer) round() {
	if l.fixed {
		return
	}
	if l.log != nil {
		l.roundLog()
		return
	}
	l.codes = make([]int, len(l.w))
	for i, v := range l.w {
		l.codes[i] = l.at(i).Quantize(v)
	}
}

// values are the real numbers that the codes stand for.
func (l *layer) values() []float32 {
	y := make([]float32, len(l.codes))
	for i, q := range l.codes {
		y[i] = l.at(i).Value(q)
	}
	return y
}

// perTensor reports whether all channels have one grid.
func (l *layer) perTensor() bool {
	for _, g := range l.grids {
		if g != l.grids[0] {
			return false
		}
	}
	return true
}

// constants makes the tensors of the DequantizeLinear node of the weights and
// its attributes.
func (l *layer) constants(o *Options) (q, scale, zero *tensor.Tensor, attrs graph.Attrs, err error) {
	lo, hi := 0, 0
	scales, zeros := make([]float32, len(l.grids)), make([]int, len(l.grids))
	for i, g := range l.grids {
		lo, hi = min(lo, g.Min), max(hi, g.Max)
		scales[i], zeros[i] = g.Scale, g.Zero
	}
	t := storageOf(lo, hi, o.Storage)
	if q, err = integers(t, l.codes, l.shape...); err != nil {
		return nil, nil, nil, nil, fmt.Errorf("quantize: %w", l.node.Errorf("%w", err))
	}
	shape := []int{len(scales)}
	attrs = graph.Attrs{"axis": int64(l.axis)}
	switch {
	case l.group > 0:
		axis, size, _ := l.inputAxis()
		shape = append([]int(nil), l.shape...)
		shape[axis] = (size + l.group - 1) / l.group
		attrs = graph.Attrs{"axis": int64(axis), "block_size": int64(l.group)}
	case !o.PerChannel && l.perTensor():
		shape, scales, zeros = nil, scales[:1], zeros[:1]
	}
	if zero, err = integers(t, zeros, shape...); err != nil {
		return nil, nil, nil, nil, fmt.Errorf("quantize: %w", l.node.Errorf("%w", err))
	}
	return q, tensor.Of(scales, shape...), zero, attrs, nil
}

// restoreSpread scales each channel's grid so that its weights are as spread
// out as they were.
func (l *layer) restoreSpread() {
	if l.group > 0 {
		return
	}
	w, y := make([][]float32, l.channels), make([][]float32, l.channels)
	for i, v := range l.values() {
		c := l.channel(i)
		w[c], y[c] = append(w[c], l.w[i]), append(y[c], v)
	}
	for c := range l.grids {
		l.grids[c].Scale *= float32(restoreNorm(w[c], y[c]))
	}
}

// Fixed are integers that training has chosen for a layer's weights.
type Fixed struct {
	// Codes are the integers, in the order of the weights, and Grids says, for
	// each output channel, what they stand for before normalization is folded.
	Codes []int
	Grids []Grid
	// Input, if set, is the grid of what the layer reads.
	Input *Grid
}

// fix takes over the integers of f. Folding a normalization has multiplied
// each channel by a factor since, which becomes part of its scale.
func (l *layer) fix(f *Fixed) error {
	if len(f.Codes) != len(l.w) || len(f.Grids) != l.channels {
		return fmt.Errorf("quantize: %w", l.node.Errorf("has %d weights in %d channels, but %d fixed ones in %d", len(l.w), l.channels, len(f.Codes), len(f.Grids)))
	}
	dot, square := make([]float64, l.channels), make([]float64, l.channels)
	for i, q := range f.Codes {
		c := l.channel(i)
		v := float64(f.Grids[c].Value(q))
		dot[c] += v * float64(l.w[i])
		square[c] += v * v
	}
	l.grids, l.codes, l.fixed = make([]Grid, l.channels), append([]int(nil), f.Codes...), true
	flip := make([]bool, l.channels)
	l.bits = Bits{widthOf(f.Grids[0].Min, f.Grids[0].Max), 8}
	if f.Input != nil {
		l.bits.Activations = widthOf(f.Input.Min, f.Input.Max)
	}
	for c, g := range f.Grids {
		factor := 1.0
		if square[c] > 0 {
			factor = dot[c] / square[c]
		}
		if factor < 0 {
			flip[c] = true
			g.Zero, g.Min, g.Max = -g.Zero, -g.Max, -g.Min
		}
		g.Scale *= float32(math.Abs(factor))
		if !(g.Scale > 0) {
			g.Scale = 1e-30
		}
		l.grids[c] = g
	}
	for i := range l.codes {
		if flip[l.channel(i)] {
			l.codes[i] = -l.codes[i]
		}
	}
	return nil
}

// widthOf is the number of bits that integers from lo to hi need.
func widthOf(lo, hi int) int { return bits.Len(uint(hi - lo)) }
