package main

// emitReductions writes the reductions of a vector to a number.
func emitReductions(a *asm) {
	for _, r := range []struct {
		name string
		f    func(e *element, x value) value
	}{
		{"sum", func(e *element, x value) value { return x }},
		{"sumSquares", func(e *element, x value) value { return e.mul(x, x) }},
		{"sumAbs", func(e *element, x value) value { return e.abs(x) }},
	} {
		elementwise{
			name: r.name, doc: "returns the " + r.name + " of x.", pointers: "x", unroll: 4, sum: true,
			body: func(e *element) { e.total(r.f(e, e.in("x"))) },
		}.emit(a)
	}
	elementwise{
		name: "dot", doc: "returns the sum of a*b.", pointers: "a, b", unroll: 4, sum: true,
		body: func(e *element) { e.accumulate("fmla", e.acc, e.in("a"), e.in("b")) }, // lanes not loaded are zero
	}.emit(a)
	elementwise{
		name: "expSum", doc: "computes dst = exp(src-top) and returns the sum of dst.",
		pointers: "dst, src", params: "top", unroll: 2, sum: true,
		body: func(e *element) {
			r := e.exp(e.sub(e.in("src"), e.param("top")), false)
			e.out("dst", r)
			e.total(r)
		},
	}.emit(a)
	extreme(a, "maxOf", "fmax", 0xff800000, false)
	extreme(a, "minOf", "fmin", 0x7f800000, false)
	extreme(a, "maxAbsOf", "fmax", 0, true)
}

// extreme writes a maximum or minimum over a vector, start if it is empty, a
// NaN if it has one.
func extreme(a *asm, name, op string, start uint32, abs bool) {
	name += "NEON"
	a.declare(name, "x *float32, n int) float32", "returns the extreme element of x.")
	a.fn(name, 20)
	params(a, "x", "n")
	p, n := x(1), x(2)
	a.i("MOVD $0x%08x, R9", start)
	for r := range v(4) {
		a.dupWord(r, 9)
	}
	for _, l := range []struct{ vectors, elements int }{{4, 16}, {1, 4}, {1, 1}} {
		again, after := a.fresh("loop"), a.fresh("after")
		a.i("SUBS $%d, %v", l.elements, n)
		a.to(after, "BLT")
		a.label(again)
		if l.elements == 1 {
			a.spreadNext(p, 4)
		} else {
			a.loadRun(p, 4, l.vectors)
		}
		for r := range v(l.vectors) {
			if abs {
				a.v("fabs", 4+r, 4+r)
			}
			a.v(op, r, r, 4+r)
		}
		a.i("SUBS $%d, %v", l.elements, n)
		a.to(again, "BGE")
		a.label(after)
		a.i("ADD $%d, %v", l.elements, n)
	}
	for r := v(1); r < 4; r++ {
		a.v(op, 0, 0, r)
	}
	a.v(op+"p", 0, 0, 0)
	a.v(op+"p", 0, 0, 0)
	a.i("FMOVS F0, ret+16(FP)")
	a.i("RET")
}

// column is a reduction over the rows of a matrix, column by column. Pointers
// in rows move by stride bytes, those in fixed are one row; the results go to
// those in outs.
type column struct {
	name, doc         string
	pointers          string // all, in the order of the parameters
	outs, fixed, rows string
	params            string // names of float32 parameters
	fromDst           bool   // start from outs instead of zero
	vectors           int    // columns at a time, in vectors
	step              func(e *element, acc []v)
}

// emitColumns writes the reductions over rows.
func emitColumns(a *asm) {
	for _, c := range []column{
		{name: "colSum", doc: "sums the rows of a.", pointers: "dst, a", outs: "dst", rows: "a", vectors: 4,
			step: func(e *element, acc []v) { e.accumulate("fadd", acc[0], e.carried(acc[0]), e.in("a")) }},
		{name: "colDot", doc: "sums a*b over the rows.", pointers: "dst, a, b", outs: "dst", rows: "a, b", vectors: 4,
			step: func(e *element, acc []v) { e.accumulate("fmla", acc[0], e.in("a"), e.in("b")) }},
		{name: "colDotDev", doc: "sums a*(b-m) over the rows, m one row.",
			pointers: "dst, a, b, m", outs: "dst", fixed: "m", rows: "a, b", vectors: 4,
			step: func(e *element, acc []v) {
				e.accumulate("fmla", acc[0], e.in("a"), e.sub(e.in("b"), e.in("m")))
			}},
		{name: "colMoments", doc: "sums a-m and, to dst2, (a-m)^2 over the rows, m one row.",
			pointers: "dst, dst2, a, m", outs: "dst, dst2", fixed: "m", rows: "a", vectors: 4,
			step: func(e *element, acc []v) {
				d := e.sub(e.in("a"), e.in("m"))
				e.accumulate("fadd", acc[0], e.carried(acc[0]), d)
				e.accumulate("fmla", acc[1], d, d)
			}},
		{name: "colMax", doc: "takes the greatest of dst and the rows of a, a NaN if there is one.",
			pointers: "dst, a", outs: "dst", rows: "a", vectors: 4, fromDst: true,
			step: func(e *element, acc []v) { e.accumulate("fmax", acc[0], e.carried(acc[0]), e.in("a")) }},
	} {
		c.emit(a)
	}
}

