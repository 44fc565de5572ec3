package bconv

import (
	"strings"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/qconv"
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/parallel"
)

// byted is the path by products of bytes, which AMX computes three times as fast
// as population counts: signs become the bytes 0 and 2 of zero point 1, which is
// also what padding reads.
type byted struct {
	c    *Conv
	ints *qconv.Conv
	room int // bytes of the input
	jobs reuse.List[bytedJob]
}

type bytedJob struct {
	src  []uint64
	to   []uint8
	sum  qconv.Sum
	body func(worker, lo, hi int)
}

// newByted returns nil for shapes for which counts are as fast: where weights, a
// byte each, leave the caches, where there are few pixels, and where signs are
// wanted or read in groups.
func newByted(c *Conv, level cpu.Level) *byted {
	const most, least = 1 << 20, 128 // bytes of weights, pixels
	s := &c.shape
	if level != cpu.AMX || pixels(s) < least || s.Groups > 1 || s.C%64 != 0 || c.p.ToSigns || c.p.PadValue != 0 && padded(s) || len(c.p.Signs) > most {
		return nil
	}
	ints := qconv.New(*s, qconv.Params{Weights: c.p.Signs, SrcZero: 1, SrcMax: 2, Scale: c.scale})
	if !strings.HasPrefix(ints.Kernel(), "amx") {
		return nil
	}
	return &byted{c: c, ints: ints, room: (s.N*s.D*s.H*s.W*s.C + 63) &^ 63}
}

func (b *byted) name() string { return b.ints.Kernel() }

func (b *byted) scratch(workers int) int { return b.room + 64 + b.ints.Scratch(workers) }

// pixelsAtOnce is the number of pixels that a task makes bytes of.
const pixelsAtOnce = 64

func (b *byted) exec(pool *parallel.Pool, o output, src []uint64, scratch []byte) {
	j := b.jobs.Get()
	if j == nil {
		j = new(bytedJob)
		j.body = func(_, lo, hi int) {
			words := Words(b.c.shape.C)
			lo, hi = lo*pixelsAtOnce*words, min(hi*pixelsAtOnce*words, len(j.src))
			toBytes(j.to[64*lo:64*hi], j.src[lo:hi])
		}
	}
	s := &b.c.shape
	scratch = align(scratch)
	n := s.N * s.D * s.H * s.W
	j.src, j.to = src[:n*Words(s.C)], scratch[:n*s.C]
	pool.For((n+pixelsAtOnce-1)/pixelsAtOnce, 1, j.body)
	j.sum = qconv.Sum{Bias: b.c.bias, Add: o.add, Lo: b.c.p.Min, Hi: b.c.p.Max}
	b.ints.RunSum(pool, o.f32, j.to, &j.sum, scratch[b.room:])
	j.src, j.to, j.sum = nil, nil, qconv.Sum{}
	b.jobs.Put(j)
}

// toBytesPortable makes a byte of each bit: 2 of 1, 0 of 0.
func toBytesPortable(dst []uint8, src []uint64) {
	for i, w := range src {
		for k := range 64 {
			dst[64*i+k] = uint8(w >> k & 1 << 1)
		}
	}
}
