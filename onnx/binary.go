package onnx

import (
	"errors"
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	RegisterExport(graph.BinaryConv, exportBinaryConv)
	bodies[graph.BinaryConv] = binaryConvBody
}

// exportBinaryConv brings a BinaryConv to the form that its function takes:
// weights packed, scale and bias there, padding by zeros only.
func exportBinaryConv(g *graph.Graph, n *graph.Node) error {
	n.Attrs = n.Attrs.Clone()
	if n.Attrs == nil {
		n.Attrs = graph.Attrs{}
	}
	w := n.Inputs[1]
	if w.Data == nil {
		return errors.New("its weights are computed, not constant; fold them before writing")
	}
	if w.Data.DType != tensor.Uint8 {
		if !w.Data.DType.IsFloat() || w.Data.Rank() < 3 {
			return fmt.Errorf("its weights are %v, want floats of three dimensions or more", w.Data)
		}
		packed, shape := graph.PackSigns(w.Data)
		n.SetInput(1, g.AddConst(w.Name+"_signs", packed))
		n.Attrs["weight_shape"] = shape
		if len(w.Uses()) == 0 {
			g.RemoveConst(w)
		}
	}
	channels := n.Inputs[1].Data.Shape[0]
	for i, c := range []struct {
		name string
		fill float32
	}{2: {"_scale", 1}, 3: {"_bias", 0}} {
		if i < 2 || n.In(i) != nil {
			continue
		}
		t := tensor.New(tensor.Float32, channels)
		for j := range t.Float32s() {
			t.Float32s()[j] = c.fill
		}
		n.SetInput(i, g.AddConst(n.Name+c.name, t))
	}
	return padSigns(g, n)
}

// padSigns puts a Pad before a BinaryConv whose padding is not by zeros.
func padSigns(g *graph.Graph, n *graph.Node) error {
	value := n.Float("pad_value", 0)
	delete(n.Attrs, "pad_value")
	pads := n.Ints("pads")
	if auto := n.Str("auto_pad", "NOTSET"); value != 0 && auto != "NOTSET" && auto != "" {
		return fmt.Errorf("auto_pad %s with pad_value %v cannot be written; give pads", auto, value)
	}
	if value == 0 || len(pads) == 0 {
		return nil
	}
	all, half := make([]int64, len(pads)+4), len(pads)/2
	for i, p := range pads {
		all[2+i+2*(i/half)] = int64(p)
	}
	x := n.Inputs[0]
	in := []*graph.Value{x, g.AddConst(n.Name+"_pads", tensor.Of(all, len(all))), g.AddConst(n.Name+"_pad_value", tensor.Scalar(value))}
	p := g.NewNode("", "Pad", n.Name+"_pad", in, []string{n.Name + "_padded"}, nil)
	p.Outputs[0].Type = x.Type
	g.InsertBefore(n, p)
	n.SetInput(0, p.Outputs[0])
	delete(n.Attrs, "pads")
	return p.InferShape()
}

// binaryConvBody is the body of BinaryConv in ONNX's own operators.
func binaryConvBody(f *body) {
	f.inputs("X", "W", "scale", "bias")
	f.outputs("Y")
	f.attributes("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides", "weight_shape")
	for _, c := range []struct {
		name string
		list []int64
	}{{"i0", []int64{0}}, {"i1", []int64{1}}, {"i2", []int64{2}}, {"end", []int64{math.MaxInt32}}, {"flat", []int64{0, -1}}, {"first", []int64{-1}}} {
		f.constant(c.name, tensor.Of(c.list, len(c.list)))
	}
	for _, c := range []struct {
		name  string
		value float32
	}{{"f0", 0}, {"f1", 1}, {"f2", 2}, {"minus", -1}} {
		f.constant(c.name, tensor.Scalar(c.value))
	}
	f.constant("u2", tensor.Scalar[uint8](2))
	f.constant("shifts", tensor.Of([]uint8{0, 1, 2, 3, 4, 5, 6, 7}, 8))
	f.node("Constant", nil, "shape", ref("value_ints", "weight_shape", attrInts))

	// The weights: bits to -1 and 1.
	f.node("Slice", []string{"shape", "i1", "end"}, "filter")
	f.node("ReduceProd", []string{"filter"}, "size", intAttr("keepdims", 1))
	f.node("Unsqueeze", []string{"W", "i2"}, "bytes")
	f.node("BitShift", []string{"bytes", "shifts"}, "shifted", stringAttr("direction", "RIGHT"))
	f.node("Mod", []string{"shifted", "u2"}, "bits")
	f.node("Reshape", []string{"bits", "flat"}, "rows")
	f.node("Slice", []string{"rows", "i0", "size", "i1"}, "used")
	f.node("Reshape", []string{"used", "shape"}, "kernel")
	f.node("Cast", []string{"kernel"}, "floats", intAttr("to", int64(tensor.Float32)))
	f.node("Mul", []string{"floats", "f2"}, "doubled")
	f.node("Sub", []string{"doubled", "f1"}, "signs")

	f.node("GreaterOrEqual", []string{"X", "f0"}, "positive")
	f.node("Where", []string{"positive", "f1", "minus"}, "x")
	f.node("Conv", []string{"x", "signs"}, "sums", ref("auto_pad", "auto_pad", attrString), ref("dilations", "dilations", attrInts),
		ref("group", "group", attrInt), ref("kernel_shape", "kernel_shape", attrInts), ref("pads", "pads", attrInts), ref("strides", "strides", attrInts))

	// scale and bias as columns of the spatial dimensions.
	f.node("Slice", []string{"shape", "i2", "end"}, "spatial")
	f.node("Mul", []string{"spatial", "i0"}, "zeros")
	f.node("Add", []string{"zeros", "i1"}, "ones")
	f.node("Concat", []string{"first", "ones"}, "column", intAttr("axis", 0))
	f.node("Reshape", []string{"scale", "column"}, "factor")
	f.node("Reshape", []string{"bias", "column"}, "summand")
	f.node("Mul", []string{"sums", "factor"}, "scaled")
	f.node("Add", []string{"scaled", "summand"}, "Y")
}
