package quantize

import (
	"fmt"
	"math"
	"strconv"

	"github.com/drawknife/drawknife/method"
)

// A Calibrator decides the range of an activation from what it sees of it.
type Calibrator interface {
	// Observer starts watching one tensor.
	Observer() Observer
}

// An Observer sees one tensor's elements batch by batch, in bounded memory.
type Observer interface {
	// Observe takes in the elements of one batch. They are finite.
	Observe(x []float32)
	// Range decides the range to cover by the integers qmin to qmax.
	Range(qmin, qmax int) (lo, hi float32)
}

func init() {
	method.Register(method.Method{
		Name: "minmax", Family: method.Calibrate, Summary: "the whole range seen",
		Paper: "Jacob et al., Quantization and training of neural networks for efficient integer-arithmetic-only inference, CVPR", Year: 2018,
		Needs: method.Needs{Data: true},
		New:   func(map[string]string) (any, error) { return minMax{}, nil },
	})
}

// minMax covers everything seen.
type minMax struct{}

func (minMax) Observer() Observer { return &extremes{} }

// extremes remembers the smallest and largest element.
type extremes struct {
	lo, hi float32
	any    bool
}

func (e *extremes) Observe(x []float32) {
	for _, v := range x {
		if !e.any {
			e.lo, e.hi, e.any = v, v, true
		}
		e.lo, e.hi = min(e.lo, v), max(e.hi, v)
	}
}

func (e *extremes) Range(_, _ int) (lo, hi float32) { return e.lo, e.hi }

// bins is the number of bins of a histogram, on both sides of zero together.
const bins = 4096

// histogram counts elements in equal bins over [−reach, reach]; reach doubles
// as larger elements come (each pair of bins becomes one), so that one pass
// and a fixed size are enough.
type histogram struct {
	extremes
	reach float32
	n     [bins]float64
	total float64
}

func (h *histogram) Observe(x []float32) {
	lo, hi := float32(0), float32(0)
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	h.extremes.Observe(x)
	top := max(hi, -lo)
	if h.reach == 0 {
		if top == 0 {
			h.n[bins/2] += float64(len(x))
			h.total += float64(len(x))
			return
		}
		// A power of two: two histograms of the same data have the same bins
		// whatever the order of the batches.
		zeros := h.n[bins/2]
		h.reach = float32(math.Exp2(math.Ceil(math.Log2(float64(top)))))
		h.n[bins/2] = zeros
	}
	for h.reach < top {
		h.widen()
	}
	scale := bins / 2 / h.reach
	for _, v := range x {
		i := int((v + h.reach) * scale)
		h.n[min(max(i, 0), bins-1)]++
	}
	h.total += float64(len(x))
}

func (h *histogram) widen() {
	var w [bins]float64
	for i, c := range h.n {
		w[bins/4+i/2] += c
	}
	h.n = w
	h.reach *= 2
}

// center is the middle of bin i.
func (h *histogram) center(i int) float32 {
	return (float32(i)+0.5)/(bins/2)*h.reach - h.reach
}

// squareError is the sum of the square errors that the grid makes of the
// elements counted.
func (h *histogram) squareError(g Grid) float64 {
	sum := 0.0
	for i, n := range h.n {
		if n > 0 {
			e := float64(g.Error(h.center(i)))
			sum += n * e * e
		}
	}
	return sum
}

func number(options map[string]string, name string, lo, hi float64) (float64, error) {
	v, err := strconv.ParseFloat(options[name], 64)
	if err != nil || !(v >= lo && v <= hi) {
		return 0, fmt.Errorf("%s=%s: want a number from %g to %g", name, options[name], lo, hi)
	}
	return v, nil
}
