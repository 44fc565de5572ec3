package prune

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "fpgm", Family: method.Prune, Summary: "channels whose filters lie nearest the geometric median: the others can stand for them",
		Paper: "He et al., Filter pruning via geometric median for deep CNNs acceleration, CVPR", Year: 2019,
		Options: []method.Option{{Name: "distance", Default: "l2", Help: "between filters: l2, l1 or cosine"}},
		New: func(o map[string]string) (any, error) {
			d, ok := distances[o["distance"]]
			if !ok {
				return nil, fmt.Errorf("distance %q: there are l2, l1, cosine", o["distance"])
			}
			return fpgm{d}, nil
		},
	})
}

// distances are the matrices of distances between all filters.
var distances = map[string]func(points) []float64{"l2": points.euclidean, "l1": points.cityBlock, "cosine": points.cosine}

// fpgm scores filter o by g(o) = Σ_o' ‖F_o − F_o'‖: the smaller, the nearer it
// is to the geometric median of the layer's filters, and the better the others
// can represent it. Translation of all filters changes nothing.
type fpgm struct {
	distance func(points) []float64
}

func (s fpgm) Channels(gr *graph.Group) ([]float64, error) {
	return average(gr.Size, gr.Producers(), func(m graph.Member) ([]float64, error) {
		f, err := filters(m)
		if err != nil {
			return nil, err
		}
		// A layer may compute only some of the group's channels, and several
		// filters of it be one channel. Only filters of one length compare.
		same := map[int][]int{}
		for c, v := range f {
			if len(v) > 0 {
				same[len(v)] = append(same[len(v)], c)
			}
		}
		out := make([]float64, len(f))
		for _, channels := range same {
			list := make([][]float32, len(channels))
			for i, c := range channels {
				list[i] = f[c]
			}
			p, _ := pointsOf(list)
			d := s.distance(p)
			for i, c := range channels {
				for _, v := range d[i*p.n:][:p.n] {
					out[c] += v
				}
			}
		}
		return out, nil
	})
}
