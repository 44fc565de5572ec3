// Package tensor holds dense arrays: a shape, an element type and flat data in
// row-major order. It does no arithmetic beyond views and conversion.
package tensor

import (
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// Elem lists the Go types that hold tensor elements. Float16, BFloat16 and the
// 8-bit floats are held as raw bits in uint16 and uint8; 4-bit and 2-bit
// integers are packed in uint8, low bits first, as in ONNX.
type Elem interface {
	float32 | float64 | int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64 | bool | string
}

// Tensor is a dense row-major array. A scalar has an empty shape and one element.
type Tensor struct {
	DType DType
	Shape []int
	data  any // a slice of the Elem type that holds DType
}

// MaxElements bounds the number of elements of a tensor: hostile files must not
// make us allocate without end.
const MaxElements = 1 << 36

// NumElements multiplies the dimensions of shape; ok is false if one of them is
// negative or the product exceeds MaxElements.
func NumElements(shape []int) (n int, ok bool) {
	n = 1
	zero := false
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if d == 0 {
			zero = true
			continue
		}
		if n > MaxElements/d {
			return 0, false
		}
		n *= d
	}
	if zero {
		return 0, true
	}
	return n, true
}

// StorageLen is the number of Go elements that hold n elements of type d.
func StorageLen(d DType, n int) int {
	if b := d.Bits(); b > 0 && b < 8 {
		per := 8 / b
		return (n + per - 1) / per
	}
	return n
}

// New returns a tensor of zeros. It panics if the shape is not valid.
func New(d DType, shape ...int) *Tensor {
	n, ok := NumElements(shape)
	if !ok {
		panic(fmt.Sprintf("tensor: invalid shape %v", shape))
	}
	n = StorageLen(d, n)
	t := &Tensor{DType: d, Shape: slices.Clone(shape)}
	switch d {
	case Float32:
		t.data = make([]float32, n)
	case Float64:
		t.data = make([]float64, n)
	case Int8:
		t.data = make([]int8, n)
	case Uint8, Uint4, Int4, Uint2, Int2, Float4E2M1, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float8E8M0:
		t.data = make([]uint8, n)
	case Int16:
		t.data = make([]int16, n)
	case Uint16, Float16, BFloat16:
		t.data = make([]uint16, n)
	case Int32:
		t.data = make([]int32, n)
	case Uint32:
		t.data = make([]uint32, n)
	case Int64:
		t.data = make([]int64, n)
	case Uint64:
		t.data = make([]uint64, n)
	case Bool:
		t.data = make([]bool, n)
	case String:
		t.data = make([]string, n)
	default:
		panic("tensor: no storage for " + d.String())
	}
	return t
}

// Of wraps data without copying it; the element type is the natural one of T.
// It panics if the length does not fit the shape.
func Of[T Elem](data []T, shape ...int) *Tensor {
	return Typed(natural[T](), data, shape...)
}

// Typed is Of for element types that share a Go type (Float16, Int4, …).
func Typed[T Elem](d DType, data []T, shape ...int) *Tensor {
	n, ok := NumElements(shape)
	if !ok || StorageLen(d, n) != len(data) {
		panic(fmt.Sprintf("tensor: %d elements do not fill shape %v of %v", len(data), shape, d))
	}
	return &Tensor{DType: d, Shape: slices.Clone(shape), data: data}
}

// Scalar returns a tensor of rank 0.
func Scalar[T Elem](v T) *Tensor { return Of([]T{v}) }

func natural[T Elem]() DType {
	var v T
	switch any(v).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case int8:
		return Int8
	case uint8:
		return Uint8
	case int16:
		return Int16
	case uint16:
		return Uint16
	case int32:
		return Int32
	case uint32:
		return Uint32
	case int64:
		return Int64
	case uint64:
		return Uint64
	case bool:
		return Bool
	default:
		return String
	}
}

// Data returns the elements themselves, not a copy. It panics if T is not the
// Go type that holds t's elements.
func Data[T Elem](t *Tensor) []T {
	s, ok := t.data.([]T)
	if !ok {
		panic(fmt.Sprintf("tensor: %T holds %v, not %T", t.data, t.DType, s))
	}
	return s
}

// Any returns the slice that holds the elements.
func (t *Tensor) Any() any { return t.data }

// Len is the number of elements.
func (t *Tensor) Len() int {
	n, _ := NumElements(t.Shape)
	return n
}

// NBytes is the size of the elements in bytes (strings count as 0).
func (t *Tensor) NBytes() int { return (t.Len()*t.DType.Bits() + 7) / 8 }

// Rank is the number of dimensions.
func (t *Tensor) Rank() int { return len(t.Shape) }

// Clone returns a deep copy.
func (t *Tensor) Clone() *Tensor {
	c := New(t.DType, t.Shape...)
	switch s := t.data.(type) {
	case []string:
		copy(c.data.([]string), s)
	default:
		copy(c.Bytes(), t.Bytes())
	}
	return c
}

// Reshape returns a view with another shape of the same number of elements.
func (t *Tensor) Reshape(shape ...int) (*Tensor, error) {
	if n, ok := NumElements(shape); !ok || n != t.Len() {
		return nil, fmt.Errorf("tensor: cannot reshape %v to %v", t.Shape, shape)
	}
	return &Tensor{DType: t.DType, Shape: slices.Clone(shape), data: t.data}, nil
}

// Bytes views the elements as little-endian bytes (the host's order; every
// supported platform is little-endian). It is nil for strings.
func (t *Tensor) Bytes() []byte {
	switch s := t.data.(type) {
	case []float32:
		return rawBytes(s)
	case []float64:
		return rawBytes(s)
	case []int8:
		return rawBytes(s)
	case []uint8:
		return s
	case []int16:
		return rawBytes(s)
	case []uint16:
		return rawBytes(s)
	case []int32:
		return rawBytes(s)
	case []uint32:
		return rawBytes(s)
	case []int64:
		return rawBytes(s)
	case []uint64:
		return rawBytes(s)
	case []bool:
		return rawBytes(s)
	}
	return nil
}

