package onnx

import (
	"errors"
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

// errNoHolder marks tensors that package tensor cannot hold (complex numbers,
// types newer than this program). They are kept as bytes.
var errNoHolder = errors.New("element type is not supported")

// holds reports whether package tensor can hold elements of type d.
func holds(d tensor.DType) bool {
	return d.Known() && d != tensor.Complex64 && d != tensor.Complex128
}

// tensor turns a message into a tensor. Raw bytes are viewed in place where
// they are aligned.
func (im *importer) tensor(p *tensorProto) (*tensor.Tensor, error) {
	t, err := im.elements(p)
	if err != nil && p.name != "" {
		err = fmt.Errorf("tensor %q: %w", p.name, err)
	}
	return t, err
}

func (im *importer) elements(p *tensorProto) (*tensor.Tensor, error) {
	d := p.dtype()
	if !holds(d) {
		return nil, fmt.Errorf("%w: %v", errNoHolder, d)
	}
	shape, n, err := dims(p.dims)
	if err != nil {
		return nil, err
	}
	switch {
	case p.location == 1:
		if d == tensor.String {
			return nil, errors.New("strings cannot be stored outside the model")
		}
		b, err := im.external(p, (n*d.Bits()+7)/8)
		if err != nil {
			return nil, err
		}
		return tensor.FromBytes(d, b, shape...)
	case p.location != 0:
		return nil, fmt.Errorf("unknown data_location %d", p.location)
	case d == tensor.String:
		if len(p.strings) != n {
			return nil, fmt.Errorf("%d strings do not fill shape %v", len(p.strings), shape)
		}
		return tensor.Of(p.strings, shape...), nil
	case p.hasRaw && (len(p.raw) > 0 || n == 0):
		p.raw = im.align(p.raw, d) // where it stays if p is read again
		return tensor.FromBytes(d, p.raw, shape...)
	}
	return p.fromTyped(d, n, shape)
}

// dims checks a list of dimensions.
func dims(list []int64) (shape []int, n int, err error) {
	shape = make([]int, len(list))
	for i, v := range list {
		if v < 0 || v > tensor.MaxElements {
			return nil, 0, fmt.Errorf("invalid dimensions %v", clip(list))
		}
		shape[i] = int(v)
	}
	n, ok := tensor.NumElements(shape)
	if !ok {
		return nil, 0, fmt.Errorf("dimensions %v are too large", clip(list))
	}
	return shape, n, nil
}

// clip shortens a list for an error message.
func clip[T any](list []T) []T { return list[:min(len(list), 16)] }

// fromTyped reads the typed fields, of which each element type has one.
func (p *tensorProto) fromTyped(d tensor.DType, n int, shape []int) (*tensor.Tensor, error) {
	switch d {
	case tensor.Float32:
		return fromPacked(d, p.floats, shape)
	case tensor.Float64:
		return fromPacked(d, p.doubles, shape)
	case tensor.Int64:
		return typed(d, p.longs, n, shape)
	case tensor.Uint64:
		return typed(d, p.ulongs, n, shape)
	case tensor.Uint32:
		return narrowed[uint32](d, p.ulongs, n, shape)
	case tensor.Int32:
		return typed(d, p.ints, n, shape)
	case tensor.Int16:
		return narrowed[int16](d, p.ints, n, shape)
	case tensor.Uint16, tensor.Float16, tensor.BFloat16:
		return narrowed[uint16](d, p.ints, n, shape)
	case tensor.Int8:
		return narrowed[int8](d, p.ints, n, shape)
	case tensor.Bool:
		b := make([]bool, len(p.ints))
		for i, v := range p.ints {
			b[i] = v != 0
		}
		return typed(d, b, n, shape)
	}
	return narrowed[uint8](d, p.ints, n, shape)
}

func fromPacked(d tensor.DType, b []byte, shape []int) (*tensor.Tensor, error) {
	return tensor.FromBytes(d, b, shape...)
}

func typed[T tensor.Elem](d tensor.DType, data []T, n int, shape []int) (*tensor.Tensor, error) {
	if want := tensor.StorageLen(d, n); len(data) != want {
		return nil, fmt.Errorf("holds %d values, shape %v of %v needs %d", len(data), shape, d, want)
	}
	return tensor.Typed(d, data, shape...), nil
}

func narrowed[T int8 | uint8 | int16 | uint16 | uint32, S int32 | uint64](d tensor.DType, data []S, n int, shape []int) (*tensor.Tensor, error) {
	out := make([]T, len(data))
	for i, v := range data {
		out[i] = T(v)
	}
	return typed(d, out, n, shape)
}

// align moves the raw bytes of a large tensor down to the alignment of its
// element type if the file's bytes belong to us, so that the tensor can view
// them without a copy. The up to three bytes before them hold the field's own
// tag and length, which have been read.
func (im *importer) align(raw []byte, d tensor.DType) []byte {
	if !im.own || len(raw) < large || d.Bits() > 32 || d.Bits()%8 != 0 {
		return raw
	}
	start := cap(im.data) - cap(raw)
	shift := start % (d.Bits() / 8)
	if shift == 0 || start < shift {
		return raw
	}
	n := len(raw)
	moved := im.data[start-shift:][:n]
	copy(moved, raw)
	return moved
}

// maxDense bounds the bytes of all sparse tensors of a file when made dense.
const maxDense = 1 << 28

// dense makes a dense tensor of a sparse one: the indices are linear, or one
// row of coordinates a value.
func (im *importer) dense(p *sparseProto) (*tensor.Tensor, error) {
	if p.values == nil || p.indices == nil {
		return nil, errors.New("sparse tensor lacks its values or indices")
	}
	shape, n, err := dims(p.dims)
	if err != nil {
		return nil, err
	}
	values, err := im.tensor(p.values)
	if err != nil {
		return nil, err
	}
	indices, err := im.tensor(p.indices)
	if err != nil {
		return nil, err
	}
	bits := values.DType.Bits()
	if values.Rank() != 1 || indices.DType != tensor.Int64 || bits < 8 {
		return nil, fmt.Errorf("sparse tensor with %v values and %v indices is not supported", values, indices)
	}
	if im.densified += n * bits / 8; n > maxDense || im.densified > maxDense {
		return nil, fmt.Errorf("sparse tensors take more than %d MiB when dense", maxDense>>20)
	}
	at, err := linear(indices, values.Len(), shape, n)
	if err != nil {
		return nil, err
	}
	out := tensor.New(values.DType, shape...)
	size := bits / 8
	src, dst := values.Bytes(), out.Bytes()
	for i, k := range at {
		copy(dst[k*size:][:size], src[i*size:])
	}
	return out, nil
}

// linear turns the indices of nnz values into offsets below n.
func linear(indices *tensor.Tensor, nnz int, shape []int, n int) ([]int, error) {
	list := tensor.Data[int64](indices)
	width := 1
	if indices.Rank() == 2 {
		width = len(shape)
	}
	if indices.Rank() < 1 || indices.Rank() > 2 || len(list) != nnz*width {
		return nil, fmt.Errorf("%d sparse indices for %d values", len(list), nnz)
	}
	at := make([]int, nnz)
	for i := range at {
		k := 0
		for j, v := range list[i*width:][:width] {
			bound := n
			if indices.Rank() == 2 {
				bound = shape[j]
			}
			if v < 0 || v >= int64(bound) {
				return nil, fmt.Errorf("sparse index %d is outside shape %v", v, shape)
			}
			k = k*bound + int(v)
			if indices.Rank() == 1 {
				k = int(v)
			}
		}
		at[i] = k
	}
	return at, nil
}

// encodeTensor makes a message of a constant.
func encodeTensor(name, doc string, t *tensor.Tensor, unknown []byte) *rope {
	r := tensorHead(name, t)
	if t.DType == tensor.String {
		for _, s := range tensor.Data[string](t) {
			r.blob(6, []byte(s))
		}
	} else {
		r.blob(9, t.Bytes())
	}
	r.str(12, doc)
	r.raw(unknown)
	return r
}

// tensorHead begins a tensor's message: all but the elements.
func tensorHead(name string, t *tensor.Tensor) *rope {
	r := &rope{}
	for _, d := range t.Shape {
		r.int(1, int64(d))
	}
	r.int(2, int64(t.DType))
	r.str(8, name)
	return r
}

// DecodeTensor reads a single tensor, a TensorProto as in the .pb files of
// ONNX's test data, and its name.
func DecodeTensor(data []byte) (name string, t *tensor.Tensor, err error) {
	p, err := decodeTensor(data)
	if err == nil {
		t, err = (&importer{}).tensor(p)
	}
	if err != nil {
		return "", nil, fmt.Errorf("onnx: %w", err)
	}
	return p.name, t, nil
}

// EncodeTensor makes a TensorProto.
func EncodeTensor(name string, t *tensor.Tensor) []byte {
	return encodeTensor(name, "", t, nil).bytes()
}
