package prune

import (
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "cluster", Family: method.Prune, Summary: "filters that resemble another one, which then takes over what they did",
		Paper: "Zhou et al., Online filter clustering and pruning for efficient convnets, ICIP", Year: 2018,
		New: func(map[string]string) (any, error) { return &cluster{into: map[string][]int{}}, nil },
	})
}

// cluster merges channels bottom up: of the two clusters whose means are
// nearest (Ward's criterion) one channel goes, the one farther from the
// common mean, and its score is the step at which it went. Before removal the
// weights that read it are added to those of the channel that stays for it,
// which is exact where both are identical, batch normalization included.
type cluster struct {
	// into says, by group and channel, which channel took it over; -1 none.
	into map[string][]int
}

func (s *cluster) Channels(gr *graph.Group) ([]float64, error) {
	x, err := features(gr)
	if err != nil {
		return nil, err
	}
	score, into := agglomerate(x.n, x.squaredDistances())
	s.into[gr.Name] = into
	return score, nil
}

// features describes each channel by all that computes it: its filters in
// units of their layer's mean norm, and what normalizations make of them. What
// a layer does not compute of a channel is 0.
func features(gr *graph.Group) (points, error) {
	var parts [][][]float32 // by layer and channel
	for _, m := range gr.Members {
		if m.Role == graph.Consumes || m.Node != nil && m.Node.Is("BatchNormalization") {
			continue
		}
		f, err := filters(m)
		if err != nil {
			return points{}, err
		}
		parts = append(parts, f)
	}
	for _, b := range batchNorms(gr) {
		f := make([][]float32, gr.Size)
		for c := range f {
			k := b.gamma[c] / b.dev[c]
			f[c] = []float32{float32(k), float32(b.beta[c] - b.mean[c]*k)}
		}
		parts = append(parts, f)
	}
	dim := 0
	width, unit := make([]int, len(parts)), make([]float32, len(parts))
	for i, f := range parts {
		sum := 0.0
		for _, v := range f {
			width[i] = max(width[i], len(v))
			sum += float64(vec.SumSquares(v))
		}
		dim += width[i]
		unit[i] = 1
		if sum > 0 {
			unit[i] = float32(1 / sqrt(sum/float64(len(f))))
		}
	}
	p := points{gr.Size, dim, make([]float32, gr.Size*dim)}
	for c := range gr.Size {
		row := p.row(c)
		for i, f := range parts {
			vec.Scale(unit[i], row[:len(f[c])], f[c])
			row = row[width[i]:]
		}
	}
	return p, nil
}

// agglomerate merges n points with the given squared distances, which it
// changes, until one is left. score is the step at which a point was absorbed
// (the survivor's is the highest), into what absorbed it. The points themselves
// are not needed: for the mean of two clusters m = αa + βb, α + β = 1, every
// ‖p − m‖² is α‖p − a‖² + β‖p − b‖² − αβ‖a − b‖².
func agglomerate(n int, between []float64) (score []float64, into []int) {
	score, into = make([]float64, n), make([]int, n)
	weight := make([]float64, n)
	alive := make([]int, n)
	for i := range n {
		weight[i], alive[i], into[i], score[i] = 1, i, -1, float64(n)
	}
	of := func(i int) []float64 { return between[i*n:][:n] } // means of clusters
	point := slices.Clone(between)                           // from a cluster's mean to each point
	ward := func(i, j int) float64 {
		return weight[i] * weight[j] / (weight[i] + weight[j]) * of(i)[j]
	}
	// The nearest other cluster of each, and how far it is.
	nearest, far := make([]int, n), make([]float64, n)
	look := func(i int) {
		nearest[i], far[i] = -1, math.Inf(1)
		for _, j := range alive {
			if j == i {
				continue
			}
			if d := ward(i, j); d < far[i] || nearest[i] < 0 {
				nearest[i], far[i] = j, d
			}
		}
	}
	for i := range n {
		look(i)
	}
	for step := 1; len(alive) > 1; step++ {
		a := alive[0]
		for _, i := range alive {
			if far[i] < far[a] {
				a = i
			}
		}
		b := nearest[a]
		a, b = min(a, b), max(a, b)
		alpha := weight[a] / (weight[a] + weight[b])
		beta, apart := 1-alpha, of(a)[b]
		mix := func(x, y float64) float64 { return max(alpha*x+beta*y-alpha*beta*apart, 0) }
		pa, pb := point[a*n:][:n], point[b*n:][:n]
		keep, gone := a, b
		if mix(pa[b], pb[b]) < mix(pa[a], pb[a]) {
			keep, gone = b, a
		}
		to := point[keep*n:][:n]
		for _, i := range alive {
			to[i] = mix(pa[i], pb[i])
			if i != a && i != b {
				d := mix(of(a)[i], of(b)[i])
				of(keep)[i], of(i)[keep] = d, d
			}
		}
		weight[keep] += weight[gone]
		into[gone], score[gone] = keep, float64(step)
		alive = slices.DeleteFunc(alive, func(i int) bool { return i == gone })
		for _, i := range alive {
			if i == keep || nearest[i] == a || nearest[i] == b {
				look(i)
			} else if d := ward(i, keep); d < far[i] {
				nearest[i], far[i] = keep, d
			}
		}
	}
	return score, into
}

// Reconstruct adds the weights that read a channel to those of the one that
// stands for it.
func (s *cluster) Reconstruct(gr *graph.Group, gone []int) error {
	into := s.into[gr.Name]
	for _, m := range gr.Consumers() {
		w, err := writable(m)
		if err != nil {
			return err
		}
		for _, c := range gone {
			heir := c
			for slices.Contains(gone, heir) && into[heir] >= 0 {
				heir = into[heir]
			}
			if slices.Contains(gone, heir) || len(m.At[heir]) != len(m.At[c]) {
				continue
			}
			for k, i := range m.At[c] {
				moveTo(m, w, i, m.At[heir][k])
			}
		}
	}
	return nil
}

// moveTo adds the weights that read index from to those that read index to,
// where both are in the same group of a grouped convolution, and leaves zero.
func moveTo(m graph.Member, w []float32, from, to int) {
	var src, dst []int
	each(m, from, func(k int) { src = append(src, k) })
	each(m, to, func(k int) { dst = append(dst, k) })
	if m.Groups > 1 && from/m.Value.Data.Shape[m.Axis] != to/m.Value.Data.Shape[m.Axis] {
		return
	}
	for i, k := range src {
		w[dst[i]] += w[k]
		w[k] = 0
	}
}
