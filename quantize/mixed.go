package quantize

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "mixed", Family: method.Quantize, Summary: "bits of each layer's weights by its sensitivity, under a budget of size, bit operations or latency",
		Paper: "Dong et al., HAWQ-V2: Hessian aware trace-weighted quantization of neural networks, NeurIPS; Yao et al., HAWQ-V3", Year: 2020,
		Needs: method.Needs{Data: true},
		Options: []method.Option{
			{Name: "by", Default: "output", Help: "sensitivity: output (square error of the outputs with one layer quantized) or hessian (mean trace times square error of the weights)"},
			{Name: "budget", Default: "size", Help: "what is bounded: size (bits of the weights), bops (multiply-accumulates times bits times bits) or latency (of the layers in the engine, measured here: another machine, or a busy one, may choose otherwise)"},
			{Name: "share", Default: "0.625", Help: "share of the budget at 8 bits that may be used (0.625 is 5 bits on average)"},
			{Name: "bits", Default: "2/3/4/6/8", Help: "widths to choose among"},
			{Name: "rounding", Default: "nearest", Help: "nearest or gptq"}},
		New: func(o map[string]string) (any, error) {
			m := &Mixed{By: o["by"], Budget: o["budget"]}
			if !slices.Contains([]string{"output", "hessian"}, m.By) {
				return nil, fmt.Errorf("by=%s: want output or hessian", m.By)
			}
			if !slices.Contains([]string{"size", "bops", "latency"}, m.Budget) {
				return nil, fmt.Errorf("budget=%s: want size, bops or latency", m.Budget)
			}
			if !slices.Contains([]string{"nearest", "gptq"}, o["rounding"]) {
				return nil, fmt.Errorf("rounding=%s: want nearest or gptq", o["rounding"])
			}
			for _, s := range strings.Split(o["bits"], "/") {
				b, err := strconv.Atoi(s)
				if err != nil || b < 2 || b > 8 {
					return nil, fmt.Errorf("bits=%s: want widths from 2 to 8 such as 4/8", o["bits"])
				}
				m.Bits = append(m.Bits, b)
			}
			var err error
			m.Share, err = number(o, "share", 0.01, 1)
			return Preset(func(p *Options) {
				p.Mixed = m
				if o["rounding"] == "gptq" {
					p.Rounding = &gptq{0.01, 4096}
				}
			}), err
		},
	})
}

// Mixed chooses the bits of each layer's weights so that the sum of their
// sensitivities is least under a budget.
type Mixed struct {
	By     string // "output" or "hessian"
	Budget string // "size", "bops" or "latency"
	Share  float64
	Bits   []int
}

// choose finds the bits of the layers of the plan; the first and last keep
// Options.EdgeBits.
func (m *Mixed) choose(ctx context.Context, g *graph.Graph, p *plan, images []*tensor.Tensor, o *Options) (map[string]Bits, error) {
	edge := Edges(g)
	var layers []*layer
	for _, n := range g.Nodes {
		if p.nodes[n] && hasWeights(n) && !edge[n] {
			layers = append(layers, newLayer(n, Bits{8, o.ABits}))
		}
	}
	if len(layers) == 0 {
		return nil, nil
	}
	each := make([][][]float32, len(layers)) // by layer and width: the weights
	for i, l := range layers {
		for _, b := range m.Bits {
			l.bits.Weights = b
			if err := l.fit(o, 1); err != nil {
				return nil, err
			}
			l.round()
			each[i] = append(each[i], l.values())
		}
	}
	harm := m.outputHarm
	if m.By == "hessian" {
		harm = m.hessianHarm
	}
	errors, err := harm(ctx, g, layers, each, images, o)
	if err != nil {
		return nil, err
	}
	costs, full, err := m.costs(ctx, g, layers, images, o)
	if err != nil {
		return nil, err
	}
	pick, ok := Knapsack(errors, costs, int64(full*m.Share))
	if !ok {
		return nil, fmt.Errorf("quantize: even the fewest bits exceed %g of the budget at 8 bits", m.Share)
	}
	out := map[string]Bits{}
	for i, l := range layers {
		out[l.node.Name] = Bits{m.Bits[pick[i]], o.ABits}
	}
	return out, nil
}

// costs are what each layer takes of the budget at each width, and what all
// take at 8 bits.
func (m *Mixed) costs(ctx context.Context, g *graph.Graph, layers []*layer, images []*tensor.Tensor, o *Options) (costs [][]int64, full float64, err error) {
	if m.Budget == "latency" {
		return m.latencies(ctx, g, layers, images, o)
	}
	for _, l := range layers {
		unit := int64(len(l.w))
		if m.Budget == "bops" {
			unit = l.node.Cost().MACs * int64(o.ABits)
		}
		var list []int64
		for _, b := range m.Bits {
			list = append(list, unit*int64(b))
		}
		costs = append(costs, list)
		full += float64(unit * 8)
	}
	return costs, full, nil
}

