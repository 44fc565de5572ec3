package host

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Network is what the calibration knows about one network.
type Network struct {
	Name string `json:"name"`
	// Family groups networks that have layers in common: they are left out
	// together when one of them is predicted.
	Family string `json:"family"`
	// Type is the arithmetic's: "float32" or "int8".
	Type  string `json:"type"`
	Steps []Step `json:"steps"`
	// Seconds is the shortest whole run.
	Seconds float64 `json:"seconds"`
}

// Measured adds the shortest times of the steps up.
func (n *Network) Measured() (seconds float64) {
	for _, s := range n.Steps {
		seconds += s.Seconds
	}
	return seconds
}

// Subject is a network to be timed.
type Subject struct {
	Name, Family, Type string
	Graph              *graph.Graph
}

// round is how long one network is timed before the next one has its turn.
const round = 60 * time.Millisecond

// Measure times every kernel of the networks, in turn, until the budget is
// spent, but each of them twice at least. It keeps the shortest times: other
// work on the machine only ever makes a kernel slower. After every network it
// tells how much of the budget, in thousandths, is spent.
func Measure(ctx context.Context, subjects []Subject, threads int, budget time.Duration, progress func(done int)) ([]Network, error) {
	begin := time.Now()
	var runs []*timed
	for _, s := range subjects {
		t, err := newTimed(s, threads)
		if err != nil {
			return nil, fmt.Errorf("host: network %q (%s): %w", s.Name, s.Type, err)
		}
		runs = append(runs, t)
	}
	for n := 0; n < 2 || time.Since(begin) < budget; n++ {
		for i, t := range runs {
			if err := t.profile(ctx); err != nil {
				return nil, fmt.Errorf("host: network %q (%s): %w", t.Name, t.Type, err)
			}
			if n < 2 {
				progress(min(999, 1000*(n*len(runs)+i)/(2*len(runs))*int(1+time.Since(begin))/int(1+max(time.Since(begin), budget))))
			} else if progress(min(999, int(1000*time.Since(begin)/budget))); time.Since(begin) > budget {
				break
			}
		}
	}
	list := make([]Network, len(runs))
	for i, t := range runs {
		list[i] = t.Network
	}
	return list, nil
}

// timed is a network ready to run.
type timed struct {
	Network
	p       *engine.Program
	in, out []*tensor.Tensor
}

func newTimed(s Subject, threads int) (*timed, error) {
	p, err := engine.Compile(s.Graph, engine.Options{Threads: threads})
	if err != nil {
		return nil, err
	}
	t := &timed{Network: Network{Name: s.Name, Family: s.Family, Type: s.Type, Steps: Steps(s.Graph, p, 1)}, p: p, out: p.NewOutputs()}
	rng := rand.New(rand.NewPCG(1, 2))
	for i, name := range p.Inputs() {
		x := tensor.New(tensor.Float32, p.InputShape(i)...)
		for j, d := 0, tensor.Data[float32](x); j < len(d); j++ {
			d[j] = float32(rng.NormFloat64())
		}
		x, err := x.Convert(s.Graph.Value(name).Type)
		if err != nil {
			return nil, err
		}
		t.in = append(t.in, x)
	}
	return t, nil
}

// profile times the network for one round: whole runs and kernel by kernel.
func (t *timed) profile(ctx context.Context) error {
	for begin, n := time.Now(), 0; n < 2 || time.Since(begin) < round; n++ {
		rows, err := t.p.Profile(ctx, t.in, 2)
		if err != nil {
			return err
		}
		for i := range rows {
			t.Steps[i].Seconds = shorter(t.Steps[i].Seconds, rows[i].Min)
		}
		start := time.Now()
		if err := t.p.RunInto(ctx, t.in, t.out); err != nil {
			return err
		}
		t.Seconds = shorter(t.Seconds, time.Since(start))
	}
	return nil
}

// shorter is the shorter of two times, the first being 0 where there is none.
func shorter(seconds float64, d time.Duration) float64 {
	if s := d.Seconds(); seconds == 0 || s < seconds {
		return s
	}
	return seconds
}
