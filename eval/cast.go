package eval

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/drawknife/drawknife/tensor"
)

// castTo converts the elements of t to type d: floats are truncated on their
// way to integers, narrower integers wrap around, strings are parsed and
// printed.
func castTo(t *tensor.Tensor, d tensor.DType, saturate bool) (*tensor.Tensor, error) {
	switch {
	case t.DType == d:
		return t, nil
	case t.DType == tensor.String:
		return parse(t, d)
	case d == tensor.String:
		return format(t), nil
	case isFloat8(d):
		return toFloat8(t, d, saturate)
	}
	return t.Convert(d)
}

func parse(t *tensor.Tensor, d tensor.DType) (*tensor.Tensor, error) {
	if d.IsInt() {
		out := make([]int64, t.Len())
		for i, s := range tensor.Data[string](t) {
			v, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return ofInts(d, out, t.Shape)
	}
	out := make([]float64, t.Len())
	for i, s := range tensor.Data[string](t) {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return ofFloats(d, out, t.Shape)
}

func format(t *tensor.Tensor) *tensor.Tensor {
	out := make([]string, t.Len())
	for i := range out {
		switch {
		case t.DType == tensor.Bool:
			out[i] = strconv.Itoa(int(t.At(i)))
		case t.DType.IsInt():
			out[i] = strconv.FormatInt(integers(t)[i], 10)
		case t.DType == tensor.Float64:
			out[i] = strconv.FormatFloat(t.At(i), 'g', -1, 64)
		default:
			out[i] = strconv.FormatFloat(t.At(i), 'g', -1, 32)
		}
	}
	return tensor.Of(out, t.Shape...)
}

// float8 describes an 8-bit float: mantissa bits, exponent bias, the bits of
// the largest finite value and of NaN, and whether it has infinities.
type float8 struct {
	mantissa, bias int
	top, nan       uint8
	infinite       bool // exponent all ones: infinity and NaN
	unsignedZero   bool // no -0
}

var float8s = map[tensor.DType]float8{
	tensor.Float8E4M3FN:   {3, 7, 0x7e, 0x7f, false, false},
	tensor.Float8E4M3FNUZ: {3, 8, 0x7f, 0x80, false, true},
	tensor.Float8E5M2:     {2, 15, 0x7b, 0x7f, true, false},
	tensor.Float8E5M2FNUZ: {2, 16, 0x7f, 0x80, false, true},
}

func isFloat8(d tensor.DType) bool { _, ok := float8s[d]; return ok }

// toFloat8 rounds to nearest even. Beyond the range, values become the largest
// finite one if saturate is set, else infinity or NaN.
func toFloat8(t *tensor.Tensor, d tensor.DType, saturate bool) (*tensor.Tensor, error) {
	if t.DType.Bits() == 0 {
		return nil, fmt.Errorf("cannot convert %v to %v", t.DType, d)
	}
	f, out := float8s[d], make([]uint8, t.Len())
	for i := range out {
		out[i] = f.encode(t.At(i), saturate)
	}
	return tensor.Typed(d, out, t.Shape...), nil
}

func (f float8) encode(v float64, saturate bool) uint8 {
	if v != v {
		return f.nan
	}
	sign := uint8(0)
	if math.Signbit(v) {
		sign, v = 0x80, -v
	}
	bits := f.magnitude(v)
	if bits > int(f.top) {
		switch {
		case saturate:
			bits = int(f.top)
		case f.infinite:
			bits = int(f.top) + 1
		default:
			return f.nan | sign&f.nanSign()
		}
	}
	if bits == 0 && f.unsignedZero {
		return 0
	}
	return uint8(bits) | sign
}

// nanSign masks the sign of a NaN that overflow makes.
func (f float8) nanSign() uint8 {
	if f.unsignedZero {
		return 0
	}
	return 0x80
}

// magnitude is the bits of a non-negative v without regard to the range's top.
func (f float8) magnitude(v float64) int {
	if v == 0 {
		return 0
	}
	if math.IsInf(v, 1) {
		return 256
	}
	_, e := math.Frexp(v) // v = m·2^e, m in [0.5, 1)
	exp := max(e-1+f.bias, 1)
	units := math.RoundToEven(math.Ldexp(v, f.mantissa-(exp-f.bias)))
	// Subnormals and normals run on: the carry of rounding moves the exponent.
	bits := (float64(exp)-1)*float64(int(1)<<f.mantissa) + units
	return int(min(bits, 256))
}
