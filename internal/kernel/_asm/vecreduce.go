package main

import (
	"fmt"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func sqrt(x VecVirtual) VecVirtual { d := YMM(); VSQRTPS(x, d); return d }

func round(x VecVirtual, mode uint64) VecVirtual { d := YMM(); VROUNDPS(Imm(mode), x, d); return d }

// emitReductions writes the reductions of a vector to a number.
func emitReductions() {
	for _, f := range []struct {
		name string
		f    func(x VecVirtual) VecVirtual
	}{
		{"sum", func(x VecVirtual) VecVirtual { return x }},
		{"sumSquares", func(x VecVirtual) VecVirtual { return mul(x, x) }},
		{"sumAbs", abs},
	} {
		elementwise{
			name: f.name, doc: "returns the " + f.name + " of x.", pointers: "x", unroll: 4, sum: true,
			body: func(v *vector) { v.total(f.f(v.in("x"))) },
		}.emit()
	}
	elementwise{
		name: "dot", doc: "returns the sum of a*b.", pointers: "a, b", unroll: 4, sum: true,
		body: func(v *vector) { fma231(v.acc, v.in("a"), v.in("b")) }, // masked lanes are zero
	}.emit()
	elementwise{
		name: "expSum", doc: "computes dst = exp(src-top) and returns the sum of dst.",
		pointers: "dst, src", params: "top", unroll: 2, sum: true,
		body: func(v *vector) {
			e := exp(sub(v.in("src"), v.param["top"]), false)
			v.out("dst", e)
			v.total(e)
		},
	}.emit()
	extreme("maxOf", 0xff800000, func(x, acc VecVirtual) { VMAXPS(x, acc, acc) }, nil)
	extreme("minOf", 0x7f800000, func(x, acc VecVirtual) { VMINPS(x, acc, acc) }, nil)
	extreme("maxAbsOf", 0, func(x, acc VecVirtual) { VMAXPS(x, acc, acc) }, abs)
}

// extreme writes a maximum or minimum of f(x) over a vector, start if it is
// empty, a NaN if it has one.
func extreme(name string, start uint32, join func(x, acc VecVirtual), f func(VecVirtual) VecVirtual) {
	name += "AVX2"
	TEXT(name, NOSPLIT, "func(x *float32, n int) float32")
	Pragma("noescape")
	Doc(name + " returns the extreme element of x.")
	x := Load(Param("x"), GP64())
	n := Load(Param("n"), GP64())
	const unroll = 4
	var acc [unroll]VecVirtual
	for i := range acc {
		acc[i] = ld(kbits(start))
	}
	nan := zero() // lanes that have seen a NaN
	see := func(v VecVirtual, i int) {
		VORPS(cmp(cmpUNORD, v, v), nan, nan)
		if f != nil {
			v = f(v)
		}
		join(v, acc[i])
	}
	SUBQ(Imm(8*unroll), n)
	JLT(LabelRef("rest"))
	Label("loop")
	for i := range unroll {
		see(ld(Mem{Base: x, Disp: 32 * i}), i)
	}
	ADDQ(U32(32*unroll), x)
	SUBQ(Imm(8*unroll), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(Imm(8*unroll), n)
	SUBQ(Imm(8), n)
	JLT(LabelRef("tail"))
	Label("single")
	see(ld(Mem{Base: x}), 0)
	ADDQ(Imm(32), x)
	SUBQ(Imm(8), n)
	JGE(LabelRef("single"))
	Label("tail")
	ADDQ(Imm(8), n)
	JEQ(LabelRef("done"))
	mask := tailMask(n)
	v := YMM()
	VMASKMOVPS(Mem{Base: x}, mask, v)
	see(blend(mask, v, ld(kbits(start))), 0)
	Label("done")
	for _, a := range acc[1:] {
		join(a, acc[0])
	}
	r := foldLanes(acc[0], func(a, b, d VecVirtual) {
		join(a, b) // b and d are the same
	})
	any := GP32()
	VMOVMSKPS(nan, any)
	TESTL(any, any)
	JEQ(LabelRef("clean"))
	VMOVUPS(kbits(0x7fc00000), r)
	Label("clean")
	VZEROUPPER()
	Store(r.AsX(), ReturnIndex(0))
	RET()
}

// column is a reduction over the rows of a matrix, column by column.
type column struct {
	name, doc string
	pointers  string // a, and b or m
	accs      int    // accumulators for each column
	fromDst   bool   // start from dst instead of zero
	step      func(acc []VecVirtual, a, b func() VecVirtual, m VecVirtual)
}

// emitColumns writes the reductions over rows. Rows of a and b are stride
// bytes apart; the second accumulator goes to dst2.
func emitColumns() {
	column{"colSum", "sums the rows of a.", "dst, a", 1, false,
		func(acc []VecVirtual, a, b func() VecVirtual, m VecVirtual) {
			VADDPS(a(), acc[0], acc[0])
		}}.emit()
	column{"colDot", "sums a*b over the rows.", "dst, a, b", 1, false,
		func(acc []VecVirtual, a, b func() VecVirtual, m VecVirtual) { fma231(acc[0], a(), b()) }}.emit()
	column{"colDotDev", "sums a*(b-m) over the rows, m one row.", "dst, a, b, m", 1, false,
		func(acc []VecVirtual, a, b func() VecVirtual, m VecVirtual) {
			fma231(acc[0], a(), sub(b(), m))
		}}.emit()
	column{"colMoments", "sums a-m and, to dst2, (a-m)^2 over the rows, m one row.", "dst, dst2, a, m", 2, false,
		func(acc []VecVirtual, a, b func() VecVirtual, m VecVirtual) {
			d := sub(a(), m)
			VADDPS(d, acc[0], acc[0])
			fma231(acc[1], d, d)
		}}.emit()
	column{"colMax", "takes the greatest of dst and the rows of a, a NaN if there is one.", "dst, a", 1, true,
		func(acc []VecVirtual, a, b func() VecVirtual, m VecVirtual) {
			x := a()
			nan := cmp(cmpUNORD, acc[0], acc[0])
			g := maxK(x, acc[0])
			VBLENDVPS(nan, acc[0], g, acc[0])
		}}.emit()
}

func (c column) emit() {
	name := c.name + "AVX2"
	TEXT(name, NOSPLIT, "func("+c.pointers+" *float32, rows, cols, stride int)")
	Pragma("noescape")
	Doc(name + " " + c.doc)
	base := map[string]Register{}
	for _, p := range split(c.pointers) {
		base[p] = Load(Param(p), GP64())
	}
	cols := Load(Param("cols"), GP64())
	stride := Load(Param("stride"), GP64())
	for _, width := range []int{4, 1} {
		label := fmt.Sprintf("w%d", width)
		SUBQ(U32(uint32(8*width)), cols)
		JLT(LabelRef(label + "end"))
		Label(label)
		c.block(label, base, stride, width, nil)
		for _, r := range split(c.pointers) {
			ADDQ(U32(uint32(32*width)), base[r])
		}
		SUBQ(U32(uint32(8*width)), cols)
		JGE(LabelRef(label))
		Label(label + "end")
		ADDQ(U32(uint32(8*width)), cols)
	}
	TESTQ(cols, cols)
	JEQ(LabelRef("done"))
	c.block("tail", base, stride, 1, tailMask(cols))
	Label("done")
	VZEROUPPER()
	RET()
}

// block reduces width vectors of columns.
func (c column) block(label string, base map[string]Register, stride Register, width int, mask VecVirtual) {
	load := func(p Register, disp int) VecVirtual {
		if mask == nil {
			return ld(Mem{Base: p, Disp: disp})
		}
		r := YMM()
		VMASKMOVPS(Mem{Base: p, Disp: disp}, mask, r)
		return r
	}
	acc := make([][]VecVirtual, width)
	ms := make([]VecVirtual, width)
	for i := range acc {
		for range c.accs {
			if c.fromDst {
				acc[i] = append(acc[i], load(base["dst"], 32*i))
			} else {
				acc[i] = append(acc[i], zero())
			}
		}
		if m := base["m"]; m != nil {
			ms[i] = load(m, 32*i)
		}
	}
	rows := Load(Param("rows"), GP64())
	a := GP64()
	MOVQ(base["a"], a)
	var b Register
	if base["b"] != nil {
		b = GP64()
		MOVQ(base["b"], b)
	}
	Label(label + "row")
	for i := range acc {
		c.step(acc[i],
			func() VecVirtual { return load(a, 32*i) },
			func() VecVirtual { return load(b, 32*i) }, ms[i])
	}
	ADDQ(stride, a)
	if b != nil {
		ADDQ(stride, b)
	}
	DECQ(rows)
	JNE(LabelRef(label + "row"))
	for i := range acc {
		for j, to := range []string{"dst", "dst2"}[:c.accs] {
			m := Mem{Base: base[to], Disp: 32 * i}
			if mask == nil {
				VMOVUPS(acc[i][j], m)
			} else {
				VMASKMOVPS(acc[i][j], mask, m)
			}
		}
	}
}
