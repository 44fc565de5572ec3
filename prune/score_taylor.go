package prune

import (
	"context"
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "taylor", Family: method.Prune, Summary: "channels whose loss would change least, to first order",
		Paper: "Molchanov et al., Importance estimation for neural network pruning, CVPR", Year: 2019,
		Needs: method.Needs{Data: true, Labels: true, Images: LabelledImages},
		Options: []method.Option{{Name: "of", Default: "gate", Help: "what is removed: gate (a factor on the normalized channel) or weight (its filters)"},
			LossOption()},
		New: func(o map[string]string) (any, error) {
			if o["of"] != "gate" && o["of"] != "weight" {
				return nil, fmt.Errorf("of %q: there are gate, weight", o["of"])
			}
			if o["loss"] != "labels" && o["loss"] != "outputs" {
				return nil, fmt.Errorf("loss %q: there are labels, outputs", o["loss"])
			}
			return &taylor{gate: o["of"] == "gate", loss: o["loss"], score: map[*graph.Group][]float64{}}, nil
		},
	})
}

// taylor scores a channel by I = (Σ g·w)², the square of the first-order
// change of the loss when its parameters w with gradients g become zero,
// averaged over batches. Of a gate behind batch normalization the sum is
// γ·g_γ + β·g_β; without one, and with of=weight, it runs over the filters and
// their bias. Tied layers' scores are averaged. With loss=outputs it is the
// squared first-order change of the outputs: a network that is sure of all its
// training images has no gradients of their loss left.
type taylor struct {
	gate  bool
	loss  string
	score map[*graph.Group][]float64
}

func (s *taylor) Observe(ctx context.Context, g *graph.Graph, groups []*graph.Group, d *Data) error {
	batches := 0
	err := d.GradientsOf(ctx, s.loss, g, func(grad func(string) []float32) error {
		batches++
		for _, gr := range groups {
			if s.score[gr] == nil {
				s.score[gr] = make([]float64, gr.Size)
			}
			gates := s.gates(gr)
			for _, gate := range gates {
				sum := make([]float64, gr.Size)
				for _, m := range gate {
					if m.Value.Data.DType != tensor.Float32 {
						continue
					}
					firstOrder(m, tensor.Data[float32](m.Value.Data), grad(m.Value.Name), sum)
				}
				for c, v := range sum {
					s.score[gr][c] += v * v / float64(len(gates))
				}
			}
		}
		return nil
	})
	for _, v := range s.score {
		for c := range v {
			v[c] /= float64(max(batches, 1))
		}
	}
	return err
}

// gates lists the sets of parameters that together let a channel through.
func (s *taylor) gates(gr *graph.Group) [][]graph.Member {
	var list [][]graph.Member
	if s.gate {
		for _, b := range batchNorms(gr) {
			list = append(list, []graph.Member{b.scale, b.shift})
		}
	}
	if list != nil {
		return list
	}
	for _, p := range gr.Producers() {
		gate := []graph.Member{p}
		for _, m := range gr.Members {
			if m.Role == graph.Follows && m.Node == p.Node {
				gate = append(gate, m)
			}
		}
		list = append(list, gate)
	}
	return list
}

// firstOrder adds Σ g·w of each channel to sum.
func firstOrder(m graph.Member, w, g []float32, sum []float64) {
	if len(g) != len(w) {
		return
	}
	for c, at := range m.At {
		for _, i := range at {
			each(m, i, func(k int) { sum[c] += float64(w[k]) * float64(g[k]) })
		}
	}
}

func (s *taylor) Channels(gr *graph.Group) ([]float64, error) { return s.score[gr], nil }
