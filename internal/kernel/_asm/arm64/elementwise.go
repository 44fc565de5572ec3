package main

import "strings"

// elementwise is a kernel that treats n elements alike, four at a time and the
// last ones one by one, through the same instructions: it has pointers, the
// count n, and 32-bit parameters.
type elementwise struct {
	name, doc string
	pointers  string // names, comma separated
	ints      string // names of pointers to int32, if any
	params    string // names of float32 parameters
	intParams string // of int32 parameters
	unroll    int    // vectors for each turn of the main loop
	sum       bool   // the kernel returns the sum of what body adds with total
	body      func(e *element)
}

// element is one vector of a kernel being emitted.
type element struct {
	*formula
	base   map[string]x
	params map[string]value
	offset int // bytes from the pointers
	w      width
	loaded map[string]value
	acc    v // sum so far, of kernels with sum
}

// param is a parameter in all lanes.
func (e *element) param(p string) value { return e.params[p] }

// in loads the vector of pointer p, once.
func (e *element) in(p string) value {
	if r, ok := e.loaded[p]; ok {
		return r
	}
	base, offset, w := e.base[p], e.offset, e.w
	r := e.add(false, func(d v, _ []v) { e.a.load(w, base, offset, d) })
	e.loaded[p] = r
	return r
}

// out stores a vector to pointer p.
func (e *element) out(p string, r value) {
	base, offset, w := e.base[p], e.offset, e.w
	e.do(func(s []v) { e.a.store(w, s[0], base, offset) }, r)
}

// total adds a vector to the sum that the kernel returns.
func (e *element) total(r value) {
	acc, w := e.acc, e.w
	e.do(func(s []v) {
		if w == one { // the other lanes hold what comes of zeros
			e.a.word(0x1e202800|uint32(s[0])<<16|uint32(sumSpare)<<5|uint32(sumSpare), "fadd s%d, s%d, s%d", int(sumSpare), int(sumSpare), int(s[0]))
			return
		}
		e.a.v("fadd", acc, acc, s[0])
	}, r)
}

// The registers of the sums: one for each vector of the main loop, and one for
// single elements.
const sumFirst, sumSpare = v(0), v(4)

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ", ")
}

// emit writes the kernel.
func (e elementwise) emit(a *asm) {
	pointers, params := append(split(e.pointers), split(e.ints)...), append(split(e.params), split(e.intParams)...)
	size := 8*len(pointers) + 8 + 4*len(params)
	result := (size + 7) &^ 7
	if e.sum {
		size = result + 4
	}
	a.declare(e.name+"NEON", e.signature(), e.doc)
	a.fn(e.name+"NEON", size)
	base := map[string]x{}
	for i, p := range pointers {
		base[p] = x(1 + i)
		a.i("MOVD %s+%d(FP), %v", p, 8*i, base[p])
	}
	n := x(len(pointers) + 1)
	a.i("MOVD n+%d(FP), %v", 8*len(pointers), n)
	first := v(0)
	if e.sum {
		for r := v(0); r <= sumSpare; r++ {
			a.bytes(r, 0)
		}
		first = sumSpare + 1
	}
	held := map[string]v{}
	for i, p := range params {
		a.i("FMOVS %s+%d(FP), F%d", p, 8*len(pointers)+8+4*i, int(first))
		a.dup(first, first, 0)
		held[p] = first
		first++
	}
	step := func(w width, offset, acc int) {
		f := newFormula(a, first)
		el := &element{formula: f, base: base, params: map[string]value{}, offset: offset, w: w, loaded: map[string]value{}, acc: sumFirst + v(acc)}
		for _, p := range params {
			el.params[p] = f.pin(held[p])
		}
		e.body(el)
		f.write()
	}
	a.withTable(constants, func() { e.loops(a, n, pointers, base, step) })
	if e.sum {
		for r := sumFirst + 1; r <= sumSpare; r++ {
			a.v("fadd", sumFirst, sumFirst, r)
		}
		a.v("faddp", sumFirst, sumFirst, sumFirst)
		a.v("faddp", sumFirst, sumFirst, sumFirst)
		a.i("FMOVS F%d, ret+%d(FP)", int(sumFirst), result)
	}
	a.i("RET")
}

// loops writes the loops over the elements: step writes one vector at an
// offset from the pointers, with one of the sums.
func (e elementwise) loops(a *asm, n x, pointers []string, base map[string]x, step func(w width, offset, acc int)) {
	type turn struct {
		w       width
		vectors int
	}
	turns := []turn{{whole, e.unroll}, {whole, 1}, {one, 1}}
	if e.unroll == 1 {
		turns = turns[1:]
	}
	for _, l := range turns {
		again, after := a.fresh("loop"), a.fresh("after")
		elements := l.vectors * l.w.lanes()
		a.i("SUBS $%d, %v", elements, n)
		a.to(after, "BLT")
		a.label(again)
		for u := range l.vectors {
			step(l.w, int(l.w)*u, u)
		}
		for _, p := range pointers {
			a.i("ADD $%d, %v", int(l.w)*l.vectors, base[p])
		}
		a.i("SUBS $%d, %v", elements, n)
		a.to(again, "BGE")
		a.label(after)
		a.i("ADD $%d, %v", elements, n)
	}
}

// signature is the Go declaration of the kernel after its opening bracket.
func (e elementwise) signature() string {
	s := e.pointers + " *float32, "
	if e.ints != "" {
		s += e.ints + " *int32, "
	}
	s += "n int"
	if e.params != "" {
		s += ", " + e.params + " float32"
	}
	if e.intParams != "" {
		s += ", " + e.intParams + " int32"
	}
	s += ")"
	if e.sum {
		s += " float32"
	}
	return s
}
