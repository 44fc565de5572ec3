package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/data/npz"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/tensor"
)

type runCmd struct {
	Model     string   `arg:"" help:"Model file or zoo:NAME."`
	Input     []string `help:"An .npz or .npy file, or images (jpeg, png, webp, bmp); NAME=FILE names the input." placeholder:"FILE" required:"" sep:"none"`
	Output    string   `short:"o" help:"Write the outputs to this .npz (or, for one output, .npy) file; without it the largest scores are printed." placeholder:"FILE"`
	AllValues bool     `help:"Also write every intermediate value (needs an .npz output)."`
	Top       int      `help:"Scores to print." default:"5" placeholder:"N"`
	preFlags
}

type runResult struct {
	Model   string      `json:"model"`
	Outputs []valueInfo `json:"outputs"`
	File    string      `json:"file,omitempty"`
	Top     [][]score   `json:"top,omitempty"`
}

type score struct {
	Class int     `json:"class"`
	Score float32 `json:"score"`
}

func (c *runCmd) Run(a *app) error {
	if c.AllValues && filepath.Ext(c.Output) != ".npz" {
		return usagef("--all-values needs --output FILE.npz")
	}
	if c.Output != "" && !slices.Contains([]string{".npz", ".npy"}, filepath.Ext(c.Output)) {
		return usagef("--output %s: want a name that ends in .npz or .npy", c.Output)
	}
	g, err := a.load(c.Model)
	if err != nil {
		return err
	}
	if filepath.Ext(c.Output) == ".npy" && len(g.Outputs) != 1 {
		return usagef("--output %s: the model has %d outputs: want a name that ends in .npz", c.Output, len(g.Outputs))
	}
	if c.Output != "" {
		if err := atomicfile.Check(c.Output); err != nil {
			return err
		}
	}
	inputs, err := c.inputs(a, g)
	if err != nil {
		return err
	}
	m := engine.NewModel(g, engine.Options{Threads: a.Threads, All: c.AllValues})
	out, err := m.Run(a, inputs)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	r := runResult{Model: c.Model, File: c.Output}
	var arrays []npz.Array
	for _, o := range g.Outputs {
		t := out[o.Name]
		r.Outputs = append(r.Outputs, valueInfo{o.Name, t.DType.String(), anys(t.Shape)})
		arrays = append(arrays, npz.Array{Name: o.Name, Tensor: t})
		delete(out, o.Name)
	}
	names := make([]string, 0, len(out))
	for name := range out {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		arrays = append(arrays, npz.Array{Name: name, Tensor: out[name]})
	}
	if c.Output != "" {
		if err := npz.WriteFile(c.Output, arrays...); err != nil {
			return err
		}
	} else if len(arrays) > 0 {
		r.Top = top(arrays[0].Tensor, c.Top)
	}
	return a.emit(r, func(w io.Writer) error {
		for _, o := range r.Outputs {
			fmt.Fprintf(w, "%s %s%v\n", o.Name, o.Type, o.Shape)
		}
		for i, row := range r.Top {
			fmt.Fprintf(w, "%d:", i)
			for _, s := range row {
				fmt.Fprintf(w, "  class %d %.4g", s.Class, s.Score)
			}
			fmt.Fprintln(w)
		}
		if c.Output != "" {
			fmt.Fprintf(w, "wrote %s\n", c.Output)
		}
		return nil
	})
}

func anys(s []int) []any {
	out := make([]any, len(s))
	for i, d := range s {
		out[i] = d
	}
	return out
}

func top(t *tensor.Tensor, k int) [][]score {
	if len(t.Shape) == 0 || t.Shape[0] == 0 || t.Len() == 0 {
		return nil
	}
	x := t.Float32s()
	cols := len(x) / t.Shape[0]
	var rows [][]score
	for r := range t.Shape[0] {
		row := make([]score, cols)
		for i := range row {
			row[i] = score{i, x[r*cols+i]}
		}
		slices.SortStableFunc(row, func(a, b score) int {
			switch {
			case a.Score > b.Score:
				return -1
			case a.Score < b.Score:
				return 1
			}
			return 0
		})
		rows = append(rows, row[:min(max(k, 0), len(row))])
	}
	return rows
}

// inputs reads the files named by --input.
func (c *runCmd) inputs(a *app, g *graph.Graph) (map[string]*tensor.Tensor, error) {
	in := map[string]*tensor.Tensor{}
	var images []string
	for _, spec := range c.Input {
		name, file := "", spec
		if n, f, ok := strings.Cut(spec, "="); ok && g.Value(n) != nil {
			name, file = n, f
		}
		switch strings.ToLower(filepath.Ext(file)) {
		case ".npz", ".npy":
			arrays, err := npz.ReadFile(file)
			if err != nil {
				return nil, err
			}
			for i, arr := range arrays {
				key := arr.Name
				if name != "" {
					key = name
				} else if g.Value(key) == nil || !g.Value(key).IsInput() {
					if len(arrays) > 1 && len(g.Inputs) > 1 || i >= len(g.Inputs) {
						continue
					}
					key = g.Inputs[i].Name
				}
				in[key] = arr.Tensor
			}
		default:
			images = append(images, file)
		}
	}
	if images != nil {
		x, err := c.images(a, g, images)
		if err != nil {
			return nil, err
		}
		in[g.Inputs[0].Name] = x
	}
	for _, v := range g.Inputs {
		t := in[v.Name]
		if t == nil {
			return nil, fmt.Errorf("input %q of the model is in none of the files: name it with --input %s=FILE", v.Name, v.Name)
		}
		u, err := t.Convert(v.Type)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", v.Name, err)
		}
		in[v.Name] = u
	}
	return in, nil
}

func (c *runCmd) images(a *app, g *graph.Graph, files []string) (*tensor.Tensor, error) {
	if len(g.Inputs) == 0 || len(g.Inputs[0].Shape) != 4 {
		return nil, errors.New("images need a model with an input of N×C×H×W")
	}
	pre, err := c.preprocess(a, g)
	if err != nil {
		return nil, err
	}
	pipe, err := data.NewPipeline(fit(pre, g), data.Augment{})
	if err != nil {
		return nil, err
	}
	var x []float32
	var first [3]int
	for i, file := range files {
		var s data.Sample
		if err := data.DecodeFile(file, &s); err != nil {
			return nil, err
		}
		ch, h, w, err := pipe.Shape(s.H, s.W, s.C)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if i > 0 && first != [3]int{ch, h, w} {
			return nil, fmt.Errorf("%s becomes %dx%dx%d, %s %dx%dx%d: give --resize and --crop", files[0], first[0], first[1], first[2], file, ch, h, w)
		}
		first = [3]int{ch, h, w}
		at := len(x)
		x = append(x, make([]float32, ch*h*w)...)
		if err := pipe.Apply(x[at:], &s); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return tensor.Of(x, len(files), first[0], first[1], first[2]), nil
}
