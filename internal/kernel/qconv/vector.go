package qconv

import (
	"math"
	"unsafe"

	"github.com/drawknife/drawknife/internal/parallel"
)

// vector is the AVX2 path of fully connected layers of a single pixel. The
// time goes into reading the weights, so each stays one byte: steps whose
// pairs of products fit an int16 come first, and the kernel takes the others
// apart into even and odd values.
type vector struct {
	c       *Conv
	weights []byte   // [octet]: as for a panel of tiles, but for the groups: [step][channel][4] int8
	steps   []uint16 // [octet][step], in units of four values
	octets  []octet
	args    tileArgs
	jobs    jobs
}

// octet is where the weights and steps of eight channels start.
type octet struct{ k0, w, step int }

// newVector returns nil for shapes and weights it does not cover.
func newVector(c *Conv) *vector {
	s := &c.shape
	if pixels(s) > 1 || !pointwise(s) || s.Groups > 1 || s.K < 8 || s.C%4 != 0 || s.C/4 > math.MaxUint16 {
		return nil
	}
	if !c.fit(8) {
		return nil
	}
	v := &vector{c: c, args: newArgs(&c.p)}
	v.weights = make([]byte, 0, (s.K+7)/8*(8*s.C+headSize))
	v.steps = make([]uint16, 0, (s.K+7)/8*(s.C/4)+1)
	pk := packers.Get().(*packer)
	for k0 := 0; k0 < s.K; k0 += 8 {
		v.pack(pk, min(k0, s.K-8)) // the last octet may overlap the one before
	}
	packers.Put(pk)
	v.steps = append(v.steps, 0) // so that each octet has an address
	return v
}

// pack lays out eight channels from k0 on.
func (v *vector) pack(pk *packer, k0 int) {
	c := v.c.shape.C
	o := octet{k0: k0, w: len(v.weights), step: len(v.steps)}
	v.octets = append(v.octets, o)
	pk.dense = resize(pk.dense, 8*c)
	if plain := v.c.plain(); plain {
		for k := range 8 {
			interleave(pk.dense[4*k:], v.c.p.Weights[(k0+k)*c:][:c])
		}
	} else {
		for k := range 8 {
			pk.row = v.c.channel(k0+k, pk.row)
			interleave(pk.dense[4*k:], pk.row)
		}
	}
	pk.orders, pk.states = 1, pk.states[:0]
	pk.measure(pk.dense)
	v.weights = v.weights[:o.w+headSize]
	var counts [groupSteps]int32
	take := func(section int, fits bool) {
		for i, state := range pk.states {
			if state&stepZero == 0 && (state&stepFits != 0) == fits {
				counts[section]++
				v.steps = append(v.steps, uint16(i))
				v.weights = append(v.weights, asBytes(pk.w[i*stepWeights:][:stepWeights])...)
			}
		}
	}
	take(0, true)
	take(1, false)
	putHeader(v.weights[o.w:], counts, k0, v.c.bias[k0:k0+8], v.c.scale[k0:k0+8])
}

// interleave lays out a row of weights as that of eight in [quad][row][4].
func interleave[T int8 | int16](to []int16, row []T) {
	for ; len(row) > 4; row = row[4:] {
		w := (*[4]T)(row)
		*(*[4]int16)(to) = [4]int16{int16(w[0]), int16(w[1]), int16(w[2]), int16(w[3])}
		to = to[stepWeights:]
	}
	for i, w := range row {
		to[i] = int16(w)
	}
}

func asBytes(w []int8) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(&w[0])), len(w)) }

func (v *vector) name() string            { return "avx2 vector" }
func (v *vector) scratch(workers int) int { return 64 }

// octetsPerTask is the number of groups of eight channels of a task.
const octetsPerTask = 16

func (v *vector) exec(pool *parallel.Pool, src []uint8, o output, scratch []byte) {
	v.jobs.run(pool, v, job{src: src, o: o}, v.parts())
}

// parts is the number of tasks. A last octet that overlaps the one before is in
// the same task.
func (v *vector) parts() int { return (v.c.shape.K/8 + octetsPerTask - 1) / octetsPerTask }

func (v *vector) tasks(j *job, worker, lo, hi int) {
	list := v.octets[lo*octetsPerTask:]
	if hi < v.parts() {
		list = list[:(hi-lo)*octetsPerTask]
	}
	a := v.args
	a.base = unsafe.Pointer(&j.src[0])
	a.aim(&j.o)
	a.w, a.steps = unsafe.Pointer(&v.weights[list[0].w]), unsafe.Pointer(&v.steps[list[0].step])
	a.dst, a.chunks = j.o.at(0), len(list)
	multiplyVector(&a)
	if j.o.add != nil {
		v.c.addBlock(&j.o, 0, 1, list[0].k0, list[len(list)-1].k0+8)
	}
}
