// Package quantize turns float networks into integer ones of 2 to 16 bits:
// grids, calibration of activation ranges, equalization, rounding, bias
// correction, and the insertion of QuantizeLinear and DequantizeLinear nodes in
// the form that runtimes compute in integers.
//
// # Fewer than 8 bits
//
// Weights of 2 to 4 bits are stored as ONNX's int4 (or int2) behind a
// DequantizeLinear with a scale for each output channel; see Options.Storage.
// Activations of fewer bits than 8 stay uint8 or int8, of which they use a part:
// a Clip to the reach of the coarse grid stands before QuantizeLinear, so that
// any runtime computes the same. Only what convolutions and matrix products
// read is coarse; additions, pooling and so on read 8 bits, and so do the
// first and last layers (Options.EdgeBits).
package quantize

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/rewrite"
	"github.com/drawknife/drawknife/tensor"
)

// Options of Static. The zero value is not valid; start from Defaults.
type Options struct {
	// Calibrator is a method of the family "calibrate", with options.
	Calibrator string
	// Target is a profile; see TargetNames.
	Target string
	// PerChannel gives each output channel of the weights its own scale.
	PerChannel bool
	// ReduceRange gives weights 7 bits: products of pairs then fit the 16-bit
	// sums of processors whose widest integer multiply-add is VPMADDUBSW
	// (AVX2), which drawknife computes faster and other runtimes without the
	// saturation that 8 bits meet there.
	ReduceRange bool
	// Equalize evens out the ranges of consecutive layers' channels first.
	Equalize bool
	// BiasCorrection takes the mean error that quantized weights make out of
	// the bias.
	BiasCorrection bool
	// Float holds patterns of names of nodes that stay float.
	Float []string
	// Threads is the number of workers of the calibration runs.
	Threads int
	// Requantize accepts a model that holds QuantizeLinear nodes already.
	Requantize bool
	// Progress, if set, is called after each batch.
	Progress func(images int)

	// WBits and ABits are the bits of weights and of the activations that they
	// multiply, 2 to 16; 0 means 8. Where they are fewer, the first and last
	// layers keep EdgeBits (0 means 8). Layers gives single layers bits of their
	// own, by name or pattern.
	WBits, ABits, EdgeBits int
	Layers                 map[string]Bits
	// Asymmetric gives weights a zero point of their own.
	Asymmetric bool
	// Group, if not 0, gives every so many input channels of an output
	// channel's weights a scale of their own (ONNX's block_size).
	Group int
	// Storage says how integers of 4 and fewer bits are stored: Packed (the
	// default), Packed2 or Bytes.
	Storage string
	// WeightRange is how the range of a channel's weights is chosen, one of
	// WeightRanges; by default "minmax" for 8 bits and "mse" for fewer.
	WeightRange string
	// LogWeights makes weights of fewer than 8 bits powers of two or zero.
	LogWeights bool
	// AllocateChannels gives channels bits of their own by the spread of their
	// weights, and RestoreSpread the standard deviation that they had (ACIQ).
	AllocateChannels, RestoreSpread bool
	// Mixed, if set, chooses the bits of each inner layer's weights.
	Mixed *Mixed
	// Rounding chooses between up and down for each weight; nil is to nearest.
	Rounding Rounding
	// AbsorbBias moves what a Relu never cuts off from one layer's bias into
	// the next one's (with Equalize).
	AbsorbBias bool
	// Fixed gives layers, by name, the integers that training has found.
	Fixed map[string]*Fixed
	// Reconstructed, if set, is called before each part that Rounding decides.
	Reconstructed func(done, all int)
	// Seed decides which images a reconstruction draws.
	Seed uint64
}

// Defaults are the options of `drawknife quantize` without flags.
func Defaults() Options {
	return Options{Calibrator: "mse", Target: "ort", PerChannel: true, Equalize: false, BiasCorrection: true}
}

// Range tells what calibration saw of one activation and what grid it got.
type Range struct {
	Value string  `json:"value"`
	Min   float32 `json:"min"` // smallest and largest element seen
	Max   float32 `json:"max"`
	Lo    float32 `json:"lo"` // range covered
	Hi    float32 `json:"hi"`
	Scale float32 `json:"scale"`
	Zero  int     `json:"zero"`
}

