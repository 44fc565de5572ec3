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
	for _, isa := range []isa{avx2, avx512} {
		for _, stream := range []bool{false, true} {
			normFlat{isa: isa, stream: stream, name: "forward", doc: "computes dst = clamp(src*scale + shift).",
				data: "dst, src", coef: "scale, shift",
				body: func(f *flat) VecVirtual { return f.clip(f.fma(f.in("src"), f.in("scale"), f.in("shift"))) },
			}.emit()
			normFlat{isa: isa, stream: stream, name: "forwardAdd", doc: "computes dst = clamp(src*scale + shift + add).",
				data: "dst, src, add", coef: "scale, shift",
				body: func(f *flat) VecVirtual {
					y := f.fma(f.in("src"), f.in("scale"), f.in("shift"))
					VADDPS(f.at("add"), y, y)
					return f.clip(y)
				},
			}.emit()
			normFlat{isa: isa, stream: stream, name: "backward", doc: "computes dst = grad*a + (x*b + c).",
				data: "dst, grad, x", coef: "a, b, c",
				body: func(f *flat) VecVirtual {
					return f.fma(f.in("grad"), f.in("a"), f.fma(f.in("x"), f.in("b"), f.in("c")))
				},
			}.emit()
			normFlat{isa: isa, stream: stream, name: "backwardClamp",
				doc:  "is backward with grad = dy where lo < x*scale + shift < hi, else 0.",
				data: "dst, dy, x", coef: "scale, shift, a, b, c",
				body: func(f *flat) VecVirtual {
					x := f.in("x")
					g := f.open(f.fma(x, f.in("scale"), f.in("shift")), f.at("dy"))
					return f.fma(g, f.in("a"), f.fma(x, f.in("b"), f.in("c")))
				},
			}.emit()
		}
		normColumns{isa: isa, name: "moments", pointers: "sum, dot, x, m",
			doc: "sums x-m and (x-m)^2 over rows."}.emit()
		normColumns{isa: isa, name: "columns", pointers: "sum, dot, dy, x, m, scale, shift",
			doc: "sums g and g*(x-m) over rows, g = dy where lo < x*scale + shift < hi, else 0."}.emit()
		normColumns{isa: isa, name: "columnsAdd", pointers: "sum, dot, out, dy, x, y, m",
			doc: "is columns with g = dy where lo < y < hi, else 0, written to out."}.emit()
	}
}

// openMask tells where lo < y < hi.
func openMask(y VecVirtual, lo, hi Op) VecVirtual { return and(cmp(cmpGT, y, lo), cmp(cmpLT, y, hi)) }

// clamped is an instruction set and the limits of a clamp.
type clamped struct {
	isa
	lo, hi VecVirtual
}

// vec is a register of the set's width.
func (c *clamped) vec() VecVirtual {
	if c.lanes == 16 {
		return ZMM()
	}
	return YMM()
}

func (c *clamped) limits() {
	c.lo, c.hi = c.vec(), c.vec()
	VBROADCASTSS(paramMem("lo"), c.lo)
	VBROADCASTSS(paramMem("hi"), c.hi)
}

// load loads a vector, through a mask of eight lanes if there is one.
func (c *clamped) load(m Mem, mask VecVirtual) VecVirtual {
	r := c.vec()
	if mask == nil {
		VMOVUPS(m, r)
	} else {
		VMASKMOVPS(m, mask, r)
	}
	return r
}

// fma returns a*b + c, in c.
func (c *clamped) fma(a, b, sum VecVirtual) VecVirtual {
	VFMADD231PS(b, a, sum)
	return sum
}

// clip clamps y; a NaN stays one.
func (c *clamped) clip(y VecVirtual) VecVirtual {
	VMAXPS(y, c.lo, y)
	VMINPS(y, c.hi, y)
	return y
}

// open loads dy where lo < y < hi, zero elsewhere.
func (c *clamped) open(y VecVirtual, dy Mem) VecVirtual {
	g := c.vec()
	if c.lanes == 16 {
		above, inside := K(), K()
		VCMPPS(Imm(cmpGT), c.lo, y, above)
		VCMPPS(Imm(cmpLT), c.hi, y, above, inside)
		VMOVUPS_Z(dy, inside, g)
		return g
	}
	VANDPS(dy, openMask(y, c.lo, c.hi), g)
	return g
}

// normFlat is an elementwise kernel over n elements whose coefficients repeat
// with a period; both are multiples of the lanes. One that streams stores past
// the caches, to a destination aligned to a vector.
type normFlat struct {
	isa
	stream     bool
	name, doc  string
	data, coef string
	body       func(f *flat) VecVirtual
}

// flat is the vector being emitted.
type flat struct {
	clamped
	base  map[string]Register
	index map[string]Register
}

func (f *flat) at(p string) Mem { return Mem{Base: f.base[p], Index: f.index[p], Scale: 1} }

func (f *flat) in(p string) VecVirtual { return f.load(f.at(p), nil) }

