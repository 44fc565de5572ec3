package rewrite

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
)

// FoldPad moves a constant zero Pad of the spatial axes into the convolution
// that follows it.
func FoldPad(s Scope, n *graph.Node) bool {
	conv := s.Only(n.Outputs[0])
	if !n.Is("Pad") || !conv.Is("Conv") || n.Str("mode", "constant") != "constant" || n.In(3) != nil {
		return false
	}
	if a := conv.Str("auto_pad", "NOTSET"); a != "NOTSET" && a != "VALID" {
		return false
	}
	if v := n.In(2); v != nil {
		t := s.Constant(v)
		if t == nil || t.Len() != 1 || t.At(0) != 0 {
			return false
		}
	}
	t := s.Constant(n.In(1))
	rank := len(n.Inputs[0].Shape)
	if t == nil || t.Len() != 2*rank || rank < 3 {
		return false
	}
	pads := t.Ints()
	if slices.Min(pads) < 0 { // a cut
		return false
	}
	if pads[0] != 0 || pads[1] != 0 || pads[rank] != 0 || pads[rank+1] != 0 {
		return false
	}
	own := conv.Ints("pads", make([]int, 2*(rank-2))...)
	if conv.Str("auto_pad", "NOTSET") == "VALID" {
		clear(own)
	}
	for i := range rank - 2 {
		own[i] += pads[2+i]
		own[rank-2+i] += pads[rank+2+i]
	}
	delete(conv.Attrs, "auto_pad")
	conv.SetInts("pads", own...)
	conv.SetInput(0, n.Inputs[0])
	n.Graph().Remove(n)
	return true
}
