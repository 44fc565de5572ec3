package prune

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "slimming", Family: method.Sparsify, Summary: "network slimming: an L1 penalty on the scales of batch normalization",
		Paper: "Liu et al., Learning efficient convolutional networks through network slimming, ICCV", Year: 2017,
		Needs: method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "lambda", Default: "1e-4", Help: "weight of the penalty (residual networks: 1e-5)"},
			{Name: "proximal", Default: "false", Help: "shrink after the step, which gives exact zeros, instead of adding λ·sign(γ) to the gradient"}},
		New: func(o map[string]string) (any, error) {
			l, err := positive(o, "lambda")
			if err != nil {
				return nil, err
			}
			p, err := strconv.ParseBool(o["proximal"])
			if err != nil {
				return nil, fmt.Errorf("proximal %q: want true or false", o["proximal"])
			}
			return &slimming{lambda: l, proximal: p}, nil
		},
	})
}

// positive reads an option that is a number above 0.
func positive(o map[string]string, name string) (float64, error) {
	v, err := strconv.ParseFloat(o[name], 64)
	if err != nil || !(v > 0) || math.IsInf(v, 1) {
		return 0, fmt.Errorf("%s %q: want a number above 0", name, o[name])
	}
	return v, nil
}

// fraction reads an option that is a number from 0 to 1.
func fraction(o map[string]string, name string) (float64, error) {
	v, err := strconv.ParseFloat(o[name], 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, fmt.Errorf("%s %q: want a number from 0 to 1", name, o[name])
	}
	return v, nil
}

var errNoNorm = errors.New("no batch normalization works on what can be pruned")

// slimming adds λ·Σ|γ| to the loss: λ·sign(γ) to the gradients, or γ ←
// sign(γ)·max(|γ| − ηλ, 0) after each step. Afterwards |γ| is the score, ranked
// over the whole network.
type slimming struct {
	lambda   float64
	proximal bool
}

func (*slimming) Score() string { return "bn" }

func (s *slimming) Hook(groups []*graph.Group, _ float64) (train.Hook, error) {
	h := &slimmingHook{slimming: s}
	for _, gr := range groups {
		for _, b := range batchNorms(gr) {
			h.scales = append(h.scales, b.scale)
		}
	}
	if h.scales == nil {
		return nil, errNoNorm
	}
	return h, nil
}

type slimmingHook struct {
	train.NoHook
	*slimming
	scales []graph.Member
}

func (h *slimmingHook) AfterBackward(s *train.State) error {
	if h.proximal {
		return nil
	}
	for _, m := range h.scales {
		g := gradientOf(s, m)
		live(s, m, func(w []float32) {
			if g != nil {
				addSign(g, w, float32(h.lambda))
			}
		})
	}
	return nil
}

func (h *slimmingHook) AfterStep(s *train.State) error {
	if !h.proximal {
		return nil
	}
	for _, m := range h.scales {
		live(s, m, func(w []float32) { shrink(w, float32(s.LR*h.lambda)) })
	}
	return nil
}

// addSign is g ← g + λ·sign(w).
func addSign(g, w []float32, lambda float32) {
	for i, v := range w {
		switch {
		case v > 0:
			g[i] += lambda
		case v < 0:
			g[i] -= lambda
		}
	}
}

// shrink is w ← sign(w)·max(|w| − by, 0).
func shrink(w []float32, by float32) {
	for i, v := range w {
		switch {
		case v > by:
			w[i] = v - by
		case v < -by:
			w[i] = v + by
		default:
			w[i] = 0
		}
	}
}
