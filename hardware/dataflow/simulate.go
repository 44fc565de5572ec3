package dataflow

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
)

// maxFolds bounds a simulation.
const maxFolds = 1 << 26

// fold is one filling of the array: how much of it is used.
type fold struct{ rows, cols int64 }

// Simulate runs a layer fold by fold. The operands of a fold must be in the
// buffer before it begins; those of the next one come while it runs, into the
// other half of the buffer. Partial sums that a fold leaves behind, and those
// of an earlier fold that it continues, go over the same memory port.
func (s Systolic) Simulate(l *hardware.Layer) (Run, error) {
	if err := s.check(l); err != nil {
		return Run{}, err
	}
	p := s.product(l)
	rows, cols, stream, err := s.sides(p)
	if err != nil {
		return Run{}, err
	}
	if n := float64(ceil(rows, int64(s.Rows))) * float64(ceil(cols, int64(s.Cols))); n > maxFolds {
		return Run{}, fmt.Errorf("layer %q: %.0f folds are too many to simulate; use the closed form", l.Name, n)
	}
	m := machine{s: s, stream: stream}
	for c := int64(0); c < cols; c += int64(s.Cols) {
		for r := int64(0); r < rows; r += int64(s.Rows) {
			m.run(fold{min(int64(s.Rows), rows-r), min(int64(s.Cols), cols-c)}, r > 0)
		}
	}
	m.finish()
	times := float64(p.Times)
	r := m.total
	r.Mapped /= float64(r.Folds)
	r.Folds *= p.Times
	r.Weights, r.Inputs, r.Sums = r.Weights*p.Times, r.Inputs*p.Times, r.Sums*p.Times
	r.Cycles, r.Stalls = m.now*times, r.Stalls*times
	if s.Convention {
		r.Cycles -= times
	}
	return r, nil
}

// machine is the state of a simulation.
type machine struct {
	s      Systolic
	stream int64
	now    float64 // when the array is free
	began  float64 // when the last fold began, and the other half became free
	port   float64 // when the memory port is free
	total  Run
}

// run does one fold; continued says that it adds to the sums of an earlier
// one.
func (m *machine) run(f fold, continued bool) {
	stationary, streamed, sums := f.rows*f.cols, f.rows*m.stream, f.cols*m.stream
	t := &m.total
	switch m.s.Flow {
	case WeightStationary:
		t.Weights, t.Inputs = t.Weights+stationary, t.Inputs+streamed
	case InputStationary:
		t.Inputs, t.Weights = t.Inputs+stationary, t.Weights+streamed
	default: // both operands stream, outputs stay
		t.Inputs, t.Weights = t.Inputs+f.rows*m.stream, t.Weights+f.cols*m.stream
		stationary, streamed, sums = f.cols*m.stream, f.rows*m.stream, f.rows*f.cols
		continued = false
	}
	t.Sums += sums
	words := stationary + streamed
	if continued {
		words += sums
	}
	ready := m.now
	if m.s.Words > 0 {
		m.port = max(m.port, m.began) + float64(words)/m.s.Words
		ready = m.port
	}
	start := max(m.now, ready)
	t.Stalls += start - m.now
	m.began, m.now = start, start+float64(m.s.foldCycles(m.stream))
	if m.s.Words > 0 { // the sums leave when the fold is done, over the same port
		m.port += float64(sums) / m.s.Words
	}
	t.Mapped += float64(f.rows*f.cols) / float64(m.s.Rows*m.s.Cols)
	t.Folds++
}

// finish waits for the last sums to leave.
func (m *machine) finish() {
	if m.port > m.now {
		m.total.Stalls += m.port - m.now
		m.now = m.port
	}
}
