package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/quantize/codebook"
	"github.com/drawknife/drawknife/quantize/qat"
)

// QuantizeStep makes weights and activations integers of few bits, or shares
// weights in tables. Methods that train need epochs.
type QuantizeStep struct {
	Method      string   `yaml:"method,omitempty"` // of the family "quantize"; by default int8
	WBits       int      `yaml:"wbits,omitempty"`
	ABits       int      `yaml:"abits,omitempty"`
	EdgeBits    int      `yaml:"edge-bits,omitempty"`
	Calibrator  string   `yaml:"calibrator,omitempty"`
	WeightRange string   `yaml:"weight-range,omitempty"`
	Asymmetric  bool     `yaml:"asymmetric,omitempty"`
	Group       int      `yaml:"group,omitempty"`
	Storage     string   `yaml:"storage,omitempty"`
	Target      string   `yaml:"target,omitempty"`
	PerTensor   bool     `yaml:"per-tensor,omitempty"`
	ReduceRange bool     `yaml:"reduce-range,omitempty"` // weights of 7 bits
	Equalize    bool     `yaml:"equalize,omitempty"`
	NoBias      bool     `yaml:"no-bias-correction,omitempty"`
	Float       []string `yaml:"float,omitempty"`  // nodes that stay float
	Images      int      `yaml:"images,omitempty"` // to calibrate on; by default 256
	DataFree    bool     `yaml:"data-free,omitempty"`
	BinaryForm  string   `yaml:"binary-form,omitempty"`
	Schedule    string   `yaml:"schedule,omitempty"` // of the learning rate; by default cosine
	Training    `yaml:",inline"`
}

func (*QuantizeStep) kind() string { return "quantize" }

// made is a quantize.Preset, a *qat.Method or a *codebook.Sharing.
func (p *QuantizeStep) made() (any, error) {
	spec := p.Method
	if spec == "" {
		spec = "int8"
	}
	return method.New[any](method.Quantize, spec)
}

func (p *QuantizeStep) check() error {
	m, err := p.made()
	if err != nil {
		return err
	}
	least := 2
	if q, ok := m.(*qat.Method); ok {
		if !(p.Epochs > 0) {
			return fmt.Errorf("method %s trains: give epochs", p.Method)
		}
		if q.WBits == 1 || q.ABits == 1 {
			least = 1
		}
	} else if p.Epochs > 0 {
		return fmt.Errorf("method %q does not train: leave epochs out, or put a finetune step before it", p.Method)
	}
	for name, bits := range map[string]int{"wbits": p.WBits, "abits": p.ABits, "edge-bits": p.EdgeBits} {
		if bits != 0 && (bits < least || bits > 32) {
			return fmt.Errorf("%s: %d bits", name, bits)
		}
	}
	if p.Images < 0 || p.Group < 0 {
		return fmt.Errorf("images %d, group %d: negative", p.Images, p.Group)
	}
	if p.Target != "" {
		if _, err := quantize.FindTarget(p.Target); err != nil {
			return err
		}
	}
	if p.BinaryForm != "" && p.BinaryForm != "custom" && p.BinaryForm != "standard" {
		return fmt.Errorf("binary-form %q: there are custom, standard", p.BinaryForm)
	}
	return errors.Join(named(method.Calibrate, p.Calibrator), checkRateSchedule(p.Schedule), p.Training.check())
}

func (p *QuantizeStep) needs() (method.Needs, error) {
	n, err := method.NeedsOf("quantize", p.Method, "calibrate", p.Calibrator)
	n.Data = n.Data || !p.DataFree
	return n, err
}

// options are those of the method, changed by the step.
func (p *QuantizeStep) options(w *work, preset quantize.Preset) quantize.Options {
	o := quantize.Defaults()
	if preset != nil {
		preset(&o)
	}
	if p.Calibrator != "" {
		o.Calibrator = p.Calibrator
	}
	if p.WeightRange != "" {
		o.WeightRange = p.WeightRange
	}
	if p.Target != "" {
		o.Target = p.Target
	}
	o.PerChannel, o.ReduceRange, o.Equalize = !p.PerTensor, p.ReduceRange, o.Equalize || p.Equalize
	o.BiasCorrection = o.BiasCorrection && !p.NoBias
	o.WBits, o.ABits, o.EdgeBits, o.Asymmetric, o.Group, o.Storage = p.WBits, p.ABits, p.EdgeBits, p.Asymmetric, p.Group, p.Storage
	o.Float, o.Threads, o.Seed = p.Float, w.threads, w.seed
	if w.progress != nil {
		o.Reconstructed = func(done, all int) { w.progress("reconstruct", done, all) }
	}
	return o
}

