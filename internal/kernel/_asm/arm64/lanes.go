package main

import "fmt"

// A formula is the arithmetic of one vector of elements, written with the
// functions of vecmath.go as if registers had no end; emit assigns them.

// value is a result within a formula.
type value int

// step is one operation of a formula. If tied, the destination starts as the
// first operand.
type step struct {
	dst  value
	srcs []value
	tied bool
	emit func(dst v, srcs []v)
}

// formula collects operations. Values below fixed have registers of their own
// from the start: parameters and what a loop carries.
type formula struct {
	a      *asm
	steps  []step
	values int
	fixed  map[value]v
	first  v // registers from here to 31 are free for the others
}

// constants is the register that points at the table of constants in formulas.
const constants = x(26)

func newFormula(a *asm, first v) *formula { return &formula{a: a, fixed: map[value]v{}, first: first} }

// pin makes a value of a register.
func (f *formula) pin(r v) value {
	f.values++
	f.fixed[value(f.values)] = r
	return value(f.values)
}

func (f *formula) add(tied bool, emit func(dst v, srcs []v), srcs ...value) value {
	f.values++
	d := value(f.values)
	f.steps = append(f.steps, step{dst: d, srcs: srcs, tied: tied, emit: emit})
	return d
}

// do adds an operation without a result.
func (f *formula) do(emit func(srcs []v), srcs ...value) {
	f.steps = append(f.steps, step{srcs: srcs, emit: func(_ v, s []v) { emit(s) }})
}

// op is an instruction of two or three operands.
func (f *formula) op(name string, srcs ...value) value {
	return f.add(false, func(d v, s []v) { f.a.v(name, append([]v{d}, s...)...) }, srcs...)
}

// opOnto is an instruction that changes its first operand.
func (f *formula) opOnto(name string, onto value, srcs ...value) value {
	return f.add(true, func(d v, s []v) { f.a.v(name, append([]v{d}, s[1:]...)...) }, append([]value{onto}, srcs...)...)
}

// accumulate is an instruction that changes a register that a loop carries.
func (f *formula) accumulate(name string, acc v, srcs ...value) {
	f.do(func(s []v) { f.a.v(name, append([]v{acc}, s...)...) }, srcs...)
}

// write assigns registers and writes the operations.
func (f *formula) write() {
	last := map[value]int{}
	for i, s := range f.steps {
		for _, src := range s.srcs {
			last[src] = i
		}
	}
	free := []v{}
	for r := v(31); r >= f.first; r-- {
		free = append(free, r)
	}
	where := map[value]v{}
	for k, r := range f.fixed {
		where[k] = r
	}
	take := func() v {
		if len(free) == 0 {
			panic(fmt.Sprintf("%s: a formula needs more registers than there are", f.a.name))
		}
		r := free[len(free)-1]
		free = free[:len(free)-1]
		return r
	}
	for i, s := range f.steps {
		srcs := make([]v, len(s.srcs))
		for j, src := range s.srcs {
			srcs[j] = where[src]
		}
		dst := v(-1)
		release := map[v]bool{}
		for j, src := range s.srcs {
			if _, ok := f.fixed[src]; ok || last[src] != i {
				continue
			}
			if j == 0 && s.tied {
				dst = srcs[0] // its last use: no copy
				continue
			}
			release[srcs[j]] = true
		}
		delete(release, dst)
		if s.tied && dst < 0 { // before the operands' registers are free
			dst = take()
			f.a.mov(dst, srcs[0])
		}
		for r := v(31); r >= 0; r-- { // in a fixed order
			if release[r] {
				free = append(free, r)
			}
		}
		if !s.tied && s.dst != 0 {
			dst = take()
		}
		s.emit(dst, srcs)
		if s.dst != 0 {
			where[s.dst] = dst
			if _, used := last[s.dst]; !used {
				free = append(free, dst)
			}
		}
	}
}

// bits is a vector of four copies of a word.
func (f *formula) bits(w uint32) value {
	at := f.a.constant(w)
	return f.add(false, func(d v, _ []v) { f.a.load(whole, constants, at, d) })
}

// k is a vector of four copies of a number.
func (f *formula) k(c float64) value { return f.bits(float(c)) }

func (f *formula) sum(a, b value) value     { return f.op("fadd", a, b) }
func (f *formula) sub(a, b value) value     { return f.op("fsub", a, b) }
func (f *formula) mul(a, b value) value     { return f.op("fmul", a, b) }
func (f *formula) div(a, b value) value     { return f.op("fdiv", a, b) }
func (f *formula) max(a, b value) value     { return f.op("fmax", a, b) } // a NaN if either is
func (f *formula) min(a, b value) value     { return f.op("fmin", a, b) }
func (f *formula) and(a, b value) value     { return f.op("and", a, b) }
func (f *formula) or(a, b value) value      { return f.op("orr", a, b) }
func (f *formula) abs(a value) value        { return f.op("fabs", a) }
func (f *formula) gt(a, b value) value      { return f.op("fcmgt", a, b) }
func (f *formula) ge(a, b value) value      { return f.op("fcmge", a, b) }
func (f *formula) eq(a, b value) value      { return f.op("fcmeq", a, b) }
func (f *formula) not(a value) value        { return f.op("mvn", a) }
func (f *formula) zero() value              { return f.add(false, func(d v, _ []v) { f.a.bytes(d, 0) }) }
func (f *formula) fma(a, b, c value) value  { return f.opOnto("fmla", c, a, b) } // c + a*b
func (f *formula) fnma(a, b, c value) value { return f.opOnto("fmls", c, a, b) } // c - a*b

// andNot is b without the bits of a.
func (f *formula) andNot(a, b value) value { return f.op("bic", b, a) }

// pick takes t where the bits of mask are set, e elsewhere.
func (f *formula) pick(mask, t, e value) value { return f.opOnto("bsl", mask, t, e) }

// shift is shl, sshr or ushr of 32-bit lanes.
func (f *formula) shift(name string, a value, by int) value {
	return f.add(false, func(d v, s []v) { f.a.shift(name, d, s[0], by) }, a)
}
