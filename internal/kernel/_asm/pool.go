package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["pool"] = emitPool }

// emitPool writes the kernels of package pool.
func emitPool() {
	window{
		name: "maxWindow", doc: "takes the greatest element over kh by kw pixels, a NaN if there is one.",
		start: 0xff800000, state: 2,
		step: func(acc []VecVirtual, x, pos VecVirtual) {
			VORPS(cmp(cmpUNORD, x, x), acc[1], acc[1])
			VMAXPS(x, acc[0], acc[0])
		},
		end: func(acc []VecVirtual, scale VecVirtual) { VORPS(acc[1], acc[0], acc[0]) },
	}.emit()
	window{
		name: "sumWindow", doc: "sums kh by kw pixels and multiplies by scale.",
		state: 1, scaled: true,
		step: func(acc []VecVirtual, x, pos VecVirtual) { VADDPS(x, acc[0], acc[0]) },
		end:  func(acc []VecVirtual, scale VecVirtual) { VMULPS(scale, acc[0], acc[0]) },
	}.emit()
	window{
		name: "maxIndexWindow", doc: "takes the greatest element over kh by kw pixels and the number of its pixel: at, dw more for each column, dh more for each row.",
		start: 0xff800000, state: 2, indexed: true,
		step: func(acc []VecVirtual, x, pos VecVirtual) {
			// not x <= acc, and acc is not a NaN
			better := andNot(cmp(cmpUNORD, acc[0], acc[0]), cmp(cmpNLE, x, acc[0]))
			VBLENDVPS(better, x, acc[0], acc[0])
			VBLENDVPS(better, pos, acc[1], acc[1])
		},
		end: func(acc []VecVirtual, scale VecVirtual) {},
	}.emit()
	maxGradWindows()
	elementwise{
		name: "addWhere", doc: "adds dy to dx where index is at.",
		pointers: "dx, dy", ints: "index", intParams: "at", unroll: 2,
		body: func(v *vector) {
			m := YMM()
			VPCMPEQD(v.param["at"], v.in("index"), m)
			v.out("dx", add(v.in("dx"), and(m, v.in("dy"))))
		},
	}.emit()
}

// window reduces kh by kw pixels of c channels, sh and sw bytes apart, channel
// by channel. The state of a vector of channels is the result and, if there
// is a second register, what has been seen of NaN or the place of the result.
type window struct {
	name, doc string
	start     uint32 // the result of no pixels
	state     int
	scaled    bool
	indexed   bool
	step      func(acc []VecVirtual, x, pos VecVirtual)
	end       func(acc []VecVirtual, scale VecVirtual)
}

func (w window) emit() {
	name := w.name + "AVX2"
	sig := "func(dst, src *float32, c, kh, kw, sh, sw int, more bool"
	doc := name + " " + w.doc + " With more, what dst holds takes part."
	switch {
	case w.indexed:
		sig += ", index *int32, at, dh, dw int32"
	default:
		if w.scaled {
			sig += ", scale float32"
		}
		sig += ", n, dstStep, srcStep int"
		doc += " It does so for n windows, whose results and first pixels lie dstStep and srcStep bytes apart."
	}
	TEXT(name, NOSPLIT, sig+")")
	Pragma("noescape")
	Doc(doc)
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	sh := Load(Param("sh"), GP64())
	sw := Load(Param("sw"), GP64())
	var index, n Register
	nextDst, nextSrc := GP64(), GP64()
	if w.indexed {
		index = Load(Param("index"), GP64())
	} else {
		n = Load(Param("n"), GP64())
		Label("next")
		MOVQ(dst, nextDst)
		MOVQ(src, nextSrc)
		ADDQ(paramMem("dstStep"), nextDst)
		ADDQ(paramMem("srcStep"), nextSrc)
	}
	c := Load(Param("c"), GP64())
	for _, width := range []int{4, 1} {
		if w.indexed && width == 4 {
			width = 2
		}
		label := fmt.Sprintf("w%d", width)
		SUBQ(U32(uint32(8*width)), c)
		JLT(LabelRef(label + "end"))
		Label(label)
		w.block(label, dst, src, index, sh, sw, width, nil)
		ADDQ(U32(uint32(32*width)), src)
		ADDQ(U32(uint32(32*width)), dst)
		if w.indexed {
			ADDQ(U32(uint32(32*width)), index)
		}
		SUBQ(U32(uint32(8*width)), c)
		JGE(LabelRef(label))
		Label(label + "end")
		ADDQ(U32(uint32(8*width)), c)
	}
	TESTQ(c, c)
	JEQ(LabelRef("done"))
	w.block("tail", dst, src, index, sh, sw, 1, tailMask(c))
	Label("done")
	if !w.indexed {
		MOVQ(nextDst, dst)
		MOVQ(nextSrc, src)
		DECQ(n)
		JNE(LabelRef("next"))
	}
	VZEROUPPER()
	RET()
}

