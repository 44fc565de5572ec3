package onnx

import (
	"github.com/drawknife/drawknife/graph"
)

// tail reports whether axis is the last one of shape that is longer than 1:
// then a softmax over the axis and one over it and all axes behind it are the
// same.
func tail(shape graph.Shape, axis int) bool {
	for _, d := range shape[axis+1:] {
		if !d.Known() || d.Size != 1 {
			return false
		}
	}
	return true
}

// softmaxFrom12 brings Softmax, LogSoftmax and Hardmax of operator set 12 and
// older to the present form. They made a matrix of their input, the axes from
// axis (default 1) on together, and worked on its rows.
func softmaxFrom12(f *form) error {
	axis := int64(1)
	if v, ok := f.attrs["axis"].(int64); ok {
		axis = v
	}
	shape := f.shapeOf(0)
	if shape != nil {
		a := axis
		if a < 0 {
			a += int64(len(shape))
		}
		if a >= 0 && a < int64(len(shape)) && tail(shape, int(a)) {
			f.attrs["axis"] = a
			return nil
		}
	}
	x := f.input(0)
	if x == nil || len(f.outs) == 0 || f.outs[0] == "" {
		return nil // malformed; shape inference says so
	}
	target := f.emit("Shape", "shape", nil, x)
	f.in[0] = f.emit("Flatten", "flatten", graph.Attrs{"axis": axis}, x)
	f.attrs["axis"] = int64(1)
	f.follow("Reshape", "reshape", nil, target)
	return nil
}

// softmaxTo12 says it in the old words if they mean the same.
func softmaxTo12(f *form) bool {
	axis := int64(-1)
	if v, ok := f.attrs["axis"].(int64); ok {
		axis = v
	}
	f.attrs["axis"] = axis
	shape := f.shapeOf(0)
	if shape == nil {
		flat := f.input(0) != nil && f.input(0).Producer().Is("Flatten")
		return axis == -1 || flat && axis == 1
	}
	if axis < 0 {
		axis += int64(len(shape))
	}
	return axis >= 0 && axis < int64(len(shape)) && tail(shape, int(axis))
}
