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
