package data

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/data/npz"
	"github.com/drawknife/drawknife/tensor"
)

// openArrays opens a .npz or .npy file. The pictures are the array x_SPLIT, x,
// images_SPLIT, images or data (in a .npy file the only one), the labels
// y_SPLIT, y, labels_SPLIT or labels; without them the pictures have none.
func openArrays(name, split string, explicit bool) (Dataset, error) {
	arrays, err := npz.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	byName := map[string]*tensor.Tensor{}
	for _, a := range arrays {
		byName[a.Name] = a.Tensor
	}
	pick := func(names ...string) *tensor.Tensor {
		for _, n := range names {
			if t := byName[n+"_"+split]; t != nil && split != "" {
				return t
			}
			if t := byName[n]; t != nil && !explicit {
				return t
			}
		}
		return nil
	}
	x, y := pick("x", "images", "data"), pick("y", "labels")
	if x == nil && len(arrays) == 1 && arrays[0].Name == "" && !explicit {
		x = arrays[0].Tensor
	}
	if x == nil {
		return nil, fmt.Errorf("data: %s: no array x or images (or x_%s); it has %s", name, split, arrayNames(arrays))
	}
	ds, err := fromArrays(x, y)
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", name, err)
	}
	return ds, nil
}

func arrayNames(arrays []npz.Array) string {
	s := ""
	for i, a := range arrays {
		if i == 8 {
			return s + ", …"
		}
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%q %v", a.Name, a.Tensor.Shape)
	}
	if s == "" {
		return "none"
	}
	return s
}

// fromArrays makes a data set of arrays: bytes are [N, H, W] in gray or
// [N, H, W, C] or [N, C, H, W] with C = 1 or 3; other numbers are [N, C, H, W],
// or [N, H, W, C] if only that gives 1 or 3 channels.
func fromArrays(x, y *tensor.Tensor) (Dataset, error) {
	n, c, h, w, last, err := pictureShape(x.Shape)
	if err != nil {
		return nil, err
	}
	labels, classes, err := arrayLabels(y, n)
	if err != nil {
		return nil, err
	}
	if x.DType == tensor.Uint8 && (c == 1 || c == 3) {
		pix := tensor.Data[uint8](x)
		if !last && c == 3 {
			pix = interleave(pix, n, c, h*w)
		}
		return FromPixels(pix, h, w, c, labels, classes)
	}
	f, err := x.Convert(tensor.Float32)
	if err != nil {
		return nil, err
	}
	v := f.Float32s()
	if last && c > 1 {
		v = planar(v, n, c, h*w)
	}
	return FromFloats(v, c, h, w, labels, classes)
}

// pictureShape reads the shape of an array of pictures; last says that the
// channels are the last axis.
func pictureShape(s []int) (n, c, h, w int, last bool, err error) {
	for _, d := range s {
		if d < 1 {
			return 0, 0, 0, 0, false, fmt.Errorf("empty data set: array of shape %v", s)
		}
	}
	colour := func(d int) bool { return d == 1 || d == 3 }
	switch len(s) {
	case 2:
		return s[0], s[1], 1, 1, false, nil
	case 3:
		return s[0], 1, s[1], s[2], true, nil
	case 4:
		if colour(s[3]) && !colour(s[1]) {
			return s[0], s[3], s[1], s[2], true, nil
		}
		return s[0], s[1], s[2], s[3], false, nil
	}
	return 0, 0, 0, 0, false, fmt.Errorf("array of shape %v is not [N, C, H, W] or [N, H, W, C]", s)
}

func interleave[T uint8 | float32](x []T, n, c, plane int) []T {
	out := make([]T, len(x))
	for i := range n {
		from, to := x[i*c*plane:][:c*plane], out[i*c*plane:][:c*plane]
		for k := range c {
			for p := range plane {
				to[p*c+k] = from[k*plane+p]
			}
		}
	}
	return out
}

func planar[T uint8 | float32](x []T, n, c, plane int) []T {
	return interleave(x, n, plane, c)
}

// arrayLabels reads labels of shape [N] or [N, 1]; nil gives −1 for all.
func arrayLabels(y *tensor.Tensor, n int) ([]int32, []string, error) {
	labels := make([]int32, n)
	if y == nil {
		for i := range labels {
			labels[i] = -1
		}
		return labels, nil, nil
	}
	if y.Len() != n || y.Rank() < 1 || y.Shape[0] != n {
		return nil, nil, fmt.Errorf("labels of shape %v for %d pictures", y.Shape, n)
	}
	d, err := y.Convert(tensor.Float64)
	if err != nil {
		return nil, nil, fmt.Errorf("labels: %w", err)
	}
	top := int32(-1)
	for i, v := range tensor.Data[float64](d) {
		if v != math.Trunc(v) || v < -1 || v >= maxClasses {
			return nil, nil, fmt.Errorf("record %d: label %v is not a class number", i, v)
		}
		labels[i] = int32(v)
		top = max(top, labels[i])
	}
	return labels, numbered(int(top) + 1), nil
}
