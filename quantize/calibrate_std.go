package quantize

import (
	"math"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "std", Family: method.Calibrate, Summary: "some standard deviations around the mean, never more than was seen",
		Paper: "McKinstry et al., Discovering low-precision networks close to full-precision networks for efficient embedded inference", Year: 2018,
		Needs:   method.Needs{Data: true},
		Options: []method.Option{{Name: "n", Default: "6", Help: "number of standard deviations"}},
		New: func(o map[string]string) (any, error) {
			n, err := number(o, "n", 0.1, 100)
			return deviations{n}, err
		},
	})
}

type deviations struct{ n float64 }

func (c deviations) Observer() Observer { return &deviationsObserver{times: c.n} }

type deviationsObserver struct {
	extremes
	times, n, sum, squares float64
}

func (o *deviationsObserver) Observe(x []float32) {
	o.extremes.Observe(x)
	o.n += float64(len(x))
	for _, v := range x {
		o.sum += float64(v)
		o.squares += float64(v) * float64(v)
	}
}

func (o *deviationsObserver) Range(_, _ int) (lo, hi float32) {
	if o.n == 0 {
		return 0, 0
	}
	mean := o.sum / o.n
	reach := o.times * math.Sqrt(max(o.squares/o.n-mean*mean, 0))
	return max(o.lo, float32(mean-reach)), min(o.hi, float32(mean+reach))
}