// Layer tells what happened to one layer's weights.
type Layer struct {
	Node string  `json:"node"`
	Op   string  `json:"op"`
	SQNR float64 `json:"sqnr_db"` // of the weights
	// Bits of weights and of what they multiply.
	WBits int `json:"wbits"`
	ABits int `json:"abits"`
}

// Report says what Static did.
type Report struct {
	Images int      `json:"images"`
	Ranges []Range  `json:"ranges"`
	Layers []Layer  `json:"layers"`
	Float  []Island `json:"float"`
	Notes  []string `json:"notes,omitempty"`
}

// ErrQuantized is the cause when the model is quantized already.
var ErrQuantized = errors.New("the model is quantized already")

// Batches is a stream of prepared images; see data.Loader.Batches.
type Batches = iter.Seq2[*data.Batch, error]

// Static quantizes g: weights per channel, activations by ranges calibrated on
// batches (a single pass, in bounded memory; a Rounding keeps the images). g is
// not changed.
func Static(ctx context.Context, g *graph.Graph, batches Batches, o Options) (*graph.Graph, *Report, error) {
	if err := o.checkBits(); err != nil {
		return nil, nil, err
	}
	if o.LogWeights && (o.Rounding != nil || o.Group > 0 || !o.PerChannel) {
		return nil, nil, errors.New("quantize: powers of two have one grid a layer and are rounded to the nearest")
	}
	t, err := FindTarget(o.Target)
	if err != nil {
		return nil, nil, err
	}
	cal, err := method.New[Calibrator](method.Calibrate, o.Calibrator)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range g.Nodes {
		if n.Is("QuantizeLinear", "DequantizeLinear") && !o.Requantize {
			return nil, nil, fmt.Errorf("quantize: %w (%v)", ErrQuantized, n)
		}
	}
	if len(g.Inputs) != 1 {
		return nil, nil, fmt.Errorf("quantize: the model has %d inputs; calibration feeds images to one", len(g.Inputs))
	}
	q := g.Clone()
	report := &Report{}
	var moments map[string]*moments
	if o.AbsorbBias {
		moments = normMoments(q)
	}
	if err := Prepare(q); err != nil {
		return nil, nil, err
	}
	if o.Equalize {
		report.Notes = append(report.Notes, fmt.Sprintf("equalized %d pairs of layers", equalize(q, moments)))
	}
	if o.AbsorbBias {
		report.Notes = append(report.Notes, fmt.Sprintf("absorbed the biases of %d channels", absorb(q, moments)))
	}
	p, err := choose(q, t, o.Float)
	if err != nil {
		return nil, nil, err
	}
	report.Float = p.float
	if len(p.nodes) == 0 {
		return nil, nil, errors.New("quantize: nothing in this model can be computed in integers")
	}
	var kept []*tensor.Tensor
	if o.Rounding != nil || o.Mixed != nil {
		batches = keepImages(batches, &kept)
	}
	run := q
	if len(o.Fixed) > 0 {
		if run, err = narrowed(q, t, &o); err != nil {
			return nil, nil, err
		}
	}
	watch, err := calibrate(ctx, run, p, cal, batches, o, report)
	if err != nil {
		return nil, nil, err
	}
	if o.Mixed != nil {
		if o.Layers, err = o.Mixed.choose(ctx, q, p, kept, &o); err != nil {
			return nil, nil, err
		}
	}
	ins := &inserter{g: q, plan: p, watch: watch, options: &o, report: report}
	if err := ins.run(func(layers []*layer) error { return ins.round(ctx, layers, kept) }); err != nil {
		return nil, nil, err
	}
	q.RemoveDead() // the float weights
	if err := q.Sort(); err != nil {
		return nil, nil, err
	}
	if err := q.InferShapes(); err != nil {
		return nil, nil, fmt.Errorf("quantize: %w", err)
	}
	q.Record("quantize", fmt.Sprintf("%d-bit weights, %d-bit activations for %s, calibrator %s, %d images", o.WBits, o.ABits, t.Name, o.Calibrator, report.Images))
	return q, report, q.Verify()
}

