package main

import (
	"fmt"
	"strings"
)

// code is the encoding of a vector instruction with all registers 0, and the
// arrangements of its operands.
type code struct {
	bits uint32
	arr  string // of the destination and the operands, separated by spaces
}

// codes are the instructions on whole registers, by a name of our own: that of
// the instruction, with the arrangement of the result where there are several.
// (Arm Architecture Reference Manual, C7.2.)
var codes = map[string]code{
	"fadd": {0x4e20d400, "4s 4s 4s"}, "fsub": {0x4ea0d400, "4s 4s 4s"},
	"fmul": {0x6e20dc00, "4s 4s 4s"}, "fdiv": {0x6e20fc00, "4s 4s 4s"},
	"fmla": {0x4e20cc00, "4s 4s 4s"}, "fmls": {0x4ea0cc00, "4s 4s 4s"},
	"fmax": {0x4e20f400, "4s 4s 4s"}, "fmin": {0x4ea0f400, "4s 4s 4s"},
	"fmaxnm": {0x4e20c400, "4s 4s 4s"}, "fminnm": {0x4ea0c400, "4s 4s 4s"},
	"fcmeq": {0x4e20e400, "4s 4s 4s"}, "fcmge": {0x6e20e400, "4s 4s 4s"}, "fcmgt": {0x6ea0e400, "4s 4s 4s"},
	"faddp": {0x6e20d400, "4s 4s 4s"}, "fmaxp": {0x6e20f400, "4s 4s 4s"}, "fminp": {0x6ea0f400, "4s 4s 4s"},
	"fneg": {0x6ea0f800, "4s 4s"}, "fabs": {0x4ea0f800, "4s 4s"}, "fsqrt": {0x6ea1f800, "4s 4s"},
	"frintn": {0x4e218800, "4s 4s"}, "frintm": {0x4e219800, "4s 4s"}, "frintp": {0x4ea18800, "4s 4s"},
	"fcvtns": {0x4e21a800, "4s 4s"}, "scvtf": {0x4e21d800, "4s 4s"},

	"and": {0x4e201c00, "16b 16b 16b"}, "bic": {0x4e601c00, "16b 16b 16b"},
	"orr": {0x4ea01c00, "16b 16b 16b"}, "eor": {0x6e201c00, "16b 16b 16b"},
	"bsl": {0x6e601c00, "16b 16b 16b"}, "bit": {0x6ea01c00, "16b 16b 16b"},
	"mvn": {0x6e205800, "16b 16b"}, "cnt": {0x4e205800, "16b 16b"},

	"add.4s": {0x4ea08400, "4s 4s 4s"}, "sub.4s": {0x6ea08400, "4s 4s 4s"}, "addp.4s": {0x4ea0bc00, "4s 4s 4s"},
	"sub.16b": {0x6e208400, "16b 16b 16b"},
	"smax.4s": {0x4ea06400, "4s 4s 4s"}, "smin.4s": {0x4ea06c00, "4s 4s 4s"},
	"cmeq.4s":  {0x6ea08c00, "4s 4s 4s"},
	"umax.16b": {0x6e206400, "16b 16b 16b"}, "umin.16b": {0x6e206c00, "16b 16b 16b"},
	"sqadd.8h": {0x4e600c00, "8h 8h 8h"},
	"smull.8h": {0x0e20c000, "8h 8b 8b"}, "smull2.8h": {0x4e20c000, "8h 16b 16b"},
	"smlal.8h": {0x0e208000, "8h 8b 8b"}, "smlal2.8h": {0x4e208000, "8h 16b 16b"},
	"smlal.4s": {0x0e608000, "4s 4h 4h"}, "smlal2.4s": {0x4e608000, "4s 8h 8h"},
	"uaddw.4s": {0x2e601000, "4s 4s 4h"}, "uaddw2.4s": {0x6e601000, "4s 4s 8h"},
	"uaddw.8h": {0x2e201000, "8h 8h 8b"}, "uaddw2.8h": {0x6e201000, "8h 8h 16b"},
	"sadalp.4s": {0x4e606800, "4s 8h"}, "uadalp.4s": {0x6e606800, "4s 8h"}, "uadalp.8h": {0x6e206800, "8h 16b"},
	"uaddlp.4s": {0x6e602800, "4s 8h"},
	"uaddlp.8h": {0x6e202800, "8h 16b"},
	"sdot":      {0x4e809400, "4s 16b 16b"},

	"sqxtn.4h": {0x0e614800, "4h 4s"}, "sqxtn2.8h": {0x4e614800, "8h 4s"},
	"sqxtun.8b": {0x2e212800, "8b 8h"}, "sqxtun2.16b": {0x6e212800, "16b 8h"},
	"ushll.8h": {0x2f08a400, "8h 8b"}, "ushll2.8h": {0x6f08a400, "8h 16b"},
	"ushll.4s": {0x2f10a400, "4s 4h"}, "ushll2.4s": {0x6f10a400, "4s 8h"},
	"sshll.4s": {0x0f10a400, "4s 4h"}, "sshll2.4s": {0x4f10a400, "4s 8h"},

	"zip1.4s": {0x4e803800, "4s 4s 4s"}, "zip2.4s": {0x4e807800, "4s 4s 4s"},
	"zip1.2d": {0x4ec03800, "2d 2d 2d"}, "zip2.2d": {0x4ec07800, "2d 2d 2d"},
}

// mnemonic is the name of the manual.
func mnemonic(name string) string { n, _, _ := strings.Cut(name, "."); return n }