// variable compiles g with the layers' weights as variables, for batches like x.
func variable(g *graph.Graph, layers []*layer, x *tensor.Tensor, threads int) (*engine.Program, []string, error) {
	var names []string
	for _, l := range layers {
		names = append(names, l.node.Inputs[1].Name)
	}
	p, err := engine.Compile(g, engine.Options{Threads: threads, Variables: slices.Compact(slices.Sorted(slices.Values(names))),
		Shapes: map[string][]int{g.Inputs[0].Name: x.Shape}})
	return p, names, err
}

// whole are the batches of the first one's size.
func whole(images []*tensor.Tensor) []*tensor.Tensor {
	var list []*tensor.Tensor
	for _, x := range images {
		if x.Shape[0] == images[0].Shape[0] {
			list = append(list, x)
		}
	}
	return list
}

// outputHarm is the mean square error of the first output when one layer alone
// is quantized.
func (m *Mixed) outputHarm(ctx context.Context, g *graph.Graph, layers []*layer, each [][][]float32, images []*tensor.Tensor, o *Options) ([][]float64, error) {
	images = whole(images)
	program, names, err := variable(g, layers, images[0], o.Threads)
	if err != nil {
		return nil, err
	}
	out := program.NewOutputs()
	var want [][]float32
	run := func(see func(i int, y []float32)) error {
		for i, x := range images {
			if err := program.RunInto(ctx, []*tensor.Tensor{x}, out); err != nil {
				return err
			}
			see(i, out[0].Float32s())
		}
		return nil
	}
	if err := run(func(_ int, y []float32) { want = append(want, slices.Clone(y)) }); err != nil {
		return nil, err
	}
	errors := make([][]float64, len(layers))
	for i, l := range layers {
		w := tensor.Data[float32](program.Variable(names[i]))
		for _, values := range each[i] {
			copy(w, values)
			sum := 0.0
			err := run(func(k int, y []float32) {
				for j, v := range y {
					d := float64(v - want[k][j])
					sum += d * d / float64(len(y)*len(images))
				}
			})
			if err != nil {
				return nil, err
			}
			errors[i] = append(errors[i], sum)
		}
		copy(w, l.w)
	}
	return errors, nil
}

// hessianHarm is the mean of the Hessian's diagonal times the square error of
// the weights (HAWQ-V2). The loss is the cross-entropy with the class that the
// network itself chooses, so that no labels are needed.
func (m *Mixed) hessianHarm(ctx context.Context, g *graph.Graph, layers []*layer, each [][][]float32, images []*tensor.Tensor, o *Options) ([][]float64, error) {
	images = whole(images)
	names := make([]string, len(layers))
	for i, l := range layers {
		names[i] = l.node.Inputs[1].Name
	}
	grad, weights, err := lossGradients(ctx, g, names, images, o.Threads)
	if err != nil {
		return nil, err
	}
	traces, err := HessianTraces(weights, grad, 16, o.Seed)
	if err != nil {
		return nil, err
	}
	errors := make([][]float64, len(layers))
	for i, l := range layers {
		for _, values := range each[i] {
			sum := 0.0
			for k, v := range values {
				d := float64(v - l.w[k])
				sum += d * d
			}
			errors[i] = append(errors[i], max(traces[i], 0)/float64(len(l.w))*sum)
		}
	}
	return errors, nil
}

// lossGradients makes the function that computes the gradients of the loss with
// respect to the constants of those names, whose elements, which it returns
// too, may be changed between calls.
func lossGradients(ctx context.Context, g *graph.Graph, names []string, images []*tensor.Tensor, threads int) (func() ([][]float32, error), [][]float32, error) {
	labels, err := ownClasses(ctx, g, images, threads)
	if err != nil {
		return nil, nil, err
	}
	g = g.Clone()
	if err := g.BindInputs(map[string][]int{g.Inputs[0].Name: images[0].Shape}); err != nil {
		return nil, nil, err
	}
	loss, err := crossEntropy(g, "hessian")
	if err != nil {
		return nil, nil, err
	}
	var vs []*graph.Value
	for _, name := range names {
		vs = append(vs, g.Value(name))
	}
	grads, err := autodiff.Gradient(g, loss, vs)
	if err != nil {
		return nil, nil, err
	}
	g.Outputs = nil
	for _, v := range vs {
		if grads[v] == nil {
			return nil, nil, fmt.Errorf("quantize: the outputs do not depend on %q", v.Name)
		}
		g.AddOutput(grads[v])
	}
	g.RemoveDead()
	program, err := engine.Compile(g, engine.Options{Threads: threads, Variables: slices.Compact(slices.Sorted(slices.Values(names)))})
	if err != nil {
		return nil, nil, err
	}
	out := program.NewOutputs()
	weights := make([][]float32, len(names))
	sums := make([][]float32, len(names))
	for i, name := range names {
		weights[i] = tensor.Data[float32](program.Variable(name))
		sums[i] = make([]float32, len(weights[i]))
	}
	return func() ([][]float32, error) {
		for i := range sums {
			clear(sums[i])
		}
		for k, x := range images {
			in := []*tensor.Tensor{x, labels[k]}
			if program.Inputs()[0] == "hessian/labels" {
				slices.Reverse(in)
			}
			if err := program.RunInto(ctx, in, out); err != nil {
				return nil, err
			}
			for i, t := range out {
				for j, v := range t.Float32s() {
					sums[i][j] += v / float32(len(images))
				}
			}
		}
		return sums, nil
	}, weights, nil
}

