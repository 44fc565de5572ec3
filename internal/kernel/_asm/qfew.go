package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// qfew emits the product of a few pixels and a panel of output channels by
// VPDPBUSD, where the time goes into reading the weights: these have bits bits
// each. A byte in memory holds those of 8/bits steps, the first in the topmost
// bits; each is moved to the top of its byte and multiplied there, so that sums
// are greater by a power of two, which a shift removes in the end.
type qfew struct {
	qtile
	bits int
}

// qfewAhead is the distance in bytes at which weights are fetched.
const qfewAhead = 4096

func (t qfew) name() string { return fmt.Sprintf("qfewVNNI%dx%dw%d", t.rows, 16*t.vecs, t.bits) }

// sets is the number of sums of an output: several where one would wait for
// the last product.
func (t qfew) sets() int { return min(2, 16/(t.rows*t.vecs)) }

func (t qfew) emit() {
	name, per, used := t.name(), 8/t.bits, t.rows*t.vecs
	TEXT(name, NOSPLIT, "func(a *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes tiles of %d pixels by %d channels of weights of %d bits; a is a *tileArgs.", name, t.rows, 16*t.vecs, t.bits))
	a := Load(Param("a"), GP64())
	rows := make([]GPVirtual, t.rows)
	for i := range rows {
		rows[i] = GP64()
	}
	off, k, w, steps := GP64(), GP64(), GP64(), GP64()
	mask, work := zmm(31), 16 // sums take the registers below
	spare := func() VecPhysical {
		if work++; work == 31 {
			work = 17
		}
		return zmm(work)
	}
	MOVQ(Mem{Base: a, Disp: qOffs}, off)
	MOVQ(off, Mem{Base: a, Disp: qOffsAt})
	MOVQ(Mem{Base: a, Disp: qDst}, off)
	MOVQ(off, Mem{Base: a, Disp: qDstAt})
	Label(name + "_tile")
	if per > 1 {
		top := uint32(0x100-1<<(8-t.bits)) * 0x01010101
		MOVL(U32(top), off.As32())
		VPBROADCASTD(off.As32(), mask)
	}
	t.point(a, rows, off, w)
	for i := range t.sets() * used {
		VPXORD(zmm(i), zmm(i), zmm(i))
	}
	MOVQ(Mem{Base: a, Disp: qW}, w)
	MOVQ(Mem{Base: a, Disp: qSteps}, steps)
	MOVQ(Mem{Base: a, Disp: qCount}, k)
	unrolled(name, k, 2, func(n int) {
		for s := range n {
			for u := range per {
				MOVLQSX(Mem{Base: steps, Disp: 4 * (s*per + u)}, off)
				x := make([]VecPhysical, t.rows)
				for i := range rows {
					x[i] = spare()
					VPBROADCASTD(Mem{Base: rows[i], Index: off, Scale: 1}, x[i])
				}
				set := (s*per + u) % t.sets() * used
				for j := range t.vecs {
					at := Mem{Base: w, Disp: 64 * (s*t.vecs + j)}
					if u == 0 {
						PREFETCHT0(Mem{Base: w, Disp: at.Disp + qfewAhead})
					}
					v := spare()
					switch {
					case per == 1:
						VMOVDQU32(at, v)
					case u == 0:
						VPANDD(at, mask, v)
					default:
						VPSLLD(Imm(uint64(t.bits*u)), at, v)
						VPANDD(v, mask, v)
					}
					for i := range rows {
						VPDPBUSD(v, x[i], zmm(set+i*t.vecs+j))
					}
				}
			}
		}
		ADDQ(U32(uint32(4*n*per)), steps)
		ADDQ(U32(uint32(64*n*t.vecs)), w)
	})
	MOVQ(Mem{Base: a, Disp: qBias}, off)
	for i := range t.rows {
		for j := range t.vecs {
			r := t.acc(i, j)
			if t.sets() > 1 {
				VPADDD(zmm(used+i*t.vecs+j), r, r)
			}
			if per > 1 {
				VPSRAD(Imm(uint64(8-t.bits)), r, r)
			}
			VPADDD(Mem{Base: off, Disp: 64 * j}, r, r)
		}
	}
	t.load(a, off, w, k)
	t.storeAs512(name, a, off, w, k)
	MOVQ(off, Mem{Base: a, Disp: qDstAt})
	DECQ(Mem{Base: a, Disp: qTiles})
	JNE(LabelRef(name + "_tile"))
	VZEROUPPER()
	RET()
}
