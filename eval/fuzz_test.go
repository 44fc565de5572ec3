package eval

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// source turns fuzz bytes into small choices.
type source struct{ b []byte }

func (s *source) pick(n int) int {
	if len(s.b) == 0 {
		return 0
	}
	v := int(s.b[0])
	s.b = s.b[1:]
	return v % n
}

// number is mostly small, sometimes extreme.
func (s *source) number() int64 {
	switch s.pick(16) {
	case 0:
		if len(s.b) >= 8 {
			v := binary.LittleEndian.Uint64(s.b)
			s.b = s.b[8:]
			return int64(v)
		}
		return 1 << 62
	case 1:
		return -int64(s.pick(8))
	}
	return int64(s.pick(6))
}

func (s *source) tensor() *tensor.Tensor {
	types := []tensor.DType{tensor.Float32, tensor.Float32, tensor.Int64, tensor.Uint8, tensor.Int8, tensor.Bool, tensor.Int32,
		tensor.Float16, tensor.Float64, tensor.Int4, tensor.Uint64, tensor.String, tensor.Float8E4M3FN}
	d := types[s.pick(len(types))]
	shape := make([]int, s.pick(6))
	for i := range shape {
		shape[i] = s.pick(5)
	}
	t := tensor.New(d, shape...)
	switch v := t.Any().(type) {
	case []int64:
		for i := range v {
			v[i] = s.number()
		}
		return t
	case []int32:
		for i := range v {
			v[i] = int32(s.number())
		}
		return t
	}
	for i := range t.Bytes() {
		if d == tensor.Bool {
			t.Bytes()[i] = byte(s.pick(2))
		} else {
			t.Bytes()[i] = byte(s.pick(256))
		}
	}
	return t
}

var (
	intAttrs = []string{"axis", "group", "ceil_mode", "keepdims", "num_outputs", "blocksize", "block_size", "size", "num_groups", "to", "dtype",
		"batch_dims", "storage_order", "p", "training_mode", "transA", "transB", "antialias", "exclude_outside", "k", "output_dtype", "start", "end",
		"noop_with_empty_axes", "stash_type", "batch_axis", "time_axis", "channels_last", "count_include_pad", "value_int"}
	listAttrs = []string{"kernel_shape", "strides", "pads", "dilations", "output_padding", "output_shape", "perm", "axes", "split"}
	wordAttrs = map[string][]string{
		"auto_pad": {"SAME_UPPER", "SAME_LOWER", "VALID", "x"}, "mode": {"linear", "cubic", "nearest", "reflect", "wrap", "edge", "constant", "CRD", "x"},
		"coordinate_transformation_mode": {"align_corners", "asymmetric", "tf_crop_and_resize", "half_pixel_symmetric"},
		"reduction":                      {"add", "max"}, "keep_aspect_ratio_policy": {"not_larger", "not_smaller"}, "nearest_mode": {"floor", "ceil"},
	}
)

func (s *source) attrs() graph.Attrs {
	a := graph.Attrs{}
	for range s.pick(5) {
		switch s.pick(4) {
		case 0:
			a[intAttrs[s.pick(len(intAttrs))]] = s.number()
		case 1, 2:
			list := make([]int64, s.pick(7))
			for i := range list {
				list[i] = s.number()
			}
			a[listAttrs[s.pick(len(listAttrs))]] = list
		case 3:
			words := []string{"auto_pad", "mode", "coordinate_transformation_mode", "reduction", "keep_aspect_ratio_policy", "nearest_mode"}
			w := words[s.pick(len(words))]
			a[w] = wordAttrs[w][s.pick(len(wordAttrs[w]))]
		}
	}
	return a
}

// FuzzNode feeds operators what does not fit them: an error is fine, a panic
// (which Node reports as a contradiction) or a wrong size is not.
func FuzzNode(f *testing.F) {
	defer func(n int) { maxElements = n }(maxElements)
	maxElements = 1 << 16 // so that no input takes long
	var ops [][2]string
	for k := range table {
		if k[0] != graph.DrawknifeDomain {
			ops = append(ops, k)
		}
	}
	slices.SortFunc(ops, func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) })
	f.Add(uint8(0), []byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Fuzz(func(t *testing.T, op uint8, data []byte) {
		s := &source{data}
		key := ops[(int(op)+256*s.pick(2))%len(ops)]
		n := &graph.Node{Name: "n", Domain: key[0], Op: key[1], Attrs: s.attrs()}
		in := make([]*tensor.Tensor, s.pick(9))
		for i := range in {
			if s.pick(8) > 0 {
				in[i] = s.tensor()
			}
		}
		out, err := Node(n, in)
		if err != nil {
			if strings.Contains(err.Error(), "contradict each other") {
				t.Fatalf("%v of %v with %v: %v", key, in, n.Attrs, err)
			}
			return
		}
		for _, o := range out {
			if o != nil && o.DType != tensor.String && len(o.Bytes()) < o.NBytes() {
				t.Fatalf("%v: output %v has %d bytes", key, o, len(o.Bytes()))
			}
		}
	})
}
