package main

import (
	"fmt"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// activationFlags name the images that the sparsity of activations is measured
// on.
type activationFlags struct {
	Data   string `help:"Measure how many activations are zero on this data set, for machines that skip zeros: NAME, NAME:DIR, a folder, a tar or an .npz file, each optionally @SPLIT." placeholder:"SPEC"`
	Labels string `help:"Table of file names and classes (tsv or csv) for folders and tars." placeholder:"FILE" type:"path"`
	Images int    `help:"How many images of the data set to run." default:"32" placeholder:"N"`
	preFlags
}

// densities runs the model on images and returns the share of each value's
// elements that are not zero, nil without a data set.
func (f *activationFlags) densities(a *app, g *graph.Graph) (map[string]float64, error) {
	if f.Data == "" {
		return nil, nil
	}
	if f.Images < 1 {
		return nil, usagef("--images must be at least 1")
	}
	if len(g.Inputs) != 1 {
		return nil, fmt.Errorf("the model has %d inputs; --data feeds one that takes images", len(g.Inputs))
	}
	pre, err := f.preprocess(a, g)
	if err != nil {
		return nil, err
	}
	ds, err := openData(f.Data, f.Labels, "test", f.Images)
	if err != nil {
		return nil, err
	}
	batch, fixed := 1, false
	if s := g.Inputs[0].Shape; len(s) > 0 && s[0].Known() {
		batch, fixed = s[0].Size, true
	}
	loader, err := data.NewLoader(ds, data.LoaderOptions{Batch: batch, Preprocess: fit(pre, g), DropLast: fixed})
	if err != nil {
		return nil, err
	}
	return countZeros(a, g, loader, batch)
}

// countZeros keeps every value that the engine computes and counts.
func countZeros(a *app, g *graph.Graph, loader *data.Loader, batch int) (map[string]float64, error) {
	channels, h, w := loader.Shape()
	p, err := engine.Compile(g, engine.Options{Shapes: map[string][]int{g.Inputs[0].Name: {batch, channels, h, w}}, Threads: a.Threads, All: true})
	if err != nil {
		return nil, err
	}
	names, out := p.Outputs(), p.NewOutputs()
	full, all := make([]int64, len(names)+1), make([]int64, len(names)+1)
	step, end := a.progress("activations", loader.Images())
	defer end()
	done := 0
	for b, err := range loader.Batches(a, 0) {
		if err != nil {
			return nil, err
		}
		x, err := tensor.Of(b.X, b.N, b.C, b.H, b.W).Convert(g.Inputs[0].Type)
		if err != nil {
			return nil, err
		}
		if err := p.RunInto(a, []*tensor.Tensor{x}, out); err != nil {
			return nil, err
		}
		for i, t := range append(out[:len(out):len(out)], x) {
			values := t.Float32s()
			for _, v := range values {
				if v != 0 {
					full[i]++
				}
			}
			all[i] += int64(len(values))
		}
		done += b.N
		step(done)
	}
	densities := map[string]float64{}
	for i, name := range append(names[:len(names):len(names)], g.Inputs[0].Name) {
		if all[i] > 0 && full[i] > 0 {
			densities[name] = float64(full[i]) / float64(all[i])
		}
	}
	a.note("note: %d of the model's values were measured on %d images", len(densities), done)
	return densities, nil
}
