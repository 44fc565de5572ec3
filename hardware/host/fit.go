package host

import (
	"math"
	"regexp"
	"slices"
)

// Predictor says how long a kernel takes.
type Predictor struct {
	lines map[string]*line
}

// line is what is known about the steps of one key.
type line struct {
	price    [features]float64 // seconds for each unit of a feature
	rows     []neighbour
	resident int64 // the most weights of a network among them
}

// neighbour is a measured step: where it lies, and the logarithm of its time
// over what the line says.
type neighbour struct {
	at       [coordinates]float64
	residual float64
}

const (
	// few is the number of measured steps below which a line has no more than
	// a price for the call, the bytes and the arithmetic.
	few = 15
	// least is the smallest number of steps that a line is drawn through.
	least = 4
	// granule is the time below which differences do not count.
	granule = 3e-7
)

// Fit learns from measured networks.
func Fit(networks []Network) *Predictor { return fit(sampled(networks), "", nil) }

// sample is a measured step with what fitting asks for again and again.
type sample struct {
	family   string
	keys     [3]string
	features [features]float64
	at       [coordinates]float64
	seconds  float64
	resident int64
}

func sampled(networks []Network) (list []sample) {
	for i := range networks {
		for j := range networks[i].Steps {
			s := &networks[i].Steps[j]
			list = append(list, sample{networks[i].Family, s.keys(), s.features(), s.coordinates(), s.Seconds, s.Resident})
		}
	}
	return list
}

// fit learns from the samples of all families but one; "" leaves none out. all
// is what was learnt from all of them, if that is known: what the family has no
// part in is taken from there.
func fit(samples []sample, without string, all *Predictor) *Predictor {
	groups, touched := map[string][]*sample{}, map[string]bool{}
	for i := range samples {
		if s := &samples[i]; s.family == without {
			for _, k := range s.keys {
				touched[k] = true
			}
		}
	}
	for i := range samples {
		if s := &samples[i]; without == "" || s.family != without {
			for _, k := range s.keys {
				groups[k] = append(groups[k], s)
			}
		}
	}
	p := &Predictor{lines: map[string]*line{}}
	for key, list := range groups {
		switch {
		case len(list) < least:
		case all != nil && !touched[key]:
			p.lines[key] = all.lines[key]
		default:
			p.lines[key] = fitLine(list)
		}
	}
	return p
}

var digits = regexp.MustCompile(`\d+x\d+`)

// keys lists what a step has in common with others, closest first.
func (s *Step) keys() [3]string {
	if s.MACs == 0 {
		return [3]string{s.Kernel + " " + s.Op, s.Kernel, "moves"}
	}
	return [3]string{s.Kernel, digits.ReplaceAllString(s.Kernel, "NxN"), "multiplies"}
}

// fitLine minimises the relative errors of the steps with prices that are not
// negative.
func fitLine(list []*sample) *line {
	l := new(line)
	for _, s := range list {
		l.resident = max(l.resident, s.resident)
	}
	rows := make([][features]float64, len(list))
	var scale [features]float64
	for i, s := range list {
		rows[i] = s.features
		for j := range rows[i] {
			if len(list) < few && j >= basic {
				rows[i][j] = 0
			}
			scale[j] = max(scale[j], rows[i][j])
		}
	}
	var gram [features][features]float64
	var right [features]float64
	for i, s := range list {
		weight := 1 / (s.seconds + granule)
		for j := range features {
			if scale[j] == 0 {
				continue
			}
			a := rows[i][j] / scale[j] * weight
			right[j] += a * s.seconds * weight
			for k := range j + 1 {
				if scale[k] > 0 {
					gram[j][k] += a * rows[i][k] / scale[k] * weight
				}
			}
		}
	}
	for j := range features {
		for k := range j {
			gram[k][j] = gram[j][k]
		}
	}
	for j, x := range nonNegative(&gram, &right) {
		if scale[j] > 0 {
			l.price[j] = x / scale[j]
		}
	}
	for _, s := range list {
		l.rows = append(l.rows, neighbour{s.at, math.Log((s.seconds + 1e-9) / l.base(&s.features))})
	}
	return l
}

// base is what the line says, at least a nanosecond.
func (l *line) base(f *[features]float64) float64 {
	t := 0.0
	for j, x := range f {
		t += x * l.price[j]
	}
	return max(t, 1e-9)
}