// v writes the instruction of that name: destination, then operands.
func (a *asm) v(name string, r ...v) {
	c, ok := codes[name]
	arr := strings.Fields(c.arr)
	if !ok || len(arr) != len(r) {
		panic(fmt.Sprintf("%s with %d operands", name, len(r)))
	}
	bits, list := c.bits, []string{}
	for i, shift := range []int{0, 5, 16}[:len(r)] {
		bits |= uint32(r[i]) << shift
		list = append(list, fmt.Sprintf("v%d.%s", int(r[i]), arr[i]))
	}
	name = mnemonic(name)
	if strings.Contains(name, "shll") { // widening is a shift by nothing
		list = append(list, "#0")
	}
	a.word(bits, "%s %s", name, strings.Join(list, ", "))
}

// mov copies a register.
func (a *asm) mov(d, n v) {
	a.word(0x4ea01c00|uint32(n)<<16|uint32(n)<<5|uint32(d), "mov v%d.16b, v%d.16b", int(d), int(n))
}

// element are the instructions that multiply by one lane of the last operand.
var elements = map[string]code{
	"fmla": {0x4f801000, "4s 4s s"}, "fmul": {0x4f809000, "4s 4s s"}, "fmls": {0x4f805000, "4s 4s s"},
	"sdot": {0x4f80e000, "4s 16b 4b"},
}

// lane writes name d, n, m[i].
func (a *asm) lane(name string, d, n, m v, i int) {
	c := elements[name]
	arr := strings.Fields(c.arr)
	a.word(c.bits|uint32(i&1)<<21|uint32(i>>1)<<11|uint32(m)<<16|uint32(n)<<5|uint32(d),
		"%s v%d.%s, v%d.%s, v%d.%s[%d]", name, int(d), arr[0], int(n), arr[1], int(m), arr[2], i)
}

// dup copies lane i of n to all lanes of d.
func (a *asm) dup(d, n v, i int) {
	a.word(0x4e040400|uint32(i)<<19|uint32(n)<<5|uint32(d), "dup v%d.4s, v%d.s[%d]", int(d), int(n), i)
}

// dupWord copies a general register to all lanes.
func (a *asm) dupWord(d v, r x) {
	a.word(0x4e040c00|uint32(r)<<5|uint32(d), "dup v%d.4s, w%d", int(d), int(r))
}

// dupHalf copies the low 16 bits of a general register to all 16-bit lanes.
func (a *asm) dupHalf(d v, r x) {
	a.word(0x4e020c00|uint32(r)<<5|uint32(d), "dup v%d.8h, w%d", int(d), int(r))
}

// dupByte copies the low byte of a general register to all bytes.
func (a *asm) dupByte(d v, r x) {
	a.word(0x4e010c00|uint32(r)<<5|uint32(d), "dup v%d.16b, w%d", int(d), int(r))
}

// bytes sets every byte of d.
func (a *asm) bytes(d v, b uint8) {
	a.word(0x4f00e400|uint32(b>>5)<<16|uint32(b&31)<<5|uint32(d), "movi v%d.16b, #%d", int(d), b)
}

// shift writes shl, sshr or ushr of 32-bit lanes.
func (a *asm) shift(name string, d, n v, by int) {
	bits := map[string]uint32{
		"shl": 0x4f005400 | uint32(32+by)<<16, "sshr": 0x4f000400 | uint32(64-by)<<16, "ushr": 0x6f000400 | uint32(64-by)<<16,
	}[name]
	a.word(bits|uint32(n)<<5|uint32(d), "%s v%d.4s, v%d.4s, #%d", name, int(d), int(n), by)
}

// spreadNext loads four bytes, copies them to all lanes and moves the base.
func (a *asm) spreadNext(base x, r v) {
	a.word(0x4ddfc800|uint32(base)<<5|uint32(r), "ld1r { v%d.4s }, [x%d], #4", int(r), int(base))
}

// spreadAt loads four bytes and copies them to all lanes.
func (a *asm) spreadAt(base x, r v) {
	a.word(0x4d40c800|uint32(base)<<5|uint32(r), "ld1r { v%d.4s }, [x%d]", int(r), int(base))
}

// unpairNext loads 32 bytes, even 16-bit values to r and odd ones to r+1, and
// moves the base.
func (a *asm) unpairNext(base x, r v) {
	a.word(0x4cdf8400|uint32(base)<<5|uint32(r), "ld2 { v%d.8h, v%d.8h }, [x%d], #32", int(r), int(r)+1, int(base))
}

// lookup writes tbl or tbx with a table of four registers.
func (a *asm) lookup(name string, d, table, m v) {
	bits := map[string]uint32{"tbl": 0x4e006000, "tbx": 0x4e007000}[name]
	a.word(bits|uint32(m)<<16|uint32(table)<<5|uint32(d), "%s v%d.16b, { v%d.16b, v%d.16b, v%d.16b, v%d.16b }, v%d.16b",
		name, int(d), int(table), int(table)+1, int(table)+2, int(table)+3, int(m))
}

// loadIndexed moves w bytes from base+index; a load of one float clears the
// rest of the register.
func (a *asm) loadIndexed(w width, base, index x, r v) {
	bits, name := uint32(0x3ce06800), "q"
	if w == one {
		bits, name = 0xbc606800, "s"
	}
	a.word(bits|uint32(index)<<16|uint32(base)<<5|uint32(r), "ldr %s%d, [x%d, x%d]", name, int(r), int(base), int(index))
}
