package quantize

import (
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "ema", Family: method.Calibrate, Summary: "the range of each batch, averaged with exponentially falling weights",
		Paper: "Jacob et al., Quantization and training of neural networks for efficient integer-arithmetic-only inference, CVPR", Year: 2018,
		Needs:   method.Needs{Data: true},
		Options: []method.Option{{Name: "decay", Default: "0.9", Help: "share of the average that stays at each batch (0.99 for long runs)"}},
		New: func(o map[string]string) (any, error) {
			d, err := number(o, "decay", 0, 1)
			return moving{float32(d)}, err
		},
	})
}

type moving struct{ decay float32 }

func (c moving) Observer() Observer { return &movingObserver{decay: c.decay} }

// movingObserver starts at the first batch's range: a ← decay·a + (1−decay)·min.
type movingObserver struct {
	decay, lo, hi float32
	any           bool
}

func (o *movingObserver) Observe(x []float32) {
	var e extremes
	e.Observe(x)
	if !e.any {
		return
	}
	if !o.any {
		o.lo, o.hi, o.any = e.lo, e.hi, true
		return
	}
	o.lo += (1 - o.decay) * (e.lo - o.lo)
	o.hi += (1 - o.decay) * (e.hi - o.hi)
}

func (o *movingObserver) Range(_, _ int) (lo, hi float32) { return o.lo, o.hi }
