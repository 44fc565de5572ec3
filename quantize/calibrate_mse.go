package quantize

import (
	"math"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "mse", Family: method.Calibrate, Summary: "the clipped range with the least mean error |x − x̂|ᵖ",
		Paper: "Li et al., BRECQ: pushing the limit of post-training quantization by block reconstruction, ICLR", Year: 2021,
		Needs:   method.Needs{Data: true},
		Options: []method.Option{{Name: "p", Default: "2", Help: "power of the error (2.4 weighs outliers more)"}},
		New: func(o map[string]string) (any, error) {
			p, err := number(o, "p", 1, 8)
			return leastError{p}, err
		},
	})
}

type leastError struct{ p float64 }

func (c leastError) Observer() Observer { return &leastErrorObserver{p: c.p} }

type leastErrorObserver struct {
	histogram
	p float64
}

// Range tries the fractions 1.00, 0.99, … 0.21 of the range seen.
func (o *leastErrorObserver) Range(qmin, qmax int) (lo, hi float32) {
	lo, hi = o.lo, o.hi
	if o.reach == 0 {
		return lo, hi
	}
	best := math.Inf(1)
	for step := range 80 {
		r := 1 - float32(step)/100
		g := Affine(o.lo*r, o.hi*r, qmin, qmax)
		sum := 0.0
		for i, n := range o.n {
			if n == 0 {
				continue
			}
			e := math.Abs(float64(g.Error(o.center(i))))
			if o.p == 2 {
				sum += n * e * e
			} else {
				sum += n * math.Pow(e, o.p)
			}
		}
		if sum < best {
			best, lo, hi = sum, o.lo*r, o.hi*r
		}
	}
	return lo, hi
}
