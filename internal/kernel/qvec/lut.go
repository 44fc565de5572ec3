package qvec

// LUT writes table[q] for each q of src to dst, which may be src.
func LUT(dst, src []uint8, table *[256]uint8) {
	dst = dst[:len(src)]
	for i := lutSIMD(dst, src, table); i < len(src); i++ {
		dst[i] = table[src[i]]
	}
}

// Table returns the table of a unary function of quantized values: f applied
// to the dequantized input, quantized again as Quantize does.
func Table(scaleX float32, zeroX uint8, scaleY float32, zeroY uint8, f func(float32) float32) *[256]uint8 {
	t := new([256]uint8)
	for q := range t {
		x := float32(int32(q)-int32(zeroX)) * scaleX
		t[q] = quantizeOne(f(x), scaleY, zeroY)
	}
	return t
}

// RequantParams describes a change of scale and zero point from X to Y.
type RequantParams struct {
	ScaleX, ScaleY float32
	ZeroX, ZeroY   uint8
}

// Table returns the change of scale as a table:
//
//	v = (float32(q-ZeroX)*ScaleX) / ScaleY
//
// with the product and the quotient rounded to float32.
func (p RequantParams) Table() *[256]uint8 {
	return Table(p.ScaleX, p.ZeroX, p.ScaleY, p.ZeroY, func(x float32) float32 { return x })
}

// Requantize changes the scale and zero point of src; see RequantParams.Table.
// A caller that runs often keeps the table and calls LUT or LUTRows.
func Requantize(dst, src []uint8, p RequantParams) { LUT(dst, src, p.Table()) }

// LUTRows is LUT on rows of c values, the strides of consecutive rows being
// dstStride and srcStride: a branch of a concatenation along channels.
func LUTRows(dst []uint8, dstStride int, src []uint8, srcStride, rows, c int, table *[256]uint8) {
	if dstStride == c && srcStride == c {
		LUT(dst[:rows*c], src[:rows*c], table)
		return
	}
	for r := range rows {
		LUT(dst[r*dstStride:r*dstStride+c], src[r*srcStride:r*srcStride+c], table)
	}
}
