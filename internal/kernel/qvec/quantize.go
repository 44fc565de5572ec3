package qvec

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// Quantize writes clamp(roundHalfEven(x/scale) + zero) of each x to dst, which
// has at least the length of src. A NaN becomes zero.
func Quantize(dst []uint8, src []float32, scale float32, zero uint8) {
	dst = dst[:len(src)]
	n := quantizeSIMD(dst, src, scale, zero, 0)
	for i := n; i < len(src); i++ {
		dst[i] = quantizeOne(src[i], scale, zero)
	}
}

// QuantizeS8 is Quantize onto int8: q in [-128, 127].
func QuantizeS8(dst []int8, src []float32, scale float32, zero int8) {
	dst = dst[:len(src)]
	z := uint8(zero) ^ 0x80
	n := quantizeSIMD(asUint8(dst), src, scale, z, 0x80)
	for i := n; i < len(src); i++ {
		dst[i] = int8(quantizeOne(src[i], scale, z) ^ 0x80)
	}
}

func quantizeOne(x, scale float32, zero uint8) uint8 {
	v := x / scale
	if v != v {
		v = 0
	}
	return Round(v, zero, 0, 255)
}

// QuantizeChannels is Quantize for channels-last data with a scale and a zero
// for each channel: len(src) is a multiple of len(scale).
func QuantizeChannels(dst []uint8, src []float32, scale []float32, zero []uint8) {
	c := len(scale)
	zero = zero[:c]
	for base := 0; base+c <= len(src); base += c {
		d, s := dst[base:base+c], src[base:base+c]
		for i, x := range s {
			d[i] = quantizeOne(x, scale[i], zero[i])
		}
	}
}

// Dequantize writes (q-zero)*scale of each q to dst, which has at least the
// length of src.
func Dequantize(dst []float32, src []uint8, scale float32, zero uint8) {
	dst = dst[:len(src)]
	n := dequantizeSIMD(dst, src, scale, zero, 0)
	for i := n; i < len(src); i++ {
		dst[i] = float32(int32(src[i])-int32(zero)) * scale
	}
}

// DequantizeS8 is Dequantize of int8 values.
func DequantizeS8(dst []float32, src []int8, scale float32, zero int8) {
	dst = dst[:len(src)]
	n := dequantizeSIMD(dst, asUint8(src), scale, uint8(zero)^0x80, 0x80)
	for i := n; i < len(src); i++ {
		dst[i] = float32(int32(src[i])-int32(zero)) * scale
	}
}

// DequantizeChannels is Dequantize for channels-last data with a scale and a
// zero for each channel: len(src) is a multiple of len(scale).
func DequantizeChannels(dst []float32, src []uint8, scale []float32, zero []uint8) {
	c := len(scale)
	zero = zero[:c]
	for base := 0; base+c <= len(src); base += c {
		d, s := dst[base:base+c], src[base:base+c]
		for i, q := range s {
			d[i] = float32(int32(q)-int32(zero[i])) * scale[i]
		}
	}
}

// MinMax returns the least and the greatest value of x; NaNs are skipped.
// Without any number it returns +Inf, -Inf.
func MinMax(x []float32) (lo, hi float32) {
	lo, hi, n := minMaxSIMD(x)
	for _, v := range x[n:] {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi
}

var inf = float32(math.Inf(1))

// Flip writes src with the top bit of each byte inverted: uint8 to the int8
// 128 below, and back. dst may be src.
func Flip(dst, src []uint8) {
	dst = dst[:len(src)]
	const tops = 0x8080808080808080
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^tops)
		dst, src = dst[8:], src[8:]
	}
	for i, v := range src {
		dst[i] = v ^ 0x80
	}
}

// asUint8 views int8 values as the bytes they are.
func asUint8(s []int8) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}
