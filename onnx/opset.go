package onnx

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// targetOpset chooses the operator set to write: want if it is set, else the
// file's (or newOpset) if it can carry the content, else the lowest that can.
func targetOpset(g *graph.Graph, want int64) (int64, error) {
	opset := want
	if opset == 0 {
		opset = g.Opsets[""]
	}
	if opset == 0 {
		opset = newOpset
	}
	if want != 0 && (want < minOpset || want > maxOpset) {
		return 0, fmt.Errorf("operator set %d is not one of %d to %d", want, minOpset, maxOpset)
	}
	need, who := lowestOpset(g, opset)
	if want != 0 && need > want {
		return 0, fmt.Errorf("%s needs operator set %d, not %d", who, need, want)
	}
	return need, nil
}

// lowestOpset is the lowest operator set, opset or above, that can carry the
// graph, and the node or value that asks for it.
func lowestOpset(g *graph.Graph, opset int64) (need int64, who string) {
	need = max(opset, 1)
	for grown := true; grown; {
		grown = false
		raise := func(n int64, by fmt.Stringer) {
			if n > need {
				need, who, grown = n, by.String(), true
			}
		}
		for _, n := range g.Nodes {
			if hasBody(n) {
				raise(bodyOpset, n)
			}
			if n.Domain == "" {
				raise(settledAt(n.Op), n)
				raise(newForm(n, need).downgrade(), n)
			}
			for _, v := range n.Attrs {
				if sub, ok := v.(*graph.Graph); ok {
					k, _ := lowestOpset(sub, need)
					raise(k, n)
				}
			}
		}
		for _, v := range g.Constants() {
			raise(opsetOfType(v.Type), constantName(v.Name))
		}
	}
	return need, who
}

// settledAt is the lowest operator set in whose words an operator is written.
func settledAt(op string) int64 {
	if v, ok := settled[op]; ok {
		return v
	}
	return minOpset
}

// constantName names a constant in errors.
type constantName string

func (s constantName) String() string { return fmt.Sprintf("constant %q", string(s)) }

// opsetOfType is the operator set that introduced an element type.
func opsetOfType(d tensor.DType) int64 {
	switch d {
	case tensor.BFloat16:
		return 13
	case tensor.Float8E4M3FN, tensor.Float8E4M3FNUZ, tensor.Float8E5M2, tensor.Float8E5M2FNUZ:
		return 19
	case tensor.Int4, tensor.Uint4:
		return 21
	case tensor.Float4E2M1:
		return 23
	case tensor.Float8E8M0:
		return 24
	case tensor.Int2, tensor.Uint2:
		return 25
	}
	return 0
}
