// Package qat trains networks for their quantized form: it rewrites a float
// network so that its layers compute with rounded weights and activations, with
// straight-through gradients (package fake), gives the hooks that the method
// needs, and turns what was trained into an integer or binary network.
//
//	m, err := method.New[*qat.Method](method.Quantize, "lsq")
//	g, hooks, err := m.Prepare(ctx, float, batches, qat.Options{WBits: 4, ABits: 4})
//	r, err := train.Run(ctx, g, loader, train.Config{Hooks: hooks, …})
//	q, report, err := qat.Finish(ctx, r.Graph, batches, quantize.Defaults())
//
// A method is one file that registers itself: how weights and activations are
// rounded, and what happens between the steps.
package qat

import (
	"context"
	"fmt"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// Options say how many bits; 0 means the method's default.
type Options struct {
	WBits, ABits int
	// EdgeBits are those of the first and last layers (0 means 8), for methods
	// that quantize them.
	EdgeBits int
	// Threads is the number of workers of the runs over the batches.
	Threads int
}

// Method is how a network is trained for quantization. The zero value changes
// nothing; a method sets what it needs.
type Method struct {
	// Name is for messages.
	Name string
	// WBits and ABits are the default bits; 32 leaves weights or activations as
	// they are, and 1 is binary.
	WBits, ABits int
	// Weights, if set, adds what quantizes the weights of a layer.
	Weights func(b *Builder, l *Layer) *graph.Value
	// Inputs, if set, adds what quantizes the activations that a layer reads.
	Inputs func(b *Builder, l *Layer) *graph.Value
	// Outputs, if set, adds what stands behind a layer, to round its gradients.
	Outputs func(b *Builder, l *Layer, y *graph.Value) *graph.Value
	// Edges quantizes the first and last layers too, to EdgeBits; else they
	// stay float in training.
	Edges bool
	// Structure, if set, changes a network first whose activations become signs.
	Structure func(g *graph.Graph, layers []*graph.Node) error
	// Hooks, if set, makes the hooks of a run.
	Hooks func(b *Builder) []train.Hook
	// Recipe is what the training should be unless the user says otherwise.
	Recipe Recipe
}

// Recipe is a suggestion for training.
type Recipe struct {
	Optimizer string
	LR, Decay float64
	// Batch is the number of images a step, 0 for the usual one.
	Batch int
	// NoDecay keeps weight decay off the quantized layers' weights.
	NoDecay bool
	// ByBits halves the decay for weights of 3 bits and quarters it for fewer,
	// which few values regularize already (Esser et al., 2020).
	ByBits bool
}

// DecayAt is the weight decay for weights of that many bits.
func (r Recipe) DecayAt(bits int) float64 {
	switch {
	case !r.ByBits || bits > 3:
		return r.Decay
	case bits == 3:
		return r.Decay / 2
	}
	return r.Decay / 4
}

// Layer is a convolution or matrix product that is being rewritten.
type Layer struct {
	Node *graph.Node
	// WBits and ABits are the bits of its weights and inputs.
	WBits, ABits int
	// MeanAbs and Peak are the mean and largest magnitude of what it reads, and
	// Least its smallest element, on the batches.
	MeanAbs, Peak, Least float64
	// Count is the number of elements that it reads of one image, and Sample
	// some of them.
	Count  int
	Sample []float32
}

// Builder adds the nodes of a method to a network.
type Builder struct {
	Graph  *graph.Graph
	Layers []*Layer
	// Noise, Temperatures, Ranges and Shadows name the variables that hooks
	// set: numbers of steps, temperatures of estimators, ranges of activations,
	// and weights behind binary ones.
	Noise, Temperatures, Ranges, Shadows []string
	// Shares names the variables that say how binary weights are already.
	Shares []string
	// Curvatures names, by weight, the variables that take its curvature.
	Curvatures map[string]string
	Steps      []string // learned steps and clipping values
}

// Own adds a node of domain "drawknife" before the layer and returns its output.
func (b *Builder) Own(l *Layer, op, what string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
	name := l.Node.Name + "/" + what
	n := b.Graph.NewNode(graph.DrawknifeDomain, op, name, in, []string{name}, attrs)
	b.Graph.InsertBefore(l.Node, n)
	n.Outputs[0].Type, n.Outputs[0].Shape = in[0].Type, in[0].Shape
	return n.Outputs[0]
}

// Variable adds a constant that training changes.
func (b *Builder) Variable(l *Layer, what string, t *tensor.Tensor) *graph.Value {
	return b.Graph.AddConst(l.Node.Name+"/"+what, t)
}

// Number adds a variable of one element.
func (b *Builder) Number(l *Layer, what string, v float64) *graph.Value {
	return b.Variable(l, what, tensor.Scalar(float32(v)))
}

// Step adds the variable that counts steps, for noise.
func (b *Builder) Step(l *Layer, what string) *graph.Value {
	v := b.Number(l, what, -1)
	b.Noise = append(b.Noise, v.Name)
	return v
}

// Temperature adds a variable that a hook moves through the run.
func (b *Builder) Temperature(l *Layer, what string, v float64) *graph.Value {
	t := b.Number(l, what, v)
	b.Temperatures = append(b.Temperatures, t.Name)
	return t
}

// Trainable reports whether the method can quantize n: a convolution, or a
// matrix product with an output channel in each row of its weights.
func Trainable(n *graph.Node) bool {
	w := n.In(1)
	return (n.Is("Conv") || n.Is("Gemm") && n.Int("transB", 0) != 0) && w != nil && w.Data != nil && w.Type == tensor.Float32 && len(w.Uses()) == 1 &&
		n.Inputs[0].Type == tensor.Float32
}

// Prepare returns a copy of g to train, and the hooks that belong to it. A few
// batches without labels show the ranges of activations.
func (m *Method) Prepare(ctx context.Context, g *graph.Graph, batches quantize.Batches, o Options) (*graph.Graph, *Builder, []train.Hook, error) {
	fail := func(err error) (*graph.Graph, *Builder, []train.Hook, error) {
		return nil, nil, nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&o.WBits, m.WBits)
	set(&o.ABits, m.ABits)
	set(&o.EdgeBits, 8)
	g = g.Clone()
	for _, n := range g.Nodes {
		if n.Is("QuantizeLinear", "DequantizeLinear") {
			return fail(fmt.Errorf("%w (%v)", quantize.ErrQuantized, n))
		}
	}
	if len(g.Inputs) != 1 {
		return fail(fmt.Errorf("the model has %d inputs, want one that takes images", len(g.Inputs)))
	}
	if _, err := eval.Fold(g); err != nil {
		return fail(err)
	}
	if err := g.InferShapes(); err != nil {
		return fail(err)
	}
	edge := quantize.Edges(g)
	var inner []*graph.Node
	for _, n := range g.Nodes {
		if Trainable(n) && !edge[n] {
			inner = append(inner, n)
		}
	}
	if len(inner) == 0 {
		return fail(fmt.Errorf("there are no layers between the first and the last that it could quantize"))
	}
	positiveNorms(g)
	if m.Structure != nil && o.ABits == 1 {
		if err := m.Structure(g, inner); err != nil {
			return fail(err)
		}
		if err := g.InferShapes(); err != nil {
			return fail(err)
		}
	}
	b := &Builder{Graph: g, Curvatures: map[string]string{}}
	for _, n := range append([]*graph.Node(nil), g.Nodes...) {
		if !Trainable(n) || edge[n] && !m.Edges {
			continue
		}
		l := &Layer{Node: n, WBits: o.WBits, ABits: o.ABits}
		if edge[n] {
			l.WBits, l.ABits = max(l.WBits, o.EdgeBits), max(l.ABits, o.EdgeBits)
		}
		b.Layers = append(b.Layers, l)
	}
	if err := b.observe(ctx, batches, o.Threads); err != nil {
		return fail(err)
	}
	b.rewrite(m)
	if err := g.Sort(); err != nil {
		return fail(err)
	}
	if err := g.InferShapes(); err != nil {
		return fail(err)
	}
	var hooks []train.Hook
	if len(b.Noise) > 0 {
		hooks = append(hooks, &noise{names: b.Noise})
	}
	if m.Hooks != nil {
		hooks = append(hooks, m.Hooks(b)...)
	}
	return g, b, hooks, g.Verify()
}

// rewrite lets the method add its nodes to every layer.
func (b *Builder) rewrite(m *Method) {
	type key struct {
		v    *graph.Value
		bits int
	}
	shared := map[key]*graph.Value{}
	for _, l := range b.Layers {
		n := l.Node
		if m.Inputs != nil && l.ABits < 32 {
			k := key{n.Inputs[0], l.ABits}
			if shared[k] == nil {
				shared[k] = m.Inputs(b, l)
			}
			if shared[k] != nil {
				n.SetInput(0, shared[k])
			}
		}
		if m.Weights != nil && l.WBits < 32 {
			if w := m.Weights(b, l); w != nil {
				n.SetInput(1, w)
			}
		}
		if m.Outputs != nil {
			y := n.Outputs[0]
			uses := append([]graph.Use(nil), y.Uses()...)
			if z := m.Outputs(b, l, y); z != nil {
				for _, u := range uses {
					u.Node.SetInput(u.Index, z)
				}
			}
		}
	}
}

// observe measures what each layer reads.
func (b *Builder) observe(ctx context.Context, batches quantize.Batches, threads int) error {
	at := map[string][]*Layer{}
	var keep []string
	for _, l := range b.Layers {
		v := l.Node.Inputs[0]
		if at[v.Name] == nil && !v.IsInput() {
			keep = append(keep, v.Name)
		}
		at[v.Name] = append(at[v.Name], l)
	}
	model := engine.NewModel(b.Graph, engine.Options{Threads: threads, Keep: keep})
	sum, count, images := map[string]float64{}, map[string]float64{}, 0
	for batch, err := range batches {
		if err != nil {
			return fmt.Errorf("calibration data: %w", err)
		}
		x := tensor.Of(batch.X, batch.N, batch.C, batch.H, batch.W)
		out, err := model.Run(ctx, map[string]*tensor.Tensor{b.Graph.Inputs[0].Name: x})
		if err != nil {
			return err
		}
		out[b.Graph.Inputs[0].Name] = x
		images += batch.N
		for name, layers := range at {
			t := out[name]
			total, peak, least := 0.0, float32(0), float32(0)
			for _, v := range t.Float32s() {
				a := abs(v)
				total += float64(a)
				peak, least = max(peak, a), min(least, v)
			}
			sum[name] += total
			layers[0].Peak, layers[0].Least = max(layers[0].Peak, float64(peak)), min(layers[0].Least, float64(least))
			count[name] += float64(t.Len())
			layers[0].Count = t.Len() / t.Shape[0]
			layers[0].Sample = sample(layers[0].Sample, t.Float32s())
		}
	}
	if images == 0 {
		return fmt.Errorf("there are no calibration images")
	}
	for name, layers := range at {
		for _, l := range layers {
			l.MeanAbs, l.Peak, l.Least, l.Count = sum[name]/count[name], layers[0].Peak, layers[0].Least, layers[0].Count
			l.Sample = layers[0].Sample
		}
	}
	return nil
}

// sampleSize bounds the elements that a layer remembers of what it reads, and
// sampleShare those of one batch.
const sampleSize, sampleShare = 1 << 15, 1 << 12

// sample adds evenly spaced elements of x to the list.
func sample(list, x []float32) []float32 {
	stride := max(len(x)/sampleShare, 1) | 1 // odd: not always the same channels
	for i := 0; i < len(x) && len(list) < sampleSize; i += stride {
		list = append(list, x[i])
	}
	return list
}

// positiveNorms turns the signs of channels whose batch normalization has a
// negative scale, which changes nothing else: low-bit grids have one more
// negative integer than positive ones, and must not be turned later.
func positiveNorms(g *graph.Graph) {
	for _, n := range g.Nodes {
		if !n.Is("BatchNormalization") || n.Inputs[1].Data == nil || n.Inputs[3].Data == nil {
			continue
		}
		c := n.Inputs[0].Producer()
		if !c.Is("Conv") || !Trainable(c) || n.Inputs[0].SoleUse() != n || len(n.Inputs[1].Uses()) > 1 || len(n.Inputs[3].Uses()) > 1 ||
			c.In(2) != nil && (c.Inputs[2].Data == nil || len(c.Inputs[2].Uses()) > 1) {
			continue
		}
		list := []*graph.Value{c.Inputs[1], n.Inputs[1], n.Inputs[3]}
		if c.In(2) != nil {
			list = append(list, c.Inputs[2])
		}
		gamma := n.Inputs[1].Data.Clone().Float32s()
		for _, v := range list {
			d := v.Data.Clone()
			x := tensor.Data[float32](d)
			row := len(x) / len(gamma)
			for i, s := range gamma {
				if s < 0 {
					for k := i * row; k < (i+1)*row; k++ {
						x[k] = -x[k]
					}
				}
			}
			v.SetData(d)
		}
	}
}

// weightNode is the operator that quantizes n's weights, nil if there is none.
func weightNode(n *graph.Node) *graph.Node {
	if n.In(1) == nil {
		return nil
	}
	if p := n.Inputs[1].Producer(); fake.Is(p, fake.FakeQuantize) || fake.Is(p, fake.QuantizeWeights) {
		return p
	}
	return nil
}
