package fake

import (
	"fmt"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/fakequant"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register(FakeQuantize, 3, true, []int{1, 2}, fakeQuantize)
	registerGrad(FakeQuantize+"Grad", 2, 4, fakeQuantizeGrad, 1, 2, 3)
	rule(FakeQuantize, func(b *autodiff.Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
		in := append([]*graph.Value{dy[0]}, n.Inputs...)
		switch kind := n.Str("kind", "step"); {
		case kind == "fixed" || kind == "peak" || len(n.Inputs) < 2:
			return b.Node(graph.DrawknifeDomain, FakeQuantize+"Grad", n.Attrs.Clone(), 1, in...), nil
		case n.In(2) == nil:
			return b.Node(graph.DrawknifeDomain, FakeQuantize+"Grad", n.Attrs.Clone(), 2, in[:3]...), nil
		default:
			return b.Node(graph.DrawknifeDomain, FakeQuantize+"Grad", n.Attrs.Clone(), 3, in...), nil
		}
	})
}

// Grids reads the grids of a FakeQuantize for x: one, or one for each index of
// axis 0. p and offset are its other inputs, nil where they are missing.
func Grids(n *graph.Node, x, p, offset *tensor.Tensor) ([]fakequant.Grid, error) {
	lo, hi := float32(n.Int("qmin", 0)), float32(n.Int("qmax", 255))
	if !(lo < hi) || lo < -1<<21 || hi > 1<<21 {
		return nil, fmt.Errorf("no grid from qmin = %g to qmax = %g", lo, hi)
	}
	kind := n.Str("kind", "step")
	if p == nil && kind != "peak" {
		return nil, fmt.Errorf("kind %q needs a second input", kind)
	}
	switch kind {
	case "step", "fixed":
		steps := p.Float32s()
		if len(steps) != 1 && (len(x.Shape) == 0 || len(steps) != x.Shape[0]) {
			return nil, fmt.Errorf("%d steps for shape %v", len(steps), x.Shape)
		}
		grids := make([]fakequant.Grid, len(steps))
		for i, s := range steps {
			grids[i] = fakequant.Grid{Step: max(s, least), Offset: number(offset, 0), Min: lo, Max: hi}
		}
		return grids, nil
	case "clip":
		return []fakequant.Grid{{Step: max(number(p, 0), least) / hi, Min: lo, Max: hi}}, nil
	case "range":
		if p.Len() != 2 {
			return nil, fmt.Errorf("a range of %d numbers", p.Len())
		}
		return []fakequant.Grid{rangeGrid(p.Float32s(), lo, hi)}, nil
	case "peak":
		if len(x.Shape) == 0 || x.Shape[0] == 0 || x.Len() == 0 {
			return nil, fmt.Errorf("no channels in shape %v", x.Shape)
		}
		d, row := x.Float32s(), x.Len()/x.Shape[0]
		grids := make([]fakequant.Grid, x.Shape[0])
		for i := range grids {
			least, most := fakequant.Range(d[i*row : (i+1)*row])
			grids[i] = fakequant.Grid{Step: max(-least, most) * n.Float("clip", 1) / hi, Min: lo, Max: hi}
		}
		return grids, nil
	}
	return nil, fmt.Errorf("there is no kind %q", kind)
}

// least is the smallest step: training must not cross zero.
const least = 1e-8

// rangeGrid is the affine grid of [lo, hi] with an exact zero; its step is 0 if
// the range is empty.
func rangeGrid(p []float32, qmin, qmax float32) fakequant.Grid {
	lo, hi := min(p[0], 0), max(p[1], 0)
	g := fakequant.Grid{Step: (hi - lo) / (qmax - qmin), Min: qmin, Max: qmax}
	if g.Step > 0 {
		var zero [1]float32
		fakequant.Grid{Step: 1, Min: qmin, Max: qmax}.Quantize(zero[:], []float32{qmin - lo/g.Step})
		g.Offset = -zero[0] * g.Step
	}
	return g
}

// rows cuts n elements among k grids.
func rows(n, k int, f func(i, lo, hi int)) {
	for i := range k {
		f(i, i*n/k, (i+1)*n/k)
	}
}

func fakeQuantize(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	grids, err := Grids(n, in[0], input(in, 1), input(in, 2))
	if err != nil {
		return nil, err
	}
	x := in[0].Float32s()
	y := make([]float32, len(x))
	rows(len(x), len(grids), func(i, lo, hi int) { grids[i].Quantize(y[lo:hi], x[lo:hi]) })
	t, err := like(in[0], y)
	return []*tensor.Tensor{t}, err
}

// Parameter turns the sums of a grid's gradient into the gradient of p and of
// the offset.
func Parameter(n *graph.Node, s fakequant.Sums) (p, offset float32) {
	scale := n.Float("grad_scale", 1)
	if n.Str("kind", "step") == "clip" {
		return float32(s.Above) * scale, 0
	}
	return float32(s.Step) * scale, float32(s.Above+s.Below) * scale
}

func fakeQuantizeGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, p := in[1], input(in, 2)
	grids, err := Grids(n, x, p, input(in, 3))
	if err != nil {
		return nil, err
	}
	dy, xs := in[0].Float32s(), x.Float32s()
	dx := make([]float32, len(xs))
	dp := make([]float32, len(grids))
	doffset := float32(0)
	rows(len(xs), len(grids), func(i, lo, hi int) {
		var sums fakequant.Sums
		blocks(hi-lo, func(a, b int) { sums.Add(grids[i].Grad(dx[lo+a:lo+b], dy[lo+a:lo+b], xs[lo+a:lo+b])) })
		step, offset := Parameter(n, sums)
		dp[i] = step
		doffset += offset
	})
	switch n.Str("kind", "step") {
	case "peak":
		if n.Float("clip", 1) >= 1 {
			copy(dx, dy)
		}
	case "range":
		dp = RangeGradient(p, xs)
	}
	t, err := like(x, dx)
	out := []*tensor.Tensor{t}
	if err == nil && n.Out(1) != nil {
		t, err = like(p, dp)
		out = append(out, t)
	}
	if err == nil && n.Out(2) != nil {
		t, err = like(input(in, 3), []float32{doffset})
		out = append(out, t)
	}
	return out, err
}

// RangeGradient is p − [least, greatest element of x].
func RangeGradient(p *tensor.Tensor, x []float32) []float32 {
	r := p.Float32s()
	if len(x) == 0 {
		return []float32{0, 0}
	}
	lo, hi := fakequant.Range(x)
	return []float32{r[0] - lo, r[1] - hi}
}
