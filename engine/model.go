package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// maxPrograms bounds how many input shapes a Model keeps programs for.
const maxPrograms = 8

// Model runs a graph at whatever input shapes it is given, compiling a
// Program for each new combination and keeping the most recent few. It is
// safe for concurrent use.
type Model struct {
	g       *graph.Graph
	options Options

	mu       sync.Mutex
	programs []cached // most recently used first
}

type cached struct {
	key string
	p   *Program
}

// NewModel prepares g, which must not be changed afterwards.
func NewModel(g *graph.Graph, o Options) *Model { return &Model{g: g, options: o} }

// Program returns the program for the given input shapes (by name; missing
// ones as in Options).
func (m *Model) Program(shapes map[string][]int) (*Program, error) {
	key := fmt.Sprint(shapes) // maps print in order of their keys
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, c := range m.programs {
		if c.key == key {
			copy(m.programs[1:i+1], m.programs[:i])
			m.programs[0] = c
			return c.p, nil
		}
	}
	o := m.options
	o.Shapes = shapes
	p, err := Compile(m.g, o)
	if err != nil {
		return nil, err
	}
	m.programs = append([]cached{{key, p}}, m.programs[:min(len(m.programs), maxPrograms-1)]...)
	return p, nil
}

// Run executes the graph on inputs of any shape that the graph allows.
func (m *Model) Run(ctx context.Context, inputs map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	shapes := map[string][]int{}
	for _, v := range m.g.Inputs {
		t := inputs[v.Name]
		if t == nil {
			return nil, fmt.Errorf("engine: input %q is missing", v.Name)
		}
		shapes[v.Name] = t.Shape
	}
	p, err := m.Program(shapes)
	if err != nil {
		return nil, err
	}
	return p.Run(ctx, inputs)
}
