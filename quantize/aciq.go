package quantize

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/method"
)

const aciqPaper = "Banner et al., Post-training 4-bit quantization of convolutional networks for rapid-deployment, NeurIPS"

func init() {
	method.Register(method.Method{
		Name: "aciq", Family: method.Calibrate, Summary: "the range with the least expected error for a Laplace or normal distribution, in closed form",
		Paper: aciqPaper, Year: 2019,
		Needs:   method.Needs{Data: true},
		Options: []method.Option{{Name: "distribution", Default: "auto", Help: "laplace, gauss, or auto: the one that fits the histogram better"}},
		New: func(o map[string]string) (any, error) {
			switch d := o["distribution"]; d {
			case "auto", "laplace", "gauss":
				return aciq{d}, nil
			default:
				return nil, fmt.Errorf("distribution=%s: want laplace, gauss or auto", d)
			}
		},
	})
	method.Register(method.Method{
		Name: "aciq", Family: method.Quantize, Summary: "4-bit post-training: analytic clipping, bits allotted to channels by their spread, spread and mean of the weights restored",
		Paper: aciqPaper, Year: 2019,
		Needs: method.Needs{Data: true},
		Options: []method.Option{
			{Name: "allocate", Default: "true", Help: "give each output channel's weights bits of its own, of the same mean (stored in bytes)"},
			{Name: "correct", Default: "true", Help: "rescale each channel to the spread that its weights had"}},
		New: func(o map[string]string) (any, error) {
			allocate, err := boolean(o, "allocate")
			if err != nil {
				return nil, err
			}
			correct, err := boolean(o, "correct")
			return Preset(func(p *Options) {
				p.Calibrator, p.WeightRange, p.BiasCorrection = "aciq", "aciq", true
				p.AllocateChannels, p.RestoreSpread = allocate, correct
			}), err
		},
	})
}

type aciq struct{ distribution string }

func (c aciq) Observer() Observer { return &aciqObserver{distribution: c.distribution} }

type aciqObserver struct {
	histogram
	distribution string
}

// Range clips at α from the mean, where α minimises the expected square error
// of 2^M levels; for a tensor without negative elements (behind a Relu), whose
// levels all lie on one side, α is that of one bit more.
func (o *aciqObserver) Range(qmin, qmax int) (lo, hi float32) {
	if o.reach == 0 {
		return o.lo, o.hi
	}
	mean, b, sigma := o.moments()
	bits := math.Log2(float64(qmax - qmin + 1))
	oneSided := o.lo >= 0
	if oneSided {
		bits++
	}
	best := math.Inf(1)
	try := func(name string, center, alpha float64) {
		if o.distribution != "auto" && o.distribution != name {
			return
		}
		least, most := max(o.lo, float32(center-alpha)), min(o.hi, float32(center+alpha))
		if oneSided {
			least = 0
		}
		if e := o.squareError(Affine(least, most, qmin, qmax)); e < best {
			best, lo, hi = e, least, most
		}
	}
	try("laplace", mean, laplaceClip(bits)*b)
	try("gauss", mean, gaussClip(bits)*sigma)
	if oneSided { // what a Relu leaves of a distribution around zero
		half, root := o.positive()
		try("laplace", 0, laplaceClip(bits)*half)
		try("gauss", 0, gaussClip(bits)*root)
	}
	return lo, hi
}

// moments are the mean, the mean absolute deviation and the standard deviation.
func (o *aciqObserver) moments() (mean, deviation, sigma float64) {
	for i, n := range o.n {
		mean += n * float64(o.center(i))
	}
	mean /= o.total
	for i, n := range o.n {
		d := float64(o.center(i)) - mean
		deviation += n * math.Abs(d)
		sigma += n * d * d
	}
	return mean, deviation / o.total, math.Sqrt(sigma / o.total)
}

// positive are the mean and the root mean square of the elements above zero.
func (o *aciqObserver) positive() (mean, root float64) {
	n := 0.0
	for i, c := range o.n[bins/2+1:] {
		x := float64(o.center(bins/2 + 1 + i))
		n += c
		mean += c * x
		root += c * x * x
	}
	return mean / max(n, 1), math.Sqrt(root / max(n, 1))
}

// laplaceClip is the best clipping value α/b of M bits for a Laplace
// distribution of scale b: (α/b)·e^(α/b) = 3·4^M (Banner et al. 2019, eq. 10).
func laplaceClip(bits float64) float64 {
	c := math.Log(3) + bits*math.Log(4)
	x := 1.0
	for range 60 { // Newton's method on x + ln x = c
		x -= (x + math.Log(x) - c) / (1 + 1/x)
	}
	return x
}

