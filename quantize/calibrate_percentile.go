package quantize

import "github.com/drawknife/drawknife/method"

func init() {
	method.Register(method.Method{
		Name: "percentile", Family: method.Calibrate, Summary: "the range without the outermost few elements on either side",
		Paper: "Li et al., Fully quantized network for object detection, CVPR", Year: 2019,
		Needs:   method.Needs{Data: true},
		Options: []method.Option{{Name: "p", Default: "99.99", Help: "percentage of the elements to cover"}},
		New: func(o map[string]string) (any, error) {
			p, err := number(o, "p", 50, 100)
			return percentile{p / 100}, err
		},
	})
}

type percentile struct{ p float64 }

func (c percentile) Observer() Observer { return &percentileObserver{p: c.p} }

type percentileObserver struct {
	histogram
	p float64
}

// Range cuts (1−p)/2 of the elements off either end.
func (o *percentileObserver) Range(_, _ int) (lo, hi float32) {
	if o.reach == 0 {
		return o.lo, o.hi
	}
	cut := o.total * (1 - o.p) / 2
	width := o.reach / (bins / 2)
	i, sum := 0, 0.0
	for ; i < bins-1 && sum+o.n[i] <= cut; i++ {
		sum += o.n[i]
	}
	j := bins - 1
	for sum = 0; j > i && sum+o.n[j] <= cut; j-- {
		sum += o.n[j]
	}
	lo, hi = max(o.lo, o.center(i)-width/2), min(o.hi, o.center(j)+width/2)
	return lo, hi
}
