package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// zmm returns the i-th 512-bit register.
func zmm(i int) VecPhysical {
	return [...]VecPhysical{Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
		Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31}[i]
}

// ymm returns the i-th 256-bit register.
func ymm(i int) VecPhysical {
	return [...]VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}[i]
}

// xmm returns the i-th 128-bit register.
func xmm(i int) VecPhysical {
	return [...]VecPhysical{X0, X1, X2, X3, X4, X5, X6, X7, X8, X9, X10, X11, X12, X13, X14, X15}[i]
}

// unrolled emits a loop of k steps, by blocks of n and then one by one. It
// destroys k, which may be zero but not negative.
func unrolled(name string, k Register, n int, body func(n int)) {
	SUBQ(U32(uint32(n)), k)
	JLT(LabelRef(name + "_tail"))
	Label(name + "_loop")
	body(n)
	SUBQ(U32(uint32(n)), k)
	JGE(LabelRef(name + "_loop"))
	Label(name + "_tail")
	ADDQ(U32(uint32(n)), k)
	JEQ(LabelRef(name + "_done"))
	Label(name + "_one")
	body(1)
	DECQ(k)
	JNE(LabelRef(name + "_one"))
	Label(name + "_done")
}
