package weights

import (
	"fmt"
	"math"
	"slices"
	"strconv"

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
		Options: []method.Option{{Name: "settle", Default: "0.5", Below: 1,
			Help: "share of the training, at its end, in which the smallest weights are gone and the others learn as usual; 0 is the paper's, for trainings in which what goes has time to decay"}},
		New: func(o map[string]string) (any, error) {
			share, err := strconv.ParseFloat(o["settle"], 64)
			if err != nil || !(share >= 0 && share < 1) {
				return nil, fmt.Errorf("settle %q: want a share from 0, below 1", o["settle"])
			}
			return &gsm{settle: share}, nil
		},
	})
}

// gsm lets, in every step, only the Q weights of all layers with the greatest
// |w·g| receive their gradient; the others feel the weight decay alone, which
// momentum makes quick: Z ← βZ + ηW + B⊙g, W ← W − αZ. Then the smallest go. It
// wants a high momentum (0.98), a low rate (0.005) and many epochs; with few, the
// weights that stay need some of the training to make up for those that go.
type gsm struct {
	settle float64
	hook   *gsmHook
}

type gsmHook struct {
	Keeper
	course  *Course
	from    float64   // the share of the training after which weights are gone
	settled []float32 // 1 since then
}

func (m *gsm) Learn(c *Course) (train.Keeper, error) {
	m.hook = &gsmHook{Keeper: Keeper{Masks: ones(c)}, course: c, from: 1 - m.settle, settled: make([]float32, 1)}
	return m.hook, nil
}

func (h *gsmHook) Vectors() []train.Vector {
	return append(h.Masks.vectors(h.course, ""), train.Vector{Name: "settled", Data: h.settled})
}

func (h *gsmHook) AfterBackward(s *train.State) error {
	if h.settled[0] != 0 {
		return nil
	}
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

func (h *gsmHook) AfterStep(s *train.State) error {
	if h.settled[0] == 0 && s.Fraction >= h.from {
		m, err := choose(h.course, h.course.Sparsity, magnitude{}, nil, s)
		if err != nil {
			return err
		}
		h.course.sayCut(func(l *Layer) []float32 { return live(s, l) }, m)
		h.Masks.set(m)
		h.settled[0] = 1
	}
	return h.Keeper.AfterStep(s)
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
	limit := float32(math.Inf(1))
	if q > 0 {
		limit = greatest(all, q)
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

// greatest is the q-th greatest of numbers that are not negative, which their bits
// put in order.
func greatest(list []float32, q int) float32 {
	var prefix uint32
	for _, shift := range []uint{16, 0} {
		var counts [1 << 16]int
		for _, v := range list {
			if bits := math.Float32bits(v); shift == 16 || bits>>16 == prefix {
				counts[bits>>shift&0xffff]++
			}
		}
		at := len(counts) - 1
		for ; q > counts[at]; at-- {
			q -= counts[at]
		}
		prefix = prefix<<16 | uint32(at)
	}
	return math.Float32frombits(prefix)
}

func abs(v float32) float32 { return float32(math.Abs(float64(v))) }

// decayed is the share of all magnitudes that what is removed may have left.
const decayed = 0.02

// sayCut tells the user if what masks remove has not decayed.
func (c *Course) sayCut(w func(*Layer) []float32, m Masks) {
	if cut := cutShare(c.Layers, w, m); cut > decayed {
		c.Note("what gsm removed still had %.0f %% of all weights' magnitude: train for more epochs, with --momentum 0.98 and a low rate", 100*cut)
	}
}

func (m *gsm) Finish(out *graph.Graph, c *Course) (Masks, error) {
	if m.hook.settled[0] != 0 {
		return m.hook.Masks, m.hook.Masks.Apply(out)
	}
	before := map[string][]float32{}
	for _, l := range c.Layers {
		before[l.Value.Name] = slices.Clone(tensor.Data[float32](out.Value(l.Value.Name).Data))
	}
	masks, err := finish(out, c, magnitude{})
	if err != nil {
		return nil, err
	}
	c.sayCut(func(l *Layer) []float32 { return before[l.Value.Name] }, masks)
	return masks, nil
}

// cutShare is the share of the magnitudes of all weights that masks remove.
func cutShare(layers []*Layer, w func(*Layer) []float32, m Masks) float64 {
	cut, all := 0.0, 0.0
	for _, l := range layers {
		for i, v := range w(l) {
			all += float64(abs(v))
			if m[l.Value.Name][i] == 0 {
				cut += float64(abs(v))
			}
		}
	}
	return cut / max(all, math.SmallestNonzeroFloat64)
}
