package qat

import (
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/train"
)

func init() {
	register("bireal", "one bit with a shortcut around every layer, the polynomial estimator and magnitude-aware weights",
		"Liu et al., Bi-Real Net: enhancing the performance of 1-bit CNNs, ECCV", 2018, []method.Option{steOption("polynomial"), realOption("0")},
		func(o opts) *Method {
			return &Method{WBits: 1, ABits: 1, Recipe: Recipe{Optimizer: "adam", LR: 1e-3, NoDecay: true}, Structure: withShortcuts(hardTanh),
				Weights: realFirst(o.number("real")),
				Inputs:  signInputs(o.estimator()),
				Hooks: func(b *Builder) []train.Hook {
					return []train.Hook{temperatures(b), &later{names: b.Shares, at: o.number("real")}}
				}}
		})
}
