package weights

import (
	"cmp"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "gsm", Family: method.Weights, Summary: "global sparse momentum: only the weights that matter most to a step learn, the others decay to nothing",
		Paper: "Ding et al., Global sparse momentum SGD for pruning very deep neural networks, NeurIPS", Year: 2019,
		Needs: method.Needs{Labels: true, Train: true},
		New:   func(map[string]string) (any, error) { return &gsm{}, nil },
	})
}

// gsm lets, in every step, only the Q weights of all layers with the greatest
// |w·g| receive their gradient; the others feel the weight decay alone, which
// momentum makes quick: Z ← βZ + ηW + B⊙g, W ← W − αZ. After training the smallest
// go. It wants a high momentum (0.98), a low rate (0.005) and many epochs.
type gsm struct{}

type gsmHook struct {
	train.NoHook
	course *Course
}

func (*gsm) Learn(c *Course) (train.Keeper, error) { return &gsmHook{course: c}, nil }

// Vectors is empty: the optimizer holds all there is.
func (*gsmHook) Vectors() []train.Vector { return nil }

func (h *gsmHook) AfterBackward(s *train.State) error {
	var w, g [][]float32
	total := 0
	for _, l := range h.course.Layers {
		if d := grad(s, l); d != nil {
			w, g = append(w, live(s, l)), append(g, d)
			total += len(d)
		}
	}
	passive(w, g, int(math.Round((1-h.course.Sparsity)*float64(total))))
	return nil
}

// passive leaves the gradients of the q weights of the greatest |w·g|, the first
// of equal ones, and makes the others zero.
func passive(w, g [][]float32, q int) {
	var all []float32
	for i := range g {
		for k, v := range g[i] {
			all = append(all, abs(v*w[i][k]))
		}
	}
	if q >= len(all) {
		return
	}
	slices.SortFunc(all, func(a, b float32) int { return cmp.Compare(b, a) })
	limit := float32(math.Inf(1))
	if q > 0 {
		limit = all[q-1]
	}
	left := q
	for _, v := range all {
		if v > limit {
			left--
		}
	}
	for i := range g {
		for k, v := range g[i] {
			switch t := abs(v * w[i][k]); {
			case t > limit:
			case t == limit && left > 0:
				left--
			default:
				g[i][k] = 0
			}
		}
	}
}

func abs(v float32) float32 { return float32(math.Abs(float64(v))) }

// decayed is the share of all magnitudes that what is removed may have left.
const decayed = 0.02

func (*gsm) Finish(out *graph.Graph, c *Course) (Masks, error) {
	before := map[string][]float32{}
	for _, l := range c.Layers {
		before[l.Value.Name] = slices.Clone(tensor.Data[float32](out.Value(l.Value.Name).Data))
	}
	m, err := finish(out, c, magnitude{})
	if err != nil {
		return nil, err
	}
	if cut := cutShare(c.Layers, before, m); cut > decayed {
		c.Note("what gsm removed still had %.0f %% of all weights' magnitude: train for more epochs, with --momentum 0.98 and a low rate", 100*cut)
	}
	return m, nil
}

// cutShare is the share of the magnitudes of all weights that masks remove.
func cutShare(layers []*Layer, w map[string][]float32, m Masks) float64 {
	cut, all := 0.0, 0.0
	for _, l := range layers {
		for i, v := range w[l.Value.Name] {
			all += float64(abs(v))
			if m[l.Value.Name][i] == 0 {
				cut += float64(abs(v))
			}
		}
	}
	return cut / max(all, math.SmallestNonzeroFloat64)
}
