package quantize

import (
	"fmt"
	"path"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Bits are the bits of a layer's weights and of the activations that it
// multiplies them by; 0 means the default.
type Bits struct {
	Weights     int `json:"weights"`
	Activations int `json:"activations"`
}

// How integers of 4 and fewer bits are stored.
const (
	// Packed stores them in ONNX's int4, two to a byte (operator set 21).
	Packed = "packed"
	// Packed2 stores those of 2 bits in int2, four to a byte (operator set 25).
	Packed2 = "packed2"
	// Bytes stores them in int8, of which they use a part: any runtime reads it.
	Bytes = "int8"
)

// checkBits fills in defaults and rejects what cannot be.
func (o *Options) checkBits() error {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&o.WBits, 8)
	set(&o.ABits, 8)
	set(&o.EdgeBits, 8)
	check := func(what string, b int) error {
		if b < 2 || b > 16 {
			return fmt.Errorf("quantize: %d bits for %s: want 2 to 16 (one bit is what the binary methods are for)", b, what)
		}
		return nil
	}
	for what, b := range map[string]int{"weights": o.WBits, "activations": o.ABits, "the first and last layers": o.EdgeBits} {
		if err := check(what, b); err != nil {
			return err
		}
	}
	for name, b := range o.Layers {
		set(&b.Weights, o.WBits)
		set(&b.Activations, o.ABits)
		o.Layers[name] = b
		for _, v := range []int{b.Weights, b.Activations} {
			if err := check(fmt.Sprintf("layer %q", name), v); err != nil {
				return err
			}
		}
	}
	switch o.Storage {
	case "":
		o.Storage = Packed
	case Packed, Packed2, Bytes:
	default:
		return fmt.Errorf("quantize: storage %q: there are %s, %s and %s", o.Storage, Packed, Packed2, Bytes)
	}
	if o.Group < 0 {
		return fmt.Errorf("quantize: groups of %d weights", o.Group)
	}
	if o.Group > 0 && !o.PerChannel {
		return fmt.Errorf("quantize: groups of weights have scales of their own, so they exclude one scale a layer")
	}
	return nil
}

// bitsOf returns the bits of a layer: its own, or the options', or, for the
// first and last layers, at least EdgeBits.
func (o *Options) bitsOf(n *graph.Node, edge bool) Bits {
	if b, ok := o.Layers[n.Name]; ok {
		return b
	}
	for pattern, b := range o.Layers {
		if ok, _ := path.Match(pattern, n.Name); ok {
			return b
		}
	}
	b := Bits{o.WBits, o.ABits}
	if edge {
		b.Weights, b.Activations = max(b.Weights, min(o.EdgeBits, 8)), max(b.Activations, min(o.EdgeBits, 8))
	}
	return b
}

// multiplies reports whether n is an operator with weights.
func multiplies(n *graph.Node) bool { return n.Is("Conv", "Gemm", "MatMul") }

// hasWeights reports whether n multiplies by a constant.
func hasWeights(n *graph.Node) bool { return multiplies(n) && n.Inputs[1].Data != nil }

// Edges finds the layers without any layer with weights before them, and those
// without any behind.
func Edges(g *graph.Graph) map[*graph.Node]bool {
	edge := map[*graph.Node]bool{}
	behind := map[*graph.Value]bool{} // a layer with weights was on the way
	for _, n := range g.Nodes {
		after := false
		for _, v := range n.Inputs {
			after = after || behind[v]
		}
		if hasWeights(n) {
			edge[n] = !after
			after = true
		}
		for _, o := range n.Outputs {
			behind[o] = after
		}
	}
	ahead := map[*graph.Value]bool{}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		before := false
		for _, o := range n.Outputs {
			before = before || ahead[o]
		}
		if hasWeights(n) {
			edge[n] = edge[n] || !before
			before = true
		}
		for _, v := range n.Inputs {
			ahead[v] = ahead[v] || before
		}
	}
	return edge
}

// signedRange is the range of signed integers of that many bits for weights.
// At 8 bits and more the most negative one is left out, because its opposite
// does not exist; fewer bits cannot do without it.
func signedRange(bits int) (lo, hi int) {
	hi = 1<<(bits-1) - 1
	if bits >= 8 {
		return -hi, hi
	}
	return -hi - 1, hi
}

// activationRange is the range of integers of that many bits for activations
// of type t.
func activationRange(t tensor.DType, bits int) (lo, hi int) {
	if t.Signed() {
		return -1 << (bits - 1), 1<<(bits-1) - 1
	}
	return 0, 1<<bits - 1
}

// wider is t, or its 16-bit sibling for more than 8 bits.
func wider(t tensor.DType, bits int) tensor.DType {
	if bits <= 8 {
		return t
	}
	if t.Signed() {
		return tensor.Int16
	}
	return tensor.Uint16
}

// storageOf is the element type that holds integers from lo to hi.
func storageOf(lo, hi int, storage string) tensor.DType {
	switch {
	case storage == Packed2 && lo >= -2 && hi <= 1:
		return tensor.Int2
	case storage != Bytes && lo >= -8 && hi <= 7:
		return tensor.Int4
	case lo >= -128 && hi <= 127:
		return tensor.Int8
	}
	return tensor.Int16
}

// integers makes a tensor of type t.
func integers(t tensor.DType, values []int, shape ...int) (*tensor.Tensor, error) {
	wide := make([]int64, len(values))
	for i, v := range values {
		wide[i] = int64(v)
	}
	return tensor.Of(wide, shape...).Convert(t)
}
