package onnx

import (
	"errors"
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

// batchNormFrom8 drops the attribute spatial where it says what is meant now;
// spatial = 0 stays, and is refused by whoever runs it.
func batchNormFrom8(f *form) error {
	if v, ok := f.attrs["spatial"].(int64); ok && v == 1 {
		delete(f.attrs, "spatial")
	}
	return nil
}

// batchNormFrom13 drops outputs that are left out.
func batchNormFrom13(f *form) error {
	for len(f.outs) > 1 && f.outs[len(f.outs)-1] == "" {
		f.outs = f.outs[:len(f.outs)-1]
	}
	return nil
}

// groupNormFrom20 repeats scale and bias, one of each a group up to operator
// set 20, for every channel of the group.
func groupNormFrom20(f *form) error {
	shape := f.shapeOf(0)
	groups, _ := f.attrs["num_groups"].(int64)
	if len(shape) < 2 || !shape[1].Known() || groups < 1 || shape[1].Size%int(groups) != 0 {
		return errors.New("GroupNormalization before operator set 21 needs a known number of channels that its groups divide; export the model for operator set 21")
	}
	each := shape[1].Size / int(groups)
	for i := 1; i <= 2; i++ {
		v := f.input(i)
		if v == nil {
			return fmt.Errorf("lacks its input %d", i)
		}
		if each == 1 {
			continue
		}
		if v.Data != nil && v.Data.DType == tensor.Float32 && v.Data.Len() == int(groups) {
			f.in[i] = f.constant([]string{1: "scale", 2: "bias"}[i], repeat(v.Data, each))
			continue
		}
		name := fmt.Sprintf("repeat%d", i)
		column := f.emit("Unsqueeze", name+".unsqueeze", nil, v, f.ints(name+".axes", []int64{1}))
		wide := f.emit("Expand", name+".expand", nil, column, f.ints(name+".shape", []int64{groups, int64(each)}))
		f.in[i] = f.emit("Reshape", name, nil, wide, f.ints(name+".length", []int64{-1}))
	}
	return nil
}

// repeat repeats every element n times.
func repeat(t *tensor.Tensor, n int) *tensor.Tensor {
	out := make([]float32, 0, t.Len()*n)
	for _, x := range t.Float32s() {
		for range n {
			out = append(out, x)
		}
	}
	return tensor.Of(out, len(out))
}

// groupNormTo20 makes one scale and bias a group, if they are equal within
// each.
func groupNormTo20(f *form) bool {
	groups, _ := f.attrs["num_groups"].(int64)
	for i := 1; i <= 2; i++ {
		v := f.input(i)
		if v == nil || v.Data == nil || v.Data.DType != tensor.Float32 || groups < 1 || v.Data.Len()%int(groups) != 0 {
			return false
		}
		each := v.Data.Len() / int(groups)
		data := v.Data.Float32s()
		out := make([]float32, groups)
		for k := range data {
			out[k/each] = data[k/each*each]
			if data[k] != out[k/each] {
				return false
			}
		}
		f.in[i] = f.constant([]string{1: "scale", 2: "bias"}[i], tensor.Of(out, len(out)))
	}
	return drop("stash_type", int64(tensor.Float32))(f)
}

// dropoutTo11 makes the ratio an attribute again.
func dropoutTo11(f *form) bool {
	if v := f.input(2); v != nil {
		if v.Data == nil || v.Data.Len() != 1 || v.Data.At(0) != 0 {
			return false
		}
		f.setInput(2, nil)
	}
	delete(f.attrs, "seed")
	return inputToFloat("ratio", 1)(f)
}

// gemmTo10 gives Gemm the third input it had to have.
func gemmTo10(f *form) bool {
	if f.input(2) == nil {
		f.setInput(2, f.scalar("zero", 0))
	}
	return true
}

// gridModes are GridSample's modes by their names up to operator set 19.
var gridModes = map[string]string{"bilinear": "linear", "bicubic": "cubic"}

func gridSampleFrom19(f *form) error {
	mode, ok := f.attrs["mode"].(string)
	if !ok {
		mode = "bilinear"
	}
	if now, ok := gridModes[mode]; ok {
		f.attrs["mode"] = now
	}
	return nil
}

func gridSampleTo19(f *form) bool {
	mode, ok := f.attrs["mode"].(string)
	if !ok {
		mode = "linear"
	}
	for old, now := range gridModes {
		if mode == now {
			f.attrs["mode"] = old
		}
	}
	return true
}

// roiAlignFrom15 writes out what was implied before operator set 16.
func roiAlignFrom15(f *form) error {
	f.attrs["coordinate_transformation_mode"] = "output_half_pixel"
	return nil
}

func roiAlignTo15(f *form) bool {
	mode := f.attrs["coordinate_transformation_mode"]
	delete(f.attrs, "coordinate_transformation_mode")
	return mode == "output_half_pixel"
}

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

// splitFrom17 writes out the number of parts, which equal parts implied.
func splitFrom17(f *form) error {
	if f.input(1) == nil {
		f.attrs["num_outputs"] = int64(len(f.outs))
	}
	return nil
}

// splitTo17 leaves equal parts to be implied, and writes out unequal ones.
func splitTo17(f *form) bool {
	parts, ok := f.attrs["num_outputs"].(int64)
	delete(f.attrs, "num_outputs")
	shape := f.shapeOf(0)
	if !ok || f.input(1) != nil || shape == nil {
		return true
	}
	axis, _ := f.attrs["axis"].(int64)
	if axis < 0 {
		axis += int64(len(shape))
	}
	if axis < 0 || axis >= int64(len(shape)) || !shape[axis].Known() || parts < 1 || parts > 1<<16 {
		return true
	}
	size := int64(shape[axis].Size)
	if size%parts == 0 {
		return true
	}
	each := (size + parts - 1) / parts
	list := make([]int64, parts)
	for i := range list {
		list[i] = max(0, min(each, size-each*int64(i)))
	}
	f.setInput(1, f.ints("split", list))
	return true
}

// reduceTo17 makes the axes an attribute again.
func reduceTo17(f *form) bool {
	axes, ok := f.intList(1)
	if !ok || len(axes) == 0 && f.has("noop_with_empty_axes") {
		return false
	}
	delete(f.attrs, "noop_with_empty_axes")
	f.setInput(1, nil)
	if len(axes) > 0 {
		f.attrs["axes"] = append([]int64(nil), axes...)
	}
	return true
}

// padTo17 writes out the padding of every axis.
func padTo17(f *form) bool {
	v := f.input(3)
	if v == nil {
		return true
	}
	axes, ok := f.intList(3)
	pads, ok2 := f.intList(1)
	shape := f.shapeOf(0)
	if !ok || !ok2 || shape == nil || len(pads) != 2*len(axes) {
		return false
	}
	rank := len(shape)
	all := make([]int64, 2*rank)
	for i, a := range axes {
		if a < 0 {
			a += int64(rank)
		}
		if a < 0 || a >= int64(rank) {
			return false
		}
		all[a], all[int(a)+rank] = pads[i], pads[i+len(axes)]
	}
	f.setInput(1, f.ints("pads", all))
	f.setInput(3, nil)
	return true
}

func padTo18(f *form) bool { return f.attrs["mode"] != "wrap" }

// sliceTo9 makes the bounds attributes again.
func sliceTo9(f *form) bool {
	steps, ok := f.intList(4)
	for _, s := range steps {
		ok = ok && s == 1
	}
	if !ok || f.input(1) == nil || f.input(2) == nil {
		return false
	}
	f.setInput(4, nil)
	return inputToList("axes", 3)(f) && inputToList("ends", 2)(f) && inputToList("starts", 1)(f)
}

// topKFrom9 makes the number an input.
func topKFrom9(f *form) error {
	if k, ok := f.attrs["k"].(int64); ok {
		delete(f.attrs, "k")
		f.setInput(1, f.ints("k", []int64{k}))
	}
	return nil
}

func topKTo9(f *form) bool {
	k, ok := f.intList(1)
	if !ok || len(k) != 1 {
		return false
	}
	f.attrs["k"] = k[0]
	f.setInput(1, nil)
	return true
}

func scatterFrom10(f *form) error { f.op = "ScatterElements"; return nil }

// reshapeTo13 drops allowzero where it makes no difference.
func reshapeTo13(f *form) bool {
	if !f.has("allowzero") {
		delete(f.attrs, "allowzero")
		return true
	}
	delete(f.attrs, "allowzero")
	list, ok := f.intList(1)
	for _, d := range list {
		ok = ok && d != 0
	}
	return ok && f.input(1) != nil
}
