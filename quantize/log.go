package quantize

import (
	"math"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "log", Family: method.Quantize, Summary: "weights become powers of two or zero: products are shifts (stored as integers, 4 bits in bytes, 5 in two)",
		Paper: "Miyashita et al., Convolutional neural networks using logarithmic data representation", Year: 2016,
		Needs: method.Needs{Data: true},
		New: func(map[string]string) (any, error) {
			return Preset(func(o *Options) { o.LogWeights, o.BiasCorrection = true, true }), nil
		},
	})
}

// LogGrid is the logarithmic grid {0, ±2^(FSR−2^Bits+1), …, ±2^(FSR−1)}: codes
// of Bits bits, one of them for zero, and a sign.
type LogGrid struct{ FSR, Bits int }

// Exponent is round(log2|x|) clipped at the greatest power; ok is false for
// what becomes zero.
func (g LogGrid) Exponent(x float32) (e int, ok bool) {
	if x == 0 || x != x {
		return 0, false
	}
	e = int(math.RoundToEven(math.Log2(math.Abs(float64(x)))))
	if e <= g.FSR-1<<g.Bits {
		return 0, false
	}
	return min(e, g.FSR-1), true
}

// Quantize rounds x to the grid.
func (g LogGrid) Quantize(x float32) float32 {
	e, ok := g.Exponent(x)
	if !ok {
		return 0
	}
	return float32(math.Copysign(math.Ldexp(1, e), float64(x)))
}

// fitLog chooses the grid of the layer whose full-scale range makes the least
// square error among the three next to its greatest weight, as integers in units
// of the least power.
func (l *layer) fitLog() {
	bits := min(max(l.bits.Weights-1, 1), 4) // one bit is the sign; more powers do not fit 16-bit integers
	top := peak(l.w)
	if top == 0 {
		top = 1
	}
	middle, best := int(math.RoundToEven(math.Log2(top)))+1, math.Inf(1)
	for fsr := middle - 1; fsr <= middle+1; fsr++ {
		g, sum := LogGrid{fsr, bits}, 0.0
		for _, w := range l.w {
			d := float64(w - g.Quantize(w))
			sum += d * d
		}
		if sum < best {
			best, l.log = sum, &g
		}
	}
	unit := l.log.FSR - 1<<bits + 1
	most := 1 << (l.log.FSR - 1 - unit)
	l.grids = make([]Grid, l.channels)
	for c := range l.grids {
		l.grids[c] = Grid{float32(math.Ldexp(1, unit)), 0, -most, most}
	}
}

// roundLog gives every weight the nearest power in the exponent.
func (l *layer) roundLog() {
	l.codes = make([]int, len(l.w))
	for i, w := range l.w {
		l.codes[i] = int(l.log.Quantize(w) / l.grids[0].Scale)
	}
}
