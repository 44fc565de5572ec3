package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["qvec"] = emitQvec }

func emitQvec() {
	v := qvec{
		lanes: dwords("lanes", 0, 4, 1, 5, 2, 6, 3, 7),
		big:   dwords("big", 0x49742400), // 1e6, beyond any clamp
	}
	v.binary("add")
	v.binary("mul")
	v.quantize()
	v.dequantize()
	v.average()
	lut()
	taps("max")
	taps("sum")
	minMax()
	interleave()
	v.scaleShift()
	emitQvecWide(v)
}

// dwords emits a read-only table.
func dwords(name string, values ...uint32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i, x := range values {
		DATA(4*i, U32(x))
	}
	return m
}

// qvec holds the tables that its kernels share.
type qvec struct{ lanes, big Mem }

// The layout of qvec.AddParams.
const (
	vScaleA = 0
	vScaleB = 4
	vScaleY = 8
	vZeroA  = 12
	vZeroB  = 13
	vZeroY  = 14
	vMin    = 15
	vMax    = 16
)

// byteTo broadcasts a byte of memory, zero-extended to 32 bits.
func byteTo(m Mem, r VecPhysical) {
	t := GP32()
	MOVBLZX(m, t)
	VMOVD(t, r.AsX())
	VPBROADCASTD(r.AsX(), r)
}

// blocks emits a loop of n elements, 32 and then 8 at a time.
func blocks(name string, n Register, body func(vectors int)) {
	for _, vectors := range []int{4, 1} {
		Label(fmt.Sprintf("%s_%d", name, 8*vectors))
		CMPQ(n, Imm(uint64(8*vectors)))
		JLT(LabelRef(fmt.Sprintf("%s_below%d", name, 8*vectors)))
		body(vectors)
		SUBQ(Imm(uint64(8*vectors)), n)
		JMP(LabelRef(fmt.Sprintf("%s_%d", name, 8*vectors)))
		Label(fmt.Sprintf("%s_below%d", name, 8*vectors))
	}
	VZEROUPPER()
	RET()
}

// pack turns vectors of rounded int32 into bytes in the first of r, adding the
// zero point (int16 lanes); finish runs on the bytes before they are stored.
func (v qvec) pack(vectors int, r []VecPhysical, zero VecPhysical, to Mem, finish func(x VecPhysical)) {
	x := r[0]
	if vectors == 1 {
		VPACKSSDW(x, x, x)
		VPADDSW(zero, x, x)
		VPACKUSWB(x, x, x)
		finish(x)
		VEXTRACTI128(Imm(1), x, r[1].AsX())
		VPUNPCKLDQ(r[1].AsX(), x.AsX(), x.AsX())
		VMOVQ(x.AsX(), to)
		return
	}
	VPACKSSDW(r[1], r[0], r[0])
	VPACKSSDW(r[3], r[2], r[2])
	VPADDSW(zero, r[0], r[0])
	VPADDSW(zero, r[2], r[2])
	VPACKUSWB(r[2], r[0], x)
	finish(x)
	VMOVDQU(v.lanes, r[1])
	VPERMD(x, r[1], x)
	VMOVDQU(x, to)
}

