package host

import (
	"errors"
	"fmt"
	"math"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/hardware"
)

// Model predicts whole networks.
type Model struct {
	*Predictor
	// A run takes overhead times as long as its steps, and longer by the power
	// of growth of the times that these take longer than brief: the more there
	// is to do, the less of it finds the caches as warm as a step that is
	// measured at its best.
	overhead, growth float64
}

// brief is the time, in seconds, up to which a run takes as long as its steps.
const brief = 5e-4

// length is the logarithm of how many times longer than brief steps take.
func length(seconds float64) float64 { return math.Log(max(seconds/brief, 1)) }

// fitWhole fits to all networks but those of a family, as fit does.
func fitWhole(networks []Network, samples []sample, without string, all *Predictor) *Model {
	m := &Model{Predictor: fit(samples, without, all), overhead: 1}
	var n, x, y, xx, xy float64
	for i := range networks {
		steps := networks[i].Measured()
		if without != "" && networks[i].Family == without || steps <= 0 {
			continue
		}
		a, b := length(steps), math.Log(networks[i].Seconds/steps)
		n, x, y, xx, xy = n+1, x+a, y+b, xx+a*a, xy+a*b
	}
	if n > 0 {
		if d := n*xx - x*x; n > few && d > 0 {
			m.growth = (n*xy - x*y) / d
		}
		m.overhead = math.Exp((y - m.growth*x) / n)
	}
	return m
}

// Predict is the time of a run of all steps, in seconds.
func (m *Model) Predict(steps []Step) float64 {
	total := m.Total(steps)
	return m.overhead * total * math.Exp(m.growth*length(total))
}

// Report predicts a graph. A kernel counts as bound by compute if it
// multiplies, and cycles are nanoseconds, since what the clock does under load
// is part of the measurements.
func (c *Calibration) Report(g *graph.Graph, batch int) (*hardware.Report, error) {
	p, err := engine.Compile(g, engine.Options{Batch: batch, Threads: c.Machine.Threads})
	if err != nil {
		return nil, err
	}
	steps := Steps(g, p, batch)
	if len(steps) == 0 {
		return nil, errors.New("host: the network computes nothing")
	}
	m := fitWhole(c.Networks, sampled(c.Networks), "", nil)
	share := m.Predict(steps) / max(m.Total(steps), 1e-12)
	r := &hardware.Report{Machine: "host", Network: g.Name, Batch: batch, ClockMHz: 1000, PeakMACs: c.peak(steps)}
	for i := range steps {
		s := &steps[i]
		x := hardware.Cost{Layer: s.Node, Op: s.Op, Shape: s.shape(), Cycles: share * m.Seconds(s) * 1e9, MACs: s.MACs,
			Effectual: float64(s.MACs), Active: 1, Bound: s.Kernel}
		x.ComputeCycles = x.Cycles
		if r.PeakMACs > 0 && x.Cycles > 0 {
			x.Utilization = float64(x.MACs) / (r.PeakMACs * x.Cycles)
		}
		r.Layers = append(r.Layers, x)
	}
	r.Notes = append(r.Notes, "predicted for "+c.Machine.String()+"; cycles are nanoseconds, bounds are kernels, the peak is the fastest of these kernels that was measured")
	if s := Summarize(c.Checks); s.Networks > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("of %d networks predicted from the others %d were within 10 %%; the mean error was %.1f %%", s.Networks, s.Within10, 100*s.Mean))
	}
	return r.Sum(), nil
}

// shape writes a step's output.
func (s *Step) shape() string {
	return fmt.Sprintf("%d channels of %d×%d", s.Channels, s.Rows, s.Columns)
}

// peak is the highest rate in MACs a nanosecond that any of the steps' kernels
// was seen at.
func (c *Calibration) peak(steps []Step) (rate float64) {
	used := map[string]bool{}
	for i := range steps {
		used[steps[i].Kernel] = steps[i].MACs > 0
	}
	for _, n := range c.Networks {
		for _, s := range n.Steps {
			if used[s.Kernel] && s.Seconds > granule {
				rate = max(rate, float64(s.MACs)/(1e9*s.Seconds))
			}
		}
	}
	return rate
}
