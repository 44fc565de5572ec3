package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// emitQvecWide writes the kernels of quantized values for AVX-512, some with
// VBMI, which take any number of elements: the last ones through a mask.
func emitQvecWide(v qvec) {
	lutWide()
	v.binaryWide("add")
	v.binaryWide("mul")
	for _, vbmi := range []bool{false, true} {
		binaryFused("add", vbmi)
		binaryFused("mul", vbmi)
	}
	sumWide()
	maxWide()
	scaleShiftWide()
}

// firstLanes sets mask to the first n lanes, 0 < n < 64; it destroys RCX.
func firstLanes(n GPVirtual, mask Register) {
	m := GP64()
	MOVQ(n, RCX)
	MOVQ(I32(-1), m)
	SHLQ(CL, m)
	NOTQ(m)
	KMOVQ(m, mask)
}

// lutWide looks 64 bytes up at a time: two look-ups in half a table of 256
// each, the upper bit choosing between them.
func lutWide() {
	const name = "lutVBMI"
	TEXT(name, NOSPLIT, "func(dst, src *uint8, n int, table *[256]uint8)")
	Pragma("noescape")
	Doc(name + " looks up n bytes.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	n, table := Load(Param("n"), GP64()), Load(Param("table"), GP64())
	t := []VecPhysical{zmm(28), zmm(29), zmm(30), zmm(31)}
	for i, r := range t {
		VMOVDQU64(Mem{Base: table, Disp: 64 * i}, r)
	}
	look := func(i int) VecPhysical {
		x, lo := zmm(2*i), zmm(2*i+1)
		VPMOVB2M(x, K2)
		VMOVDQA64(x, lo)
		VPERMI2B(t[1], t[0], lo)
		VPERMI2B(t[3], t[2], x)
		VMOVDQU8(x, K2, lo)
		return lo
	}
	SUBQ(Imm(128), n)
	JLT(LabelRef(name + "_rest"))
	Label(name + "_loop")
	for i := range 2 {
		VMOVDQU64(Mem{Base: src, Disp: 64 * i}, zmm(2*i))
		VMOVDQU64(look(i), Mem{Base: dst, Disp: 64 * i})
	}
	ADDQ(U32(128), src)
	ADDQ(U32(128), dst)
	SUBQ(Imm(128), n)
	JGE(LabelRef(name + "_loop"))
	Label(name + "_rest")
	ADDQ(Imm(128), n)
	Label(name + "_64")
	CMPQ(n, Imm(64))
	JLT(LabelRef(name + "_few"))
	VMOVDQU64(Mem{Base: src}, zmm(0))
	VMOVDQU64(look(0), Mem{Base: dst})
	ADDQ(Imm(64), src)
	ADDQ(Imm(64), dst)
	SUBQ(Imm(64), n)
	JMP(LabelRef(name + "_64"))
	Label(name + "_few")
	TESTQ(n, n)
	JEQ(LabelRef(name + "_done"))
	firstLanes(n.(GPVirtual), K1)
	VMOVDQU8_Z(Mem{Base: src}, K1, zmm(0))
	VMOVDQU8(look(0), K1, Mem{Base: dst})
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// binaryWide is binary, sixteen elements at a time. Saturating to bytes by way
// of int16, as the kernel of eight does, gives the same as doing so at once.
func (v qvec) binaryWide(op string) {
	name := op + "AVX512"
	TEXT(name, NOSPLIT, "func(dst, a, b *uint8, n int, p *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes n quantized elements; p is an *AddParams.", name))
	dst := Load(Param("dst"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	n := Load(Param("n"), GP64())
	p := Load(Param("p"), GP64())
	at := func(d int) Mem { return Mem{Base: p, Disp: d} }
	sa, sb, sy, za, zb, zy, lo, hi, big := zmm(31), zmm(30), zmm(29), zmm(28), zmm(27), zmm(26), zmm(25), zmm(24), zmm(23)
	VBROADCASTSS(at(vScaleA), sa)
	VBROADCASTSS(at(vScaleB), sb)
	VBROADCASTSS(at(vScaleY), sy)
	t := GP32()
	for _, c := range []struct {
		at int
		r  VecPhysical
	}{{vZeroA, za}, {vZeroB, zb}, {vZeroY, zy}, {vMin, lo}, {vMax, hi}} {
		MOVBLZX(at(c.at), t)
		VPBROADCASTD(t, c.r)
	}
	VBROADCASTSS(v.big, big)
	step := func(u int, masked bool) {
		r, other := zmm(2*u), zmm(2*u+1)
		side := func(from Register, zero, scale, r VecPhysical) {
			m := Mem{Base: from, Disp: 16 * u}
			if masked {
				VMOVDQU8_Z(m, K1, r.AsX())
				VPMOVZXBD(r.AsX(), r)
			} else {
				VPMOVZXBD(m, r)
			}
			VPSUBD(zero, r, r)
			VCVTDQ2PS(r, r)
			VMULPS(scale, r, r)
		}
		side(a, za, sa, r)
		side(b, zb, sb, other)
		if op == "add" {
			VADDPS(other, r, r)
		} else {
			VMULPS(other, r, r)
		}
		VDIVPS(sy, r, r)
		VMINPS(r, big, r) // a NaN stays
		VCVTPS2DQ(r, r)
		VPADDD(zy, r, r)
		VPMAXSD(lo, r, r)
		VPMINSD(hi, r, r)
		to := Mem{Base: dst, Disp: 16 * u}
		if masked {
			VPMOVUSDB(r, r.AsX())
			VMOVDQU8(r.AsX(), K1, to)
		} else {
			VPMOVUSDB(r, to)
		}
	}
	const most = 4
	for _, vectors := range []int{most, 1} {
		label := fmt.Sprintf("%s_%d", name, 16*vectors)
		Label(label)
		CMPQ(n, Imm(uint64(16*vectors)))
		JLT(LabelRef(label + "_below"))
		for u := range vectors {
			step(u, false)
		}
		for _, ptr := range []Register{dst, a, b} {
			ADDQ(Imm(uint64(16*vectors)), ptr)
		}
		SUBQ(Imm(uint64(16*vectors)), n)
		JMP(LabelRef(label))
		Label(label + "_below")
	}
	TESTQ(n, n)
	JEQ(LabelRef(name + "_done"))
	firstLanes(n.(GPVirtual), K1)
	step(0, true)
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// binaryFused is binaryWide for 64 elements at a time and operands among which
// nothing overflows or underflows. It makes floats of bytes by writing them into
// 2^23 (at once with VBMI), and divides by way of the reciprocal y of the divisor d, which is rounded
// to nearest: q = s·y, and twice q += (s - q·d)·y. The first of these leaves an
// error below one unit, from where the second gives the quotient rounded to
// nearest (Markstein 1990).
func binaryFused(op string, vbmi bool) {
	name := op + "FusedAVX512"
	if vbmi {
		name = op + "FusedVBMI"
	}
	TEXT(name, NOSPLIT, "func(dst, a, b *uint8, n int, p *byte, y float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes n quantized elements, a multiple of 64; p is an *AddParams, y the reciprocal of its ScaleY.", name))
	dst, a, b := Load(Param("dst"), GP64()), Load(Param("a"), GP64()), Load(Param("b"), GP64())
	n, p := Load(Param("n"), GP64()), Load(Param("p"), GP64())
	at := func(d int) Mem { return Mem{Base: p, Disp: d} }
	const quads = 4
	index := func(u int) VecPhysical { return zmm(28 + u) } // byte 16u+i for dword i
	magic, order, zero, lo, hi, y, sa, sb, sy, za, zb := zmm(27), zmm(26), zmm(25), zmm(24), zmm(23), zmm(22), zmm(21), zmm(20), zmm(19), zmm(18), zmm(17)
	if vbmi {
		table := GLOBL(name+"_index", RODATA|NOPTR)
		for i := range 64 {
			DATA(4*i, U32(uint32(i)))
		}
		for u := range quads {
			VMOVDQU32(table.Offset(64*u), index(u))
		}
	}
	orderTable := GLOBL(name+"_order", RODATA|NOPTR)
	for i := range 16 {
		DATA(4*i, U32(uint32(i%4*4+i/4)))
	}
	VMOVDQU32(orderTable, order)
	t := GP32()
	MOVL(U32(0x4b000000), t)
	VPBROADCASTD(t, magic)
	for _, c := range []struct {
		at int
		r  VecPhysical
	}{{vZeroA, za}, {vZeroB, zb}} {
		MOVBLZX(at(c.at), t)
		VPBROADCASTD(t, c.r)
		VPORD(magic, c.r, c.r)
	}
	MOVBLZX(at(vZeroY), t)
	VPBROADCASTW(t, zero)
	VPBROADCASTB(at(vMin), lo)
	VPBROADCASTB(at(vMax), hi)
	VBROADCASTSS(at(vScaleA), sa)
	VBROADCASTSS(at(vScaleB), sb)
	VBROADCASTSS(at(vScaleY), sy)
	yParam, err := Param("y").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(yParam.Addr, y)
	if vbmi {
		m := GP64()
		MOVQ(U64(0x1111111111111111), m)
		KMOVQ(m, K1)
	}
	Label(name + "_loop")
	if vbmi {
		VMOVDQU64(Mem{Base: a}, zmm(15))
		VMOVDQU64(Mem{Base: b}, zmm(16))
	}
	r := func(u int) VecPhysical { return zmm(u) }
	q := func(u int) VecPhysical { return zmm(4 + u) }
	e := func(u int) VecPhysical { return zmm(8 + u) }
	for u := range quads {
		if !vbmi {
			VPMOVZXBD(Mem{Base: a, Disp: 16 * u}, r(u))
			VPORD(magic, r(u), r(u))
			VPMOVZXBD(Mem{Base: b, Disp: 16 * u}, q(u))
			VPORD(magic, q(u), q(u))
			continue
		}
		VMOVDQA64(magic, r(u))
		VPERMB(zmm(15), index(u), K1, r(u))
		VMOVDQA64(magic, q(u))
		VPERMB(zmm(16), index(u), K1, q(u))
	}
	for u := range quads {
		VSUBPS(za, r(u), r(u))
		VSUBPS(zb, q(u), q(u))
	}
	for u := range quads {
		VMULPS(sa, r(u), r(u))
		VMULPS(sb, q(u), q(u))
	}
	for u := range quads {
		if op == "add" {
			VADDPS(q(u), r(u), r(u))
		} else {
			VMULPS(q(u), r(u), r(u))
		}
	}
	for u := range quads {
		VMULPS(y, r(u), q(u))
	}
	for range 2 {
		for u := range quads {
			VMOVAPS(r(u), e(u))
			VFNMADD231PS(sy, q(u), e(u))
		}
		for u := range quads {
			VFMADD231PS(y, e(u), q(u))
		}
	}
	for u := range quads {
		VCVTPS2DQ(q(u), q(u))
	}
	for u := 0; u < quads; u += 2 {
		VPACKSSDW(q(u+1), q(u), q(u))
		VPADDSW(zero, q(u), q(u))
	}
	VPACKUSWB(q(2), q(0), q(0))
	VPMAXUB(lo, q(0), q(0))
	VPMINUB(hi, q(0), q(0))
	VPERMD(q(0), order, q(0))
	VMOVDQU64(q(0), Mem{Base: dst})
	for _, ptr := range []Register{dst, a, b} {
		ADDQ(Imm(64), ptr)
	}
	SUBQ(Imm(64), n)
	JNE(LabelRef(name + "_loop"))
	VZEROUPPER()
	RET()
}

// sumWide sums the pixels at a list of offsets, 64 and then 16 channels at a
// time.
func sumWide() {
	const name = "sumTapsAVX512"
	TEXT(name, NOSPLIT, "func(dst *int32, src *uint8, offs *int, taps, n int)")
	Pragma("noescape")
	Doc(name + " sums n channels, rounded down to a multiple of 16, of at least one pixel.")
	dst, src, offs := Load(Param("dst"), GP64()), Load(Param("src"), GP64()), Load(Param("offs"), GP64())
	count, n := Load(Param("taps"), GP64()), Load(Param("n"), GP64())
	i, at := GP64(), GP64()
	for _, vectors := range []int{4, 1} {
		label := fmt.Sprintf("%s_%d", name, 16*vectors)
		Label(label)
		SUBQ(Imm(uint64(16*vectors)), n)
		JLT(LabelRef(label + "_below"))
		for u := range vectors {
			VPXORD(zmm(u), zmm(u), zmm(u))
		}
		XORQ(i, i)
		Label(label + "_tap")
		MOVQ(Mem{Base: offs, Index: i, Scale: 8}, at)
		for u := range vectors {
			VPMOVZXBD(Mem{Base: src, Index: at, Scale: 1, Disp: 16 * u}, zmm(8+u))
			VPADDD(zmm(8+u), zmm(u), zmm(u))
		}
		INCQ(i)
		CMPQ(i, count)
		JLT(LabelRef(label + "_tap"))
		for u := range vectors {
			VMOVDQU32(zmm(u), Mem{Base: dst, Disp: 64 * u})
		}
		ADDQ(U32(uint32(64*vectors)), dst)
		ADDQ(Imm(uint64(16*vectors)), src)
		JMP(LabelRef(label))
		Label(label + "_below")
		ADDQ(Imm(uint64(16*vectors)), n)
	}
	VZEROUPPER()
	RET()
}

// maxWide takes the maximum of the taps of several pixels, which lie the same step
// apart, 64 channels at a time.
func maxWide() {
	const name = "maxTapsAVX512"
	TEXT(name, NOSPLIT, "func(dst, src *uint8, offs *int, taps, n, pixels, srcStep, dstStep int)")
	Pragma("noescape")
	Doc(name + " reduces n channels of at least one tap, for each of some pixels.")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	offs, count := Load(Param("offs"), GP64()), Load(Param("taps"), GP64())
	n, pixels := Load(Param("n"), GP64()), Load(Param("pixels"), GP64())
	srcStep, dstStep := Load(Param("srcStep"), GP64()), Load(Param("dstStep"), GP64())
	left, i, at, c := GP64(), GP64(), GP64(), GP64()
	// The last vector holds 1 to 64 channels.
	MOVQ(n, left)
	DECQ(left)
	ANDQ(Imm(63), left)
	MOVQ(left, RCX)
	MOVQ(U32(2), at)
	SHLQ(CL, at)
	DECQ(at)
	KMOVQ(at, K1)
	x := zmm(0)
	from := Mem{Base: src, Index: at, Scale: 1}
	reduce := func(label string, load, most func(), store func()) {
		XORQ(i, i)
		MOVQ(Mem{Base: offs}, at)
		ADDQ(c, at)
		load()
		JMP(LabelRef(label + "_next"))
		Label(label + "_tap")
		MOVQ(Mem{Base: offs, Index: i, Scale: 8}, at)
		ADDQ(c, at)
		most()
		Label(label + "_next")
		INCQ(i)
		CMPQ(i, count)
		JLT(LabelRef(label + "_tap"))
		store()
	}
	to := Mem{Base: dst, Index: c, Scale: 1}
	Label(name + "_pixel")
	XORQ(c, c)
	MOVQ(n, left)
	Label(name + "_channels")
	CMPQ(left, Imm(64))
	JLE(LabelRef(name + "_last"))
	reduce(name+"_whole", func() { VMOVDQU64(from, x) }, func() { VPMAXUB(from, x, x) }, func() { VMOVDQU64(x, to) })
	ADDQ(Imm(64), c)
	SUBQ(Imm(64), left)
	JMP(LabelRef(name + "_channels"))
	Label(name + "_last")
	reduce(name+"_part", func() { VMOVDQU8_Z(from, K1, x) }, func() { VPMAXUB(from, x, K1, x) }, func() { VMOVDQU8(x, K1, to) })
	ADDQ(srcStep, src)
	ADDQ(dstStep, dst)
	DECQ(pixels)
	JNE(LabelRef(name + "_pixel"))
	VZEROUPPER()
	RET()
}

// scaleShiftWide is scaleShift, 64 and then 16 channels at a time and the last
// ones through a mask.
func scaleShiftWide() {
	const name = "scaleShiftAVX512"
	order := dwords(name+"_order", 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
	k := newScaleShift(name, "n channels")
	lo, hi, lanes := zmm(31), zmm(30), zmm(29)
	VBROADCASTSS(param("lo"), lo)
	VBROADCASTSS(param("hi"), hi)
	VMOVDQU32(order, lanes)
	MOVQ(k.n, k.c)
	ANDQ(Imm(15), k.c)
	firstLanes(k.c, K1)
	step := func(u int, masked bool) VecPhysical {
		r := zmm(u)
		scale, shift := Mem{Base: k.scale, Index: k.c, Scale: 4, Disp: 64 * u}, Mem{Base: k.shift, Index: k.c, Scale: 4, Disp: 64 * u}
		from := Mem{Base: k.src, Index: k.c, Scale: 1, Disp: 16 * u}
		if masked {
			VMOVDQU8_Z(from, K1, r.AsX())
			VPMOVZXBD(r.AsX(), r)
			VCVTDQ2PS(r, r)
			VMULPS_Z(scale, r, K1, r)
			VADDPS_Z(shift, r, K1, r)
		} else {
			VPMOVZXBD(from, r)
			VCVTDQ2PS(r, r)
			VMULPS(scale, r, r)
			VADDPS(shift, r, r)
		}
		VMAXPS(lo, r, r) // a NaN becomes lo
		VMINPS(hi, r, r)
		VCVTPS2DQ(r, r)
		return r
	}
	to := Mem{Base: k.dst, Index: k.c, Scale: 1}
	k.rowLoop([]int{64, 16}, func(width int) {
		if width == 16 {
			VPMOVUSDB(step(0, false), to)
			return
		}
		var r [4]VecPhysical
		for u := range r {
			r[u] = step(u, false)
		}
		VPACKSSDW(r[1], r[0], r[0])
		VPACKSSDW(r[3], r[2], r[2])
		VPACKUSWB(r[2], r[0], r[0])
		VPERMD(r[0], lanes, r[0])
		VMOVDQU64(r[0], to)
	}, func() {
		r := step(0, true)
		VPMOVUSDB(r, r.AsX())
		VMOVDQU8(r.AsX(), K1, to)
	})
}
