package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["norm"] = emitNorm }

// emitNorm writes the kernels of package norm.
func emitNorm() {
	elementwise{
		name: "forward", doc: "computes dst = clamp(src*scale + shift + add).",
		pointers: "dst, src, scale, shift, add", params: "lo, hi", unroll: 2,
		body: func(v *vector) {
			y := add(fma(v.in("src"), v.in("scale"), v.in("shift")), v.in("add"))
			v.out("dst", clip(y, v.param["lo"], v.param["hi"]))
		},
	}.emit()
	elementwise{
		name: "backward", doc: "computes dx = grad*a + (x*b + c).",
		pointers: "dx, grad, x, a, b, c", unroll: 2,
		body: func(v *vector) {
			v.out("dx", fma(v.in("grad"), v.in("a"), fma(v.in("x"), v.in("b"), v.in("c"))))
		},
	}.emit()
	elementwise{
		name: "backwardClamp", doc: "is backward with g = dy where lo < x*scale + shift < hi, else 0.",
		pointers: "dx, dy, x, scale, shift, a, b, c", params: "lo, hi", unroll: 2,
		body: func(v *vector) {
			y := fma(v.in("x"), v.in("scale"), v.in("shift"))
			g := and(openMask(y, v.param["lo"], v.param["hi"]), v.in("dy"))
			v.out("dx", fma(g, v.in("a"), fma(v.in("x"), v.in("b"), v.in("c"))))
		},
	}.emit()
	normColumns{name: "columns", pointers: "sum, dot, dy, x, m, scale, shift",
		doc: "sums g and g*(x-m) over rows, g = dy where lo < x*scale + shift < hi, else 0."}.emit()
	normColumns{name: "columnsAdd", pointers: "sum, dot, out, dy, x, y, m",
		doc: "is columns with g = dy where lo < y < hi, else 0, written to out."}.emit()
}

// openMask tells where lo < y < hi.
func openMask(y VecVirtual, lo, hi Op) VecVirtual { return and(cmp(cmpGT, y, lo), cmp(cmpLT, y, hi)) }

// normColumns is a kernel that sums over rows that are stride bytes apart.
type normColumns struct{ name, pointers, doc string }

func (c normColumns) emit() {
	name := c.name + "AVX2"
	TEXT(name, NOSPLIT, "func("+c.pointers+" *float32, rows, cols, stride int, lo, hi float32)")
	Pragma("noescape")
	Doc(name + " " + c.doc)
	base := map[string]Register{}
	for _, p := range split(c.pointers) {
		base[p] = Load(Param(p), GP64())
	}
	cols := Load(Param("cols"), GP64())
	lo, hi := YMM(), YMM()
	VBROADCASTSS(paramMem("lo"), lo)
	VBROADCASTSS(paramMem("hi"), hi)
	for _, width := range []int{2, 1} {
		label := fmt.Sprintf("w%d", width)
		SUBQ(Imm(uint64(8*width)), cols)
		JLT(LabelRef(label + "end"))
		Label(label)
		c.block(label, base, width, nil, lo, hi)
		for _, r := range split(c.pointers) {
			ADDQ(Imm(uint64(32*width)), base[r])
		}
		SUBQ(Imm(uint64(8*width)), cols)
		JGE(LabelRef(label))
		Label(label + "end")
		ADDQ(Imm(uint64(8*width)), cols)
	}
	TESTQ(cols, cols)
	JEQ(LabelRef("done"))
	c.block("tail", base, 1, tailMask(cols), lo, hi)
	Label("done")
	VZEROUPPER()
	RET()
}

// block sums width vectors of columns.
func (c normColumns) block(label string, base map[string]Register, width int, mask, lo, hi VecVirtual) {
	load := func(m Mem) VecVirtual {
		if mask == nil {
			return ld(m)
		}
		r := YMM()
		VMASKMOVPS(m, mask, r)
		return r
	}
	store := func(v VecVirtual, m Mem) {
		if mask == nil {
			VMOVUPS(v, m)
		} else {
			VMASKMOVPS(v, mask, m)
		}
	}
	row := GP64()
	XORQ(row, row)
	rows := Load(Param("rows"), GP64())
	stride := Load(Param("stride"), GP64())
	fixed := func(p string, i int) VecVirtual { return load(Mem{Base: base[p], Disp: 32 * i}) }
	at := func(p string, i int) Mem { return Mem{Base: base[p], Index: row, Scale: 1, Disp: 32 * i} }
	sum, dot := make([]VecVirtual, width), make([]VecVirtual, width)
	m, scale, shift := make([]VecVirtual, width), make([]VecVirtual, width), make([]VecVirtual, width)
	for i := range width {
		sum[i], dot[i], m[i] = zero(), zero(), fixed("m", i)
		if base["scale"] != nil {
			scale[i], shift[i] = fixed("scale", i), fixed("shift", i)
		}
	}
	Label(label + "row")
	for i := range width {
		x := load(at("x", i))
		var y VecVirtual
		if base["y"] != nil {
			y = load(at("y", i))
		} else {
			y = fma(x, scale[i], shift[i])
		}
		g := and(openMask(y, lo, hi), load(at("dy", i)))
		if base["out"] != nil {
			store(g, at("out", i))
		}
		VADDPS(g, sum[i], sum[i])
		fma231(dot[i], g, sub(x, m[i]))
	}
	ADDQ(stride, row)
	DECQ(rows)
	JNE(LabelRef(label + "row"))
	for i := range width {
		store(sum[i], Mem{Base: base["sum"], Disp: 32 * i})
		store(dot[i], Mem{Base: base["dot"], Disp: 32 * i})
	}
}