// gaussClip is the best clipping value α/σ of M bits for a normal distribution:
// the zero of the derivative of (σ²+α²)(1−erf(α/√2σ)) − √(2/π)ασe^(−α²/2σ²) + α²/(3·4^M).
func gaussClip(bits float64) float64 {
	slope := func(a float64) float64 {
		return a*math.Erfc(a/math.Sqrt2) - math.Sqrt(2/math.Pi)*math.Exp(-a*a/2) + a/(3*math.Exp2(2*bits))
	}
	lo, hi := 0.0, 20.0
	for range 100 {
		if m := (lo + hi) / 2; slope(m) < 0 {
			lo = m
		} else {
			hi = m
		}
	}
	return lo
}

// aciqGrids clips each row of weights by the analytic rule of whichever of the
// two distributions makes the smaller error, at bits of its own if
// Options.AllocateChannels says so.
func aciqGrids(rows [][]float32, bits int, o *Options) []Grid {
	each := make([]int, len(rows))
	alpha := make([]float64, len(rows))
	for i, r := range rows {
		each[i], alpha[i] = bits, peak(r)
	}
	if o.AllocateChannels && o.PerChannel && bits < 8 {
		each = allocateBits(alpha, bits)
	}
	grids := make([]Grid, len(rows))
	for i, r := range rows {
		m := max(each[i], 2)
		mean, b, sigma := spread(r)
		best := math.Inf(1)
		for _, clip := range []float64{laplaceClip(float64(m)) * b, gaussClip(float64(m)) * sigma} {
			// From the mean, which lies far from zero in depthwise filters.
			g := weightGrid(r, m, float32(min((math.Abs(mean)+clip)/max(alpha[i], 1e-30), 1)), o)
			if e := squareError(r, g); e < best {
				best, grids[i] = e, g
			}
		}
	}
	return grids
}

// allocateBits shares out n·2^bits levels among n channels in proportion to
// α^(2/3), which minimises the sum of their errors (Banner et al. 2019, eq. 16),
// as whole bits from 0 to 8 whose mean is bits at most.
func allocateBits(alpha []float64, bits int) []int {
	target := float64(bits)
	out := make([]int, len(alpha))
	for range 10 {
		mean := 0.0
		for i, m := range shareBits(alpha, target) {
			out[i] = int(min(max(math.Round(m), 0), 8))
			mean += float64(out[i]) / float64(len(out))
		}
		if mean <= float64(bits) {
			break
		}
		target -= mean - float64(bits)
	}
	return out
}

// shareBits is log2 of each channel's share of n·2^bits levels.
func shareBits(alpha []float64, bits float64) []float64 {
	sum := 0.0
	for _, a := range alpha {
		sum += math.Pow(a, 2.0/3)
	}
	out := make([]float64, len(alpha))
	for i, a := range alpha {
		if sum > 0 && a > 0 {
			out[i] = math.Log2(float64(len(alpha)) * math.Exp2(bits) * math.Pow(a, 2.0/3) / sum)
		}
	}
	return out
}

// restoreNorm is the factor that gives a channel's quantized weights the
// root mean square that they had: restoreSpread for grids that can only be
// scaled about zero. Both are the same where the mean is zero.
func restoreNorm(w, quantized []float32) float64 {
	var a, b float64
	for i, v := range w {
		a += float64(v) * float64(v)
		b += float64(quantized[i]) * float64(quantized[i])
	}
	if !(a > 0 && b > 0) {
		return 1
	}
	return math.Sqrt(a / b)
}

// restoreSpread is the factor std(w)/std(ŵ) that gives a channel's quantized
// weights the standard deviation they had, and the shift that then restores
// their mean (Banner et al. 2019, section 4.2).
func restoreSpread(w, quantized []float32) (factor, shift float64) {
	mw, _, sw := spread(w)
	mq, _, sq := spread(quantized)
	factor = 1
	if sq > 0 && sw > 0 {
		factor = sw / sq
	}
	return factor, mw - mq
}

// spread is the mean of x, its mean absolute deviation and its standard
// deviation.
func spread(x []float32) (mean, deviation, sigma float64) {
	if len(x) == 0 {
		return 0, 0, 0
	}
	n := float64(len(x))
	for _, v := range x {
		mean += float64(v) / n
	}
	for _, v := range x {
		d := float64(v) - mean
		deviation += math.Abs(d) / n
		sigma += d * d / n
	}
	return mean, deviation, math.Sqrt(sigma)
}

// peak is the largest magnitude in x.
func peak(x []float32) float64 {
	top := 0.0
	for _, v := range x {
		top = max(top, math.Abs(float64(v)))
	}
	return top
}

func squareError(x []float32, g Grid) float64 {
	sum := 0.0
	for _, v := range x {
		e := float64(g.Error(v))
		sum += e * e
	}
	return sum
}
