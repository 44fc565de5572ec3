package graph

import (
	"testing"

	"github.com/drawknife/drawknife/tensor"
)

// dice draws small decisions from the fuzzer's bytes.
type dice struct{ b []byte }

func (d *dice) roll(n int) int {
	if len(d.b) == 0 {
		return 0
	}
	v := int(d.b[0])
	d.b = d.b[1:]
	return v % n
}

// extremes are the integers that break arithmetic.
var extremes = []int64{0, 1, 2, 3, 4, 8, -1, -2, 16, 1 << 31, 1 << 36, 1<<63 - 1, -1 << 63, -3, 7, 5}

func (d *dice) integer() int64 { return extremes[d.roll(len(extremes))] }

func (d *dice) integers() []int64 {
	list := make([]int64, d.roll(9))
	for i := range list {
		list[i] = d.integer()
	}
	return list
}

func (d *dice) shape() Shape {
	n := d.roll(7)
	if n == 6 {
		return nil
	}
	s := Shape{}
	for range n {
		switch v := d.integer(); {
		case v >= 0:
			s = append(s, D(int(v)))
		case v == -1:
			s = append(s, Sym("N"))
		default:
			s = append(s, unknown)
		}
	}
	return s
}

func (d *dice) value(g *Graph) *Value {
	switch d.roll(6) {
	case 0:
		return nil
	case 1:
		list := d.integers()
		return g.AddConst("c", tensor.Of(list, len(list)))
	case 2:
		return g.AddConst("c", tensor.New(tensor.Float32, d.roll(5), d.roll(4), d.roll(3), d.roll(3)))
	case 3:
		return g.AddConst("c", tensor.New(tensor.Float32, d.roll(6)))
	}
	return g.AddInput("x", tensor.Float32, d.shape())
}

// fuzzAttrs are the attributes that inference and the group analysis read.
var fuzzInts = []string{"pads", "strides", "dilations", "kernel_shape", "axes", "perm", "output_shape", "output_padding"}
var fuzzInt = []string{"axis", "group", "keepdims", "ceil_mode", "blocksize", "block_size", "num_groups", "start", "end",
	"batch_dims", "transA", "transB", "allowzero", "num_outputs", "to", "channels_last", "noop_with_empty_axes"}

func (d *dice) attrs() Attrs {
	a := Attrs{}
	for range d.roll(4) {
		a[fuzzInts[d.roll(len(fuzzInts))]] = d.integers()
	}
	for range d.roll(4) {
		a[fuzzInt[d.roll(len(fuzzInt))]] = d.integer()
	}
	if d.roll(4) == 1 {
		a["auto_pad"] = []string{"VALID", "SAME_UPPER", "NOTSET", "x"}[d.roll(4)]
	}
	return a
}

// FuzzInfer feeds operators with hostile shapes and attributes: inference must
// answer or refuse, and what it accepts the analyses must survive.
func FuzzInfer(f *testing.F) {
	var table []*Op
	for op := range Ops() {
		table = append(table, op)
	}
	for i := range table {
		f.Add([]byte{byte(i), 3, 5, 2, 4, 4, 5, 5, 2, 3, 1, 2, 2, 1, 0, 3, 3, 3, 1, 1, 2, 2, 2, 9, 4, 2, 1, 6, 6, 1, 3, 7})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &dice{b}
		g := New("fuzz")
		pool := []*Value{nil}
		for range 1 + d.roll(4) {
			op := table[d.roll(len(table))]
			var in []*Value
			for range max(op.MinIn, d.roll(5)) {
				if k := d.roll(3 + len(pool)); k < len(pool) {
					in = append(in, pool[k])
				} else {
					in = append(in, d.value(g))
				}
			}
			outs := []string{"y", "y", "y"}[:max(1, min(d.roll(4), 3))]
			n := g.Append(g.NewNode(op.Domain, op.Name, "", in, outs, d.attrs()))
			pool = append(pool, n.Outputs...)
			if n.InferShape() != nil {
				return
			}
		}
		if d.roll(2) == 0 {
			g.AddOutput(pool[len(pool)-1])
		}
		g.Cost()
		groups, err := g.Groups()
		if err != nil {
			return
		}
		remove := map[*Group][]int{}
		for _, gr := range groups {
			if list := gr.Choose([]int{0}, 1); list != nil {
				remove[gr] = list
			}
		}
		if err := g.RemoveChannels(remove, RemoveOptions{FoldConstants: true}); err != nil {
			t.Fatal(err)
		}
		if err := g.Verify(); err != nil {
			t.Fatal(err)
		}
	})
}
