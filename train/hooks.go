package train

import (
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Hook is called at fixed points of every step. An error ends the run. Embed
// NoHook to implement only some of them.
type Hook interface {
	// BeforeForward comes before the batch is computed.
	BeforeForward(s *State) error
	// AfterBackward comes when the gradients are there, before clipping and
	// the update; they may be changed.
	AfterBackward(s *State) error
	// AfterStep comes after the update of the parameters, which may be changed
	// (masks).
	AfterStep(s *State) error
	// EpochEnd comes after each epoch, before validation.
	EpochEnd(s *State) error
}

// A Keeper is a Hook with state of its own, which checkpoints hold, so that a
// resumed run goes on with it. Vectors must list the same vectors at all
// times; a checkpoint's values are copied into them.
type Keeper interface {
	Hook
	Vectors() []Vector
}

// Vector is a named part of a Keeper's state.
type Vector struct {
	Name string
	Data []float32
}

// NoHook does nothing at every point.
type NoHook struct{}

// BeforeForward does nothing.
func (NoHook) BeforeForward(*State) error { return nil }

// AfterBackward does nothing.
func (NoHook) AfterBackward(*State) error { return nil }

// AfterStep does nothing.
func (NoHook) AfterStep(*State) error { return nil }

// EpochEnd does nothing.
func (NoHook) EpochEnd(*State) error { return nil }

// State is what hooks see of a run.
type State struct {
	// Epoch counts from 0, Step is the number of steps done before this one.
	Epoch, Step int
	// Fraction is the share of the run that is done, 0 to 1.
	Fraction float64
	// LR is the learning rate of the step, Loss its loss (after the backward
	// pass).
	LR, Loss float64
	// Graph is the training graph, without its gradients; it must not be
	// changed.
	Graph *graph.Graph

	t *trainer
}

// Params names the trained parameters, in the graph's order.
func (s *State) Params() []string {
	names := make([]string, len(s.t.params))
	for i, p := range s.t.params {
		names[i] = p.name
	}
	return names
}

// Param returns the elements of a trained parameter or running statistic, nil
// if there is none of that name. Changes take effect in the next step.
func (s *State) Param(name string) *tensor.Tensor { return s.t.program.Variable(name) }

// Grad returns the gradient of a trained parameter in this step.
func (s *State) Grad(name string) *tensor.Tensor {
	if p := s.t.byName[name]; p != nil {
		return p.gradTensor
	}
	return nil
}

// Momentum returns the optimizer's state vectors of a parameter.
func (s *State) Momentum(name string) [][]float32 {
	if p := s.t.byName[name]; p != nil {
		return p.state
	}
	return nil
}

func (t *trainer) hooks(call func(Hook) error) error {
	for _, h := range t.c.Hooks {
		if err := call(h); err != nil {
			return err
		}
	}
	return nil
}
