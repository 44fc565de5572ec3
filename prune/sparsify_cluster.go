package prune

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "cluster", Family: method.Sparsify, Summary: "pulls filters that resemble each other together, so that one can do for all",
		Paper: "Zhou et al., Online filter clustering and pruning for efficient convnets, ICIP", Year: 2018,
		Needs:   method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "lambda", Default: "0.005", Help: "strength of the pull, reached half-way through the training"}},
		New: func(o map[string]string) (any, error) {
			l, err := positive(o, "lambda")
			return &clusterPull{l}, err
		},
	})
}

// clusterPull divides the channels of each group into ⌈n·(1−P)⌉ clusters before
// training and adds (λ/2)·Σ‖F_o − F̄_k‖² to the loss, F̄_k being the mean of the
// cluster: λ·(F_o − F̄_k) to the gradients of filters, scales and shifts. The
// score "cluster" then merges what has become alike.
type clusterPull struct{ lambda float64 }

func (*clusterPull) Score() string { return "cluster" }

func (s *clusterPull) Hook(groups []*graph.Group, rate float64) (train.Hook, error) {
	h := &clusterHook{clusterPull: s}
	for _, gr := range groups {
		x, err := features(gr)
		if err != nil {
			return nil, err
		}
		score, into := agglomerate(x.n, x.squaredDistances())
		h.groups = append(h.groups, gr)
		h.clusters = append(h.clusters, clusters(score, into, int(math.Ceil(float64(gr.Size)*(1-rate)-1e-9))))
	}
	return h, nil
}

// clusters lists the sets of points when only n are left unmerged.
func clusters(score []float64, into []int, n int) [][]int {
	gone := map[int]bool{}
	for _, c := range ascending(score)[:max(len(score)-max(n, 1), 0)] {
		gone[c] = true
	}
	sets := map[int][]int{}
	for c := range score {
		root := c
		for gone[root] {
			root = into[root]
		}
		sets[root] = append(sets[root], c)
	}
	var out [][]int
	for c := range score {
		if len(sets[c]) > 0 {
			out = append(out, sets[c])
		}
	}
	return out
}

type clusterHook struct {
	train.NoHook
	*clusterPull
	groups   []*graph.Group
	clusters [][][]int
}

func (h *clusterHook) AfterBackward(s *train.State) error {
	lambda := h.lambda * min(1, 2*s.Fraction)
	for i, gr := range h.groups {
		for _, m := range gr.Members {
			if m.Role == graph.Consumes || isStatistic(m) {
				continue
			}
			g := gradientOf(s, m)
			if g == nil {
				continue
			}
			live(s, m, func(w []float32) {
				for _, set := range h.clusters[i] {
					pull(m, w, g, set, lambda)
				}
			})
		}
	}
	return nil
}

// pull adds λ·(F_o − F̄) to the gradients of a cluster's channels.
func pull(m graph.Member, w, g []float32, set []int, lambda float64) {
	var at [][]int
	for _, c := range set {
		var list []int
		for _, i := range m.At[c] {
			each(m, i, func(k int) { list = append(list, k) })
		}
		if len(list) > 0 {
			at = append(at, list)
		}
	}
	if len(at) < 2 {
		return
	}
	for k := range at[0] {
		mean := 0.0
		for _, list := range at {
			mean += float64(w[list[k]]) / float64(len(at))
		}
		for _, list := range at {
			g[list[k]] += float32(lambda * (float64(w[list[k]]) - mean))
		}
	}
}
