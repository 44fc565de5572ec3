package quantize

import (
	"math"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "kl", Family: method.Calibrate, Summary: "the threshold whose quantized distribution is nearest in Kullback-Leibler divergence",
		Paper: "Migacz, 8-bit inference with TensorRT, GTC", Year: 2017,
		Needs: method.Needs{Data: true},
		New:   func(map[string]string) (any, error) { return entropy{}, nil },
	})
}

type entropy struct{}

func (entropy) Observer() Observer { return &entropyObserver{} }

type entropyObserver struct{ histogram }

// Range finds the threshold on |x| that loses least information: for each
// candidate, P is the histogram with everything beyond the threshold added to
// its last bin, Q the histogram merged into 128 levels and spread out again
// over the bins that were not empty.
func (o *entropyObserver) Range(_, _ int) (lo, hi float32) {
	if o.reach == 0 {
		return o.lo, o.hi
	}
	const half, levels = bins / 2, 128
	var abs [half]float64
	for i, n := range o.n {
		if i >= half {
			abs[i-half] += n
		} else {
			abs[half-1-i] += n
		}
	}
	// Zero is exact on every grid, and after a Relu there may be more zeros
	// than anything else: they must not decide.
	abs[0] = min(abs[0], abs[1])
	end := half
	for end > levels && abs[end-1] == 0 {
		end--
	}
	best, at := math.Inf(1), end
	for i := levels; i <= end; i++ {
		if d := divergence(abs[:], i, end, levels); d < best {
			best, at = d, i
		}
	}
	t := (float32(at) + 0.5) * o.reach / half
	return max(o.lo, -t), min(o.hi, t)
}

// divergence is KL(P‖Q) for the first i of end bins.
func divergence(h []float64, i, end, levels int) float64 {
	p := make([]float64, i)
	copy(p, h[:i])
	for _, n := range h[i:end] {
		p[i-1] += n
	}
	q := make([]float64, i)
	for l := range levels {
		a, b := l*i/levels, (l+1)*i/levels
		sum, used := 0.0, 0
		for _, n := range h[a:b] {
			sum += n
			if n > 0 {
				used++
			}
		}
		for k := a; k < b && used > 0; k++ {
			if h[k] > 0 {
				q[k] = sum / float64(used)
			}
		}
	}
	smooth(p)
	smooth(q)
	sp, sq := 0.0, 0.0
	for k := range p {
		sp, sq = sp+p[k], sq+q[k]
	}
	if sp == 0 || sq == 0 {
		return math.Inf(1)
	}
	d := 0.0
	for k := range p {
		if p[k] > 0 && q[k] > 0 {
			d += p[k] / sp * math.Log(p[k]/sp*sq/q[k])
		}
	}
	return d
}

// smooth moves a little mass (1e-4 of a count each) from the non-empty bins to
// the empty ones, so that the divergence is finite.
func smooth(h []float64) {
	const eps = 1e-4
	zeros := 0
	for _, n := range h {
		if n == 0 {
			zeros++
		}
	}
	if zeros == 0 || zeros == len(h) {
		return
	}
	take := eps * float64(zeros) / float64(len(h)-zeros)
	for k, n := range h {
		if n == 0 {
			h[k] = eps
		} else {
			h[k] = max(n-take, eps)
		}
	}
}
