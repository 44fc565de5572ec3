package prune

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// A Sparsifier makes channels unimportant during training. It is what the
// family "sparsify" of the method registry makes.
type Sparsifier interface {
	// Hook works on the given groups, of which the share rate of the channels
	// is to go. The groups belong to a copy of the model that Hook may change.
	Hook(groups []*graph.Group, rate float64) (train.Hook, error)
	// Score is the method that tells best which channels to remove then.
	Score() string
}

// Sparsify returns the hook that prepares g for being pruned with o, and the
// score to prune with after the training. The share to remove is that of o: its
// Ratio, or of a budget 1 − √Share, since the cost of a layer falls with both
// of its sides.
func Sparsify(g *graph.Graph, name string, o Options) (train.Hook, string, error) {
	if err := o.fill(); err != nil {
		return nil, "", err
	}
	s, err := method.New[Sparsifier](method.Sparsify, name)
	if err != nil {
		return nil, "", err
	}
	j := &job{source: g, base: g.Clone(), options: o}
	if err := j.base.InferShapes(); err != nil {
		return nil, "", err
	}
	groups, err := j.base.Groups()
	if err != nil {
		return nil, "", err
	}
	free, err := j.free(groups)
	if err != nil {
		return nil, "", err
	}
	if len(free) == 0 {
		return nil, "", j.nothing()
	}
	var list []*graph.Group
	for _, i := range free {
		list = append(list, groups[i])
	}
	rate := o.Ratio
	if o.Share > 0 {
		rate = 1 - math.Sqrt(o.Share)
	}
	h, err := s.Hook(list, rate)
	if err != nil {
		return nil, "", fmt.Errorf("prune: sparsify %s: %w", name, err)
	}
	return h, s.Score(), nil
}

// live calls f with the elements of a member's parameter, nil-safe: a
// parameter that is not trained is passed over.
func live(s *train.State, m graph.Member, f func(w []float32)) {
	if p := s.Param(m.Value.Name); p != nil && p.DType == tensor.Float32 {
		f(tensor.Data[float32](p))
	}
}

// gradientOf is the gradient of a member's parameter, nil if it has none.
func gradientOf(s *train.State, m graph.Member) []float32 {
	if t := s.Grad(m.Value.Name); t != nil {
		return tensor.Data[float32](t)
	}
	return nil
}

// mirror copies the parameters under training into the groups' own constants,
// so that scores can rate them as they are.
func mirror(s *train.State, groups []*graph.Group) {
	for _, gr := range groups {
		for _, m := range gr.Members {
			if p := s.Param(m.Value.Name); p != nil && m.Value.Data != nil && p.Len() == m.Value.Data.Len() {
				m.Value.SetData(tensor.Of(append([]float32(nil), tensor.Data[float32](p)...), m.Value.Data.Shape...))
			}
		}
	}
}
