package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/quantize/codebook"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// load reads a model from a path or builds zoo:NAME?key=value.
func (a *app) load(spec string) (*graph.Graph, error) {
	if name, ok := strings.CutPrefix(spec, "zoo:"); ok {
		return zoo.Build(name, a.Seed)
	}
	read := func(path string) (*graph.Graph, error) { return onnx.Read(path) }
	if coded(spec) {
		read = codebook.Read
	}
	g, err := read(spec)
	if err != nil {
		return nil, err
	}
	if err := g.InferShapes(); err != nil {
		return nil, fmt.Errorf("%s: %w", spec, err)
	}
	return g, nil
}

// loadSound is load for the verbs that measure or change a model: it takes
// images, and its weights are numbers.
func (a *app) loadSound(spec string) (*graph.Graph, error) {
	g, err := a.load(spec)
	if err != nil {
		return nil, err
	}
	if len(g.Inputs) != 1 || len(g.Outputs) == 0 {
		return nil, fmt.Errorf("%s: the model has %d inputs and %d outputs; want one that takes images and class scores that come out", spec, len(g.Inputs), len(g.Outputs))
	}
	for _, n := range g.Nodes {
		for _, i := range graph.ParamInputs(n) {
			if v := n.In(i); v != nil && v.Data != nil && v.Data.HasNaN() {
				return nil, fmt.Errorf("%s: node %q (%s): its weights %q hold NaN or infinity: export the model again from a sound checkpoint", spec, n.Name, n.Op, v.Name)
			}
		}
	}
	return g, nil
}

// fit completes pre by the size of the images that g takes.
func fit(pre data.Preprocess, g *graph.Graph) data.Preprocess {
	if s := g.Inputs[0].Shape.Ints(); len(s) == 4 {
		pre = pre.ForInput(max(s[1], 0), max(s[2], 0), max(s[3], 0))
	}
	return pre
}

// preFlags override the preprocessing that a model's metadata asks for.
type preFlags struct {
	Preset        string `help:"Preprocessing preset: imagenet, half, unit, raw or caffe." placeholder:"NAME"`
	Mean          string `help:"Mean to subtract, one value or one a channel, in 0..255." placeholder:"M,M,M"`
	Std           string `help:"Standard deviation to divide by." placeholder:"S,S,S"`
	Color         string `help:"Channel order: rgb, bgr or gray." placeholder:"ORDER"`
	Resize        int    `help:"Resize the shorter side to this many pixels first." placeholder:"N"`
	Crop          int    `help:"Then cut this many pixels square out of the middle." placeholder:"N"`
	LabelOffset   int    `help:"Add this to every label: 1 for networks with a background class." placeholder:"N"`
	Interpolation string `help:"Resampling filter: bilinear, bicubic or box." placeholder:"NAME"`
}

// preprocess combines the flags with what g's metadata says. The result fits
// the size of g's first input.
func (f *preFlags) preprocess(a *app, g *graph.Graph) (data.Preprocess, error) {
	var p data.Preprocess
	stored, known := g.Metadata[data.MetadataKey]
	if known {
		var err error
		if p, err = data.ParsePreprocess(stored); err != nil {
			return p, fmt.Errorf("the model's metadata %s: %w", data.MetadataKey, err)
		}
	}
	if f.Preset != "" {
		q, ok := data.Preset(f.Preset)
		if !ok {
			return p, usagef("--preset %s: there are %s", f.Preset, strings.Join(data.PresetNames(), ", "))
		}
		p = q
	} else if !known && f.Mean == "" && f.Std == "" {
		a.note("note: the model says nothing about preprocessing; taking --preset imagenet (see --preset, --mean, --std)")
		p, _ = data.Preset("imagenet")
	}
	var err error
	if f.Mean != "" {
		if p.Mean, err = data.ParseFloats(f.Mean); err != nil {
			return p, usagef("--mean: %w", err)
		}
	}
	if f.Std != "" {
		if p.Std, err = data.ParseFloats(f.Std); err != nil {
			return p, usagef("--std: %w", err)
		}
	}
	if f.Color != "" {
		if p.Color, err = data.ParseColor(f.Color); err != nil {
			return p, usagef("--color: %w", err)
		}
	}
	if f.Interpolation != "" {
		q, err := data.ParsePreprocess("interpolation=" + f.Interpolation)
		if err != nil {
			return p, usagef("--interpolation: %w", err)
		}
		p.Interpolation = q.Interpolation
	}
	if f.Resize != 0 {
		p.Resize = f.Resize
	}
	if f.Crop != 0 {
		p.Crop = [2]int{f.Crop, f.Crop}
	}
	if f.LabelOffset != 0 {
		p.LabelOffset = f.LabelOffset
	}
	if err := p.Validate(); err != nil {
		return p, usageError{err}
	}
	return p, nil
}

// randomInputs fills the inputs of a compiled program reproducibly: standard
// normal floats, small integers.
func randomInputs(shapes map[string][]int, inputs []*graph.Value, seed uint64) (map[string]*tensor.Tensor, error) {
	rng := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	out := map[string]*tensor.Tensor{}
	for _, v := range inputs {
		f := tensor.New(tensor.Float32, shapes[v.Name]...)
		for i, d := 0, tensor.Data[float32](f); i < len(d); i++ {
			d[i] = float32(rng.NormFloat64())
			if !v.Type.IsFloat() {
				d[i] = float32(rng.IntN(100))
			}
		}
		t, err := f.Convert(v.Type)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", v.Name, err)
		}
		out[v.Name] = t
	}
	return out, nil
}
