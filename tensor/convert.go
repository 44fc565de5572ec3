package tensor

import (
	"fmt"
	"math"
)

// Float16ToFloat32 widens IEEE binary16 bits.
func Float16ToFloat32(h uint16) float32 {
	sign, exp, man := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch {
	case exp == 31:
		return math.Float32frombits(sign | 255<<23 | man<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
	}
	v := float32(man) / (1 << 24)
	if sign != 0 {
		return -v
	}
	return v
}

// Float32ToFloat16 rounds to IEEE binary16, ties to even.
func Float32ToFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	exp, man := int(b>>23&255), b&(1<<23-1)
	switch {
	case exp == 255:
		if man != 0 {
			return sign | 0x7e00
		}
		return sign | 0x7c00
	case exp < 113-11: // below half the smallest subnormal
		return sign
	case exp < 113: // subnormal
		man |= 1 << 23
		shift := uint(126 - exp)
		return sign + uint16(roundShift(man, shift))
	}
	v := uint32(exp-112)<<23 | man
	h := roundShift(v, 13)
	if h >= 0x7c00 {
		return sign | 0x7c00
	}
	return sign | uint16(h)
}

// roundShift is v >> n rounded to nearest, ties to even.
func roundShift(v uint32, n uint) uint32 {
	q, rest, half := v>>n, v&(1<<n-1), uint32(1)<<(n-1)
	if rest > half || rest == half && q&1 == 1 {
		q++
	}
	return q
}

// Float32ToBFloat16 rounds to bfloat16, ties to even.
func Float32ToBFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// smallFloat decodes the 8- and 4-bit floats.
func smallFloat(d DType, s []uint8, i int) float32 {
	scale := func(b uint8, expBits, manBits, bias int) float64 {
		exp, man := int(b>>manBits)&(1<<expBits-1), float64(b&(1<<manBits-1))/float64(int(1)<<manBits)
		v := math.Ldexp(1+man, exp-bias)
		if exp == 0 {
			v = math.Ldexp(man, 1-bias)
		}
		if b>>(expBits+manBits)&1 == 1 {
			v = -v
		}
		return v
	}
	nan := float32(math.NaN())
	switch b := s[min(i, len(s)-1)]; d {
	case Float8E4M3FN:
		if b&0x7f == 0x7f {
			return nan
		}
		return float32(scale(b, 4, 3, 7))
	case Float8E4M3FNUZ:
		if b == 0x80 {
			return nan
		}
		return float32(scale(b, 4, 3, 8))
	case Float8E5M2:
		if b&0x7c == 0x7c {
			if b&3 != 0 {
				return nan
			}
			return float32(math.Inf(1 - int(b>>7)*2))
		}
		return float32(scale(b, 5, 2, 15))
	case Float8E5M2FNUZ:
		if b == 0x80 {
			return nan
		}
		return float32(scale(b, 5, 2, 16))
	case Float8E8M0:
		if b == 255 {
			return nan
		}
		return float32(math.Ldexp(1, int(b)-127))
	}
	return float32(scale(s[i/2]>>(4*(i%2))&15, 2, 1, 1)) // Float4E2M1
}

// Convert returns t as type d: t itself if it has that type already, a copy
// otherwise. Floats are truncated towards zero and saturated on their way to
// integers (4- and 2-bit ones included), rounded to nearest even on their way
// to narrower floats; NaN becomes 0 as an integer. The 8-bit and 4-bit floats
// can be read, not written.
func (t *Tensor) Convert(d DType) (*Tensor, error) {
	if t.DType == d {
		return t, nil
	}
	writable := d == Float32 || d == Float64 || d == Float16 || d == BFloat16 || d == Bool || d.IsInt()
	if !writable || t.DType == String || t.DType.Bits() == 0 {
		return nil, fmt.Errorf("tensor: cannot convert %v to %v", t.DType, d)
	}
	n := t.Len()
	switch d {
	case Float32:
		return Of(t.Float32s(), t.Shape...), nil
	case Int64:
		out := New(d, t.Shape...)
		o := Data[int64](out)
		if t.DType.IsFloat() {
			fill(o, t, math.MinInt64, math.MaxInt64)
		} else {
			copy(o, t.Int64s())
		}
		return out, nil
	}
	out := New(d, t.Shape...)
	switch o := out.data.(type) {
	case []float64:
		for i := range n {
			o[i] = t.At(i)
		}
	case []int8:
		fill(o, t, math.MinInt8, math.MaxInt8)
	case []int16:
		fill(o, t, math.MinInt16, math.MaxInt16)
	case []int32:
		fill(o, t, math.MinInt32, math.MaxInt32)
	case []uint32:
		fill(o, t, 0, math.MaxUint32)
	case []uint64:
		fill(o, t, 0, math.MaxUint64)
	case []bool:
		for i := range n {
			o[i] = t.At(i) != 0
		}
	case []uint16:
		switch d {
		case Float16:
			for i := range n {
				o[i] = Float32ToFloat16(float32(t.At(i)))
			}
		case BFloat16:
			for i := range n {
				o[i] = Float32ToBFloat16(float32(t.At(i)))
			}
		default:
			fill(o, t, 0, math.MaxUint16)
		}
	case []uint8:
		bits := d.Bits()
		switch d {
		case Uint8:
			fill(o, t, 0, 255)
		case Int4, Int2, Uint4, Uint2:
			lo, hi := 0.0, float64(int(1)<<bits-1)
			if d.Signed() {
				lo, hi = -float64(int(1)<<(bits-1)), float64(int(1)<<(bits-1)-1)
			}
			per := 8 / bits
			for i := range n {
				v := uint8(int8(clamp(t.At(i), lo, hi))) & (1<<bits - 1)
				o[i/per] |= v << (bits * (i % per))
			}
		default:
			return nil, fmt.Errorf("tensor: cannot write %v", d)
		}
	}
	return out, nil
}

func clamp(v, lo, hi float64) float64 {
	switch {
	case v != v:
		return 0
	case v < lo:
		return lo
	case v > hi:
		return hi
	}
	return v
}

func fill[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](o []T, t *Tensor, lo, hi float64) {
	if !t.DType.IsFloat() { // integers wrap around, as in C
		for i, v := range t.Int64s() {
			o[i] = T(v)
		}
		return
	}
	for i := range o {
		v := t.At(i)
		switch {
		case v != v:
			o[i] = 0
		case v <= lo:
			o[i] = T(int64(lo))
		case v >= hi: // hi itself may not be exact as a float
			o[i] = maxOf[T]()
		default:
			if lo == 0 {
				o[i] = T(uint64(v))
			} else {
				o[i] = T(int64(v))
			}
		}
	}
}

func maxOf[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64]() T {
	all := ^T(0)
	if all > 0 {
		return all
	}
	// Signed: all ones but the sign bit.
	m := T(1)
	for m<<1 > 0 {
		m = m<<1 | 1
	}
	return m
}
