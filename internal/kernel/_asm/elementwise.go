package main

import (
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// elementwise is a kernel that treats n elements alike, eight at a time: it
// has float pointers, the count n, and float32 parameters. The last n%8
// elements are loaded and stored through a mask, so that every element goes
// through the same instructions.
type elementwise struct {
	name, doc string
	pointers  string // names of the pointers, comma separated
	ints      string // names of the pointers to int32, if any
	params    string // names of the float32 parameters
	intParams string // names of the int32 parameters
	unroll    int    // vectors for each turn of the main loop
	sum       bool   // the kernel returns the sum of what body adds with add
	body      func(v *vector)
}

// vector is one vector of a kernel being emitted.
type vector struct {
	base   map[string]Register
	param  map[string]VecVirtual
	index  Register   // element number
	disp   int        // bytes further
	mask   VecVirtual // lanes in use, nil for all
	loaded map[string]VecVirtual
	acc    VecVirtual // sum so far, of kernels with sum
}

func (v *vector) at(p string) Mem {
	return Mem{Base: v.base[p], Index: v.index, Scale: 4, Disp: v.disp}
}

// in loads the vector of pointer p, once.
func (v *vector) in(p string) VecVirtual {
	if r, ok := v.loaded[p]; ok {
		return r
	}
	r := YMM()
	if v.mask == nil {
		VMOVUPS(v.at(p), r)
	} else {
		VMASKMOVPS(v.at(p), v.mask, r)
	}
	v.loaded[p] = r
	return r
}

// out stores x to pointer p.
func (v *vector) out(p string, x VecVirtual) {
	if v.mask == nil {
		VMOVUPS(x, v.at(p))
	} else {
		VMASKMOVPS(x, v.mask, v.at(p))
	}
}

// total adds x to the sum the kernel returns.
func (v *vector) total(x VecVirtual) {
	if v.mask != nil {
		x = and(x, v.mask)
	}
	VADDPS(x, v.acc, v.acc)
}

// emit writes the kernel.
func (e elementwise) emit() {
	name := e.name + "AVX2"
	sig := "func(" + e.pointers + " *float32, "
	if e.ints != "" {
		sig += e.ints + " *int32, "
	}
	sig += "n int"
	if e.params != "" {
		sig += ", " + e.params + " float32"
	}
	if e.intParams != "" {
		sig += ", " + e.intParams + " int32"
	}
	sig += ")"
	if e.sum {
		sig += " float32"
	}
	TEXT(name, NOSPLIT, sig)
	Pragma("noescape")
	Doc(name + " " + e.doc)
	v := vector{base: map[string]Register{}, param: map[string]VecVirtual{}}
	for _, p := range append(split(e.pointers), split(e.ints)...) {
		v.base[p] = Load(Param(p), GP64())
	}
	n := Load(Param("n"), GP64())
	for _, p := range append(split(e.params), split(e.intParams)...) {
		r := YMM()
		VBROADCASTSS(paramMem(p), r)
		v.param[p] = r
	}
	accs := make([]VecVirtual, max(1, e.unroll))
	if e.sum {
		for i := range accs {
			accs[i] = zero()
		}
	}
	v.index = GP64()
	XORQ(v.index, v.index)
	step := func(disp, acc int) {
		w := v
		w.disp, w.loaded, w.acc = disp, map[string]VecVirtual{}, accs[acc]
		e.body(&w)
	}
	if e.unroll > 1 {
		SUBQ(U32(uint32(8*e.unroll)), n)
		JLT(LabelRef("rest"))
		Label("loop")
		for u := range e.unroll {
			step(32*u, u)
		}
		ADDQ(U32(uint32(8*e.unroll)), v.index)
		SUBQ(U32(uint32(8*e.unroll)), n)
		JGE(LabelRef("loop"))
		Label("rest")
		ADDQ(U32(uint32(8*e.unroll)), n)
	}
	SUBQ(Imm(8), n)
	JLT(LabelRef("tail"))
	Label("single")
	step(0, 0)
	ADDQ(Imm(8), v.index)
	SUBQ(Imm(8), n)
	JGE(LabelRef("single"))
	Label("tail")
	ADDQ(Imm(8), n)
	JEQ(LabelRef("done"))
	v.mask = tailMask(n)
	step(0, 0)
	Label("done")
	if e.sum {
		for _, a := range accs[1:] {
			VADDPS(a, accs[0], accs[0])
		}
		s := sumLanes(accs[0])
		VZEROUPPER()
		Store(s.AsX(), ReturnIndex(0))
	} else {
		VZEROUPPER()
	}
	RET()
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ", ")
}

// paramMem is the address of a parameter.
func paramMem(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}
