package sparsity

import "math"

// negligible is the probability below which the tails of a distribution are
// cut off.
const negligible = 1e-18

// Dist is the distribution of a count: P[i] is the probability of Low+i. The
// zero value is no distribution; Certain(0) is the count that is always zero.
type Dist struct {
	Low int
	P   []float64
}

// Certain is the distribution of a count that is known.
func Certain(k int) Dist { return Dist{k, []float64{1}} }

// fromMode builds a distribution on [lo, hi] from the ratios P(k+1)/P(k),
// beginning at its mode so that no factorial is ever computed.
func fromMode(lo, hi, mode int, ratio func(k int) float64) Dist {
	mode = min(max(mode, lo), hi)
	up, down := []float64{1}, []float64(nil)
	for k, p := mode, 1.0; k < hi; k++ {
		if p *= ratio(k); p < negligible {
			break
		}
		up = append(up, p)
	}
	for k, p := mode, 1.0; k > lo; k-- {
		if p /= ratio(k - 1); p < negligible {
			break
		}
		down = append(down, p)
	}
	d := Dist{Low: mode - len(down), P: make([]float64, 0, len(down)+len(up))}
	for i := len(down) - 1; i >= 0; i-- {
		d.P = append(d.P, down[i])
	}
	d.P = append(d.P, up...)
	return d.normal()
}

// normal scales the probabilities to a sum of one.
func (d Dist) normal() Dist {
	sum := 0.0
	for _, p := range d.P {
		sum += p
	}
	for i := range d.P {
		d.P[i] /= sum
	}
	return d
}

// High is the largest count that can occur.
func (d Dist) High() int { return d.Low + len(d.P) - 1 }

// At is the probability of the count k.
func (d Dist) At(k int) float64 {
	if k < d.Low || k > d.High() {
		return 0
	}
	return d.P[k-d.Low]
}

// Empty is the probability of no non-zero at all.
func (d Dist) Empty() float64 { return d.At(0) }

// Mean is the expected count.
func (d Dist) Mean() float64 {
	m := 0.0
	for i, p := range d.P {
		m += p * float64(i)
	}
	return float64(d.Low) + m
}

// Variance is the expected squared distance from the mean.
func (d Dist) Variance() float64 {
	m, v := d.Mean(), 0.0
	for i, p := range d.P {
		x := float64(d.Low+i) - m
		v += p * x * x
	}
	return v
}

// Ceil is the distribution of the count divided by unit and rounded up: the
// steps of a machine that takes unit non-zeros at once.
func (d Dist) Ceil(unit int) Dist {
	up := func(k int) int { return (k + unit - 1) / unit }
	c := Dist{Low: up(d.Low)}
	c.P = make([]float64, up(d.High())-c.Low+1)
	for i, p := range d.P {
		c.P[up(d.Low+i)-c.Low] += p
	}
	return c
}

// scaled is the distribution of the count times f.
func (d Dist) scaled(f int) Dist {
	s := Dist{Low: f * d.Low, P: make([]float64, f*(len(d.P)-1)+1)}
	for i, p := range d.P {
		s.P[f*i] += p
	}
	return s
}

// Plus is the distribution of the sum of two independent counts.
func (d Dist) Plus(e Dist) Dist {
	s := Dist{Low: d.Low + e.Low, P: make([]float64, len(d.P)+len(e.P)-1)}
	for i, p := range d.P {
		for j, q := range e.P {
			s.P[i+j] += p * q
		}
	}
	return s.trim()
}

// trim cuts negligible tails.
func (d Dist) trim() Dist {
	for len(d.P) > 1 && d.P[0] < negligible {
		d.P = d.P[1:]
		d.Low++
	}
	for len(d.P) > 1 && d.P[len(d.P)-1] < negligible {
		d.P = d.P[:len(d.P)-1]
	}
	return d
}

// Times is the distribution of the sum of n independent counts. Its cost grows
// with n times the variance; Slowest has a bound on that.
func (d Dist) Times(n int) Dist {
	sum := Certain(0)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			sum = sum.Plus(d)
		}
		if n > 1 {
			d = d.Plus(d)
		}
	}
	return sum
}

// Workers are Count workers that each do Steps steps of random, independent
// work.
type Workers struct {
	Work  Dist
	Steps int
	Count int
}

// widest is the standard deviation up to which sums are computed exactly.
const widest = 100

// Slowest is the expected time of the slowest of all workers, E[max]. Where
// sums are wide they are taken as normal distributions.
func Slowest(groups ...Workers) float64 {
	exact := true
	for _, w := range groups {
		exact = exact && w.Work.Variance()*float64(w.Steps) <= widest*widest
	}
	if exact {
		return slowestExact(groups)
	}
	return slowestNormal(groups)
}

// slowestExact sums 1 − ∏ F over the counts.
func slowestExact(groups []Workers) float64 {
	low, high := 0, 0
	sums := make([]Dist, len(groups))
	for i, w := range groups {
		if w.Count < 1 || w.Steps < 1 {
			sums[i] = Certain(0)
			continue
		}
		sums[i] = w.Work.Times(w.Steps)
		low, high = max(low, sums[i].Low), max(high, sums[i].High())
	}
	cdf := make([]float64, len(groups))
	for i, s := range sums {
		for k := s.Low; k < low; k++ {
			cdf[i] += s.At(k)
		}
	}
	e := float64(low)
	for k := low; k < high; k++ {
		all := 1.0
		for i := range sums {
			cdf[i] += sums[i].At(k)
			all *= math.Pow(min(cdf[i], 1), float64(max(groups[i].Count, 0)))
		}
		e += 1 - all
	}
	return e
}

// slowestNormal is slowestExact by numerical integration.
func slowestNormal(groups []Workers) float64 {
	const reach, points = 9, 4000
	low, high := 0.0, 0.0
	mean, dev := make([]float64, len(groups)), make([]float64, len(groups))
	for i, w := range groups {
		n := float64(max(w.Steps, 0))
		mean[i], dev[i] = n*w.Work.Mean(), math.Sqrt(n*w.Work.Variance())+1e-12
		if w.Count > 0 {
			low, high = max(low, mean[i]-reach*dev[i]), max(high, mean[i]+reach*dev[i])
		}
	}
	step := (high - low) / points
	e := low
	for j := range points {
		x, all := low+(float64(j)+0.5)*step, 1.0
		for i, w := range groups {
			all *= math.Pow(0.5*math.Erfc((mean[i]-x)/(dev[i]*math.Sqrt2)), float64(max(w.Count, 0)))
		}
		e += (1 - all) * step
	}
	return e
}

// ExpectMax is the expected maximum of b independent counts.
func (d Dist) ExpectMax(b int) float64 { return Slowest(Workers{d, 1, b}) }

// NormalMax is the expected maximum of b independent standard normal numbers:
// the slowest of b workers takes μ + σ·NormalMax(b) where its work is a sum of
// many small parts.
func NormalMax(b int) float64 {
	if b < 2 {
		return 0
	}
	const reach, points = 9.0, 600
	e, step := 0.0, 2*reach/points
	for j := range points {
		x := -reach + (float64(j)+0.5)*step
		e += (1 - math.Pow(0.5*math.Erfc(-x/math.Sqrt2), float64(b))) * step
	}
	return e - reach
}
