package prune

import (
	"context"
	"slices"

	"github.com/drawknife/drawknife/method"
)

func init() {
	method.Register(method.Method{
		Name: "energy", Family: method.Allocate, Summary: "the lowest scores, first in the layers where one costs most energy",
		Paper: "Yang et al., Designing energy-efficient convolutional neural networks using energy-aware pruning, CVPR", Year: 2017,
		New: func(map[string]string) (any, error) { return &energyAllocator{}, nil },
	})
}

// energyAllocator removes the share strength of all parts, in the order of
// score (in units of the layer's mean) per energy. The energy of a layer, by
// the model of LayerEnergy, is shared evenly by its weights or channels.
type energyAllocator struct{ cost []float64 }

func (a *energyAllocator) Plan(_ context.Context, p *Problem) error {
	energy, err := LayerEnergy(p.Graph)
	if err != nil {
		return err
	}
	for _, c := range p.Candidates {
		sum := energy[c.Name]
		if c.Group != nil {
			sum = 0
			for _, m := range slices.Concat(c.Group.Producers(), c.Group.Consumers()) {
				sum += energy[m.Node.Name]
			}
		}
		a.cost = append(a.cost, max(sum, 1e-9)/float64(max(len(c.Score), 1)))
	}
	return nil
}

func (a *energyAllocator) Keep(cs []Candidate, strength float64) []int {
	index := map[string]float64{}
	for i, c := range cs {
		index[c.Name] = a.cost[i]
	}
	return lowest(cs, strength, func(c Candidate) []float64 {
		by := scales["mean"](c.Score) * index[c.Name]
		if by == 0 {
			by = 1
		}
		out := make([]float64, len(c.Score))
		for i, s := range c.Score {
			out[i] = s / by
		}
		return out
	})
}
