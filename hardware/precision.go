package hardware

import (
	"math"
	"math/bits"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// maxScanned bounds the elements that are looked at for their width.
const maxScanned = 1 << 28

// storedBits is the width in which a runtime holds v, 0 without v.
func storedBits(v *graph.Value, unknown int) int {
	if v == nil {
		return 0
	}
	if b := graph.StoredBits(v); b > 0 {
		return b
	}
	return unknown
}

// weightBits is the width that a weight's integers need, at most that of their
// type: files often hold fewer bits in int8, which every runtime reads. Signs
// alone need one bit.
func weightBits(v *graph.Value) int {
	stored := storedBits(v, 32)
	src := graph.Source(v)
	if src == nil || !narrowable(src.Data.DType) || src.Data.Len() > maxScanned || !zeroPointsAreZero(v) {
		return stored
	}
	least, most, zeros := 0.0, 0.0, false
	for i := range src.Data.Len() {
		x := src.Data.At(i)
		least, most, zeros = min(least, x), max(most, x), zeros || x == 0
	}
	if !zeros && least >= -1 && most <= 1 {
		return 1
	}
	return min(1+bits.Len(uint(max(most, -1-least))), stored)
}

func narrowable(t tensor.DType) bool {
	return t == tensor.Int4 || t == tensor.Int8 || t == tensor.Int16
}

// zeroPointsAreZero tells if v is a constant, or one that is dequantized
// without a zero point.
func zeroPointsAreZero(v *graph.Value) bool {
	for ; v.Data == nil; v = v.Producer().In(0) {
		p := v.Producer()
		if p == nil || p.Is("QuantizeLinear", "Cast") {
			return false
		}
		if zero := p.In(2); p.Is("DequantizeLinear") && zero != nil {
			if zero.Data == nil {
				return false
			}
			for i := range zero.Data.Len() {
				if zero.Data.At(i) != 0 {
					return false
				}
			}
		}
	}
	return true
}

// activationBits is the width of v's levels, at most that of their type: where
// v was clipped before it was quantized, only the levels between the bounds
// occur. That is how fewer bits than the type's are written.
func activationBits(v *graph.Value) int {
	stored := storedBits(v, 32)
	dequantize := producer(v, "DequantizeLinear")
	if dequantize == nil {
		return stored
	}
	quantize := producer(dequantize.In(0), "QuantizeLinear")
	if quantize == nil {
		return stored
	}
	clip := producer(quantize.In(0), "Clip")
	if clip == nil {
		return stored
	}
	scale, least, most := scalar(quantize.In(1)), scalar(clip.In(1)), scalar(clip.In(2))
	if levels := math.RoundToEven(most/scale) - math.RoundToEven(least/scale); levels >= 1 && levels < 1<<16 {
		return min(bits.Len(uint(levels)), stored)
	}
	return stored
}

// producer is the node that computes v if it is of that operator, else nil.
func producer(v *graph.Value, op string) *graph.Node {
	if v == nil || v.Producer() == nil || !v.Producer().Is(op) {
		return nil
	}
	return v.Producer()
}

// scalar is the constant v of one element, else not a number.
func scalar(v *graph.Value) float64 {
	if v == nil || v.Data == nil || v.Data.Len() != 1 {
		return math.NaN()
	}
	return v.Data.At(0)
}
