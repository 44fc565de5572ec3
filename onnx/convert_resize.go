package onnx

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// upsampleToResize turns Upsample, whose scales are an attribute up to
// operator set 8, into Resize.
func upsampleToResize(f *form) error {
	if scales, ok := f.attrs["scales"].([]float32); ok {
		delete(f.attrs, "scales")
		f.setInput(1, f.constant("scales", tensor.Of(scales, len(scales))))
	}
	f.op = "Resize"
	return resizeFrom10(f)
}

// resizeFrom10 brings Resize of operator set 10 to the present form. It had no
// words for the mapping of coordinates; runtimes take floor(x/scale), and
// ceil where the scale is below 1.
func resizeFrom10(f *form) error {
	if mode, ok := f.attrs["mode"].(string); ok && mode == "bilinear" {
		f.attrs["mode"] = "linear"
	}
	f.attrs["coordinate_transformation_mode"] = "asymmetric"
	scales := f.input(1)
	f.setInput(2, scales)
	f.setInput(1, nil)
	if f.attrs["mode"] == "linear" {
		return nil
	}
	f.attrs["nearest_mode"] = "floor"
	if scales == nil || scales.Data == nil || scales.Data.DType != tensor.Float32 {
		return nil
	}
	shrink, grow := slices.Clone(scales.Data.Float32s()), slices.Clone(scales.Data.Float32s())
	both := 0
	for i, s := range shrink {
		if s < 1 {
			grow[i] = 1
			both |= 1
		} else if s > 1 {
			shrink[i] = 1
			both |= 2
		}
	}
	switch both {
	case 1:
		f.attrs["nearest_mode"] = "ceil"
	case 3: // shrink first, then grow
		a := f.attrs.Clone()
		a["nearest_mode"] = "ceil"
		f.in[0] = f.emit("Resize", "shrink", a, f.in[0], nil, f.constant("shrink", tensor.Of(shrink, len(shrink))))
		f.in[2] = f.constant("grow", tensor.Of(grow, len(grow)))
	}
	return nil
}

// dropEmpty leaves out inputs that are empty constants, as Resize wrote them
// when they had to be there.
func dropEmpty(f *form) error {
	for i := 1; i < len(f.in); i++ {
		if v := f.in[i]; v != nil && v.Data != nil && v.Data.Len() == 0 {
			f.in[i] = nil
			f.b.dropped = append(f.b.dropped, v)
		}
	}
	f.trim()
	return nil
}

// resizeTo18 demands the modes that were there before operator set 19.
func resizeTo18(f *form) bool {
	return f.attrs["coordinate_transformation_mode"] != "half_pixel_symmetric"
}

// resizeTo17 takes out what operator set 18 added.
func resizeTo17(f *form) bool {
	return drop("antialias", int64(0))(f) && drop("keep_aspect_ratio_policy", "stretch")(f) && resizeAllAxes(f)
}

// resizeAllAxes makes scales or sizes for some axes ones for all axes.
func resizeAllAxes(f *form) bool {
	axes, ok := f.attrs["axes"].([]int64)
	if !ok {
		return true
	}
	delete(f.attrs, "axes")
	shape, roi := f.shapeOf(0), f.input(1)
	if shape == nil || roi != nil && (roi.Data == nil || roi.Data.Len() > 0) {
		return false
	}
	scales, sizes := f.input(2), f.input(3)
	for i, a := range axes {
		if a < 0 {
			axes = slices.Clone(axes)
			axes[i] = a + int64(len(shape))
		}
		if axes[i] < 0 || axes[i] >= int64(len(shape)) {
			return false
		}
	}
	switch {
	case scales != nil && scales.Data != nil && scales.Data.Len() == len(axes):
		all := slices.Repeat([]float32{1}, len(shape))
		for i, a := range axes {
			all[a] = float32(scales.Data.At(i))
		}
		f.in[2] = f.constant("scales", tensor.Of(all, len(all)))
	case sizes != nil && sizes.Data != nil && sizes.Data.Len() == len(axes) && shape.Known():
		all := graph.Int64s(shape.Ints())
		for i, a := range axes {
			all[a] = sizes.Data.Int64s()[i]
		}
		f.in[3] = f.ints("sizes", all)
	default:
		return false
	}
	return true
}

// resizeTo12 puts empty constants where inputs had to be given.
func resizeTo12(f *form) bool {
	if f.input(1) == nil {
		f.setInput(1, f.constant("roi", tensor.New(tensor.Float32, 0)))
	}
	if f.input(2) == nil {
		f.setInput(2, f.constant("scales", tensor.New(tensor.Float32, 0)))
	}
	return true
}

// resizeTo10 says Resize in the words of operator set 10, if it means what
// that meant. Scales that are not constant are good enough for a file that
// had them.
func resizeTo10(f *form) bool {
	scales, roi := f.input(2), f.input(1)
	if f.input(3) != nil || scales == nil || roi != nil && (roi.Data == nil || roi.Data.Len() > 0) ||
		f.attrs["coordinate_transformation_mode"] != "asymmetric" || f.has("exclude_outside") {
		return false
	}
	mode, _ := f.attrs["mode"].(string)
	nearest, _ := f.attrs["nearest_mode"].(string)
	switch {
	case mode == "cubic":
		return false
	case scales.Data == nil:
		if f.fileOpset() < 1 || f.fileOpset() > 10 || mode != "linear" && nearest != "floor" {
			return false
		}
	case scales.Data.DType != tensor.Float32:
		return false
	case mode != "linear":
		for _, s := range scales.Data.Float32s() {
			if s < 1 && nearest != "ceil" || s > 1 && nearest != "floor" {
				return false
			}
		}
	}
	f.in = []*graph.Value{f.in[0], scales}
	f.attrs = graph.Attrs{"mode": "nearest"}
	if mode == "linear" {
		f.attrs["mode"] = mode
	}
	return true
}

// resizeTo9 turns Resize of operator set 10 into Upsample.
func resizeTo9(f *form) bool {
	f.op = "Upsample"
	scales := f.in[1].Data
	return scales == nil || !slices.ContainsFunc(scales.Float32s(), func(s float32) bool { return s < 1 })
}

// upsampleTo8 makes Upsample's scales an attribute.
func upsampleTo8(f *form) bool {
	scales := f.in[1].Data
	if scales == nil {
		return false
	}
	f.attrs["scales"] = slices.Clone(scales.Float32s())
	f.setInput(1, nil)
	return true
}
