package vec

import (
	"fmt"
	"math"
)

// Op names a function of two variables.
type Op uint8

// The functions. Min and Max give a NaN if either argument is one.
const (
	Add Op = iota
	Sub
	Mul
	Div
	Min
	Max
	Pow
	PRelu   // a, or a*b where a is below zero
	Fmod    // the remainder with the sign of a, as C's fmod
	SquDiff // (a-b)*(a-b)
	numOps
)

var opNames = [numOps]string{"Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "PRelu", "Fmod", "SquDiff"}

// String is the name of op.
func (op Op) String() string {
	if op < numOps {
		return opNames[op]
	}
	return fmt.Sprintf("Op(%d)", uint8(op))
}

var opFuncs = [numOps]func(a, b float32) float32{
	Add: func(a, b float32) float32 { return a + b },
	Sub: func(a, b float32) float32 { return a - b },
	Mul: func(a, b float32) float32 { return a * b },
	Div: func(a, b float32) float32 { return a / b },
	Min: func(a, b float32) float32 { return pick(a < b || a != a, a, b) },
	Max: max2,
	Pow: func(a, b float32) float32 { return float32(math.Pow(float64(a), float64(b))) },
	PRelu: func(a, b float32) float32 {
		return pick(a < 0, a*b, a)
	},
	Fmod:    func(a, b float32) float32 { return float32(math.Mod(float64(a), float64(b))) },
	SquDiff: func(a, b float32) float32 { return (a - b) * (a - b) },
}

func max2(a, b float32) float32 { return pick(a > b || a != a, a, b) }

// Binary computes dst = a op b.
func Binary(op Op, dst, a, b []float32) {
	n := len(dst)
	a, b = a[:n], b[:n]
	if n == 0 || binarySIMD(op, dst, a, b) {
		return
	}
	binaryGo(op, dst, a, b)
}

func binaryGo(op Op, dst, a, b []float32) {
	switch op {
	case Add:
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
	case Mul:
		for i := range dst {
			dst[i] = a[i] * b[i]
		}
	default:
		f := opFuncs[op]
		for i := range dst {
			dst[i] = f(a[i], b[i])
		}
	}
}

// BinaryScalar computes dst = a op b, or b op a with swap.
func BinaryScalar(op Op, dst, a []float32, b float32, swap bool) {
	a = a[:len(dst)]
	if op == Pow && !swap && powScalar(dst, a, b) {
		return
	}
	if len(dst) == 0 || binaryScalarSIMD(op, dst, a, b, swap) {
		return
	}
	binaryScalarGo(op, dst, a, b, swap)
}

func binaryScalarGo(op Op, dst, a []float32, b float32, swap bool) {
	f := opFuncs[op]
	for i, x := range a {
		if swap {
			dst[i] = f(b, x)
		} else {
			dst[i] = f(x, b)
		}
	}
}

// powScalar computes the powers that are cheaper by other means.
func powScalar(dst, a []float32, b float32) bool {
	switch b {
	case 1:
		copy(dst, a)
	case 2:
		Binary(Mul, dst, a, a)
	case -1:
		BinaryScalar(Div, dst, a, 1, true)
	default:
		return false
	}
	return true
}

// rowTile is the size of the tile of repeated short rows, in elements.
const rowTile = 512

// shortRow is the row length below which rows are tiled.
const shortRow = 128

// tileRow repeats row in buf as often as it fits, but not more than rows
// times, and returns the filled part.
func tileRow(buf *[rowTile]float32, row []float32, rows int) []float32 {
	n := min(rows, rowTile/len(row)) * len(row)
	for i := 0; i < n; i += len(row) {
		copy(buf[i:], row)
	}
	return buf[:n]
}

// BinaryRow computes dst = a op row (row op a with swap) for each of the rows
// of a, whose length is that of row: broadcasting along channels-last pixels.
func BinaryRow(op Op, dst, a, row []float32, swap bool) {
	if len(row) == 0 || len(dst) == 0 {
		return
	}
	if len(row) == 1 {
		BinaryScalar(op, dst, a, row[0], swap)
		return
	}
	var buf [rowTile]float32
	if len(row) < shortRow {
		row = tileRow(&buf, row, len(dst)/len(row))
	}
	for i := 0; i < len(dst); i += len(row) {
		n := min(len(row), len(dst)-i)
		if swap {
			Binary(op, dst[i:i+n], row[:n], a[i:i+n])
		} else {
			Binary(op, dst[i:i+n], a[i:i+n], row[:n])
		}
	}
}

// AddClamp computes dst = min(max(a+b, lo), hi): a residual sum and the
// activation that follows it. Infinite bounds clamp nothing.
func AddClamp(dst, a, b []float32, lo, hi float32) {
	n := len(dst)
	a, b = a[:n], b[:n]
	if n == 0 || addClampSIMD(dst, a, b, lo, hi) {
		return
	}
	for i := range dst {
		dst[i] = clip(a[i]+b[i], lo, hi)
	}
}

// ScaleShift computes y = x*scale[c] + shift[c] for each row of len(scale)
// elements, rounded once.
func ScaleShift(dst, src, scale, shift []float32) {
	inf := float32(math.Inf(1))
	ScaleShiftClamp(dst, src, scale, shift, -inf, inf)
}

// ScaleShiftClamp is ScaleShift followed by min(max(y, lo), hi).
func ScaleShiftClamp(dst, src, scale, shift []float32, lo, hi float32) {
	c := len(scale)
	if c == 0 || len(dst) == 0 {
		return
	}
	src, shift = src[:len(dst)], shift[:c]
	if rows := (len(dst) + c - 1) / c; rows > 1 && c < shortRow {
		tiledScaleShift(dst, src, scale, shift, lo, hi, rows)
		return
	}
	scaleShiftRows(dst, src, scale, shift, lo, hi)
}

func scaleShiftRows(dst, src, scale, shift []float32, lo, hi float32) {
	for i := 0; i < len(dst); i += len(scale) {
		n := min(len(scale), len(dst)-i)
		mulAddClamp(dst[i:i+n], src[i:i+n], scale[:n], shift[:n], lo, hi)
	}
}

// tiledScaleShift is scaleShiftRows for short rows. The tiles are its own, so
// that a single row does not pay for clearing them.
//
//go:noinline
func tiledScaleShift(dst, src, scale, shift []float32, lo, hi float32, rows int) {
	var bufA, bufB [rowTile]float32
	scaleShiftRows(dst, src, tileRow(&bufA, scale, rows), tileRow(&bufB, shift, rows), lo, hi)
}

// mulAddClamp computes dst = min(max(x*s+b, lo), hi).
func mulAddClamp(dst, x, s, b []float32, lo, hi float32) {
	if mulAddClampSIMD(dst, x, s, b, lo, hi) {
		return
	}
	for i := range dst {
		dst[i] = clip(fma(x[i], s[i], b[i]), lo, hi)
	}
}

// RowAffine computes dst = x*a[c] + y*b[c] + shift[c] for each row of len(a)
// elements, each product and sum rounded once: the input gradient of a batch
// normalisation, with x the output gradient and y the input.
func RowAffine(dst, x, y, a, b, shift []float32) {
	c := len(a)
	if c == 0 || len(dst) == 0 {
		return
	}
	x, y, b, shift = x[:len(dst)], y[:len(dst)], b[:c], shift[:c]
	var bufA, bufB, bufC [rowTile]float32
	if c < shortRow {
		rows := (len(dst) + c - 1) / c
		a, b, shift = tileRow(&bufA, a, rows), tileRow(&bufB, b, rows), tileRow(&bufC, shift, rows)
	}
	for i := 0; i < len(dst); i += len(a) {
		n := min(len(a), len(dst)-i)
		affine2(dst[i:i+n], x[i:i+n], y[i:i+n], a[:n], b[:n], shift[:n])
	}
}

// affine2 computes dst = x*a + y*b + c.
func affine2(dst, x, y, a, b, c []float32) {
	if affine2SIMD(dst, x, y, a, b, c) {
		return
	}
	for i := range dst {
		dst[i] = fma(x[i], a[i], fma(y[i], b[i], c[i]))
	}
}

// Axpy computes y += alpha*x, rounded once.
func Axpy(alpha float32, x, y []float32) {
	x = x[:len(y)]
	if len(y) == 0 || axpySIMD(alpha, x, y) {
		return
	}
	for i := range y {
		y[i] = fma(alpha, x[i], y[i])
	}
}

// Lerp computes dst = dst*beta + alpha*x (the product by alpha and the sum
// rounded once): running averages.
func Lerp(dst []float32, beta, alpha float32, x []float32) {
	x = x[:len(dst)]
	if len(dst) == 0 || lerpSIMD(dst, beta, alpha, x) {
		return
	}
	for i := range dst {
		dst[i] = fma(alpha, x[i], float32(dst[i]*beta))
	}
}

// Scale computes dst = alpha*src.
func Scale(alpha float32, dst, src []float32) { BinaryScalar(Mul, dst, src, alpha, false) }

// Fill sets every element of dst.
func Fill(dst []float32, v float32) {
	for i := range dst {
		dst[i] = v
	}
}
