package weights

import (
	"fmt"
	"math"
	"strconv"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "dynamic", Family: method.Weights, Summary: "dynamic network surgery: weights removed during training come back when they grow",
		Paper: "Guo, Yao and Chen, Dynamic network surgery for efficient DNNs, NIPS", Year: 2016,
		Needs:   method.Needs{Labels: true, Train: true},
		Options: surgeryOptions(),
		New: func(o map[string]string) (any, error) {
			s, err := newSurgery(o)
			return &dynamic{surgery: s}, err
		},
	})
}

// surgery is how masks change during training.
type surgery struct{ gamma, power float64 }

func surgeryOptions() []method.Option {
	return []method.Option{{Name: "gamma", Default: "0.001", Help: "of the chance (1 + gamma·step)^−power that a step changes the mask"},
		{Name: "power", Default: "1", Help: "of that chance"}}
}

func newSurgery(o map[string]string) (surgery, error) {
	g, err := strconv.ParseFloat(o["gamma"], 64)
	if err != nil || !(g >= 0) {
		return surgery{}, fmt.Errorf("gamma %q: want a number that is not negative", o["gamma"])
	}
	p, err := strconv.ParseFloat(o["power"], 64)
	if err != nil || !(p >= 0) {
		return surgery{}, fmt.Errorf("power %q: want a number that is not negative", o["power"])
	}
	return surgery{g, p}, nil
}

// due draws whether step changes the mask.
func (s surgery) due(step int, seed uint64) bool {
	z := seed + uint64(step+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return float64(z>>11)/(1<<53) < math.Pow(1+s.gamma*float64(step), -s.power)
}

// dynamic masks a weight when |w| falls below a = 0.9·t and lets it come back when
// |w| reaches b = 1.1·t; between them nothing changes, so that masks do not
// flicker. The threshold t of a layer is where the allocation cuts at the
// target, which rises along the cubic schedule over the first half of training.
type dynamic struct{ surgery }

type dynamicHook struct {
	shadow
	surgery
	rate func(l *Layer, full []float32) []float64
}

// rising is how far the target has come when the share t of training is done.
func rising(t, final float64) float64 {
	u := min(2*t, 1)
	return final * (1 - math.Pow(1-u, 3))
}

func (d *dynamic) Learn(c *Course) (train.Keeper, error) {
	return &dynamicHook{shadow: newShadow(c), surgery: d.surgery, rate: func(_ *Layer, full []float32) []float64 { return magnitudes(full) }}, nil
}

func (h *dynamicHook) AfterStep(s *train.State) error {
	h.taken(s)
	if !h.due(s.Step, h.course.Seed) {
		return nil
	}
	rated := map[*Layer][]float64{}
	for _, l := range h.course.Layers {
		rated[l] = h.rate(l, h.full[l.Value.Name])
	}
	m, err := h.course.Choose(rising(s.Fraction, h.course.Sparsity), func(l *Layer) []float64 { return rated[l] }, nil)
	if err != nil {
		return err
	}
	for _, l := range h.course.Layers {
		hysteresis(h.mask[l.Value.Name], rated[l], threshold(rated[l], m[l.Value.Name]))
	}
	return nil
}

// threshold is the least score of what a mask keeps; 0 if it keeps all.
func threshold(score []float64, mask []float32) float64 {
	least, all := math.Inf(1), true
	for i, v := range score {
		if mask[i] != 0 {
			least = min(least, v)
		} else {
			all = false
		}
	}
	if all {
		return 0
	}
	return least
}

// hysteresis masks below 0.9·t and brings back from 1.1·t on.
func hysteresis(mask []float32, score []float64, t float64) {
	for i, v := range score {
		switch {
		case v < 0.9*t:
			mask[i] = 0
		case v >= 1.1*t:
			mask[i] = 1
		}
	}
}

func (d *dynamic) Finish(out *graph.Graph, c *Course) (Masks, error) {
	return finish(out, c, magnitude{})
}
