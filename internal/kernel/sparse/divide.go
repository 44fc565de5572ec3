package sparse

import (
	"math"

	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/parallel"
)

// divided computes by panels the pixels that fill vectors and by lanes the one,
// or the few, that are left: the last of 7x7 would take as long as 16.
type divided struct {
	most, rest    runner
	src, dst, add int // floats before the rest
}

// divide splits a convolution of few pixels in two. Where that makes no sense,
// ok is false.
func (k *kernels) divide(s conv.Shape) (most, rest conv.Shape, ok bool) {
	const few, many = 3, 128 // pixels
	all := s.N * s.P * s.Q
	left := all % k.lanes
	if !oneToOne(&s) || k.lanesRun[0][1] == nil || left == 0 || left > few || all < k.lanes || all > many {
		return s, s, false
	}
	s.N, s.H, s.P = 1, 1, 1
	most, rest = s, s
	most.W, most.Q = all-left, all-left
	rest.W, rest.Q = left, left
	return most, rest, true
}

// dividedTime estimates the time of both parts. It is infinite where the
// second-level cache would not hold both forms of the weights.
func (k *kernels) dividedTime(m method, most, rest conv.Shape, z zeros) float64 {
	if z.nonzero > 3<<14 {
		return math.Inf(1)
	}
	return k.panelTime(m, most, z) + k.lanesTime(rest, z)
}

// newDivided returns nil where one way is faster than two.
func newDivided(k *kernels, m method, z zeros, s conv.Shape, p conv.Params) runner {
	most, rest, ok := k.divide(s)
	if !ok || k.dividedTime(m, most, rest, z) >= k.panelTime(m, s, z) {
		return nil
	}
	return &divided{
		most: newPanel(k, m, z.nonzero, most, p), rest: newLanes(k, rest, p),
		src: most.Q * s.SrcStride, dst: most.Q * s.DstStride, add: most.Q * s.AddStride,
	}
}

func (d *divided) perWorker() int { return max(d.most.perWorker(), d.rest.perWorker()) }

func (d *divided) exec(p *parallel.Pool, dst, src, add, scratch []float32) {
	d.most.exec(p, dst, src, add, scratch)
	if add != nil {
		add = add[d.add:]
	}
	d.rest.exec(p, dst[d.dst:], src[d.src:], add, scratch)
}

func (d *divided) bands() bool { return false }

func (d *divided) band([]float32, []float32, []float32, []float32, int, int, int) { panic("no bands") }
