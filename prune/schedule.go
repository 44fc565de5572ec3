package prune

import (
	"fmt"
	"math"
	"strconv"

	"github.com/drawknife/drawknife/method"
)

// A Schedule says which part of what is to be removed in the end is gone when.
// It is what the family "schedule" of the method registry makes.
type Schedule interface {
	// Rounds is the number of times that something is removed, with fine-tuning
	// after each; 0 means that it happens during a single training.
	Rounds() int
	// At is the share removed once the share t (0 to 1) of the rounds or of the
	// training is done, if the share final is to be gone at the end.
	At(t, final float64) float64
}

// A Rewinder is a Schedule that puts the weights back before every round; see
// Lottery.
type Rewinder interface {
	Schedule
	Rewind() Lottery
}

// Lottery says how weights are put back: to what they were after the share
// Point of the first training, or, as controls, to new random ones (Reinit) or
// under a random mask of the same densities (RandomMask).
type Lottery struct {
	Point              float64
	Reinit, RandomMask bool
}

func init() {
	method.Register(method.Method{
		Name: "one-shot", Family: method.Schedule, Summary: "everything at once, then fine-tuning",
		New: func(map[string]string) (any, error) { return rounds(1), nil },
	})
	method.Register(method.Method{
		Name: "iterative", Family: method.Schedule, Summary: "rounds of removal and fine-tuning, each taking the same share of what is left",
		Paper: "Han et al., Learning both weights and connections for efficient neural networks, NIPS", Year: 2015,
		Needs:   method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "rounds", Default: "5", Help: "number of rounds"}},
		New: func(o map[string]string) (any, error) {
			n, err := roundsOf(o)
			return rounds(n), err
		},
	})
	method.Register(method.Method{
		Name: "gradual", Family: method.Schedule, Summary: "little by little during one training, on a cubic curve",
		Paper: "Zhu and Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression, ICLR workshop", Year: 2018,
		Needs: method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "begin", Default: "0", Help: "share of the training after which it begins"},
			{Name: "end", Default: "0.75", Help: "and ends"}},
		New: func(o map[string]string) (any, error) {
			begin, err := strconv.ParseFloat(o["begin"], 64)
			if err != nil {
				return nil, fmt.Errorf("begin %q is not a number", o["begin"])
			}
			end, err := strconv.ParseFloat(o["end"], 64)
			if err != nil || !(begin >= 0 && begin < end && end <= 1) {
				return nil, fmt.Errorf("begin %q, end %q: want 0 ≤ begin < end ≤ 1", o["begin"], o["end"])
			}
			return gradual{begin, end}, nil
		},
	})
	method.Register(method.Method{
		Name: "lottery", Family: method.Schedule, Summary: "rounds of full training, after each of which the weights left go back to what they were at the beginning",
		Paper: "Frankle and Carbin, The lottery ticket hypothesis: Finding sparse, trainable neural networks, ICLR", Year: 2019,
		Needs: method.Needs{Labels: true, Train: true},
		Options: []method.Option{{Name: "rounds", Default: "5", Help: "number of rounds"},
			{Name: "rewind", Default: "0", Help: "share of the first training after which the weights are taken to go back to; 0 is the model as given"},
			{Name: "control", Default: "none", Help: "for comparison: reinit draws new weights, mask draws the mask"}},
		New: func(o map[string]string) (any, error) {
			n, err := roundsOf(o)
			if err != nil {
				return nil, err
			}
			p, err := strconv.ParseFloat(o["rewind"], 64)
			if err != nil || !(p >= 0 && p < 1) {
				return nil, fmt.Errorf("rewind %q: want at least 0 and less than 1", o["rewind"])
			}
			switch o["control"] {
			case "none", "reinit", "mask":
			default:
				return nil, fmt.Errorf("control %q: there are none, reinit, mask", o["control"])
			}
			return lottery{rounds(n), Lottery{Point: p, Reinit: o["control"] == "reinit", RandomMask: o["control"] == "mask"}}, nil
		},
	})
}

func roundsOf(o map[string]string) (int, error) {
	n, err := strconv.Atoi(o["rounds"])
	if err != nil || n < 1 || n > 1000 {
		return 1, fmt.Errorf("rounds %q: want a whole number from 1 to 1000", o["rounds"])
	}
	return n, nil
}

// rounds removes in n rounds the same share of what is left, so that the part
// left is (1−final)^(k/n) after k of them.
type rounds int

func (n rounds) Rounds() int { return int(n) }

func (n rounds) At(t, final float64) float64 { return 1 - math.Pow(1-final, min(max(t, 0), 1)) }

type lottery struct {
	rounds
	l Lottery
}

func (s lottery) Rewind() Lottery { return s.l }

// gradual is s_t = s_f·(1 − (1−u)³), u running from 0 to 1 between begin and
// end.
type gradual struct{ begin, end float64 }

func (gradual) Rounds() int { return 0 }

func (s gradual) At(t, final float64) float64 {
	u := min(max((t-s.begin)/(s.end-s.begin), 0), 1)
	return final * (1 - math.Pow(1-u, 3))
}
