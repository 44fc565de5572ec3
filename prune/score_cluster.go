package prune

import (
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
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
	score, into := agglomerate(x)
	s.into[gr.Name] = into
	return score, nil
}

// features describes each channel by all that computes it: its filters in
// units of their layer's mean norm, and what normalizations make of them.
func features(gr *graph.Group) ([][]float64, error) {
	x := make([][]float64, gr.Size)
	add := func(f [][]float64) {
		norm, n := 0.0, 0
		for _, v := range f {
			for _, w := range v {
				norm += w * w
			}
			n++
		}
		norm = sqrt(norm / float64(max(n, 1)))
		if norm == 0 {
			norm = 1
		}
		for c, v := range f {
			for _, w := range v {
				x[c] = append(x[c], w/norm)
			}
		}
	}
	for _, m := range gr.Members {
		if m.Role == graph.Consumes || m.Node != nil && m.Node.Is("BatchNormalization") {
			continue
		}
		f, err := filters(m)
		if err != nil {
			return nil, err
		}
		wide := make([][]float64, len(f))
		for c, v := range f {
			for _, w := range v {
				wide[c] = append(wide[c], float64(w))
			}
		}
		add(wide)
	}
	for _, b := range batchNorms(gr) {
		f := make([][]float64, gr.Size)
		for c := range f {
			k := b.gamma[c] / b.dev[c]
			f[c] = []float64{k, b.beta[c] - b.mean[c]*k}
		}
		add(f)
	}
	return x, nil
}

// agglomerate merges points until one is left. score is the step at which a
// point was absorbed (the survivor's is the highest), into what absorbed it.
func agglomerate(x [][]float64) (score []float64, into []int) {
	n := len(x)
	score, into = make([]float64, n), make([]int, n)
	mean := make([][]float64, n)
	weight := make([]float64, n)
	alive := make([]int, n)
	for i := range n {
		mean[i], weight[i], alive[i], into[i], score[i] = slices.Clone(x[i]), 1, i, -1, float64(n)
	}
	ward := func(i, j int) float64 {
		return weight[i] * weight[j] / (weight[i] + weight[j]) * squaredDistance(mean[i], mean[j])
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
		together := make([]float64, len(mean[a]))
		for k := range together {
			together[k] = (weight[a]*mean[a][k] + weight[b]*mean[b][k]) / (weight[a] + weight[b])
		}
		keep, gone := a, b
		if squaredDistance(x[b], together) < squaredDistance(x[a], together) {
			keep, gone = b, a
		}
		mean[keep], weight[keep] = together, weight[a]+weight[b]
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

func squaredDistance(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	s := 0.0
	for i, v := range a {
		s += (v - b[i]) * (v - b[i])
	}
	return s
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
