package train

import (
	"fmt"
	"math"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/internal/parallel"
)

// Optimizer says how gradients change the parameters.
type Optimizer struct {
	// Name is "sgd" (the default), "adam", "adamw" or "rmsprop".
	Name string
	// LR is the learning rate that the schedule scales.
	LR float64
	// Momentum is that of sgd and rmsprop; Nesterov is sgd's variant of it.
	Momentum float64
	Nesterov bool
	// WeightDecay is added to the gradient as WeightDecay·w, except by adamw,
	// which shrinks the weights apart from it.
	WeightDecay float64
	// DecayAll applies it to biases and to the scales and shifts of
	// normalizations too.
	DecayAll bool
	// Beta1 and Beta2 are Adam's (defaults 0.9 and 0.999); Alpha is the
	// smoothing of rmsprop (default 0.99); Epsilon is 1e-8 by default.
	Beta1, Beta2, Alpha, Epsilon float64
	// Group, if set, gives a parameter factors of its own for the learning
	// rate and the weight decay (0 for none).
	Group func(p *graph.Value) (lr, decay float64)
}

// SGD is stochastic gradient descent with momentum.
func SGD(lr, momentum, decay float64) Optimizer {
	return Optimizer{Name: "sgd", LR: lr, Momentum: momentum, WeightDecay: decay}
}

// AdamW is Adam with decoupled weight decay.
func AdamW(lr, decay float64) Optimizer {
	return Optimizer{Name: "adamw", LR: lr, WeightDecay: decay}
}

// Optimizers lists the names of the optimizers.
func Optimizers() []string { return []string{"sgd", "adam", "adamw", "rmsprop"} }

func (o Optimizer) withDefaults() (Optimizer, error) {
	if o.Name == "" {
		o.Name = "sgd"
	}
	for p, def := range map[*float64]float64{&o.Beta1: 0.9, &o.Beta2: 0.999, &o.Alpha: 0.99, &o.Epsilon: 1e-8} {
		if *p == 0 {
			*p = def
		}
	}
	if o.slots() < 0 {
		return o, fmt.Errorf("unknown optimizer %q; there are %s", o.Name, strings.Join(Optimizers(), ", "))
	}
	for name, v := range map[string]float64{"learning rate": o.LR, "momentum": o.Momentum, "weight decay": o.WeightDecay,
		"beta1": o.Beta1, "beta2": o.Beta2, "alpha": o.Alpha, "epsilon": o.Epsilon} {
		if !(v >= 0) || math.IsInf(v, 1) {
			return o, fmt.Errorf("%s %v, want a number that is not negative", name, v)
		}
	}
	if o.Nesterov && o.Momentum == 0 {
		return o, fmt.Errorf("nesterov needs a momentum")
	}
	return o, nil
}

// slots is the number of state vectors that a parameter has, -1 if there is
// no such optimizer.
func (o Optimizer) slots() int {
	switch o.Name {
	case "sgd":
		if o.Momentum == 0 {
			return 0
		}
		return 1
	case "adam", "adamw", "rmsprop":
		return 2
	}
	return -1
}

// updateGrain is the number of elements worth handing to another worker.
const updateGrain = 16384

// update changes p by one step (t counts from 1) at learning rate lr.
func (o *Optimizer) update(pool *parallel.Pool, p *param, lr float64, t int) {
	rate, decay := float32(lr*p.lr), float32(o.WeightDecay*p.decay)
	w, g := p.data, p.grad
	slot := func(i, lo, hi int) []float32 {
		if i >= len(p.state) {
			return nil
		}
		return p.state[i][lo:hi]
	}
	bias1, bias2 := float32(1-math.Pow(o.Beta1, float64(t))), float32(1-math.Pow(o.Beta2, float64(t)))
	pool.For(len(w), updateGrain, func(_, lo, hi int) {
		switch o.Name {
		case "sgd":
			vec.SGD(w[lo:hi], g[lo:hi], slot(0, lo, hi), rate, float32(o.Momentum), 0, decay, o.Nesterov)
		case "rmsprop":
			vec.RMSprop(w[lo:hi], g[lo:hi], slot(0, lo, hi), slot(1, lo, hi), rate, float32(o.Alpha), float32(o.Epsilon), decay, float32(o.Momentum))
		default:
			vec.AdamW(w[lo:hi], g[lo:hi], slot(0, lo, hi), slot(1, lo, hi), rate, float32(o.Beta1), float32(o.Beta2),
				float32(o.Epsilon), decay, bias1, bias2, o.Name == "adamw")
		}
	})
}