func (k normFlat) emit() {
	name := k.name + k.isa.name
	if k.stream {
		name = k.name + "Stream" + k.isa.name
	}
	TEXT(name, NOSPLIT, "func("+k.data+", "+k.coef+" *float32, n, period int, lo, hi float32)")
	Pragma("noescape")
	Doc(name + " " + k.doc)
	f := flat{clamped: clamped{isa: k.isa}, base: map[string]Register{}, index: map[string]Register{}}
	f.limits()
	at, again, zero := GP64(), GP64(), GP64()
	for _, p := range split(k.data) {
		f.base[p], f.index[p] = Load(Param(p), GP64()), at
	}
	for _, p := range split(k.coef) {
		f.base[p], f.index[p] = Load(Param(p), GP64()), again
	}
	n, period := Load(Param("n"), GP64()), Load(Param("period"), GP64())
	SHLQ(Imm(2), n)
	SHLQ(Imm(2), period)
	XORQ(at, at)
	XORQ(again, again)
	XORQ(zero, zero)
	Label("loop")
	y := k.body(&f)
	if k.stream {
		VMOVNTPS(y, f.at("dst"))
	} else {
		VMOVUPS(y, f.at("dst"))
	}
	ADDQ(U32(uint32(4*k.lanes)), again)
	CMPQ(again, period)
	CMOVQEQ(zero, again)
	ADDQ(U32(uint32(4*k.lanes)), at)
	CMPQ(at, n)
	JLT(LabelRef("loop"))
	if k.stream {
		SFENCE()
	}
	VZEROUPPER()
	RET()
}

// normColumns is a kernel that sums over rows that are stride bytes apart.
type normColumns struct {
	isa
	name, pointers, doc string
}

func (c normColumns) emit() {
	name := c.name + c.isa.name
	limits := ", lo, hi float32"
	if c.name == "moments" {
		limits = ""
	}
	TEXT(name, NOSPLIT, "func("+c.pointers+" *float32, rows, cols, stride int"+limits+")")
	Pragma("noescape")
	Doc(name + " " + c.doc)
	base := map[string]Register{}
	for _, p := range split(c.pointers) {
		base[p] = Load(Param(p), GP64())
	}
	cols := Load(Param("cols"), GP64())
	widths := []int{2, 1}
	v := clamped{isa: c.isa}
	if limits != "" {
		v.limits()
	}
	if c.lanes == 16 || limits == "" {
		widths = []int{4, 2, 1}
	}
	for _, width := range widths {
		label := fmt.Sprintf("w%d", width)
		SUBQ(Imm(uint64(c.lanes*width)), cols)
		JLT(LabelRef(label + "end"))
		Label(label)
		c.block(&v, label, base, width, nil)
		for _, r := range split(c.pointers) {
			ADDQ(U32(uint32(4*c.lanes*width)), base[r])
		}
		SUBQ(Imm(uint64(c.lanes*width)), cols)
		JGE(LabelRef(label))
		Label(label + "end")
		ADDQ(Imm(uint64(c.lanes*width)), cols)
	}
	// The rest goes eight lanes at a time, the last of them through a mask.
	half := v
	half.isa = avx2
	if c.lanes == 16 {
		if limits != "" {
			half.lo, half.hi = YMM(), YMM()
			VBROADCASTSS(paramMem("lo"), half.lo)
			VBROADCASTSS(paramMem("hi"), half.hi)
		}
		SUBQ(Imm(8), cols)
		JLT(LabelRef("w8end"))
		c.block(&half, "w8", base, 1, nil)
		for _, r := range split(c.pointers) {
			ADDQ(U32(32), base[r])
		}
		SUBQ(Imm(8), cols)
		Label("w8end")
		ADDQ(Imm(8), cols)
	}
	TESTQ(cols, cols)
	JEQ(LabelRef("done"))
	c.block(&half, "tail", base, 1, tailMask(cols))
	Label("done")
	VZEROUPPER()
	RET()
}

// block sums width vectors of columns.
func (c normColumns) block(v *clamped, label string, base map[string]Register, width int, mask VecVirtual) {
	store := func(r VecVirtual, m Mem) {
		if mask == nil {
			VMOVUPS(r, m)
		} else {
			VMASKMOVPS(r, mask, m)
		}
	}
	row := GP64()
	XORQ(row, row)
	rows := Load(Param("rows"), GP64())
	stride := Load(Param("stride"), GP64())
	step := 4 * v.lanes
	fixed := func(p string, i int) VecVirtual { return v.load(Mem{Base: base[p], Disp: step * i}, mask) }
	at := func(p string, i int) Mem { return Mem{Base: base[p], Index: row, Scale: 1, Disp: step * i} }
	sum, dot := make([]VecVirtual, width), make([]VecVirtual, width)
	m, scale, shift := make([]VecVirtual, width), make([]VecVirtual, width), make([]VecVirtual, width)
	for i := range width {
		sum[i], dot[i], m[i] = v.vec(), v.vec(), fixed("m", i)
		VXORPS(sum[i], sum[i], sum[i])
		VXORPS(dot[i], dot[i], dot[i])
		if base["scale"] != nil {
			scale[i], shift[i] = fixed("scale", i), fixed("shift", i)
		}
	}
	Label(label + "row")
	for i := range width {
		x := v.load(at("x", i), mask)
		if base["dy"] == nil {
			VSUBPS(m[i], x, x)
			VADDPS(x, sum[i], sum[i])
			VFMADD231PS(x, x, dot[i])
			continue
		}
		var y VecVirtual
		if base["y"] != nil {
			y = v.load(at("y", i), mask)
		} else {
			y = v.vec()
			VMOVAPS(shift[i], y)
			v.fma(x, scale[i], y)
		}
		var g VecVirtual
		if mask == nil {
			g = v.open(y, at("dy", i))
		} else {
			g = and(openMask(y, v.lo, v.hi), v.load(at("dy", i), mask))
		}
		if base["out"] != nil {
			store(g, at("out", i))
		}
		VADDPS(g, sum[i], sum[i])
		VSUBPS(m[i], x, x)
		VFMADD231PS(x, g, dot[i])
	}
	ADDQ(stride, row)
	DECQ(rows)
	JNE(LabelRef(label + "row"))
	for i := range width {
		store(sum[i], Mem{Base: base["sum"], Disp: step * i})
		store(dot[i], Mem{Base: base["dot"], Disp: step * i})
	}
}
