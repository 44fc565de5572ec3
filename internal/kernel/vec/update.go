package vec

import "math"

// SGD does one step of stochastic gradient descent on the parameters w with
// gradient g, as PyTorch defines it:
//
//	g += decay*w; m = momentum*m + (1-dampening)*g; w -= lr*m
//
// with g + momentum*m in place of the last m if nesterov. With momentum 0, m
// is not used and may be nil. g is not changed.
func SGD(w, g, m []float32, lr, momentum, dampening, decay float32, nesterov bool) {
	g = g[:len(w)]
	if len(w) == 0 {
		return
	}
	s := sgdStep{lr: lr, momentum: momentum, damp: 1 - dampening, decay: decay, gw: 0, mw: 1}
	switch {
	case momentum == 0:
		s.gw, s.mw = 1, 0
		m = nil
	case nesterov:
		s.gw, s.mw = 1, momentum
	}
	if m != nil {
		m = m[:len(w)]
	}
	if !sgdSIMD(w, g, m, &s) {
		sgdGo(w, g, m, &s)
	}
}

// sgdStep holds the numbers of a step: w -= lr*(gw*g + mw*m).
type sgdStep struct{ lr, momentum, damp, decay, gw, mw float32 }

func sgdGo(w, g, m []float32, s *sgdStep) {
	for i := range w {
		d := fma(s.decay, w[i], g[i])
		if m != nil {
			v := fma(s.momentum, m[i], float32(s.damp*d))
			m[i] = v
			d = fma(s.gw, d, float32(s.mw*v))
		}
		w[i] = fma(-s.lr, d, w[i])
	}
}

// AdamW does one step of Adam (Kingma and Ba, 2015) on the parameters w with
// gradient g and moments m and v:
//
//	m = b1*m + (1-b1)*g; v = b2*v + (1-b2)*g*g
//	w -= lr/bias1 * m / (sqrt(v/bias2) + eps)
//
// where bias1 = 1-b1^t and bias2 = 1-b2^t at step t. The decay is added to
// the gradient, or with decoupled (Loshchilov and Hutter, 2019) shrinks w by
// lr*decay first. g is not changed.
func AdamW(w, g, m, v []float32, lr, b1, b2, eps, decay, bias1, bias2 float32, decoupled bool) {
	n := len(w)
	g, m, v = g[:n], m[:n], v[:n]
	if n == 0 {
		return
	}
	s := adamStep{
		b1: b1, c1: 1 - b1, b2: b2, c2: 1 - b2, eps: eps, decay: decay, keep: 1,
		rate: lr / bias1, root: float32(1 / math.Sqrt(float64(bias2))),
	}
	if decoupled {
		s.decay, s.keep = 0, 1-lr*decay
	}
	if !adamSIMD(w, g, m, v, &s) {
		adamGo(w, g, m, v, &s)
	}
}

// adamStep holds the numbers of a step.
type adamStep struct{ b1, c1, b2, c2, eps, decay, keep, rate, root float32 }

func adamGo(w, g, m, v []float32, s *adamStep) {
	for i := range w {
		d := fma(s.decay, w[i], g[i])
		m[i] = fma(s.b1, m[i], float32(s.c1*d))
		v[i] = fma(s.b2, v[i], float32(float32(s.c2*d)*d))
		den := fma(float32(math.Sqrt(float64(v[i]))), s.root, s.eps)
		w[i] = fma(-s.rate, m[i]/den, float32(w[i]*s.keep))
	}
}

// RMSprop does one step of RMSprop (Tieleman and Hinton, 2012), as PyTorch
// defines it, with running square v and, if momentum is not 0, buffer m:
//
//	g += decay*w; v = alpha*v + (1-alpha)*g*g; d = g/(sqrt(v)+eps)
//	m = momentum*m + d; w -= lr*m
//
// With momentum 0, m is not used and may be nil. g is not changed.
func RMSprop(w, g, v, m []float32, lr, alpha, eps, decay, momentum float32) {
	n := len(w)
	g, v = g[:n], v[:n]
	if n == 0 {
		return
	}
	if momentum == 0 {
		m = nil
	} else {
		m = m[:n]
	}
	s := rmsStep{lr: lr, alpha: alpha, rest: 1 - alpha, eps: eps, decay: decay, momentum: momentum}
	if !rmsSIMD(w, g, v, m, &s) {
		rmsGo(w, g, v, m, &s)
	}
}

// rmsStep holds the numbers of a step.
type rmsStep struct{ lr, alpha, rest, eps, decay, momentum float32 }

func rmsGo(w, g, v, m []float32, s *rmsStep) {
	for i := range w {
		d := fma(s.decay, w[i], g[i])
		v[i] = fma(s.alpha, v[i], float32(float32(s.rest*d)*d))
		d /= float32(math.Sqrt(float64(v[i]))) + s.eps
		if m != nil {
			m[i] = fma(s.momentum, m[i], d)
			d = m[i]
		}
		w[i] = fma(-s.lr, d, w[i])
	}
}
