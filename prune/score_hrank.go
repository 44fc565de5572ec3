package prune

import (
	"context"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "hrank", Family: method.Prune, Summary: "channels whose feature maps have the lowest rank",
		Paper: "Lin et al., HRank: Filter pruning using high-rank feature map, CVPR", Year: 2020,
		Needs: method.Needs{Data: true},
		New: func(map[string]string) (any, error) {
			return &hrank{sum: map[*graph.Group][]float64{}, count: map[*graph.Group]float64{}}, nil
		},
	})
}

// hrank scores a channel by the mean rank of its maps behind the activation.
// Maps of one pixel tell nothing; their groups are not rated.
type hrank struct {
	sum   map[*graph.Group][]float64
	count map[*graph.Group]float64
}

// rankedMaps are the activations of a group with maps that have a rank.
func rankedMaps(gr *graph.Group) []graph.Member {
	var out []graph.Member
	for _, m := range responses(gr, unaryActivations) {
		if s := m.Value.Shape.Ints(); len(s) == 4 && m.Axis == 1 && s[2] > 1 && s[3] > 1 {
			out = append(out, m)
		}
	}
	return out
}

func (s *hrank) Observe(ctx context.Context, g *graph.Graph, groups []*graph.Group, d *Data) error {
	var all []graph.Member
	for _, gr := range groups {
		all = append(all, rankedMaps(gr)...)
	}
	if all == nil {
		return Unrated("the model has no maps of more than one pixel")
	}
	return d.Run(ctx, g, names(all...), func(_ int, v map[string]*tensor.Tensor) error {
		for _, gr := range groups {
			for _, m := range rankedMaps(gr) {
				if s.sum[gr] == nil {
					s.sum[gr] = make([]float64, gr.Size)
				}
				x := v[m.Value.Name]
				var of []int
				var xs [][]float32
				eachMap(m, x, func(c int, v []float32) { of, xs = append(of, c), append(xs, v) })
				ranks := make([]int, len(xs))
				engine.Pool(d.Threads).For(len(xs), 8, func(_, lo, hi int) {
					for i := lo; i < hi; i++ {
						ranks[i] = rank(xs[i], x.Shape[2], x.Shape[3])
					}
				})
				for i, r := range ranks {
					s.sum[gr][of[i]] += float64(r)
				}
				s.count[gr] += float64(x.Shape[0])
			}
		}
		return nil
	})
}

// rank counts the singular values of an h × w matrix above
// σ_max·max(h, w)·ε of float32.
func rank(x []float32, h, w int) int {
	wide := make([]float64, len(x))
	zero := true
	for i, v := range x {
		wide[i] = float64(v)
		zero = zero && v == 0
	}
	var svd mat.SVD
	if zero || !svd.Factorize(mat.NewDense(h, w, wide), mat.SVDNone) {
		return 0
	}
	s := svd.Values(nil)
	n := 0
	for _, v := range s {
		if v > s[0]*float64(max(h, w))*math.Pow(2, -23) {
			n++
		}
	}
	return n
}

func (s *hrank) Channels(gr *graph.Group) ([]float64, error) {
	if s.sum[gr] == nil {
		return nil, Unrated("its maps have one pixel")
	}
	out := make([]float64, gr.Size)
	for c, v := range s.sum[gr] {
		out[c] = v / s.count[gr]
	}
	return out, nil
}
