package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func init() { families["sparse"] = emitSparse }

func emitSparse() {
	for v := 1; v <= 8; v++ {
		strip{isa: avx2, rows: 1, vecs: v}.emit()
	}
	strip{isa: avx2, rows: 4, vecs: 0}.emit()
	for v := 1; v <= 3; v++ {
		strip{isa: avx2, rows: 4, vecs: v, shared: true}.emit()
	}
	for v := 1; v <= 6; v++ {
		strip{isa: avx512, rows: 4, vecs: v}.emit()
		strip{isa: avx512, rows: 4, vecs: v, shared: true}.emit()
	}
	emitPanelIn()
	emitPanelOut()
	emitPanelIn512()
	emitPanelOut512()
	for n := 1; n <= lanePixels; n++ {
		lanes{n, 1}.emit()
		lanes{n, 2}.emit()
	}
}

// Byte offsets of the fields of sparse.stripArgs.
const (
	spPanel, spStream, spOut, spStrips = 0, 24, 48, 72
	spMore, spClamp, spMin, spMax      = 80, 88, 96, 100
)

// strip emits the product of sparse rows by a panel, described by
// sparse.stripArgs: rows output channels by vecs vectors of pixels at a time.
// With vecs 0 it is one pixel in a scalar register.
type strip struct {
	isa
	rows, vecs int
	shared     bool // the rows of a strip have their non-zeros in the same places
}

func (s strip) label() string {
	kind := "rows"
	if s.shared {
		kind = "block"
	}
	return fmt.Sprintf("%s%sx%dx%d", kind, s.name, s.rows, s.vecs)
}

func (s strip) width() int { return max(s.vecs, 1) }

func (s strip) acc(r, j int) VecPhysical { return s.reg(r*s.width() + j) }

// bytes is the size of a vector.
func (s strip) bytes() int { return 4 * s.lanes }

// spare is the i-th register that holds no sum.
func (s strip) spare(i int) VecPhysical {
	used := s.rows * s.width()
	return s.reg(used + i%(s.regs-used))
}

func (s strip) emit() {
	name := s.label()
	label := func(l string) string { return name + "_" + l }
	// The stubs say *stripArgs; avo, which does not know that type, writes no
	// stubs of this family.
	TEXT(name, NOSPLIT, "func(a *byte)")
	Load(Param("a"), RAX)
	arg := func(off int) Mem { return Mem{Base: RAX, Disp: off} }
	panel, stream, header, out, strips, steps := RBX, RSI, R12, RDI, RCX, RDX
	MOVQ(arg(spPanel), panel)
	MOVQ(arg(spStream), stream)
	MOVQ(arg(spOut), out)
	MOVQ(arg(spStrips), strips)

	Label(label("strip"))
	MOVQ(stream, header)
	MOVLQSX(Mem{Base: header}, steps)
	ADDQ(Imm(uint64(8+8*s.rows)), stream)
	s.begin(label, arg, header, out)
	TESTQ(steps, steps)
	JEQ(LabelRef(label("store")))
	Label(label("step"))
	if s.shared {
		s.blockStep(panel, stream)
	} else if s.lanes == 16 { // steps of the AVX-512 kernels come in pairs
		s.rowStep(panel, stream)
		s.rowStep(panel, stream)
		DECQ(steps)
	} else {
		s.rowStep(panel, stream)
	}
	DECQ(steps)
	JNE(LabelRef(label("step")))

	Label(label("store"))
	s.store(label, arg, header, out)
	DECQ(strips)
	JNE(LabelRef(label("strip")))
	VZEROUPPER()
	RET()
}

// begin starts the sums with the biases, or goes on with those that are there.
func (s strip) begin(label func(string) string, arg func(int) Mem, header, out GPPhysical) {
	CMPQ(arg(spMore), Imm(0))
	JNE(LabelRef(label("more")))
	for r := range s.rows {
		bias := Mem{Base: header, Disp: 8 + 8*r + 4}
		if s.vecs == 0 {
			VMOVSS(bias, s.acc(r, 0).AsX())
			continue
		}
		VBROADCASTSS(bias, s.acc(r, 0))
		for j := 1; j < s.vecs; j++ {
			VMOVAPS(s.acc(r, 0), s.acc(r, j))
		}
	}
	JMP(LabelRef(label("begun")))
	Label(label("more"))
	for r := range s.rows {
		MOVLQSX(Mem{Base: header, Disp: 8 + 8*r}, R8)
		for j := range s.width() {
			if sums := (Mem{Base: out, Index: R8, Scale: 1, Disp: s.bytes() * j}); s.vecs == 0 {
				VMOVSS(sums, s.acc(r, j).AsX())
			} else {
				VMOVUPS(sums, s.acc(r, j))
			}
		}
	}
	Label(label("begun"))
}

// rowStep adds one non-zero of each row: a place and a value for each.
func (s strip) rowStep(panel, stream GPPhysical) {
	at := []GPPhysical{R8, R9, R10, R11}
	for r := range s.rows {
		MOVLQSX(Mem{Base: stream, Disp: 8 * r}, at[r])
		value := Mem{Base: stream, Disp: 8*r + 4}
		if s.vecs == 0 {
			x := s.spare(r).AsX()
			VMOVSS(value, x)
			VFMADD231SS(Mem{Base: panel, Index: at[r], Scale: 1}, x, s.acc(r, 0).AsX())
			continue
		}
		w := s.spare(r)
		VBROADCASTSS(value, w)
		ADDQ(panel, at[r])
		for j := range s.vecs {
			VFMADD231PS(Mem{Base: at[r], Disp: s.bytes() * j}, w, s.acc(r, j))
		}
	}
	ADDQ(Imm(uint64(8*s.rows)), stream)
}

// blockStep adds one column of a block: a place, then a value for each row.
func (s strip) blockStep(panel, stream GPPhysical) {
	at := R8
	MOVLQSX(Mem{Base: stream}, at)
	for j := range s.vecs {
		VMOVUPS(Mem{Base: panel, Index: at, Scale: 1, Disp: s.bytes() * j}, s.spare(j))
	}
	for r := range s.rows {
		w := s.spare(s.vecs + r%(s.regs-s.rows*s.vecs-s.vecs))
		VBROADCASTSS(Mem{Base: stream, Disp: 4 + 4*r}, w)
		for j := range s.vecs {
			VFMADD231PS(s.spare(j), w, s.acc(r, j))
		}
	}
	ADDQ(Imm(uint64(4+4*s.rows)), stream)
}

// store clamps the sums if they are complete, and writes each row to its place.
func (s strip) store(label func(string) string, arg func(int) Mem, header, out GPPhysical) {
	CMPQ(arg(spClamp), Imm(0))
	JEQ(LabelRef(label("write")))
	lo, hi := s.spare(0), s.spare(1)
	VBROADCASTSS(arg(spMin), lo)
	VBROADCASTSS(arg(spMax), hi)
	for i := range s.rows * s.width() {
		// The sum is the operand that a comparison with NaN returns.
		VMAXPS(s.reg(i), lo, s.reg(i))
		VMINPS(s.reg(i), hi, s.reg(i))
	}
	Label(label("write"))
	for r := range s.rows {
		MOVLQSX(Mem{Base: header, Disp: 8 + 8*r}, R8)
		for j := range s.width() {
			if to := (Mem{Base: out, Index: R8, Scale: 1, Disp: s.bytes() * j}); s.vecs == 0 {
				VMOVSS(s.acc(r, j).AsX(), to)
			} else {
				VMOVUPS(s.acc(r, j), to)
			}
		}
	}
}