// block reduces width vectors of channels.
func (w window) block(label string, dst, src, index, sh, sw Register, width int, mask VecVirtual) {
	load := func(m Mem, d VecVirtual) {
		if mask == nil {
			VMOVUPS(m, d)
		} else {
			VMASKMOVPS(m, mask, d)
		}
	}
	acc := make([][]VecVirtual, width)
	for i := range acc {
		acc[i] = []VecVirtual{ld(kbits(w.start))}
		if w.state > 1 {
			acc[i] = append(acc[i], zero())
		}
	}
	var pos, row, dh, dw VecVirtual
	if w.indexed {
		row, dh, dw = YMM(), YMM(), YMM()
		VBROADCASTSS(paramMem("at"), row)
		VBROADCASTSS(paramMem("dh"), dh)
		VBROADCASTSS(paramMem("dw"), dw)
		for i := range acc {
			VMOVUPS(row, acc[i][1])
		}
		pos = YMM()
	}
	more := GP32()
	m, err := Param("more").Resolve()
	if err != nil {
		panic(err)
	}
	MOVBLZX(m.Addr, more)
	TESTL(more, more)
	JEQ(LabelRef(label + "start"))
	for i := range acc {
		load(Mem{Base: dst, Disp: 32 * i}, acc[i][0])
		switch {
		case w.indexed:
			load(Mem{Base: index, Disp: 32 * i}, acc[i][1])
		case w.state > 1:
			VCMPPS(Imm(cmpUNORD), acc[i][0], acc[i][0], acc[i][1])
		}
	}
	Label(label + "start")
	line, pixel := GP64(), GP64()
	MOVQ(src, line)
	rows := Load(Param("kh"), GP64())
	Label(label + "row")
	MOVQ(line, pixel)
	if w.indexed {
		VMOVUPS(row, pos)
	}
	taps := Load(Param("kw"), GP64())
	Label(label + "tap")
	for i := range acc {
		x := YMM()
		load(Mem{Base: pixel, Disp: 32 * i}, x)
		w.step(acc[i], x, pos)
	}
	if w.indexed {
		VPADDD(dw, pos, pos)
	}
	ADDQ(sw, pixel)
	DECQ(taps)
	JNE(LabelRef(label + "tap"))
	if w.indexed {
		VPADDD(dh, row, row)
	}
	ADDQ(sh, line)
	DECQ(rows)
	JNE(LabelRef(label + "row"))
	var scale VecVirtual
	if w.scaled {
		scale = YMM()
		VBROADCASTSS(paramMem("scale"), scale)
	}
	store := func(x VecVirtual, m Mem) {
		if mask == nil {
			VMOVUPS(x, m)
		} else {
			VMASKMOVPS(x, mask, m)
		}
	}
	for i := range acc {
		w.end(acc[i], scale)
		store(acc[i][0], Mem{Base: dst, Disp: 32 * i})
		if w.indexed {
			store(acc[i][1], Mem{Base: index, Disp: 32 * i})
		}
	}
}

// maxGradWindows writes the kernel that sends the gradient of the maximum of a
// window of kh by kw pixels to the first pixel that holds it, and zero to the
// others: for n windows side by side that do not overlap.
func maxGradWindows() {
	const name = "maxGradWindowsAVX2"
	TEXT(name, NOSPLIT, "func(dx, dy, src *float32, c, kh, kw, sh, sw, n, dyStep, srcStep int)")
	Pragma("noescape")
	Doc(name + " sends each dy to the first greatest pixel of its window, zero to the others.")
	dx, dy, src := Load(Param("dx"), GP64()), Load(Param("dy"), GP64()), Load(Param("src"), GP64())
	sh, sw := Load(Param("sh"), GP64()), Load(Param("sw"), GP64())
	channel, mask := GP64(), YMM()
	block := func(label string, masked bool) {
		load := func(m Mem) VecVirtual {
			if !masked {
				return ld(m)
			}
			r := YMM()
			VMASKMOVPS(m, mask, r)
			return r
		}
		line, pixel, rows, taps := GP64(), GP64(), GP64(), GP64()
		best, where, pos := ld(kbits(0xff800000)), zero(), zero()
		each := func(label string, body func()) {
			MOVQ(channel, line)
			MOVQ(paramMem("kh"), rows)
			Label(label + "row")
			MOVQ(line, pixel)
			MOVQ(paramMem("kw"), taps)
			Label(label + "tap")
			body()
			VPADDD(kbits(1), pos, pos)
			ADDQ(sw, pixel)
			DECQ(taps)
			JNE(LabelRef(label + "tap"))
			ADDQ(sh, line)
			DECQ(rows)
			JNE(LabelRef(label + "row"))
		}
		each(label+"find", func() {
			x := load(Mem{Base: src, Index: pixel, Scale: 1})
			better := andNot(cmp(cmpUNORD, best, best), cmp(cmpNLE, x, best))
			VBLENDVPS(better, x, best, best)
			VBLENDVPS(better, pos, where, where)
		})
		g := load(Mem{Base: dy, Index: channel, Scale: 1})
		VXORPS(pos, pos, pos)
		each(label+"send", func() {
			r := YMM()
			VPCMPEQD(pos, where, r)
			VANDPS(g, r, r)
			m := Mem{Base: dx, Index: pixel, Scale: 1}
			if masked {
				VMASKMOVPS(r, mask, m)
			} else {
				VMOVUPS(r, m)
			}
		})
	}
	Label("next")
	left := GP64()
	MOVQ(paramMem("c"), left)
	XORQ(channel, channel)
	SUBQ(Imm(8), left)
	JLT(LabelRef("tail"))
	Label("whole")
	block("w", false)
	ADDQ(Imm(32), channel)
	SUBQ(Imm(8), left)
	JGE(LabelRef("whole"))
	Label("tail")
	ADDQ(Imm(8), left)
	JEQ(LabelRef("done"))
	VMOVUPS(tailMask(left), mask)
	block("t", true)
	Label("done")
	MOVQ(paramMem("srcStep"), left)
	ADDQ(left, src)
	ADDQ(left, dx)
	ADDQ(paramMem("dyStep"), dy)
	DECQ(paramMem("n"))
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}
