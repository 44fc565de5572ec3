package engine

import (
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/tensor"
)

// reduction is a Reduce operator: a kernel and what is done to its results.
type reduction struct {
	red  vec.Red
	mean bool                       // divide by the number of elements
	then func(float64) float64      // nil for nothing
	step func(a, v float64) float64 // one element more, for columns
}

func plus(a, v float64) float64 { return a + v }

var reductions = map[string]reduction{
	"ReduceSum":       {red: vec.RedSum, step: plus},
	"ReduceMean":      {red: vec.RedSum, mean: true, step: plus},
	"ReduceMax":       {red: vec.RedMax, step: math.Max},
	"ReduceMin":       {red: vec.RedMin, step: math.Min},
	"ReduceProd":      {red: vec.RedProd, step: func(a, v float64) float64 { return a * v }},
	"ReduceL1":        {red: vec.RedSumAbs, step: func(a, v float64) float64 { return a + math.Abs(v) }},
	"ReduceL2":        {red: vec.RedSumSquares, then: math.Sqrt, step: func(a, v float64) float64 { return a + v*v }},
	"ReduceSumSquare": {red: vec.RedSumSquares, step: func(a, v float64) float64 { return a + v*v }},
	"ReduceLogSum":    {red: vec.RedSum, then: math.Log, step: plus},
}

func init() {
	for op := range reductions {
		if op != "ReduceMean" && op != "ReduceSum" { // lowered elsewhere first
			lower("", lowerReduce, op)
		}
	}
	lower("", lowerArg, "ArgMax")
}

// reduced marks the axes over which n reduces; ok is false where they are not
// fixed or none.
func (c *compiler) reduced(n *graph.Node) (axes []bool, ok bool) {
	rank := len(n.Inputs[0].Shape)
	axes = make([]bool, rank)
	v := n.In(1)
	t := c.constant(v)
	if v != nil && t == nil {
		return nil, false
	}
	if t == nil || t.Len() == 0 {
		for i := range axes {
			axes[i] = true
		}
		return axes, n.Int("noop_with_empty_axes", 0) == 0
	}
	for _, a := range t.Ints() {
		if a < 0 {
			a += rank
		}
		axes[a] = true
	}
	return axes, true
}

// span is a stretch of neighbouring axes in memory that are all reduced or all
// kept.
type span struct {
	size    int
	reduced bool
}

// spans lists the stretches of a shape in a layout. inOrder reports whether
// the axes kept lie in ONNX's order.
func spans(shape []int, l layout, reduced []bool) (list []span, inOrder bool) {
	inOrder = true
	kept := -1
	for _, d := range order(len(shape), l) {
		if !reduced[d] {
			inOrder = inOrder && d > kept
			kept = d
		}
		switch last := len(list) - 1; {
		case shape[d] == 1:
		case last >= 0 && list[last].reduced == reduced[d]:
			list[last].size *= shape[d]
		default:
			list = append(list, span{shape[d], reduced[d]})
		}
	}
	return list, inOrder
}

// sheet is a reduction over the middle of outer × rows × inner.
type sheet struct{ outer, rows, inner int }

// asSheet reads spans as a sheet.
func asSheet(list []span) (s sheet, ok bool) {
	s = sheet{1, 1, 1}
	if len(list) > 0 && !list[0].reduced {
		s.outer, list = list[0].size, list[1:]
	}
	if len(list) > 0 && list[0].reduced {
		s.rows, list = list[0].size, list[1:]
	}
	if len(list) > 0 && !list[0].reduced {
		s.inner, list = list[0].size, list[1:]
	}
	return s, len(list) == 0
}

// reduceView finds the layout in which the reduction is one over rows or
// columns: the one at hand if it serves, else plain, else channels-last.
func (c *compiler) reduceView(v, out *graph.Value, reduced []bool) (l, to layout, s sheet, ok bool) {
	shape := v.Shape.Ints()
	try := []layout{c.preferred(v), plain, channelsLast}
	for _, l = range try {
		if l == channelsLast && len(shape) < 3 {
			continue
		}
		list, inOrder := spans(shape, l, reduced)
		if s, ok = asSheet(list); !ok {
			continue
		}
		switch {
		case len(out.Shape) == len(shape):
			return l, l, s, true
		case inOrder:
			return l, plain, s, true
		}
	}
	return plain, plain, s, false
}

