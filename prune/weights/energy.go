package weights

import (
	"cmp"
	"context"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
)

func init() {
	method.Register(method.Method{
		Name: "energy-aware", Family: method.Weights, Summary: "the layers that need most energy first; weights that the output misses come back, the rest is fitted by least squares",
		Paper: "Yang et al., Designing energy-efficient convolutional neural networks using energy-aware pruning, CVPR", Year: 2017,
		Needs: method.Needs{Data: true},
		New:   func(map[string]string) (any, error) { return energyAware{}, nil },
	})
}

// energyAware rates weights by magnitude. It then goes through the layers from
// the one that needs most energy (see prune.LayerEnergy) on. Each filter first
// loses a fifth more weights than it should, gets those back that lower the error
// of its output most, and is fitted on what it has:
// ŵ_S = (X_SᵀX_S + λI)⁻¹X_SᵀXw, with inputs X from the layers pruned so far. Take
// it with allocation energy.
type energyAware struct{}

func (energyAware) Rate(l *Layer) ([]float64, error) { return magnitudes(l.W), nil }

// overPruned is the share of the weights to be kept that are first taken too.
const overPruned = 0.2

func (energyAware) Update(ctx context.Context, p *Pass) error {
	if p.Data == nil {
		return prune.ErrNoData
	}
	energy, err := prune.LayerEnergy(p.Graph)
	if err != nil {
		return err
	}
	images := *p.Data
	images.Progress = nil // what follows has its own
	order := slices.Clone(p.Layers)
	slices.SortStableFunc(order, func(a, b *Layer) int { return cmp.Compare(energy[b.Name], energy[a.Name]) })
	return p.Each(ctx, order, func(l *Layer) error {
		hess, err := collect(ctx, p.Graph, []*Layer{l}, func(*Layer) int { return 1152 }, &images)
		if err != nil {
			return err
		}
		h := hess[l]
		mask := p.Mask[l.Value.Name]
		engine.Pool(p.Data.Threads).For(l.Rows*h.blocks(), 1, func(_, lo, hi int) {
			for k := lo; k < hi; k++ {
				row := k / h.blocks()
				hs, first, n := h.of(row, k%h.blocks())
				w, keep := make([]float64, n), make([]bool, n)
				for i := range n {
					at := l.At(row, first+i)
					w[i], keep[i] = float64(l.W[at]), mask[at] != 0
				}
				if (p.Pattern == Pattern{}) {
					restore(w, hs, keep)
				}
				fit := fitted(w, hs, keep)
				for i := range n {
					at := l.At(row, first+i)
					l.W[at], mask[at] = float32(fit[i]), 0
					if keep[i] {
						mask[at] = 1
					}
				}
			}
		})
		return nil
	})
}

// restore exchanges the smallest of the weights kept for those that lower the
// error (w − ŵ)ᵀH(w − ŵ) most, one by one.
func restore(w, h []float64, keep []bool) {
	n := len(w)
	var kept []int
	for i, k := range keep {
		if k {
			kept = append(kept, i)
		}
	}
	slices.SortStableFunc(kept, func(a, b int) int { return cmp.Compare(w[a]*w[a], w[b]*w[b]) })
	back := int(overPruned * float64(len(kept)))
	for _, i := range kept[:back] {
		keep[i] = false
	}
	residual := make([]float64, n) // H·(w − ŵ)
	for i := range n {
		for j := range n {
			if !keep[j] {
				residual[i] += h[i*n+j] * w[j]
			}
		}
	}
	for range back {
		best, gain := -1, -1.0
		for i := range n {
			if d := h[i*n+i]; !keep[i] {
				g := 0.0
				if d > 0 {
					g = residual[i] * residual[i] / d
				}
				if g > gain {
					best, gain = i, g
				}
			}
		}
		keep[best] = true
		if d := h[best*n+best]; d > 0 {
			step := residual[best] / d
			for i := range n {
				residual[i] -= h[i*n+best] * step
			}
		}
	}
}

// fitted is the least-squares solution on the kept weights, 0 elsewhere.
func fitted(w, h []float64, keep []bool) []float64 {
	n := len(w)
	out := make([]float64, n)
	var s []int
	trace := 0.0
	for i, k := range keep {
		if k {
			s = append(s, i)
			out[i] = w[i]
			trace += h[i*n+i]
		}
	}
	if len(s) == 0 || trace == 0 {
		return out
	}
	ridge := 1e-6 * trace / float64(len(s)) // towards the weights as they are
	a, b := mat.NewSymDense(len(s), nil), mat.NewVecDense(len(s), nil)
	for p, i := range s {
		sum := ridge * w[i]
		for j, v := range w {
			sum += h[i*n+j] * v
		}
		b.SetVec(p, sum)
		for q := p; q < len(s); q++ {
			a.SetSym(p, q, h[i*n+s[q]])
		}
		a.SetSym(p, p, h[i*n+i]+ridge)
	}
	var chol mat.Cholesky
	var x mat.VecDense
	if !chol.Factorize(a) || chol.SolveVecTo(&x, b) != nil {
		return out
	}
	for p, i := range s {
		out[i] = x.AtVec(p)
	}
	return out
}
