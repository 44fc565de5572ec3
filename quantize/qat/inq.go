package qat

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("inq", "weights become powers of two, the largest first, while the rest is trained on",
		"Zhou et al., Incremental network quantization: towards lossless CNNs with low-precision weights, ICLR", 2017,
		[]method.Option{
			{Name: "portions", Default: "50/75/87.5/100", Help: "percentages of the weights that are fixed by and by; the last at the very end"},
			{Name: "powers", Default: "7", Help: "powers of two of either sign at most: 7 (1 to 64 steps) are integers of 8 bits; the paper has 8 at 5 bits, which take 16 bits and run in float32"}},
		func(o opts) *Method {
			portions := o.portions("portions")
			most, err := strconv.Atoi(o.given["powers"])
			if err != nil || most < 1 {
				*o.err = fmt.Errorf("powers=%s: want a whole number, 1 or more", o.given["powers"])
			}
			return &Method{WBits: 5, ABits: 8, Recipe: Recipe{Optimizer: "sgd", LR: 0.01, Decay: 1e-4},
				Hooks: func(b *Builder) []train.Hook {
					h := &incremental{layers: map[string]int{}, state: map[string]*powers{}, portions: portions, powers: most}
					for _, l := range b.Layers {
						h.layers[l.Node.Inputs[1].Name] = l.WBits
					}
					return []train.Hook{h}
				}}
		})
}

// portions reads percentages that grow, as shares.
func (o opts) portions(name string) []float64 {
	var shares []float64
	for p := range strings.SplitSeq(o.given[name], "/") {
		v, err := strconv.ParseFloat(p, 64)
		if err != nil || !(v > 0 && v <= 100) || len(shares) > 0 && v/100 < shares[len(shares)-1] {
			*o.err = fmt.Errorf("%s=%s: want growing percentages such as 50/75/87.5/100", name, o.given[name])
			return nil
		}
		shares = append(shares, v/100)
	}
	return shares
}

// PowerGrid is the grid {0, ±2^Low, …, ±2^High} of incremental network
// quantization at b bits for weights whose greatest magnitude is s:
// High = ⌊log2(4s/3)⌋, Low = High + 1 − 2^(b−2).
type PowerGrid struct{ Low, High int }

// NewPowerGrid makes the grid.
func NewPowerGrid(s float64, bits int) PowerGrid {
	if !(s > 0) {
		return PowerGrid{0, 0}
	}
	high := int(math.Floor(math.Log2(4 * s / 3)))
	return PowerGrid{high + 1 - 1<<(bits-1)/2, high}
}

// Quantize rounds w to β·sign(w) where (α+β)/2 ≤ |w| < 3β/2 for neighbours α < β
// of the grid, else to 0. Beyond the greatest β it stays β.
func (p PowerGrid) Quantize(w float32) float32 {
	a := math.Abs(float64(w))
	for e := p.High; e >= p.Low; e-- {
		beta := math.Ldexp(1, e)
		alpha := beta / 2
		if e == p.Low {
			alpha = 0
		}
		if a >= (alpha+beta)/2 {
			return float32(math.Copysign(beta, float64(w)))
		}
	}
	return 0
}

// powers is the state of one layer.
type powers struct {
	grid   PowerGrid
	frozen []bool
	values []float32
}

// incremental fixes a portion of each layer's weights at equal intervals of the
// run, the largest magnitudes first, and everything at its end.
type incremental struct {
	train.NoHook
	layers   map[string]int // bits by weight
	portions []float64
	powers   int // at most, of either sign
	state    map[string]*powers
	done     int
}

func (h *incremental) BeforeForward(s *train.State) error {
	if len(h.state) == 0 {
		h.begin(s)
	}
	// The last portion is fixed when nothing is trained any more.
	want := min(int(s.Fraction*float64(max(len(h.portions)-1, 1)))+1, max(len(h.portions)-1, 1))
	if len(h.portions) == 1 {
		want = 0
	}
	h.fix(s, want)
	return nil
}

// begin finds the grids. In a run that is resumed, what lies on the grid is
// fixed already.
func (h *incremental) begin(s *train.State) {
	for name, bits := range h.layers {
		t := s.Param(name)
		if t == nil {
			continue
		}
		w := tensor.Data[float32](t)
		top := float32(0)
		for _, v := range w {
			top = max(top, v, -v)
		}
		grid := NewPowerGrid(float64(top), bits)
		grid.Low = max(grid.Low, grid.High+1-h.powers)
		p := &powers{grid, make([]bool, len(w)), slices.Clone(w)}
		for i, v := range w {
			p.frozen[i] = s.Step > 0 && v != 0 && p.grid.Quantize(v) == v
		}
		h.state[name] = p
	}
}

// fix quantizes weights until the given number of portions is done.
func (h *incremental) fix(s *train.State, portions int) {
	if portions <= h.done {
		return
	}
	h.done = portions
	for name, p := range h.state {
		w := tensor.Data[float32](s.Param(name))
		order := make([]int, len(w))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case p.frozen[a] != p.frozen[b]:
				if p.frozen[a] {
					return -1
				}
				return 1
			case abs(w[a]) != abs(w[b]):
				if abs(w[a]) > abs(w[b]) {
					return -1
				}
				return 1
			}
			return a - b
		})
		for _, i := range order[:int(math.Ceil(h.portions[portions-1]*float64(len(w))))] {
			if !p.frozen[i] {
				p.frozen[i], p.values[i] = true, p.grid.Quantize(w[i])
				w[i] = p.values[i]
			}
		}
	}
}

func abs(x float32) float32 { return max(x, -x) }

// AfterStep undoes what the step did to fixed weights.
func (h *incremental) AfterStep(s *train.State) error {
	for name, p := range h.state {
		w := tensor.Data[float32](s.Param(name))
		for i, f := range p.frozen {
			if f {
				w[i] = p.values[i]
			}
		}
	}
	return nil
}

// EpochEnd fixes the rest when the run is over.
func (h *incremental) EpochEnd(s *train.State) error {
	if s.Fraction >= 1 {
		h.fix(s, len(h.portions))
	}
	return nil
}
