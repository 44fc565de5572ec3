package qat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/kernel/fakequant"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize/fake"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// register adds a method of the family "quantize" that trains.
func register(name, summary, paper string, year int, options []method.Option, make func(o opts) *Method) {
	method.Register(method.Method{Name: name, Family: method.Quantize, Summary: summary, Paper: paper, Year: year,
		Needs: method.Needs{Data: true, Labels: true, Train: true}, Options: options,
		New: func(given map[string]string) (any, error) {
			o := opts{given: given}
			m := make(o)
			m.Name = name
			return m, o.check(options)
		}})
}

// opts reads the options of a method. What cannot be read is reported by check.
type opts struct{ given map[string]string }

func (o opts) number(name string) float64 {
	v, _ := strconv.ParseFloat(o.given[name], 64)
	return v
}

func (o opts) yes(name string) bool { return o.given[name] == "true" }

// check holds every option to the form of its default: true or false, a number,
// or a word.
func (o opts) check(options []method.Option) error {
	for _, opt := range options {
		v := o.given[opt.Name]
		if opt.Default == "true" || opt.Default == "false" {
			if v != "true" && v != "false" {
				return fmt.Errorf("%s=%s: want true or false", opt.Name, v)
			}
			continue
		}
		if _, err := strconv.ParseFloat(opt.Default, 64); err != nil {
			continue
		}
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || !(x >= 0) || math.IsInf(x, 0) {
			return fmt.Errorf("%s=%s: want a number that is not negative", opt.Name, v)
		}
		if opt.Below > 0 && x >= opt.Below {
			return fmt.Errorf("%s=%s: want a number below %g", opt.Name, v, opt.Below)
		}
	}
	return nil
}

// signed is the range of weights of that many bits.
func signed(bits int) (lo, hi int64) {
	hi = 1<<(bits-1) - 1
	if bits >= 8 {
		return -hi, hi
	}
	return -hi - 1, hi
}

// span is the range of activations of l: unsigned unless it reads negative
// numbers.
func span(l *Layer) (lo, hi int64) {
	if l.Least < 0 {
		return -1 << (l.ABits - 1), 1<<(l.ABits-1) - 1
	}
	return 0, 1<<l.ABits - 1
}

