package qconv

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/parallel"
)

// vector is the AVX2 path of fully connected layers of a single pixel. The
// time goes into reading the weights, so they stay the bytes they are.
type vector struct {
	c       *Conv
	weights []byte // [octet][quad][channel][4] int8
	args    tileArgs
	jobs    jobs
}

// newVector returns nil for shapes and weights it does not cover.
func newVector(c *Conv) *vector {
	s := &c.shape
	if pixels(s) > 1 || !pointwise(s) || s.Groups > 1 || s.K < 8 || s.C%4 != 0 {
		return nil
	}
	for _, w := range c.w {
		if w != int16(int8(w)) {
			return nil
		}
	}
	v := &vector{c: c, args: newArgs(&c.p), weights: make([]byte, 0, (s.K+7)/8*8*s.C)}
	for k0 := 0; k0 < s.K; k0 += 8 {
		k0 := min(k0, s.K-8)
		for i := 0; i < s.C; i += 4 {
			for k := k0; k < k0+8; k++ {
				for _, w := range c.w[k*s.C+i : k*s.C+i+4] {
					v.weights = append(v.weights, byte(w))
				}
			}
		}
	}
	return v
}

func (v *vector) name() string            { return "avx2 vector" }
func (v *vector) scratch(workers int) int { return 64 }

// octetsPerTask is the number of groups of eight channels of a task.
const octetsPerTask = 16

func (v *vector) exec(pool *parallel.Pool, src []uint8, o output, scratch []byte) {
	v.jobs.run(pool, v, job{src: src, o: o}, v.parts())
}

// parts is the number of tasks; a last octet that is not full belongs to the
// same task as the one before, which it overlaps.
func (v *vector) parts() int { return (v.c.shape.K/8 + octetsPerTask - 1) / octetsPerTask }

func (v *vector) tasks(j *job, worker, lo, hi int) {
	a, k := v.args, v.c.shape.K
	first, last := lo*octetsPerTask*8, hi*octetsPerTask*8
	if hi == v.parts() {
		last = k
	}
	a.base = unsafe.Pointer(&j.src[0])
	a.count = v.c.shape.C / 4
	a.aim(&j.o)
	v.octets(&a, &j.o, first, first, (last-first)/8)
	if last%8 != 0 {
		v.octets(&a, &j.o, last/8*8, k-8, 1)
	}
	if j.o.add != nil {
		v.c.addBlock(&j.o, 0, 1, first, last)
	}
}

// octets computes n octets of channels from k on, packed as from at on.
func (v *vector) octets(a *tileArgs, o *output, at, k, n int) {
	a.w = unsafe.Pointer(&v.weights[at*v.c.shape.C])
	a.bias, a.scale = unsafe.Pointer(&v.c.bias[k]), unsafe.Pointer(&v.c.scale[k])
	a.dst, a.tiles = o.at(k), n
	multiplyVector(a)
}
