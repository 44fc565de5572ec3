// Package eval is the portable meaning of every operator: plain Go on
// row-major tensors in ONNX layout (images as N, C, H, W), in the newest
// semantics of each operator. It folds constants, runs what the engine has no
// kernel for, and is the reference that faster code is tested against. It
// prefers clarity over speed.
//
// # Precision
//
// Floats are stored in the type of the tensor and computed in float64: each
// output element is the float64 result rounded once. float16 and bfloat16 are
// computed as float32 tensors and rounded at the end. Quantization follows
// ONNX Runtime instead: float32 at every step, rounding half to even, so that
// integers agree bit for bit. Integer arithmetic wraps around; division of an
// integer by zero gives zero.
package eval

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Func computes a node's outputs from its inputs. Left-out inputs are nil or
// missing from the end of the list; left-out outputs may be nil. Inputs must
// not be written to, but outputs may share their memory (Identity, Reshape).
type Func func(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error)

// kind tells how Node treats element types that Go has no arithmetic for.
type kind int

const (
	// raw functions see the tensors as they are.
	raw kind = iota
	// arithmetic functions see float16 and bfloat16 as float32; if input 0
	// was narrow, a float32 output 0 is rounded to its type. Types of less
	// than 8 bits are refused.
	arithmetic
	// movement functions only move elements: they see 4-bit and 2-bit
	// integers as 8-bit ones, and outputs are packed again.
	movement
)

type entry struct {
	f    Func
	kind kind
	min  int // required inputs
}

var table = map[[2]string]entry{}

// Register adds an operator. float16 and bfloat16 inputs reach f as float32.
// It panics on a duplicate. Call it from init functions only.
func Register(domain, op string, f Func) { register(domain, arithmetic, 0, map[string]Func{op: f}) }

func register(domain string, k kind, min int, fs map[string]Func) {
	for op, f := range fs {
		key := [2]string{domain, op}
		if _, dup := table[key]; dup {
			panic("eval: operator registered twice: " + domain + "." + op)
		}
		table[key] = entry{f, k, min}
	}
}

// Supported reports whether the node's operator is known here.
func Supported(n *graph.Node) bool {
	_, ok := table[[2]string{n.Domain, n.Op}]
	return ok
}

// Node computes the outputs of n from its inputs. It needs no shape
// inference: shapes come from the inputs. Outputs may share memory with
// inputs. Errors name the node.
func Node(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	e, ok := table[[2]string{n.Domain, n.Op}]
	if !ok {
		return nil, fmt.Errorf("eval: %w", n.Errorf("this operator cannot be computed (the model can still be inspected and written)"))
	}
	for i := range e.min {
		if i >= len(in) || in[i] == nil {
			return nil, fmt.Errorf("eval: %w", n.Errorf("lacks its required input %d", i))
		}
	}
	out, err := e.run(n, in)
	if err != nil {
		return nil, fmt.Errorf("eval: %w", n.Errorf("%w", err))
	}
	for i, v := range n.Outputs {
		if v != nil && (i >= len(out) || out[i] == nil) {
			return nil, fmt.Errorf("eval: %w", n.Errorf("output %d (%q) is not computed here", i, v.Name))
		}
	}
	return out, nil
}

// run calls the function with the types it understands. A panic becomes an
// error: a model is untrusted input, and its attributes may contradict its
// tensors in ways that no check foresaw.
func (e entry) run(n *graph.Node, in []*tensor.Tensor) (out []*tensor.Tensor, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("attributes and inputs contradict each other: %v", r)
		}
	}()
	args := slices.Clone(in)
	for i, t := range args {
		if t == nil {
			continue
		}
		if err := checkSize(t.Shape); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		if b := t.DType.Bits(); e.kind == arithmetic && b > 0 && b < 8 {
			return nil, fmt.Errorf("not defined for %v", t.DType)
		}
		if wide := e.kind.widen(t.DType); wide != t.DType {
			if args[i], err = t.Convert(wide); err != nil {
				return nil, err
			}
		}
	}
	out, err = e.f(n, args)
	if err != nil {
		return nil, err
	}
	return e.kind.narrow(in, args, out)
}

func (k kind) widen(d tensor.DType) tensor.DType {
	switch {
	case k == arithmetic && (d == tensor.Float16 || d == tensor.BFloat16):
		return tensor.Float32
	case k == movement && (d == tensor.Int4 || d == tensor.Int2):
		return tensor.Int8
	case k == movement && (d == tensor.Uint4 || d == tensor.Uint2):
		return tensor.Uint8
	}
	return d
}

// narrow undoes widen on the outputs.
func (k kind) narrow(in, args, out []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if k == raw || len(in) == 0 || in[0] == nil || in[0].DType == args[0].DType {
		return out, nil
	}
	for i, t := range out {
		if t == nil || t.DType != args[0].DType || k == arithmetic && i > 0 {
			continue
		}
		var err error
		if out[i], err = t.Convert(in[0].DType); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// NodeTo computes n into given tensors, whose types and shapes must be those
// of the results. A nil entry of out discards that output.
func NodeTo(n *graph.Node, in, out []*tensor.Tensor) error {
	results, err := Node(n, in)
	if err != nil {
		return err
	}
	for i, o := range out {
		if o == nil {
			continue
		}
		if i >= len(results) || results[i] == nil {
			return fmt.Errorf("eval: %w", n.Errorf("output %d is not computed here", i))
		}
		r := results[i]
		if r.DType != o.DType || !slices.Equal(r.Shape, o.Shape) {
			return fmt.Errorf("eval: %w", n.Errorf("output %d came out as %v, expected %v", i, r, o))
		}
		if r.DType == tensor.String {
			copy(tensor.Data[string](o), tensor.Data[string](r))
		} else {
			copy(o.Bytes(), r.Bytes())
		}
	}
	return nil
}