func init() {
	register("lsq", "training with learned step sizes of weights and activations",
		"Esser et al., Learned step size quantization, ICLR", 2020,
		[]method.Option{
			{Name: "offset", Default: "false", Help: "learn an offset of activations too (LSQ+, Bhalgat et al. 2020)"},
			{Name: "per-channel", Default: "false", Help: "a step for each output channel of the weights"},
			{Name: "least-error", Default: "true", Help: "begin with the steps of least squared error, which short trainings profit from, instead of 2·mean|v|/√qmax"}},
		func(o opts) *Method {
			return &Method{WBits: 4, ABits: 4, Edges: true, Recipe: Recipe{Optimizer: "sgd", LR: 0.01, Decay: 1e-4, ByBits: true},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					return lsqWeights(b, l, o.yes("per-channel"), o.yes("least-error"))
				},
				Inputs: func(b *Builder, l *Layer) *graph.Value { return lsqInputs(b, l, o.yes("offset"), o.yes("least-error")) },
				Hooks:  func(b *Builder) []train.Hook { return []train.Hook{&steady{names: b.Steps}} }}
		})
	register("qat", "integer-only quantization-aware training: weights by their range, activations by exponential averages of theirs",
		"Jacob et al., Quantization and training of neural networks for efficient integer-arithmetic-only inference, CVPR", 2018,
		[]method.Option{
			{Name: "decay", Default: "0.99", Help: "share of a range's average that stays at each step"},
			{Name: "delay", Default: "0.1", Help: "share of the training before activations are rounded"}},
		func(o opts) *Method {
			return &Method{WBits: 8, ABits: 8, Edges: true, Recipe: Recipe{Optimizer: "sgd", LR: 0.01, Decay: 1e-4, ByBits: true},
				Weights: peakWeights, Inputs: averagedInputs,
				Hooks: func(b *Builder) []train.Hook {
					return []train.Hook{&averages{names: b.Ranges, keep: float32(o.number("decay")), delay: o.number("delay")}}
				}}
		})
	register("pact", "training with a learned clipping value for each layer's activations, and DoReFa's weights",
		"Choi et al., PACT: parameterized clipping activation for quantized neural networks", 2018,
		[]method.Option{{Name: "alpha", Default: "8", Help: "clipping value to begin with; never above what is seen"}, {Name: "l2", Default: "0.0002", Help: "strength of the pull of clipping values towards zero"}},
		func(o opts) *Method {
			return &Method{WBits: 4, ABits: 4, Recipe: Recipe{Optimizer: "sgd", LR: 0.02, Decay: 1e-4, ByBits: true},
				Weights: dorefaWeights,
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					alpha := b.Number(l, "alpha", min(o.number("alpha"), max(l.Peak, 1e-3)))
					b.Steps = append(b.Steps, alpha.Name)
					return b.Own(l, fake.FakeQuantize, "inputs", graph.Attrs{"kind": "clip", "qmin": int64(0), "qmax": int64(1)<<l.ABits - 1}, l.Node.Inputs[0], alpha)
				},
				Hooks: func(b *Builder) []train.Hook { return []train.Hook{&pull{names: b.Steps, by: float32(o.number("l2"))}} }}
		})
	register("dorefa", "training with weights through a hyperbolic tangent, activations clipped to [0, 1], and rounded gradients",
		"Zhou et al., DoReFa-Net: training low bitwidth convolutional neural networks with low bitwidth gradients", 2016,
		[]method.Option{{Name: "gbits", Default: "32", Help: "bits of gradients; 32 does not round them"}, reachOption},
		func(o opts) *Method {
			m := &Method{WBits: 4, ABits: 4, Recipe: Recipe{Optimizer: "sgd", LR: 0.05, Decay: 1e-4, ByBits: true}, Weights: dorefaWeights,
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					hi := int64(1)<<l.ABits - 1
					return fixedGrid(b, l, 0, hi, reach(o, l, 0, hi, 1/float64(hi)))
				}}
			m.Outputs = gradients("dorefa", int(o.number("gbits")))
			return m
		})
	register("qnn", "training with fixed-point weights and activations in [-1, 1), and gradients that are powers of two",
		"Hubara et al., Quantized neural networks: training neural networks with low precision weights and activations, JMLR", 2018,
		[]method.Option{{Name: "gbits", Default: "32", Help: "bits of the powers that gradients are rounded to; 32 does not round them"}, reachOption},
		func(o opts) *Method {
			m := &Method{WBits: 4, ABits: 4, Recipe: Recipe{Optimizer: "adam", LR: 1e-3},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					if l.WBits == 1 {
						return binaryWeights(b, l, "sign", graph.Attrs{"scale": float32(1)})
					}
					v := l.Node.Inputs[1]
					b.Shadows = append(b.Shadows, v.Name)
					lo, hi := int64(-1)<<(l.WBits-1), int64(1)<<(l.WBits-1)-1
					fillUnit(l, lo, hi, math.Ldexp(1, 1-l.WBits))
					return b.Own(l, fake.FakeQuantize, "weights", graph.Attrs{"kind": "fixed", "qmin": lo, "qmax": hi}, v,
						b.Number(l, "weights/step", math.Ldexp(1, 1-l.WBits)))
				},
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					lo, hi := int64(0), int64(1)<<(l.ABits-1)-1
					if l.Least < 0 {
						lo = -hi - 1
					}
					return fixedGrid(b, l, lo, hi, reach(o, l, lo, hi, math.Ldexp(1, 1-l.ABits)))
				},
				Hooks: func(b *Builder) []train.Hook { return []train.Hook{unitClamp(b)} }}
			m.Outputs = gradients("log", int(o.number("gbits")))
			return m
		})
	register("octo", "training on 8-bit integers forward and backward: ranges clipped, gradients rounded at random, layers compensated",
		"Zhou et al., Octo: INT8 training with loss-aware compensation and backward quantization for tiny on-device learning, USENIX ATC", 2021,
		[]method.Option{{Name: "clip", Default: "0.95", Help: "share of the ranges of weights and activations that is kept (parameterized range clipping)"},
			{Name: "compensate", Default: "true", Help: "learn α·μ + δ for each output channel, which the bias takes up in the end (loss-aware compensation)"}},
		func(o opts) *Method {
			m := &Method{WBits: 8, ABits: 8, Edges: true, Recipe: Recipe{Optimizer: "sgd", LR: 0.01, Decay: 1e-4},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					_, hi := signed(l.WBits)
					return b.Own(l, fake.FakeQuantize, "weights", graph.Attrs{"kind": "peak", "clip": float32(o.number("clip")), "qmin": -hi, "qmax": hi}, l.Node.Inputs[1])
				},
				Inputs: func(b *Builder, l *Layer) *graph.Value {
					lo, hi := span(l)
					step := o.number("clip") * max(l.Peak, 1e-6) / float64(hi)
					return b.Own(l, fake.FakeQuantize, "inputs", graph.Attrs{"kind": "step", "qmin": lo, "qmax": hi, "grad_scale": gradScale(l.Count, hi)},
						l.Node.Inputs[0], b.Number(l, "inputs/step", step))
				}}
			round := gradients("int", 8)
			m.Outputs = func(b *Builder, l *Layer, y *graph.Value) *graph.Value {
				z := round(b, l, y)
				if !o.yes("compensate") {
					return z
				}
				return compensation(b, l, z)
			}
			return m
		})
	register("ternary", "training with weights in {-a, 0, a}",
		"Li et al., Ternary weight networks", 2016, nil,
		func(opts) *Method {
			return &Method{WBits: 2, ABits: 8, Recipe: Recipe{Optimizer: "sgd", LR: 0.02, Decay: 1e-4, ByBits: true},
				Weights: func(b *Builder, l *Layer) *graph.Value {
					return b.Own(l, fake.QuantizeWeights, "weights", graph.Attrs{"kind": "ternary"}, l.Node.Inputs[1])
				}}
		})
}

