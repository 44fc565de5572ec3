package compress

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/onnx"
)

// tried measures the network that steps make, and what quantization makes of
// it.
func (s *search) tried(ctx context.Context, name string, steps []Step) (rung, error) {
	float, err := s.try(ctx, name+", float32", steps)
	if err != nil {
		return rung{}, err
	}
	best, err := s.quantized(ctx, name, steps, float)
	return rung{share: float64(float.MACs) / float64(max(s.before.MACs, 1)), float: float, best: best}, err
}

// quantized tries the network that steps make in 8 bits: with some layers in
// float and, where seven bits were chosen and fall short, with weights of
// eight; and finished by the other methods that the screening let pass. It
// returns the best of these trials, or the float one if that is better.
func (s *search) quantized(ctx context.Context, name string, steps []Step, float *candidate) (*candidate, error) {
	best := float
	consider := func(c *candidate) {
		if c != nil && s.compare(c, best) < 0 {
			best = c
		}
	}
	if s.tries("quantize/int8") {
		all := append(steps[:len(steps):len(steps)], s.quantizeStep(nil))
		int8, err := s.try(ctx, name+", int8", all)
		if err != nil {
			return nil, err
		}
		consider(int8)
		mixed, err := s.mixed(ctx, name+", int8", all, float, int8)
		if err != nil {
			return nil, err
		}
		consider(mixed)
		if s.reduce && !s.meets(&int8.Trial) {
			eight := s.quantizeStep(nil)
			eight.ReduceRange = false
			c, err := s.try(ctx, name+", int8, 8-bit weights", append(steps[:len(steps):len(steps)], eight))
			if err != nil {
				return nil, err
			}
			consider(c)
		}
	}
	if s.baseline-best.Top1 > 1.3*s.job.Budget.MaxDrop+0.2 {
		return best, nil // fewer bits repair nothing
	}
	finished, err := s.finishers(ctx, name, steps)
	for _, c := range finished {
		consider(c)
	}
	return best, err
}

// finishers tries the network that steps make finished by each of the methods
// of quantization that the screening let pass.
func (s *search) finishers(ctx context.Context, name string, steps []Step) ([]*candidate, error) {
	var out []*candidate
	for _, method := range s.screened.Finishes {
		i, ok := s.idea(method)
		if !ok {
			continue
		}
		c, err := s.try(ctx, fmt.Sprintf("%s, %s", name, i.Name), append(steps[:len(steps):len(steps)], s.bits(i, 0)))
		if err != nil {
			return out, err
		}
		out = append(out, c)
	}
	return out, nil
}

// widths lists the shares of the MACs that networks within the limits can have,
// the widest first: that of networks in 8 bits, and those of networks with fewer
// where they are clearly wider. The networks are not trained.
func (s *search) widths(ctx context.Context) ([]float64, error) {
	var finishes []Step
	if s.tries("quantize/int8") {
		finishes = append(finishes, s.quantizeStep(nil))
	}
	for _, method := range s.screened.Finishes {
		if i, ok := s.idea(method); ok {
			finishes = append(finishes, s.bits(i, 0))
		}
	}
	if finishes == nil {
		finishes = append(finishes, nil)
	}
	var out []float64
	for _, f := range finishes {
		w, err := s.widest(ctx, f)
		if err != nil {
			return nil, err
		}
		if len(out) == 0 || w > slices.Max(out)+0.05 {
			out = append(out, w)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out, nil
}

// widest finds the largest share of MACs whose network, untrained and finished
// by a step (nil: not at all), keeps to the limits.
func (s *search) widest(ctx context.Context, finish Step) (float64, error) {
	fits := func(share float64) (bool, error) {
		keep, err := s.shares(share)
		if err != nil {
			return false, err
		}
		var steps []Step
		if len(keep) > 0 {
			steps = append(steps, &PruneStep{Method: "l1", Keep: keep, NoNorm: true})
		}
		if finish != nil {
			steps = append(steps, finish)
		}
		g, err := s.apply(ctx, steps)
		if err != nil {
			return false, err
		}
		return s.within(ctx, g)
	}
	ok, err := fits(1)
	if err != nil || ok {
		return 1, err
	}
	low, high := 0.05, 1.0
	for range 5 {
		mid := (low + high) / 2
		if ok, err = fits(mid); err != nil {
			return 0, err
		}
		if ok {
			low = mid
		} else {
			high = mid
		}
		s.job.progress("fitting the limits", int(100*(1-(high-low))), 100)
	}
	return low, nil
}

// within reports whether a network keeps to all limits but that of accuracy.
func (s *search) within(ctx context.Context, g *graph.Graph) (bool, error) {
	b := s.job.Budget
	if b.MACs > 0 && g.Cost().MACs > b.MACs {
		return false, nil
	}
	if b.Bytes > 0 {
		file, err := onnx.Encode(g)
		if err != nil || int64(len(file))+provenance > b.Bytes {
			return false, err
		}
	}
	if b.EnergyMJ > 0 {
		mj, err := s.energy(g)
		if err != nil || mj > b.EnergyMJ {
			return false, err
		}
	}
	if b.LatencyMs == 0 {
		return true, nil
	}
	ms, err := measure.Latency(ctx, s.job.Threads, g)
	return err == nil && float64(ms[0].Nanoseconds())/1e6 <= b.LatencyMs*0.97, err
}

// endings tries what has to be trained at the end: quantized training of the
// best network of the walk, and the sparse network.
func (s *search) endings(ctx context.Context, best rung, n int) error {
	if !s.canTrain {
		return nil
	}
	var steps []Step
	if best.float != nil {
		steps = best.float.steps
	}
	for k, name := range append(slices.Clone(s.screened.Trained), s.screened.Endings...) {
		i, ok := s.idea(name)
		budget := s.left() / time.Duration(n-k)
		enough, err := decide(s, "time for "+name, func() (bool, error) { return budget >= time.Second/2, nil })
		if err != nil {
			return err
		}
		if !ok || !enough {
			continue
		}
		g, err := s.apply(ctx, steps)
		if err != nil {
			return err
		}
		// Rounding in training takes about half as long again.
		epochs, err := s.decideEpochs(ctx, "epochs of "+name+" at the end", g, budget*2/3)
		if err != nil {
			return err
		}
		s.job.say("training with %s", name)
		ending, err := s.ending(i, epochs)
		if err != nil {
			return err
		}
		label := name
		if best.float != nil && i.Family == quantizeFamily {
			label = fmt.Sprintf("%.0f %% of MACs, %s", 100*best.share, i.Name)
			ending = append(steps[:len(steps):len(steps)], ending...)
		}
		if _, err := s.try(ctx, label, ending); err != nil {
			return err
		}
	}
	return nil
}

// ending is the steps of an idea, with training in any case.
func (s *search) ending(i idea, epochs float64) ([]Step, error) {
	if i.Family == quantizeFamily {
		return []Step{s.bits(i, epochs)}, nil
	}
	steps, err := s.plan(i, epochs)
	if err == nil {
		steps[0].(*SparsifyStep).Training = s.training(epochs)
		steps = steps[:1] // training measures normalization anew
	}
	return steps, err
}