// binary emits an element-wise quantized operation.
func (v qvec) binary(op string) {
	name := op + "AVX2"
	TEXT(name, NOSPLIT, "func(dst, a, b *uint8, n int, p *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes n quantized elements, rounded down to a multiple of 8; p is an *AddParams.", name))
	dst := Load(Param("dst"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	n := Load(Param("n"), GP64())
	p := Load(Param("p"), GP64())
	at := func(d int) Mem { return Mem{Base: p, Disp: d} }
	sa, sb, sy, za, zb, zy, lo, hi := ymm(8), ymm(9), ymm(10), ymm(11), ymm(12), ymm(13), ymm(14), ymm(15)
	VBROADCASTSS(at(vScaleA), sa)
	VBROADCASTSS(at(vScaleB), sb)
	VBROADCASTSS(at(vScaleY), sy)
	byteTo(at(vZeroA), za)
	byteTo(at(vZeroB), zb)
	byteTo(at(vZeroY), zy)
	VPACKSSDW(zy, zy, zy)
	VPBROADCASTB(at(vMin), lo)
	VPBROADCASTB(at(vMax), hi)
	side := func(from Mem, zero, scale, r VecPhysical) {
		VPMOVZXBD(from, r)
		VPSUBD(zero, r, r)
		VCVTDQ2PS(r, r)
		VMULPS(scale, r, r)
	}
	big := ymm(7)
	VBROADCASTSS(v.big, big)
	blocks(name, n, func(vectors int) {
		r := []VecPhysical{ymm(0), ymm(1), ymm(2), ymm(3)}
		for i := 0; i < vectors; i++ {
			other := ymm(4 + i%2)
			side(Mem{Base: a, Disp: 8 * i}, za, sa, r[i])
			side(Mem{Base: b, Disp: 8 * i}, zb, sb, other)
			if op == "add" {
				VADDPS(other, r[i], r[i])
			} else {
				VMULPS(other, r[i], r[i])
			}
			VDIVPS(sy, r[i], r[i])
			VMINPS(r[i], big, r[i]) // a NaN stays
			VCVTPS2DQ(r[i], r[i])
		}
		v.pack(vectors, r, zy, Mem{Base: dst}, func(x VecPhysical) {
			VPMAXUB(lo, x, x)
			VPMINUB(hi, x, x)
		})
		for _, ptr := range []Register{dst, a, b} {
			ADDQ(Imm(uint64(8*vectors)), ptr)
		}
	})
}

func (v qvec) quantize() {
	const name = "quantizeAVX2"
	TEXT(name, NOSPLIT, "func(dst *uint8, src *float32, n int, scale float32, zero, flip uint32)")
	Pragma("noescape")
	Doc(name + " quantizes n values, rounded down to a multiple of 8; flip is inverted in the result.")
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	n := Load(Param("n"), GP64())
	scale, zero, flip, big := ymm(15), ymm(14), ymm(13), ymm(12)
	VBROADCASTSS(param("scale"), scale)
	paramTo("zero", VPBROADCASTW, zero)
	paramTo("flip", VPBROADCASTB, flip)
	VBROADCASTSS(v.big, big)
	blocks(name, n, func(vectors int) {
		r := []VecPhysical{ymm(0), ymm(1), ymm(2), ymm(3)}
		for i := 0; i < vectors; i++ {
			VMOVUPS(Mem{Base: src, Disp: 32 * i}, r[i])
			VDIVPS(scale, r[i], r[i])
			VCMPPS(Imm(7), r[i], r[i], ymm(4)) // ordered
			VANDPS(ymm(4), r[i], r[i])
			VMINPS(big, r[i], r[i])
			VCVTPS2DQ(r[i], r[i])
		}
		v.pack(vectors, r, zero, Mem{Base: dst}, func(x VecPhysical) { VPXOR(flip, x, x) })
		ADDQ(Imm(uint64(8*vectors)), dst)
		ADDQ(U32(uint32(32*vectors)), src)
	})
}

// paramTo broadcasts a uint32 parameter.
func paramTo(name string, broadcast func(...Op), r VecPhysical) {
	t := Load(Param(name), GP32())
	VMOVD(t, r.AsX())
	broadcast(r.AsX(), r)
}

// param is the memory of a parameter.
func param(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

func (v qvec) dequantize() {
	const name = "dequantizeAVX2"
	TEXT(name, NOSPLIT, "func(dst *float32, src *uint8, n int, scale float32, zero, flip uint32)")
	Pragma("noescape")
	Doc(name + " dequantizes n values, rounded down to a multiple of 8, flip inverted first.")
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	n := Load(Param("n"), GP64())
	scale, zero, flip := ymm(15), ymm(14), ymm(13)
	VBROADCASTSS(param("scale"), scale)
	paramTo("zero", VPBROADCASTD, zero)
	paramTo("flip", VPBROADCASTB, flip)
	blocks(name, n, func(vectors int) {
		for i := 0; i < vectors; i++ {
			VMOVQ(Mem{Base: src, Disp: 8 * i}, xmm(i))
			VPXOR(flip.AsX(), xmm(i), xmm(i))
			VPMOVZXBD(xmm(i), ymm(i))
			VPSUBD(zero, ymm(i), ymm(i))
			VCVTDQ2PS(ymm(i), ymm(i))
			VMULPS(scale, ymm(i), ymm(i))
			VMOVUPS(ymm(i), Mem{Base: dst, Disp: 32 * i})
		}
		ADDQ(Imm(uint64(8*vectors)), src)
		ADDQ(U32(uint32(32*vectors)), dst)
	})
}

// average turns sums into bytes.
func (v qvec) average() {
	const name = "averageAVX2"
	TEXT(name, NOSPLIT, "func(dst *uint8, sums *int32, n int, off int32, m float32, zero, lo, hi uint32)")
	Pragma("noescape")
	Doc(name + " requantizes (sum-off)*m for n sums, rounded down to a multiple of 8.")
	dst := Load(Param("dst"), GP64())
	sums := Load(Param("sums"), GP64())
	n := Load(Param("n"), GP64())
	off, m, zero, lo, hi, big := ymm(15), ymm(14), ymm(13), ymm(12), ymm(11), ymm(10)
	paramTo("off", VPBROADCASTD, off)
	VBROADCASTSS(param("m"), m)
	paramTo("zero", VPBROADCASTW, zero)
	paramTo("lo", VPBROADCASTB, lo)
	paramTo("hi", VPBROADCASTB, hi)
	VBROADCASTSS(v.big, big)
	blocks(name, n, func(vectors int) {
		r := []VecPhysical{ymm(0), ymm(1), ymm(2), ymm(3)}
		for i := 0; i < vectors; i++ {
			VMOVDQU(Mem{Base: sums, Disp: 32 * i}, r[i])
			VPSUBD(off, r[i], r[i])
			VCVTDQ2PS(r[i], r[i])
			VMULPS(m, r[i], r[i])
			VMINPS(r[i], big, r[i])
			VCVTPS2DQ(r[i], r[i])
		}
		v.pack(vectors, r, zero, Mem{Base: dst}, func(x VecPhysical) {
			VPMAXUB(lo, x, x)
			VPMINUB(hi, x, x)
		})
		ADDQ(Imm(uint64(8*vectors)), dst)
		ADDQ(U32(uint32(32*vectors)), sums)
	})
}

// lut looks 32 bytes up in a table of 256, sixteen entries at a time: of each
// byte less 16*i, VPSHUFB sees a valid index only where it is below 16.
func lut() {
	const name = "lutAVX2"
	TEXT(name, NOSPLIT, "func(dst, src *uint8, n int, table *[256]uint8)")
	Pragma("noescape")
	Doc(name + " looks up n bytes, rounded down to a multiple of 32.")
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	n := Load(Param("n"), GP64())
	table := Load(Param("table"), GP64())
	step, bias := ymm(15), ymm(14)
	t := GP32()
	for _, c := range []struct {
		x uint32
		r VecPhysical
	}{{0x10101010, step}, {0x70707070, bias}} {
		MOVL(U32(c.x), t)
		VMOVD(t, c.r.AsX())
		VPBROADCASTD(c.r.AsX(), c.r)
	}
	Label(name + "_loop")
	SUBQ(Imm(32), n)
	JLT(LabelRef(name + "_done"))
	x, y, sum := ymm(0), ymm(1), ymm(2)
	VMOVDQU(Mem{Base: src}, x)
	for i := 0; i < 16; i++ {
		VBROADCASTI128(Mem{Base: table, Disp: 16 * i}, ymm(3))
		VPADDUSB(bias, x, y)
		VPSHUFB(y, ymm(3), y)
		if i == 0 {
			VMOVDQA(y, sum)
		} else {
			VPOR(y, sum, sum)
		}
		if i < 15 {
			VPSUBB(step, x, x)
		}
	}
	VMOVDQU(sum, Mem{Base: dst})
	ADDQ(Imm(32), src)
	ADDQ(Imm(32), dst)
	JMP(LabelRef(name + "_loop"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// taps emits the reduction of pooling: over the pixels at a list of offsets,
// channel by channel, 32 channels at a time for the maximum and then 8, which
// is what the sum takes at a time.
func taps(op string) {
	name := op + "TapsAVX2"
	kind := map[string]string{"max": "*uint8", "sum": "*int32"}[op]
	step := map[string]int{"max": 32, "sum": 8}[op]
	const least = 8
	TEXT(name, NOSPLIT, "func(dst "+kind+", src *uint8, offs *int, taps, n int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s reduces n channels, rounded down to a multiple of %d, of at least one pixel.", name, least))
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	offs := Load(Param("offs"), GP64())
	count := Load(Param("taps"), GP64())
	n := Load(Param("n"), GP64())
	i, at := GP64(), GP64()
	// pass reduces width channels after the other.
	pass := func(label, next string, width int) {
		Label(label)
		SUBQ(Imm(uint64(width)), n)
		JLT(LabelRef(next))
		VPXOR(ymm(0), ymm(0), ymm(0))
		XORQ(i, i)
		Label(label + "_tap")
		MOVQ(Mem{Base: offs, Index: i, Scale: 8}, at)
		pixel := Mem{Base: src, Index: at, Scale: 1}
		switch {
		case op == "sum":
			VPMOVZXBD(pixel, ymm(1))
			VPADDD(ymm(1), ymm(0), ymm(0))
		case width == 32:
			VPMAXUB(pixel, ymm(0), ymm(0))
		default:
			VMOVQ(pixel, ymm(1).AsX())
			VPMAXUB(ymm(1).AsX(), ymm(0).AsX(), ymm(0).AsX())
		}
		INCQ(i)
		CMPQ(i, count)
		JLT(LabelRef(label + "_tap"))
		if op == "max" && width == 8 {
			VMOVQ(ymm(0).AsX(), Mem{Base: dst})
			ADDQ(Imm(8), dst)
		} else {
			VMOVDQU(ymm(0), Mem{Base: dst})
			ADDQ(Imm(32), dst)
		}
		ADDQ(Imm(uint64(width)), src)
		JMP(LabelRef(label))
	}
	if step > least {
		pass(name+"_channels", name+"_rest", step)
		Label(name + "_rest")
		ADDQ(Imm(uint64(step)), n)
	}
	pass(name+"_few", name+"_done", least)
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

func minMax() {
	const name = "minMaxAVX2"
	TEXT(name, NOSPLIT, "func(x *float32, n int, out *[16]float32)")
	Pragma("noescape")
	Doc(name + " leaves the least and greatest of n values (a multiple of 8), lane by lane, in out, which holds the start.")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	out := Load(Param("out"), GP64())
	lo, hi := []VecPhysical{ymm(0), ymm(1)}, []VecPhysical{ymm(2), ymm(3)}
	for i := 0; i < 2; i++ {
		VMOVUPS(Mem{Base: out}, lo[i])
		VMOVUPS(Mem{Base: out, Disp: 32}, hi[i])
	}
	step := func(i int) {
		VMOVUPS(Mem{Base: x, Disp: 32 * i}, ymm(4+i))
		VMINPS(lo[i], ymm(4+i), lo[i]) // a NaN yields to the last operand read
		VMAXPS(hi[i], ymm(4+i), hi[i])
	}
	Label(name + "_16")
	CMPQ(n, Imm(16))
	JLT(LabelRef(name + "_8"))
	step(0)
	step(1)
	ADDQ(Imm(64), x)
	SUBQ(Imm(16), n)
	JMP(LabelRef(name + "_16"))
	Label(name + "_8")
	CMPQ(n, Imm(8))
	JLT(LabelRef(name + "_done"))
	step(0)
	Label(name + "_done")
	VMINPS(lo[1], lo[0], lo[0])
	VMAXPS(hi[1], hi[0], hi[0])
	VMOVUPS(lo[0], Mem{Base: out})
	VMOVUPS(hi[0], Mem{Base: out, Disp: 32})
	VZEROUPPER()
	RET()
}

// interleave emits the function that takes bytes from two rows in turn.
func interleave() {
	const name = "interleaveAVX2"
	TEXT(name, NOSPLIT, "func(dst, a, b *uint8, n int)")
	Pragma("noescape")
	Doc(name + " writes the bytes of a and b in turn, n of each, a multiple of 16.")
	dst, a, b, n := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("n"), GP64())
	Label(name + "_loop")
	VMOVDQU(Mem{Base: a}, ymm(0).AsX())
	VMOVDQU(Mem{Base: b}, ymm(1).AsX())
	VPUNPCKLBW(ymm(1).AsX(), ymm(0).AsX(), ymm(2).AsX())
	VPUNPCKHBW(ymm(1).AsX(), ymm(0).AsX(), ymm(3).AsX())
	VMOVDQU(ymm(2).AsX(), Mem{Base: dst})
	VMOVDQU(ymm(3).AsX(), Mem{Base: dst, Disp: 16})
	ADDQ(Imm(16), a)
	ADDQ(Imm(16), b)
	ADDQ(Imm(32), dst)
	SUBQ(Imm(16), n)
	JNE(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// scaleShift holds the registers of a kernel that goes over the channels of rows.
type scaleShift struct {
	name              string
	dst, src, rows, n GPVirtual
	dstStep, srcStep  GPVirtual
	scale, shift      Register
	c                 GPVirtual // the channel
	left              GPVirtual
}

func newScaleShift(name, channels string) scaleShift {
	TEXT(name, NOSPLIT, "func(dst, src *uint8, rows, n, dstStep, srcStep int, scale, shift *float32, lo, hi float32)")
	Pragma("noescape")
	Doc(name + " scales, shifts and clamps " + channels + " of some rows, at least one, that lie dstStep and srcStep bytes apart.")
	load := func(p string) GPVirtual { return Load(Param(p), GP64()).(GPVirtual) }
	return scaleShift{name: name, dst: load("dst"), src: load("src"), rows: load("rows"), n: load("n"),
		dstStep: load("dstStep"), srcStep: load("srcStep"), scale: load("scale"), shift: load("shift"), c: GP64(), left: GP64()}
}

// rowLoop goes over the rows and the channels of each, so many at a time, and
// what is left by rest, if there is one.
func (k scaleShift) rowLoop(widths []int, body func(width int), rest func()) {
	Label(k.name + "_row")
	XORQ(k.c, k.c)
	MOVQ(k.n, k.left)
	for _, w := range widths {
		label := fmt.Sprintf("%s_%d", k.name, w)
		Label(label)
		CMPQ(k.left, Imm(uint64(w)))
		JLT(LabelRef(label + "_below"))
		body(w)
		ADDQ(Imm(uint64(w)), k.c)
		SUBQ(Imm(uint64(w)), k.left)
		JMP(LabelRef(label))
		Label(label + "_below")
	}
	if rest != nil {
		TESTQ(k.left, k.left)
		JEQ(LabelRef(k.name + "_next"))
		rest()
		Label(k.name + "_next")
	}
	ADDQ(k.srcStep, k.src)
	ADDQ(k.dstStep, k.dst)
	DECQ(k.rows)
	JNE(LabelRef(k.name + "_row"))
	VZEROUPPER()
	RET()
}

// scaleShift moves bytes to another grid by a factor and a summand of each channel.
func (v qvec) scaleShift() {
	k := newScaleShift("scaleShiftAVX2", "n channels, rounded down to a multiple of 8,")
	lo, hi, lanes := ymm(15), ymm(14), ymm(13)
	VBROADCASTSS(param("lo"), lo)
	VBROADCASTSS(param("hi"), hi)
	VMOVDQU(v.lanes, lanes)
	step := func(u int) VecPhysical {
		r := ymm(u)
		VPMOVZXBD(Mem{Base: k.src, Index: k.c, Scale: 1, Disp: 8 * u}, r)
		VCVTDQ2PS(r, r)
		VMULPS(Mem{Base: k.scale, Index: k.c, Scale: 4, Disp: 32 * u}, r, r)
		VADDPS(Mem{Base: k.shift, Index: k.c, Scale: 4, Disp: 32 * u}, r, r)
		VMAXPS(lo, r, r) // a NaN becomes lo
		VMINPS(hi, r, r)
		VCVTPS2DQ(r, r)
		return r
	}
	to := Mem{Base: k.dst, Index: k.c, Scale: 1}
	k.rowLoop([]int{32, 8}, func(width int) {
		if width == 8 {
			x := step(0)
			VPACKSSDW(x, x, x)
			VPACKUSWB(x, x, x)
			VEXTRACTI128(Imm(1), x, xmm(1))
			VPUNPCKLDQ(xmm(1), x.AsX(), x.AsX())
			VMOVQ(x.AsX(), to)
			return
		}
		var r [4]VecPhysical
		for u := range r {
			r[u] = step(u)
		}
		VPACKSSDW(r[1], r[0], r[0])
		VPACKSSDW(r[3], r[2], r[2])
		VPACKUSWB(r[2], r[0], r[0])
		VPERMD(r[0], lanes, r[0])
		VMOVDQU(r[0], to)
	}, nil)
}