// gradScale is 1/√(n·qmax).
func gradScale(n int, qmax int64) float32 {
	return float32(1 / math.Sqrt(float64(max(n, 1))*float64(qmax)))
}

// reachOption moves the range of activations, which papers fix at 1.
var reachOption = method.Option{Name: "range", Default: "0", Help: "activations reach up to this; 1 in the paper, 0 takes for each layer what loses least on the batches: the same network with its normalization scaled, so that training can begin with a trained one"}

// reach is the step of a grid of activations: unit for a range of 1.
func reach(o opts, l *Layer, lo, hi int64, unit float64) float64 {
	if r := o.number("range"); r > 0 {
		return unit * r
	}
	if step := leastError(l.Sample, lo, hi); step > 0 {
		return step
	}
	return unit
}

// fillUnit scales the weights of a layer that is normalized on its output so
// that step is what they lose least by; the statistics of the normalization
// follow, so that the function stays.
func fillUnit(l *Layer, lo, hi int64, step float64) {
	n := l.Node.Outputs[0].SoleUse()
	best := leastError(l.Node.Inputs[1].Data.Float32s(), lo, hi)
	if !n.Is("BatchNormalization") || n.Inputs[3].Data == nil || n.Inputs[4].Data == nil || l.Node.In(2) != nil || !(best > 0) {
		return
	}
	factor := float32(step / best)
	for i, v := range []*graph.Value{l.Node.Inputs[1], n.Inputs[3], n.Inputs[4]} {
		f := factor
		if i == 2 {
			f *= factor // the variance
		}
		d := v.Data.Clone()
		for k, x := 0, tensor.Data[float32](d); k < len(x); k++ {
			x[k] *= f
		}
		v.SetData(d)
	}
}