// batches gives the images to calibrate on.
func (p *QuantizeStep) batches(ctx context.Context, w *work, g *graph.Graph) (quantize.Batches, error) {
	n := p.Images
	if n == 0 {
		n = calibImages
	}
	l, err := w.loader(n, g)
	if err != nil {
		return nil, err
	}
	if !p.DataFree {
		return l.Batches(ctx, 0), nil
	}
	channels, h, width := l.Shape()
	return quantize.Synthesize(ctx, g, []int{min(n, 64), channels, h, width}, 200, w.threads, w.seed)
}

func (p *QuantizeStep) apply(ctx context.Context, w *work, g *graph.Graph) (*graph.Graph, error) {
	made, err := p.made()
	if err != nil {
		return nil, err
	}
	var out *graph.Graph
	var report *quantize.Report
	switch m := made.(type) {
	case *codebook.Sharing:
		out, report, err = shareWeights(m, g)
	case *qat.Method:
		out, report, err = p.trained(ctx, w, g, m)
	case quantize.Preset:
		b, berr := p.batches(ctx, w, g)
		if berr != nil {
			return nil, berr
		}
		out, report, err = quantize.Static(ctx, g, b, p.options(w, m))
	default:
		return nil, fmt.Errorf("method %s: %T is of no known kind", p.Method, made)
	}
	if err != nil {
		return nil, err
	}
	w.report = report
	out.Metadata[data.MetadataKey] = w.pre.String()
	return out, nil
}

// trained quantizes by a method that trains.
func (p *QuantizeStep) trained(ctx context.Context, w *work, g *graph.Graph, m *qat.Method) (*graph.Graph, *quantize.Report, error) {
	b, err := p.batches(ctx, w, g)
	if err != nil {
		return nil, nil, err
	}
	t, builder, hooks, err := m.Prepare(ctx, g, b, qat.Options{WBits: p.WBits, ABits: p.ABits, EdgeBits: p.EdgeBits, Threads: w.threads})
	if err != nil {
		return nil, nil, err
	}
	r := run{epochs: p.Epochs, hooks: hooks, schedule: p.Schedule, rate: m.Recipe.LR, decay: m.Recipe.DecayAt(cmp.Or(p.WBits, m.WBits)), teacher: teacherOfQuantize, rounds: true}
	opts := p.Training
	switch opts.Optimizer {
	case "", m.Recipe.Optimizer:
		opts.Optimizer = m.Recipe.Optimizer
	default:
		r.rate = fineRates[opts.Optimizer]
	}
	if m.Recipe.NoDecay {
		shadows := map[string]bool{}
		for _, name := range builder.Shadows {
			shadows[name] = true
		}
		r.group = func(v *graph.Value) (lr, decay float64) {
			if shadows[v.Name] {
				return 1, 0
			}
			return 1, 1
		}
	}
	if t, err = w.train(ctx, t, &opts, r); err != nil {
		return nil, nil, err
	}
	if b, err = p.batches(ctx, w, g); err != nil {
		return nil, nil, err
	}
	o := p.options(w, nil)
	o.WBits, o.ABits = 8, 8 // of what training left alone
	out, report, err := qat.Finish(ctx, t, b, o)
	if err == nil && p.BinaryForm == "standard" {
		err = qat.Standard(out)
	}
	return out, report, err
}

// shareWeights puts weights into tables of few values.
func shareWeights(m *codebook.Sharing, g *graph.Graph) (*graph.Graph, *quantize.Report, error) {
	out, shared, err := m.Share(g)
	if err != nil {
		return nil, nil, err
	}
	r := &quantize.Report{Notes: []string{fmt.Sprintf("with Huffman coding the model takes %d bytes, its parameters as float32 %d", shared.Bytes, shared.Float)}}
	for _, l := range shared.Layers {
		r.Layers = append(r.Layers, quantize.Layer{Node: l.Node, Op: "shared values", SQNR: l.SQNR, WBits: int(math.Ceil(math.Log2(float64(max(l.Values, 2))))), ABits: 32})
	}
	return out, r, nil
}
