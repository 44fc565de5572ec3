package bconv

import (
	"math/bits"

	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/parallel"
)

// portable is the plain Go path: exclusive ors and population counts, of which
// vector instructions may do the inner loop.
type portable struct {
	c       *Conv
	vector  bool
	words   int      // of a tap of a group
	weights []uint64 // [K][tap][words]
	padding []uint64 // [words] of a tap outside, for PadValue other than 0
	jobs    reuse.List[portableJob]
}

type portableJob struct {
	src     []uint64
	o       output
	scratch []byte
	body    func(worker, lo, hi int)
}

func newPortable(c *Conv, vector bool) *portable {
	s := &c.shape
	cg, n := s.C/s.Groups, taps(s)
	p := &portable{c: c, words: Words(cg)}
	p.vector = vector && n*p.words <= mostWords
	p.weights, p.padding = make([]uint64, s.K*n*p.words), make([]uint64, p.words)
	for i, w := range c.p.Signs {
		if k, ch, tap := i/n/cg, i/n%cg, i%n; w > 0 {
			p.weights[(k*n+tap)*p.words+ch/64] |= 1 << (ch % 64)
		}
	}
	if c.p.PadValue > 0 {
		for ch := range cg {
			p.padding[ch/64] |= 1 << (ch % 64)
		}
	}
	return p
}

func (p *portable) name() string {
	if p.vector {
		return "neon popcount"
	}
	return "popcount"
}

// scratch holds, for each worker, the words of the taps of a pixel and the
// numbers of the taps that count; for vectors also a mask of the words and the
// counts of the channels of a group.
func (p *portable) scratch(workers int) int { return workers*p.perWorker() + 8 }

func (p *portable) perWorker() int {
	words := taps(&p.c.shape) * (p.words + 1)
	if p.vector {
		words += taps(&p.c.shape)*p.words + (p.c.shape.K/p.c.shape.Groups+1)/2
	}
	return 8 * words
}

func (p *portable) exec(pool *parallel.Pool, o output, src []uint64, scratch []byte) {
	j := p.jobs.Get()
	if j == nil {
		j = new(portableJob)
		j.body = func(worker, lo, hi int) { p.pixels(j, worker, lo, hi) }
	}
	j.src, j.o, j.scratch = src, o, scratch
	pool.For(pixels(&p.c.shape), 8, j.body)
	j.src, j.o, j.scratch = nil, output{}, nil
	p.jobs.Put(j)
}

// pixels computes output pixels lo to hi-1.
func (p *portable) pixels(j *portableJob, worker, lo, hi int) {
	s := &p.c.shape
	kg, n := s.K/s.Groups, taps(s)
	mine := as64(j.scratch)[worker*p.perWorker()/8:][:p.perWorker()/8]
	column, list, more := mine[:n*p.words], mine[n*p.words:][:n], mine[n*p.words+n:]
	for m := lo; m < hi; m++ {
		if j.o.signs != nil {
			clear(j.o.signs[m*Words(s.K):][:Words(s.K)])
		}
		for g := range s.Groups {
			used := p.gather(column, list, j.src, m, g)
			if p.vector {
				p.count(&j.o, column, list[:used], more, m, g)
				continue
			}
			for k := g * kg; k < (g+1)*kg; k++ {
				p.c.emit(&j.o, m, k, p.sum(column, list[:used], p.weights[k*n*p.words:][:n*p.words]))
			}
		}
	}
}

// sum is the product of a column of signs and those of an output channel's
// weights, over the taps listed.
func (p *portable) sum(column, list, weights []uint64) int {
	if len(list) == taps(&p.c.shape) {
		return len(list)*p.c.shape.C/p.c.shape.Groups - 2*differences(column, weights)
	}
	count := 0
	for _, t := range list {
		at := int(t) * p.words
		count += differences(column[at:at+p.words], weights[at:at+p.words])
	}
	return len(list)*p.c.shape.C/p.c.shape.Groups - 2*count
}

// differences counts the bits that differ.
func differences(a, b []uint64) int {
	n := 0
	b = b[:len(a)]
	for i, v := range a {
		n += bits.OnesCount64(v ^ b[i])
	}
	return n
}

// gather copies the words of the taps of output pixel m that lie inside the
// input, or count though they lie outside, and lists these taps.
func (p *portable) gather(column, list, src []uint64, m, g int) (used int) {
	s := &p.c.shape
	q, y, z, n := m%s.Q, m/s.Q%s.P, m/s.Q/s.P%s.OD, m/s.Q/s.P/s.OD
	words, first := Words(s.C), g*(s.C/s.Groups)
	for tap := range taps(s) {
		iz := z*s.StrideD - s.PadD + tap/s.S/s.R*s.DilD
		iy := y*s.StrideH - s.PadH + tap/s.S%s.R*s.DilH
		ix := q*s.StrideW - s.PadW + tap%s.S*s.DilW
		to := column[tap*p.words:][:p.words]
		switch {
		case iz >= 0 && iz < s.D && iy >= 0 && iy < s.H && ix >= 0 && ix < s.W:
			cut(to, src[(((n*s.D+iz)*s.H+iy)*s.W+ix)*words:][:words], first, s.C/s.Groups)
		case p.c.p.PadValue == 0:
			continue
		default:
			copy(to, p.padding)
		}
		list[used] = uint64(tap)
		used++
	}
	return used
}

// cut copies n bits of src from bit first on; the bits after them are 0.
func cut(dst, src []uint64, first, n int) {
	for i := range dst {
		at := first + 64*i
		v := src[at/64] >> (at % 64)
		if rest := at % 64; rest != 0 && at/64+1 < len(src) {
			v |= src[at/64+1] << (64 - rest)
		}
		if left := n - 64*i; left < 64 {
			v &= 1<<left - 1
		}
		dst[i] = v
	}
}
