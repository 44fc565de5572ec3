//go:build (linux || darwin) && (amd64 || arm64)

package ort

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/drawknife/drawknife/tensor"
)

// value makes an OrtValue over a tensor's own elements, which pin keeps in
// place. Strings are copied.
func (r *Runtime) value(t *tensor.Tensor, pin *runtime.Pinner) (v uintptr, err error) {
	shape := make([]int64, len(t.Shape)+1)
	for i, d := range t.Shape {
		shape[i] = int64(d)
	}
	rank := uintptr(len(t.Shape))
	if t.DType == tensor.String {
		err = r.call(fnCreateTensorAsOrtValue, r.allocator, uintptr(unsafe.Pointer(&shape[0])), rank,
			uintptr(t.DType), uintptr(unsafe.Pointer(&v)))
		if err == nil {
			err = r.fill(v, tensor.Data[string](t))
		}
		if err != nil {
			r.release(fnReleaseValue, &v)
		}
		return v, err
	}
	data := t.Bytes()
	length := uintptr(len(data))
	if length == 0 {
		data = make([]byte, 8) // an address even for no elements
	}
	pin.Pin(&data[0])
	err = r.call(fnCreateTensorWithDataAsOrtValue, r.memory, uintptr(unsafe.Pointer(&data[0])), length,
		uintptr(unsafe.Pointer(&shape[0])), rank, uintptr(t.DType), uintptr(unsafe.Pointer(&v)))
	return v, err
}

// fill copies strings into a tensor of strings.
func (r *Runtime) fill(v uintptr, list []string) error {
	if len(list) == 0 {
		return nil
	}
	var n names
	defer n.pin.Unpin()
	for _, s := range list {
		if err := n.add(s); err != nil {
			return err
		}
	}
	return r.call(fnFillStringTensor, v, uintptr(unsafe.Pointer(&n.list[0])), uintptr(len(list)))
}

// read copies a tensor out of an OrtValue.
func (r *Runtime) read(v uintptr) (*tensor.Tensor, error) {
	var is int32
	if err := r.call(fnIsTensor, v, uintptr(unsafe.Pointer(&is))); err != nil {
		return nil, err
	}
	if is == 0 {
		return nil, errors.New("is not a tensor")
	}
	var info uintptr
	if err := r.call(fnGetTensorTypeAndShape, v, uintptr(unsafe.Pointer(&info))); err != nil {
		return nil, err
	}
	kind, shape, err := r.typeAndShape(info)
	r.release(fnReleaseTensorTypeAndShapeInfo, &info)
	if err != nil {
		return nil, err
	}
	n, ok := tensor.NumElements(shape)
	if !ok {
		return nil, fmt.Errorf("has the shape %v", shape)
	}
	if kind == tensor.String {
		return r.readStrings(v, n, shape)
	}
	size := (n*kind.Bits() + 7) / 8
	if size == 0 && n > 0 {
		return nil, fmt.Errorf("holds elements of type %v", kind)
	}
	var data uintptr
	if err := r.call(fnGetTensorMutableData, v, uintptr(unsafe.Pointer(&data))); err != nil {
		return nil, err
	}
	own := make([]byte, size)
	if size > 0 {
		copy(own, unsafe.Slice((*byte)(pointer(data)), size))
	}
	return tensor.FromBytes(kind, own, shape...)
}

func (r *Runtime) readStrings(v uintptr, n int, shape []int) (*tensor.Tensor, error) {
	var length uintptr
	if err := r.call(fnGetStringTensorDataLength, v, uintptr(unsafe.Pointer(&length))); err != nil {
		return nil, err
	}
	text, starts := make([]byte, length+1), make([]uintptr, n+1)
	if err := r.call(fnGetStringTensorContent, v, uintptr(unsafe.Pointer(&text[0])), length,
		uintptr(unsafe.Pointer(&starts[0])), uintptr(n)); err != nil {
		return nil, err
	}
	starts[n] = length
	list := make([]string, n)
	for i := range list {
		list[i] = string(text[starts[i]:starts[i+1]])
	}
	return tensor.Of(list, shape...), nil
}
