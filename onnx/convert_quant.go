package onnx

import "github.com/drawknife/drawknife/tensor"

// quantizeTo20 demands what quantization could say before operator set 21.
func quantizeTo20(f *form) bool {
	for _, v := range f.in {
		// 16-bit grids came with operator set 21 as well.
		if v != nil && (opsetOfType(v.Type) > 20 || v.Type == tensor.Int16 || v.Type == tensor.Uint16) {
			return false
		}
	}
	if f.op == "QuantizeLinear" && f.input(2) == nil {
		switch d, _ := f.attrs["output_dtype"].(int64); tensor.DType(d) {
		case tensor.Invalid, tensor.Uint8:
		case tensor.Int8:
			s := f.input(1)
			if s == nil || !s.Shape.Known() {
				return false
			}
			f.setInput(2, f.constant("zero_point", tensor.New(tensor.Int8, s.Shape.Ints()...)))
		default:
			return false
		}
	}
	delete(f.attrs, "output_dtype")
	return drop("block_size", int64(0))(f) && drop("precision", int64(0))(f)
}

// quantizeTo12 demands one scale for the whole tensor.
func quantizeTo12(f *form) bool {
	_, perAxis := f.attrs["axis"]
	delete(f.attrs, "axis")
	s := f.input(1)
	return s != nil && (s.Shape != nil && len(s.Shape) == 0 || s.Shape == nil && !perAxis)
}