// Prepare folds what must be folded before weights are quantized: constants,
// batch normalisation, padding, spelled-out activations. It changes g.
func Prepare(g *graph.Graph) error {
	if _, err := eval.Fold(g); err != nil {
		return err
	}
	rewrite.Apply(g, rewrite.Scope{}, rewrite.DropNoOp, rewrite.FoldBatchNorm, rewrite.FoldPad, rewrite.MergeHardSwish)
	if err := g.Sort(); err != nil {
		return err
	}
	return g.InferShapes()
}

// watched is what calibration learned of one value.
type watched struct {
	extremes
	observer Observer
	mean     []float64 // per channel, for bias correction
	count    float64
}

// calibrate runs the float model g over the batches and observes every point;
// the plan's values may be those of another copy of it.
func calibrate(ctx context.Context, g *graph.Graph, p *plan, cal Calibrator, batches Batches, o Options, r *Report) (map[*graph.Value]*watched, error) {
	watch := map[*graph.Value]*watched{}
	var keep []string
	for _, v := range p.points {
		watch[v] = &watched{observer: cal.Observer()}
		if !v.IsInput() {
			keep = append(keep, v.Name)
		}
	}
	model := engine.NewModel(g, engine.Options{Threads: o.Threads, Keep: keep})
	input := g.Inputs[0]
	for b, err := range batches {
		if err != nil {
			return nil, fmt.Errorf("quantize: calibration data: %w", err)
		}
		x := tensor.Of(b.X, b.N, b.C, b.H, b.W)
		out, err := model.Run(ctx, map[string]*tensor.Tensor{input.Name: x})
		if err != nil {
			return nil, fmt.Errorf("quantize: calibration: %w", err)
		}
		for _, v := range p.points {
			t := x
			if !v.IsInput() {
				t = out[v.Name]
			}
			w := watch[v]
			d := tensor.Data[float32](t)
			w.extremes.Observe(d)
			if bad := w.lo - w.lo + w.hi - w.hi; bad != 0 {
				return nil, fmt.Errorf("quantize: calibration: value %q came out as NaN or infinity", v.Name)
			}
			w.observer.Observe(d)
			if o.BiasCorrection {
				w.means(t)
			}
		}
		r.Images += b.N
		if o.Progress != nil {
			o.Progress(r.Images)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if r.Images == 0 {
		return nil, errors.New("quantize: there are no calibration images")
	}
	return watch, nil
}

// narrowed is a copy of g in which layers with a fixed input grid read through
// it: what calibration sees then is what the quantized network will compute.
func narrowed(g *graph.Graph, t Target, o *Options) (*graph.Graph, error) {
	c := g.Clone()
	s := &inserter{g: c, plan: &plan{target: t}, options: o}
	for _, n := range append([]*graph.Node(nil), c.Nodes...) {
		f := o.Fixed[n.Name]
		if f == nil || f.Input == nil {
			continue
		}
		v, err := s.narrow(n.Inputs[0], n.Inputs[0].Name, *f.Input, false)
		if err != nil {
			return nil, err
		}
		n.SetInput(0, v)
	}
	if err := c.Sort(); err != nil {
		return nil, err
	}
	return c, c.InferShapes()
}

// means adds up the elements of each channel (axis 1).
func (w *watched) means(t *tensor.Tensor) {
	if len(t.Shape) < 2 {
		return
	}
	c, inner := t.Shape[1], 1
	for _, d := range t.Shape[2:] {
		inner *= d
	}
	if w.mean == nil {
		w.mean = make([]float64, c)
	}
	d := tensor.Data[float32](t)
	for i := 0; i < len(d); i += inner {
		sum := 0.0
		for _, v := range d[i : i+inner] {
			sum += float64(v)
		}
		w.mean[i/inner%c] += sum
	}
	w.count += float64(t.Shape[0] * inner)
}

// exact stands for the ratio of a layer whose weights are all on their grid.
const exact = 300

// sqnr is the signal-to-quantization-noise ratio in decibels, at most exact.
func sqnr(x, y []float32) float64 {
	signal, noise := 0.0, 0.0
	for i := range x {
		signal += float64(x[i]) * float64(x[i])
		noise += float64(x[i]-y[i]) * float64(x[i]-y[i])
	}
	if noise == 0 {
		return exact
	}
	return min(10*math.Log10(signal/noise), exact)
}