// ownClasses are the classes that g gives the images.
func ownClasses(ctx context.Context, g *graph.Graph, images []*tensor.Tensor, threads int) ([]*tensor.Tensor, error) {
	model := engine.NewModel(g, engine.Options{Threads: threads})
	var labels []*tensor.Tensor
	for _, x := range images {
		out, err := model.Run(ctx, map[string]*tensor.Tensor{g.Inputs[0].Name: x})
		if err != nil {
			return nil, err
		}
		y := out[g.Outputs[0].Name].Float32s()
		list := make([]int32, x.Shape[0])
		row := len(y) / len(list)
		for i := range list {
			for k := range row {
				if y[i*row+k] > y[i*row+int(list[i])] {
					list[i] = int32(k)
				}
			}
		}
		labels = append(labels, tensor.Of(list, len(list)))
	}
	return labels, nil
}

// HessianTraces estimates the trace of each diagonal block of the Hessian of
// a loss by Hutchinson's method: the mean of vᵀHv over random signs v, with Hv
// from two gradients. gradient reads weights, which are changed and restored.
func HessianTraces(weights [][]float32, gradient func() ([][]float32, error), samples int, seed uint64) ([]float64, error) {
	rng := rand.New(rand.NewPCG(seed, 0x4e55))
	kept := make([][]float32, len(weights))
	steps := make([]float64, len(weights))
	for i, w := range weights {
		kept[i] = slices.Clone(w)
		square := 0.0
		for _, v := range w {
			square += float64(v) * float64(v)
		}
		steps[i] = max(1e-2*math.Sqrt(square/float64(max(len(w), 1))), 1e-4)
	}
	traces := make([]float64, len(weights))
	for range samples {
		signs := make([][]float32, len(weights))
		for i, w := range weights {
			signs[i] = make([]float32, len(w))
			for k := range w {
				signs[i][k] = float32(rng.IntN(2)*2 - 1)
			}
		}
		for _, direction := range []float64{1, -1} {
			for i, w := range weights {
				for k := range w {
					w[k] = kept[i][k] + float32(direction*steps[i])*signs[i][k]
				}
			}
			g, err := gradient()
			if err != nil {
				return nil, err
			}
			for i := range traces {
				dot := 0.0
				for k, v := range g[i] {
					dot += float64(v) * float64(signs[i][k])
				}
				traces[i] += direction * dot / (2 * steps[i] * float64(samples))
			}
		}
	}
	for i, w := range weights {
		copy(w, kept[i])
	}
	return traces, nil
}

// Knapsack picks one option for each item so that the sum of their errors is
// least while that of their costs stays within the budget. It is exact unless
// there are very many different sums; then it may miss the best by a little. ok
// is false if nothing fits.
func Knapsack(errors [][]float64, costs [][]int64, budget int64) (pick []int, ok bool) {
	type state struct {
		cost  int64
		error float64
		prev  int // in the list before
		pick  int
	}
	const most = 1 << 14
	lists := [][]state{{{}}}
	for i := range errors {
		var next []state
		for at, s := range lists[i] {
			for k, e := range errors[i] {
				if c := s.cost + costs[i][k]; c <= budget {
					next = append(next, state{c, s.error + e, at, k})
				}
			}
		}
		slices.SortStableFunc(next, func(a, b state) int { return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.error, b.error)) })
		front := next[:0]
		for _, s := range next {
			if len(front) == 0 || s.error < front[len(front)-1].error {
				front = append(front, s)
			}
		}
		if len(front) > most { // keep the ends and every so manyth between
			thin := make([]state, 0, most)
			for k := range most {
				thin = append(thin, front[k*(len(front)-1)/(most-1)])
			}
			front = thin
		}
		if len(front) == 0 {
			return nil, false
		}
		lists = append(lists, front)
	}
	pick = make([]int, len(errors))
	at := len(lists[len(errors)]) - 1
	for i := len(errors); i > 0; i-- {
		s := lists[i][at]
		pick[i-1], at = s.pick, s.prev
	}
	return pick, true
}
