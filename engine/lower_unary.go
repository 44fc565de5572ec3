package engine

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
)

// rareUnaries are the activations and functions that few networks use.
var rareUnaries = map[string]unary{
	"Celu": {vec.Celu, attrs(1, 0, "alpha")}, "ThresholdedRelu": {vec.ThresholdedRelu, attrs(1, 0, "alpha")},
	"Shrink": {vec.Shrink, attrs(0.5, 0, "lambd", "bias")},
	"Sin":    {vec.Sin, attrs(0, 0)}, "Cos": {vec.Cos, attrs(0, 0)}, "Tan": {vec.Tan, attrs(0, 0)},
	"Asin": {vec.Asin, attrs(0, 0)}, "Acos": {vec.Acos, attrs(0, 0)}, "Atan": {vec.Atan, attrs(0, 0)},
	"Sinh": {vec.Sinh, attrs(0, 0)}, "Cosh": {vec.Cosh, attrs(0, 0)},
	"Asinh": {vec.Asinh, attrs(0, 0)}, "Acosh": {vec.Acosh, attrs(0, 0)}, "Atanh": {vec.Atanh, attrs(0, 0)},
}

func init() {
	for op, u := range rareUnaries {
		lower("", func(c *compiler, n *graph.Node) error { return lowerUnaryAs(c, n, u) }, op)
	}
}