// carried is a register that a loop carries, as a value.
func (f *formula) carried(r v) value { return f.pin(r) }

func (c column) emit(a *asm) {
	pointers, params := split(c.pointers), split(c.params)
	name := c.name + "NEON"
	signature := c.pointers + " *float32, rows, cols, stride int"
	if c.params != "" {
		signature += ", " + c.params + " float32"
	}
	a.declare(name, signature+")", c.doc)
	ints := 8 * len(pointers)
	a.fn(name, ints+24+4*len(params))
	base := map[string]x{}
	for i, p := range pointers {
		base[p] = x(1 + i)
		a.i("MOVD %s+%d(FP), %v", p, 8*i, base[p])
	}
	const cols, stride = x(8), x(9)
	a.i("MOVD cols+%d(FP), %v", ints+8, cols)
	a.i("MOVD stride+%d(FP), %v", ints+16, stride)
	held := map[string]v{}
	for i, p := range params {
		r := v(i)
		a.i("FMOVS %s+%d(FP), F%d", p, ints+24+4*i, int(r))
		a.dup(r, r, 0)
		held[p] = r
	}
	a.withTable(constants, func() { c.loops(a, base, held, ints) })
	a.i("RET")
}

// loops writes the loops over the columns.
func (c column) loops(a *asm, base map[string]x, held map[string]v, ints int) {
	pointers, cols := split(c.pointers), x(8)
	for _, l := range []struct {
		w       width
		vectors int
	}{{whole, c.vectors}, {whole, 1}, {one, 1}} {
		again, after := a.fresh("columns"), a.fresh("after")
		elements := l.vectors * l.w.lanes()
		a.i("SUBS $%d, %v", elements, cols)
		a.to(after, "BLT")
		a.label(again)
		c.block(a, base, held, l.w, l.vectors, ints)
		for _, p := range pointers {
			a.i("ADD $%d, %v", 4*elements, base[p])
		}
		a.i("SUBS $%d, %v", elements, cols)
		a.to(again, "BGE")
		a.label(after)
		a.i("ADD $%d, %v", elements, cols)
	}
}

// block reduces some vectors of columns.
func (c column) block(a *asm, base map[string]x, params map[string]v, w width, vectors, ints int) {
	stride, left, at := x(9), x(10), x(11) // at: the row of each moving pointer
	outs, fixed, rows := split(c.outs), split(c.fixed), split(c.rows)
	next := v(len(params))
	register := func() v { next++; return next - 1 }
	acc := make([][]v, vectors)
	once := make([]map[string]v, vectors)
	for i := range vectors {
		for _, p := range outs {
			r := register()
			acc[i] = append(acc[i], r)
			if c.fromDst {
				a.load(w, base[p], 16*i, r)
			} else {
				a.bytes(r, 0)
			}
		}
		once[i] = map[string]v{}
		for _, p := range fixed {
			r := register()
			once[i][p] = r
			a.load(w, base[p], 16*i, r)
		}
	}
	row := map[string]x{}
	for i, p := range rows {
		row[p] = at + x(i)
		a.i("MOVD %v, %v", base[p], row[p])
	}
	again := a.fresh("row")
	a.i("MOVD rows+%d(FP), %v", ints, left)
	a.label(again)
	for i := range vectors {
		f := newFormula(a, next)
		e := &element{formula: f, base: row, params: map[string]value{}, offset: 16 * i, w: w, loaded: map[string]value{}}
		for p, r := range params {
			e.params[p] = f.pin(r)
		}
		for p, r := range once[i] {
			e.loaded[p] = f.pin(r)
		}
		c.step(e, acc[i])
		f.write()
	}
	for _, p := range rows {
		a.i("ADD %v, %v", stride, row[p])
	}
	a.i("SUBS $1, %v", left)
	a.to(again, "BNE")
	for i := range vectors {
		for j, p := range outs {
			a.store(w, acc[i][j], base[p], 16*i)
		}
	}
}