// leastError is the step of the grid from lo to hi times itself that x loses
// least on, in the square. It is 0 if all of x is, or if there is none.
func leastError(x []float32, lo, hi int64) float64 {
	if len(x) == 0 {
		return 0
	}
	least, most := fakequant.Range(x)
	full := max(float64(most)/float64(hi), 0)
	if lo < 0 {
		full = max(full, float64(least)/float64(lo))
	}
	best, step := math.Inf(1), full
	y := make([]float32, len(x))
	for i := range 40 {
		g := fakequant.Grid{Step: float32(full * (1 - float64(i)/42)), Min: float32(lo), Max: float32(hi)}
		g.Quantize(y, x)
		sum := 0.0
		for k, v := range x {
			sum += float64((v - y[k]) * (v - y[k]))
		}
		if sum < best {
			best, step = sum, float64(g.Step)
		}
	}
	return step
}

// lsqWeights begins with the step of least error, or 2·mean|w|/√qmax.
func lsqWeights(b *Builder, l *Layer, perChannel, least bool) *graph.Value {
	w := l.Node.Inputs[1]
	x := w.Data.Float32s()
	lo, hi := signed(l.WBits)
	rows := 1
	if perChannel {
		rows = w.Data.Shape[0]
	}
	steps := make([]float32, rows)
	for i := range steps {
		sum, row := 0.0, x[i*len(x)/rows:(i+1)*len(x)/rows]
		if least {
			steps[i] = float32(max(leastError(row, lo, hi), 1e-6))
			continue
		}
		for _, v := range row {
			sum += math.Abs(float64(v)) / float64(len(row))
		}
		steps[i] = float32(max(2*sum/math.Sqrt(float64(hi)), 1e-6))
	}
	t := tensor.Of(steps, rows)
	if !perChannel {
		t = tensor.Scalar(steps[0])
	}
	step := b.Variable(l, "weights/step", t)
	b.Steps = append(b.Steps, step.Name)
	return b.Own(l, fake.FakeQuantize, "weights", graph.Attrs{"kind": "step", "qmin": lo, "qmax": hi, "grad_scale": gradScale(len(x)/rows, hi)}, w, step)
}

// lsqInputs begins with the step of least error, or 2·mean|x|/√qmax; with an
// offset, with the whole range.
func lsqInputs(b *Builder, l *Layer, offset, least bool) *graph.Value {
	lo, hi := span(l)
	step := max(2*l.MeanAbs/math.Sqrt(float64(hi)), 1e-6)
	if least {
		step = max(leastError(l.Sample, lo, hi), 1e-6)
	}
	in := []*graph.Value{l.Node.Inputs[0]}
	attrs := graph.Attrs{"kind": "step", "grad_scale": gradScale(l.Count, hi)}
	if offset {
		lo, hi = 0, 1<<l.ABits-1
		if l.Least < 0 {
			step = max((l.Peak-l.Least)/float64(hi), 1e-6)
		}
		in = append(in, b.Number(l, "inputs/step", step), b.Number(l, "inputs/offset", max(l.Least, -l.Peak)))
	} else {
		in = append(in, b.Number(l, "inputs/step", step))
	}
	attrs["qmin"], attrs["qmax"] = lo, hi
	b.Steps = append(b.Steps, in[1].Name)
	return b.Own(l, fake.FakeQuantize, "inputs", attrs, in...)
}

// peakWeights rounds to the grid of each channel's greatest magnitude. Folding
// a batch normalization multiplies channels, so it commutes with this grid and
// need not happen in training.
func peakWeights(b *Builder, l *Layer) *graph.Value {
	_, hi := signed(l.WBits)
	return b.Own(l, fake.FakeQuantize, "weights", graph.Attrs{"kind": "peak", "qmin": -hi, "qmax": hi}, l.Node.Inputs[1])
}

