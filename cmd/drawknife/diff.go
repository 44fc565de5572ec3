package main

import (
	"fmt"
	"io"
	"math"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

type diffCmd struct {
	A     string   `arg:"" help:"First model (the one before)."`
	B     string   `arg:"" help:"Second model (the one after)."`
	Shape []string `help:"Concrete shape of an input: NAME=1x3x224x224." placeholder:"NAME=DIMS" sep:"none"`
	Batch int      `help:"Images to compare the outputs on." default:"4" placeholder:"N"`
}

type outputDiff struct {
	Name     string  `json:"name"`
	MaxAbs   float64 `json:"max_abs"`
	MeanAbs  float64 `json:"mean_abs"`
	Largest  float64 `json:"largest"` // element of A's output
	SameTop1 float64 `json:"same_top1_percent"`
}

type diffResult struct {
	A string `json:"a"`
	B string `json:"b"`
	*graph.Diff
	Outputs []outputDiff `json:"outputs"`
	Note    string       `json:"note,omitempty"` // why outputs could not be compared
}

func (c *diffCmd) Run(a *app) error {
	ga, err := a.load(c.A)
	if err != nil {
		return err
	}
	gb, err := a.load(c.B)
	if err != nil {
		return err
	}
	r := diffResult{A: c.A, B: c.B, Diff: graph.Compare(ga, gb), Outputs: []outputDiff{}}
	if err := c.outputs(a, ga, gb, &r); err != nil {
		r.Note = err.Error()
	}
	return a.emit(r, func(w io.Writer) error {
		if err := r.Diff.WriteText(w); err != nil {
			return err
		}
		if r.Note != "" {
			fmt.Fprintf(w, "outputs not compared: %s\n", r.Note)
			return nil
		}
		rows := [][]string{{"output ", "largest", "max diff", "mean diff", "same top-1"}}
		for _, o := range r.Outputs {
			rows = append(rows, []string{o.Name, fmt.Sprintf("%.4g", o.Largest), fmt.Sprintf("%.3g", o.MaxAbs), fmt.Sprintf("%.3g", o.MeanAbs), fmt.Sprintf("%.1f%%", o.SameTop1)})
		}
		return table(w, rows)
	})
}

// outputs runs both models on the same random inputs.
func (c *diffCmd) outputs(a *app, ga, gb *graph.Graph, r *diffResult) error {
	shapes, err := inputShapes(ga, c.Shape, c.Batch)
	if err != nil {
		if shapes, err = inputShapes(ga, c.Shape, 1); err != nil {
			return err
		}
	}
	in, err := randomInputs(shapes, ga.Inputs, a.Seed)
	if err != nil {
		return err
	}
	ya, err := engine.NewModel(ga, engine.Options{Threads: a.Threads}).Run(a, in)
	if err != nil {
		return fmt.Errorf("%s: %w", c.A, err)
	}
	yb, err := engine.NewModel(gb, engine.Options{Threads: a.Threads}).Run(a, in)
	if err != nil {
		return fmt.Errorf("%s: %w", c.B, err)
	}
	for _, o := range ga.Outputs {
		p, q := ya[o.Name], yb[o.Name]
		if q == nil {
			return fmt.Errorf("%s has no output %q", c.B, o.Name)
		}
		if p.Len() != q.Len() {
			return fmt.Errorf("output %q is %v in one and %v in the other", o.Name, p, q)
		}
		r.Outputs = append(r.Outputs, compareOutputs(o.Name, p, q))
	}
	return nil
}

func compareOutputs(name string, p, q *tensor.Tensor) outputDiff {
	d := outputDiff{Name: name}
	x, y := p.Float32s(), q.Float32s()
	for i := range x {
		e := math.Abs(float64(x[i]) - float64(y[i]))
		d.MaxAbs, d.MeanAbs = max(d.MaxAbs, e), d.MeanAbs+e/float64(len(x))
		d.Largest = max(d.Largest, math.Abs(float64(x[i])))
	}
	rows := 1
	if len(p.Shape) > 0 && p.Shape[0] > 0 {
		rows = p.Shape[0]
	}
	cols, same := len(x)/rows, 0
	for r := range rows {
		if argmax(x[r*cols:(r+1)*cols]) == argmax(y[r*cols:(r+1)*cols]) {
			same++
		}
	}
	d.SameTop1 = 100 * float64(same) / float64(rows)
	return d
}

func argmax(v []float32) int {
	best := 0
	for i := range v {
		if v[i] > v[best] {
			best = i
		}
	}
	return best
}