func lowerReduce(c *compiler, n *graph.Node) error {
	x, out := n.Inputs[0], n.Outputs[0]
	shape, ok := concrete(x)
	axes, ok2 := c.reduced(n)
	if !ok || !ok2 || x.Type != tensor.Float32 || slices.Contains(shape, 0) {
		return fallback(c, n)
	}
	l, to, s, ok := c.reduceView(x, out, axes)
	if !ok {
		return fallback(c, n)
	}
	src, dst := c.use(x, l), c.def(out, to)
	r := reductions[n.Op]
	finish := func(d []float32) {
		if r.mean {
			vec.Scale(1/float32(s.rows), d, d)
		}
		if r.then != nil {
			for i, v := range d {
				d[i] = float32(r.then(float64(v)))
			}
		}
	}
	st := step{kernel: n.Op, in: []*buf{src}, out: []*buf{dst}}
	if s.inner == 1 {
		st.run = c.loop(s.outer, max(1, grain/s.rows), func(x *frame, lo, hi int) {
			d := f32(x, dst)[lo:hi]
			vec.RowReduce(r.red, d, f32(x, src)[lo*s.rows:hi*s.rows], s.rows)
			finish(d)
		})
	} else {
		tiles := (s.inner + columnTile - 1) / columnTile
		st.run = c.loop(s.outer*tiles, max(1, grain/(s.rows*columnTile)), func(x *frame, lo, hi int) {
			d, a := f32(x, dst), f32(x, src)
			for i := lo; i < hi; i++ {
				first := i % tiles * columnTile
				part := d[i/tiles*s.inner+first:][:min(columnTile, s.inner-first)]
				r.columns(part, a[i/tiles*s.rows*s.inner+first:], s.rows, s.inner)
				finish(part)
			}
		})
	}
	c.emit(st)
	return nil
}

// columnTile is the number of columns reduced at a time.
const columnTile = 64

// columns reduces len(dst) adjacent columns of rows that begin stride elements
// apart.
func (r reduction) columns(dst, src []float32, rows, stride int) {
	switch r.red {
	case vec.RedSum:
		vec.ColSumTile(dst, src, rows, stride)
		return
	case vec.RedMax:
		vec.ColMaxTile(dst, src, rows, stride)
		return
	}
	var acc [columnTile]float64
	a := acc[:len(dst)]
	for i := range a {
		switch r.red {
		case vec.RedProd:
			a[i] = 1
		case vec.RedMin:
			a[i] = math.Inf(1)
		}
	}
	for i := range rows {
		for j, v := range src[i*stride:][:len(a)] {
			a[j] = r.step(a[j], float64(v))
		}
	}
	for j, v := range a {
		dst[j] = float32(v)
	}
}

// lowerArg finds the greatest element along the axis that lies last in memory.
func lowerArg(c *compiler, n *graph.Node) error {
	x := n.Inputs[0]
	shape, ok := concrete(x)
	if !ok || x.Type != tensor.Float32 || slices.Contains(shape, 0) || n.Int("select_last_index", 0) != 0 || len(shape) == 0 {
		return fallback(c, n)
	}
	axis := n.Int("axis", 0)
	if axis < 0 {
		axis += len(shape)
	}
	var src *buf
	switch {
	case axis == len(shape)-1:
		src = c.use(x, plain)
	case axis == 1:
		src = c.use(x, channelsLast)
	default:
		return fallback(c, n)
	}
	// One index per image and pixel: the layouts of the result coincide.
	dst := c.def(n.Outputs[0], plain)
	cols := shape[axis]
	c.emit(step{kernel: n.Op, in: []*buf{src}, out: []*buf{dst}, run: c.loop(dst.len(), max(1, grain/cols), func(x *frame, lo, hi int) {
		d, s := view[int64](x, dst), f32(x, src)
		for r := lo; r < hi; r++ {
			d[r] = int64(vec.ArgMax(s[r*cols : (r+1)*cols]))
		}
	})})
	return nil
}