// averagedInputs rounds to the grid of a range that a hook moves.
func averagedInputs(b *Builder, l *Layer) *graph.Value {
	r := b.Variable(l, "inputs/range", tensor.Of([]float32{0, 0}, 2))
	b.Ranges = append(b.Ranges, r.Name)
	return b.Own(l, fake.FakeQuantize, "inputs", graph.Attrs{"kind": "range", "qmin": int64(0), "qmax": int64(1)<<l.ABits - 1}, l.Node.Inputs[0], r)
}

// dorefaWeights are those of DoReFa-Net, whose one bit is the sign times the
// layer's mean magnitude.
func dorefaWeights(b *Builder, l *Layer) *graph.Value {
	if l.WBits == 1 {
		return b.Own(l, fake.QuantizeWeights, "weights", graph.Attrs{"kind": "layer"}, l.Node.Inputs[1])
	}
	return b.Own(l, fake.QuantizeWeights, "weights", graph.Attrs{"kind": "dorefa", "bits": int64(l.WBits)}, l.Node.Inputs[1])
}

// fixedGrid rounds activations to a grid that is not learned; one bit is the
// sign.
func fixedGrid(b *Builder, l *Layer, lo, hi int64, step float64) *graph.Value {
	return b.Own(l, fake.FakeQuantize, "inputs", graph.Attrs{"kind": "fixed", "qmin": lo, "qmax": hi}, l.Node.Inputs[0], b.Number(l, "inputs/step", step))
}

// gradients rounds what comes back through a layer's output; 32 bits are not
// rounded.
func gradients(kind string, bits int) func(b *Builder, l *Layer, y *graph.Value) *graph.Value {
	if bits >= 32 {
		return nil
	}
	return func(b *Builder, l *Layer, y *graph.Value) *graph.Value {
		name := l.Node.Name + "/gradient"
		n := b.Graph.NewNode(graph.DrawknifeDomain, fake.QuantizeGradient, name, []*graph.Value{y, b.Step(l, "gradient/noise")}, []string{name},
			graph.Attrs{"kind": kind, "bits": int64(bits), "stream": int64(len(b.Noise))})
		b.Graph.InsertAfter(l.Node, n)
		n.Outputs[0].Type, n.Outputs[0].Shape = y.Type, y.Shape
		return n.Outputs[0]
	}
}

// compensation adds α·μ + δ to z, a number of each for every output channel,
// from α = 1 and small random μ and δ.
func compensation(b *Builder, l *Layer, z *graph.Value) *graph.Value {
	shape := make([]int, max(len(z.Shape)-1, 1))
	for i := range shape {
		shape[i] = 1
	}
	shape[0] = l.Node.Inputs[1].Shape[0].Size
	rng := rand.New(rand.NewPCG(uint64(shape[0]), uint64(len(b.Graph.Nodes))))
	draw := func(mean, spread float64) *tensor.Tensor {
		d := make([]float32, shape[0])
		for i := range d {
			d[i] = float32(mean + spread*rng.NormFloat64())
		}
		return tensor.Of(d, shape...)
	}
	name := l.Node.Name + "/compensation"
	n := b.Graph.NewNode(graph.DrawknifeDomain, fake.Compensate, name, []*graph.Value{b.Variable(l, "delta", draw(0, 1e-3)),
		b.Variable(l, "alpha", draw(1, 0)), b.Variable(l, "mu", draw(0, 1e-3))}, []string{name}, nil)
	n.Outputs[0].Type, n.Outputs[0].Shape = z.Type, graph.ShapeOf(shape)
	add := b.Graph.NewNode("", "Add", l.Node.Name+"/compensated", []*graph.Value{z, n.Outputs[0]}, []string{l.Node.Name + "/compensated"}, nil)
	b.Graph.InsertAfter(z.Producer(), n)
	b.Graph.InsertAfter(n, add)
	add.Outputs[0].Type, add.Outputs[0].Shape = z.Type, z.Shape
	return add.Outputs[0]
}

// unitClamp keeps the shadows within [−1, 1].
func unitClamp(b *Builder) *clamp {
	return &clamp{names: b.Shadows, bound: func(string) float32 { return 1 }}
}