func rawBytes[T any](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}

// FromBytes makes a tensor over little-endian bytes. The bytes are used in
// place where their address is aligned for the element type (so that a large
// file is not copied twice), copied otherwise.
func FromBytes(d DType, b []byte, shape ...int) (*Tensor, error) {
	n, ok := NumElements(shape)
	if !ok {
		return nil, fmt.Errorf("tensor: invalid shape %v", shape)
	}
	if d.Bits() == 0 || !d.Known() {
		return nil, fmt.Errorf("tensor: no raw form of %v", d)
	}
	if want := (n*d.Bits() + 7) / 8; want != len(b) {
		return nil, fmt.Errorf("tensor: %d bytes for %v of shape %v, want %d", len(b), d, shape, want)
	}
	if d == Complex64 || d == Complex128 {
		return nil, fmt.Errorf("tensor: %v is not supported", d)
	}
	t := &Tensor{DType: d, Shape: slices.Clone(shape)}
	switch d {
	case Float32:
		t.data = view[float32](b)
	case Float64:
		t.data = view[float64](b)
	case Int8:
		t.data = view[int8](b)
	case Int16:
		t.data = view[int16](b)
	case Uint16, Float16, BFloat16:
		t.data = view[uint16](b)
	case Int32:
		t.data = view[int32](b)
	case Uint32:
		t.data = view[uint32](b)
	case Int64:
		t.data = view[int64](b)
	case Uint64:
		t.data = view[uint64](b)
	case Bool:
		s := make([]bool, len(b)) // any byte but 0 is true; Go's bool must be 0 or 1
		for i, v := range b {
			s[i] = v != 0
		}
		t.data = s
	default:
		t.data = b
	}
	return t, nil
}

func view[T any](b []byte) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if len(b) == 0 {
		return []T{}
	}
	p := unsafe.Pointer(&b[0])
	if uintptr(p)%uintptr(unsafe.Alignof(zero)) == 0 {
		return unsafe.Slice((*T)(p), len(b)/size)
	}
	s := make([]T, len(b)/size)
	copy(rawBytes(s), b)
	return s
}

// Equal reports whether two tensors have the same type, shape and bits.
func (t *Tensor) Equal(u *Tensor) bool {
	if t.DType != u.DType || !slices.Equal(t.Shape, u.Shape) {
		return false
	}
	if s, ok := t.data.([]string); ok {
		return slices.Equal(s, u.data.([]string))
	}
	return string(t.Bytes()) == string(u.Bytes())
}

func (t *Tensor) String() string { return fmt.Sprintf("%v%v", t.DType, t.Shape) }

// HasNaN reports whether a float tensor holds a NaN or an infinity.
func (t *Tensor) HasNaN() bool {
	if !t.DType.IsFloat() {
		return false
	}
	if s, ok := t.data.([]float64); ok {
		return slices.ContainsFunc(s, func(v float64) bool { return v-v != 0 })
	}
	return slices.ContainsFunc(t.Float32s(), func(v float32) bool { return v-v != 0 })
}

// Float32s returns the elements as float32: t's own slice if it is Float32,
// a converted copy otherwise. Strings give zeros.
func (t *Tensor) Float32s() []float32 {
	if s, ok := t.data.([]float32); ok {
		return s
	}
	out := make([]float32, t.Len())
	for i := range out {
		out[i] = float32(t.At(i))
	}
	return out
}

// Int64s returns the elements as int64: t's own slice if it is Int64, a
// converted copy otherwise. Floats are truncated.
func (t *Tensor) Int64s() []int64 {
	if s, ok := t.data.([]int64); ok {
		return s
	}
	out := make([]int64, t.Len())
	for i := range out {
		if s, ok := t.data.([]uint64); ok {
			out[i] = int64(s[i])
			continue
		}
		out[i] = int64(t.At(i))
	}
	return out
}

// Ints is Int64s as int.
func (t *Tensor) Ints() []int {
	s := t.Int64s()
	out := make([]int, len(s))
	for i, v := range s {
		out[i] = int(v)
	}
	return out
}

// At returns element i as float64 (exact for all types but 64-bit integers
// beyond 2^53); 0 for strings.
func (t *Tensor) At(i int) float64 {
	switch s := t.data.(type) {
	case []float32:
		return float64(s[i])
	case []float64:
		return s[i]
	case []int8:
		return float64(s[i])
	case []int16:
		return float64(s[i])
	case []int32:
		return float64(s[i])
	case []uint32:
		return float64(s[i])
	case []int64:
		return float64(s[i])
	case []uint64:
		return float64(s[i])
	case []bool:
		if s[i] {
			return 1
		}
	case []uint16:
		switch t.DType {
		case Float16:
			return float64(Float16ToFloat32(s[i]))
		case BFloat16:
			return float64(math.Float32frombits(uint32(s[i]) << 16))
		}
		return float64(s[i])
	case []uint8:
		switch t.DType {
		case Uint8:
			return float64(s[i])
		case Uint4:
			return float64(s[i/2] >> (4 * (i % 2)) & 15)
		case Int4:
			return float64(int8(s[i/2]>>(4*(i%2))<<4) >> 4)
		case Uint2:
			return float64(s[i/4] >> (2 * (i % 4)) & 3)
		case Int2:
			return float64(int8(s[i/4]>>(2*(i%4))<<6) >> 6)
		default:
			return float64(smallFloat(t.DType, s, i))
		}
	}
	return 0
}
