package compress

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/codebook"
	"github.com/drawknife/drawknife/quantize/qat"
)

// Usual lists the methods that a search considers unless Job.Methods says
// otherwise, as patterns of FAMILY/NAME.
//
// Scores of channels: l1 and fpgm cost nothing, taylor a glance at some hundred
// images, some thousand for small networks; the others rarely rank better and can take minutes on large networks.
// Blocks: output measures what a block does for the network. Weights: magnitude
// tells whether the sparse kernels win at all on this model and processor.
// Integers: int8 is lossless for most networks; gptq gives 4-bit weights in
// seconds. Methods that train before they can be judged have to be asked for.
var Usual = []string{"prune/l1", "prune/fpgm", "prune/taylor", "layers/output", "weights/magnitude", "quantize/int8", "quantize/gptq"}

// UsualForSize are considered besides if the budget limits the size of the
// file or the energy, for both of which fewer bits count.
var UsualForSize = []string{"quantize/mixed", "quantize/lsq"}

// families that a search knows how to use a method of, those first that gain
// most for the time of a look.
var families = []method.Family{method.Quantize, method.Prune, method.Layers, method.Weights, method.Allocate, method.Calibrate, method.Sparsify, method.Schedule}

// channelFamilies are those that need to know which channels may go.
var channelFamilies = []method.Family{method.Prune, method.Allocate, method.Sparsify}

const quantizeFamily = method.Quantize

// idea is a method of the registry that a search may try.
type idea struct{ method.Method }

// String is what patterns match: FAMILY/NAME.
func (i idea) String() string { return string(i.Family) + "/" + i.Name }

// ParseMethods chooses the methods that a search considers from patterns
// (path.Match) of FAMILY/NAME, such as quantize/* or prune/l1. Patterns alone
// replace the usual methods; those that begin with + add to them, and those
// that begin with - take away.
func ParseMethods(patterns []string, budget Budget) ([]string, error) {
	base := slices.Clone(Usual)
	if budget.Bytes > 0 || budget.EnergyMJ > 0 {
		base = append(base, UsualForSize...)
	}
	plain := slices.ContainsFunc(patterns, func(p string) bool { return p != "" && !strings.ContainsAny(p[:1], "+-") })
	if plain {
		base = nil
	}
	chosen := map[string]bool{}
	for _, name := range base {
		chosen[name] = true
	}
	for _, p := range patterns {
		if p == "" {
			continue
		}
		found := false
		text := strings.TrimLeft(p, "+-")
		for _, f := range families {
			for _, m := range method.Of(f) {
				name := idea{m}.String()
				ok, err := path.Match(text, name)
				if err != nil {
					return nil, fmt.Errorf("pattern %q: %w", p, err)
				}
				if ok {
					found, chosen[name] = true, p[0] != '-'
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("no method matches %q: want FAMILY/NAME such as quantize/gptq or prune/*, of the families %v; drawknife methods lists them", p, families)
		}
	}
	var out []string
	for _, f := range families {
		for _, m := range method.Of(f) {
			if name := (idea{m}).String(); chosen[name] {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// ideas lists the methods to try, of some families.
func (s *search) ideas(of ...method.Family) []idea {
	var out []idea
	for _, f := range of {
		for _, m := range method.Of(f) {
			i := idea{m}
			if !slices.Contains(s.methods, i.String()) || m.Needs.Labels && !s.labelled || m.Needs.Train && !s.canTrain {
				continue
			}
			out = append(out, i)
		}
	}
	return out
}

// tries reports whether a method is to be tried.
func (s *search) tries(name string) bool { return slices.Contains(s.methods, name) }

// trial share and sparsity that ideas are screened with.
const (
	screenShare    = 0.7
	screenSparsity = 0.9
)

// plan gives the steps that show what an idea is worth on the original, without
// the integers that may follow. Epochs are for those that must train.
func (s *search) plan(i idea, epochs float64) ([]Step, error) {
	if !i.Needs.Train {
		epochs = 0
	}
	t := Training{Augment: s.augment()}
	if epochs > 0 {
		t = s.training(epochs)
	}
	switch i.Family {
	case method.Prune:
		keep, err := s.shares(screenShare)
		return s.normed(&PruneStep{Method: i.Name, Keep: keep, NoNorm: true}), err
	case method.Allocate:
		return s.normed(&PruneStep{Method: "l1", Allocation: i.Name, MACs: screenShare, NoNorm: true}), nil
	case method.Sparsify:
		return s.normed(&PruneStep{MACs: screenShare, Sparsify: i.Name, SparsifyEpochs: epochs, NoNorm: true, Training: s.training(0)}), nil
	case method.Layers:
		st := &LayersStep{Method: i.Name, Blocks: 1, NoNorm: true}
		if epochs > 0 {
			st.SparsifyEpochs, st.Training = epochs, s.training(0)
		}
		return s.normed(st), nil
	case method.Weights:
		return s.normed(&SparsifyStep{Method: i.Name, Sparsity: screenSparsity, NoNorm: true, Training: t}), nil
	case method.Schedule:
		return s.normed(&SparsifyStep{Method: "magnitude", Schedule: i.Name, Sparsity: screenSparsity, NoNorm: true, Training: t}), nil
	case method.Calibrate:
		q := s.quantizeStep(nil)
		q.Calibrator = i.Name
		return []Step{q}, nil
	}
	return []Step{s.bits(i, epochs)}, nil
}

// eightBit are the methods of family "quantize" that improve 8 bits; the others
// are tried with 4-bit weights.
var eightBit = []string{"int8", "equalize", "bias-correction", "dfq"}

// bits is the step of a method of family "quantize".
func (s *search) bits(i idea, epochs float64) *QuantizeStep {
	if slices.Contains(eightBit, i.Name) {
		q := s.quantizeStep(nil)
		q.Method = i.Name
		return q
	}
	q := &QuantizeStep{Method: i.Name, Images: min(calibImages, s.trainset.Len())}
	made, err := q.made()
	if err != nil {
		return q // carrying it out will say so
	}
	binary := false
	switch m := made.(type) {
	case *codebook.Sharing:
		return q
	case *qat.Method:
		q.Training = s.training(epochs)
		q.Optimizer, q.LR = "", 0 // the method's own
		binary = m.WBits == 1 || m.ABits == 1
	}
	if !binary {
		q.WBits, q.ABits, q.ReduceRange = 4, 8, s.reduce // the first and last layers have more
	}
	return q
}

// screenNorm is the number of images that normalization is measured on again
// for a look.
const screenNorm = 512

// normed adds the re-estimation of batch normalization, for a look, to a step.
func (s *search) normed(st Step) []Step {
	if !hasNorm(s.job.Graph) {
		return []Step{st}
	}
	n := s.normStep()
	n.Images = min(n.Images, screenNorm)
	return []Step{st, n}
}