// Neighbours of a step are weighed by a Gaussian of this width; the line
// itself weighs as much as a neighbour of weight doubt.
const (
	neighbours = 6
	width      = 0.35
	doubt      = 0.3
)

// seconds corrects the line by what the nearest measured steps took.
//
// A network of more weights than any that was measured counts as the largest of
// those: what its weights cost beyond that is a guess, and prices that were not
// needed to explain smaller ones would multiply it.
func (l *line) seconds(s *Step) float64 {
	if s.Resident > l.resident {
		like := *s
		like.Resident = l.resident
		s = &like
	}
	at := s.coordinates()
	var near [neighbours]struct{ distance, residual float64 }
	n := 0
	for i := range l.rows {
		d := 0.0
		for j, x := range at {
			d += (x - l.rows[i].at[j]) * (x - l.rows[i].at[j])
		}
		k := n
		for k > 0 && near[k-1].distance > d {
			k--
		}
		if k == neighbours {
			continue
		}
		n = min(n+1, neighbours)
		copy(near[k+1:n], near[k:n-1])
		near[k].distance, near[k].residual = d, l.rows[i].residual
	}
	sum, weight := 0.0, doubt
	for _, x := range near[:n] {
		w := math.Exp(-x.distance / (2 * width * width))
		sum, weight = sum+w*x.residual, weight+w
	}
	f := s.features()
	return l.base(&f) * math.Exp(sum/weight)
}

// Seconds predicts the time of a step. Kernels that were never measured are
// taken for the mean of those that were; with nothing measured it is 0.
func (p *Predictor) Seconds(s *Step) float64 {
	keys := s.keys()
	best := (*line)(nil)
	for i, k := range keys {
		l := p.lines[k]
		if l == nil {
			continue
		}
		if best == nil {
			best = l
		}
		if len(l.rows) >= few || s.MACs == 0 || i == len(keys)-1 {
			return l.seconds(s)
		}
	}
	if best == nil {
		return 0
	}
	return best.seconds(s)
}

// Total predicts the time of all steps.
func (p *Predictor) Total(steps []Step) (seconds float64) {
	for i := range steps {
		seconds += p.Seconds(&steps[i])
	}
	return seconds
}

// nonNegative solves gram·x = right for x ≥ 0 in the sense of least squares, by
// the active-set method of Lawson and Hanson.
func nonNegative(gram *[features][features]float64, right *[features]float64) (x [features]float64) {
	var trace, most float64
	for j := range features {
		trace += gram[j][j]
		most = max(most, math.Abs(right[j]))
	}
	for j := range features {
		gram[j][j] += 1e-9*trace/features + 1e-300
	}
	var active []int
	for range 3 * features {
		enter, steepest := -1, 1e-9*most
		for j := range features {
			slope := right[j]
			for k := range features {
				slope -= gram[j][k] * x[k]
			}
			if slope > steepest && !slices.Contains(active, j) {
				enter, steepest = j, slope
			}
		}
		if enter < 0 {
			return x
		}
		active = append(active, enter)
		for range features {
			y := solve(gram, right, active)
			step := 1.0
			for i, j := range active {
				if y[i] <= 0 && x[j] != y[i] {
					step = min(step, x[j]/(x[j]-y[i]))
				}
			}
			for i, j := range active {
				x[j] += step * (y[i] - x[j])
			}
			if step == 1 {
				break
			}
			active = slices.DeleteFunc(active, func(j int) bool {
				if x[j] > 1e-13 {
					return false
				}
				x[j] = 0
				return true
			})
		}
	}
	return x
}

// solve solves the equations of some of the unknowns by Cholesky's method.
func solve(gram *[features][features]float64, right *[features]float64, active []int) []float64 {
	n := len(active)
	var l [features][features]float64
	y := make([]float64, n)
	for i := range n {
		for j := range i + 1 {
			sum := gram[active[i]][active[j]]
			for k := range j {
				sum -= l[i][k] * l[j][k]
			}
			if i == j {
				l[i][i] = math.Sqrt(max(sum, 1e-300))
			} else {
				l[i][j] = sum / l[j][j]
			}
		}
		sum := right[active[i]]
		for k := range i {
			sum -= l[i][k] * y[k]
		}
		y[i] = sum / l[i][i]
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			y[i] -= l[k][i] * y[k]
		}
		y[i] /= l[i][i]
	}
	return y
}
