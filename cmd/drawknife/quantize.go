package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/quantize/codebook"
	"github.com/drawknife/drawknife/quantize/dialect"
	"github.com/drawknife/drawknife/quantize/qat"
)

type quantizeCmd struct {
	Model      string   `arg:"" help:"Model file or zoo:NAME."`
	Output     string   `short:"o" help:"File to write; by default MODEL_int8.onnx, or MODEL_w4a8.onnx and so on. A name that ends in .huff makes --method deep-compression write its Huffman-coded streams, which every verb reads." placeholder:"FILE"`
	Data       string   `help:"Data set: its training split (or --calib) calibrates, its test split measures." placeholder:"SPEC" required:""`
	Labels     string   `help:"Table of file names and classes." placeholder:"FILE" type:"path"`
	Calib      string   `help:"Data set to calibrate on instead; labels are not needed." placeholder:"SPEC"`
	Images     int      `help:"Images to calibrate on." default:"256" placeholder:"N"`
	DataFree   bool     `name:"data-free" help:"Calibrate on images made from the statistics of the model's batch normalization (at most 64)."`
	Limit      int      `help:"Measure on only this many images." placeholder:"N"`
	NoEval     bool     `help:"Do not measure accuracy and latency."`
	NoLatency  bool     `help:"Do not measure latency, as on a machine that has other work to do."`
	Method     string   `help:"Quantization method, NAME or NAME:option=value; 'drawknife methods' lists them." default:"int8"`
	WBits      int      `name:"wbits" help:"Bits of weights, 2 to 16 (1 by binary methods); by default 8, or the method's choice." placeholder:"N"`
	ABits      int      `name:"abits" help:"Bits of the activations that weights multiply, 2 to 16 (1 by binary methods); by default 8, or the method's choice." placeholder:"N"`
	EdgeBits   int      `name:"edge-bits" help:"Bits of the first and last layers where the others have fewer." default:"8" placeholder:"N"`
	Calibrator string   `help:"How activation ranges are chosen: minmax, ema, std, percentile, mse, kl, aciq; by default the method's choice, or mse."`
	WeightBy   string   `name:"weight-range" help:"How weight ranges are chosen: minmax, mse, aciq; by default minmax for 8 bits, mse for fewer."`
	Asymmetric bool     `help:"Give weights a zero point."`
	Group      int      `help:"Give every N input channels of a channel's weights a scale; 0 does not." placeholder:"N"`
	Storage    string   `help:"How weights of 4 and fewer bits are stored: packed (int4, operator set 21), packed2 (int2 where it fits, operator set 25; ONNX Runtime 1.30 refuses it) or int8 (any runtime)." default:"packed"`
	Target     string   `help:"Conventions to follow: ort, tensorrt, openvino." default:"ort"`
	PerTensor  bool     `help:"One scale for all output channels of a layer."`
	Reduce     bool     `name:"reduce-range" help:"Weights of 7 bits: faster on processors without VNNI, and free of their saturation in other runtimes."`
	Equalize   bool     `help:"Even out the channel ranges of consecutive layers first."`
	NoBias     bool     `name:"no-bias-correction" help:"Leave the mean error of quantized weights in."`
	Float      []string `help:"Names (patterns) of nodes that stay float." placeholder:"NAME"`
	Force      bool     `help:"Accept a model that is quantized already."`
	BinaryForm string   `name:"binary-form" help:"How binary convolutions are written: custom (drawknife's BinaryConv) or standard (Where and Conv, for any runtime)." default:"custom" enum:"custom,standard"`
	Form       string   `help:"Form to write: qdq, qcdq, qoperator or qonnx." default:"qdq" enum:"qdq,qcdq,qoperator,qonnx"`
	Convert    bool     `help:"Do not quantize: bring a model that is quantized, also one of QONNX, into the form."`
	trainingFlags
	preFlags
}

// beforeAfter is what the compressing verbs report.
type beforeAfter struct {
	Model   string          `json:"model"`
	Before  measure.Metrics `json:"before"`
	After   measure.Metrics `json:"after"`
	Seconds float64         `json:"seconds"`
	Outputs []string        `json:"outputs"`
	Report  any             `json:"report,omitempty"`

	measured bool // accuracy, on at least one image with a label
}

func (c *quantizeCmd) Run(a *app) error {
	start := time.Now()
	g, err := a.loadSound(c.Model)
	if err != nil {
		return err
	}
	if dialect.IsQONNX(g) {
		if err := dialect.FromQONNX(g); err != nil {
			return fmt.Errorf("%s: %w", c.Model, err)
		}
	}
	pre, err := c.preprocess(a, g)
	if err != nil {
		return err
	}
	out := c.Output
	if out == "" {
		out = besides(c.Model, c.suffix())
	}
	if err := atomicfile.Check(out); err != nil {
		return err
	}
	how, err := c.method()
	if err != nil {
		return err
	}
	var test data.Dataset
	if !c.NoEval {
		if test, err = openData(c.Data, c.Labels, "test", c.Limit); err != nil {
			return err
		}
	}
	r := beforeAfter{Model: c.Model, Outputs: []string{out}}
	if err := r.count(a, &r.Before, g, test, pre); err != nil {
		return err
	}
	calib, err := c.calibration(g, pre)
	if err != nil {
		return err
	}
	var q *graph.Graph
	var report *quantize.Report
	if c.Convert {
		how = nil
	}
	switch m := how.(type) {
	case nil:
		q, report = g.Clone(), &quantize.Report{}
	case *qat.Method:
		q, report, err = c.train(a, g, pre, calib, m, c.options(a, func(*quantize.Options) {}), &r)
	case *codebook.Sharing:
		q, report, err = share(m, g)
	case quantize.Preset:
		q, report, err = c.static(a, g, calib, c.options(a, m))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	q.Metadata[data.MetadataKey] = pre.String()
	file := q
	if c.Form != "qdq" { // what is measured is the form that runs here
		file = q.Clone()
		if err := dialect.Convert(file, c.Form); err != nil {
			return fmt.Errorf("%s: %w", c.Model, err)
		}
	}
	if err := c.write(out, file); err != nil {
		return err
	}
	r.Report = report
	if err := r.count(a, &r.After, q, test, pre); err != nil {
		return err
	}
	if coded(out) {
		info, err := os.Stat(out)
		if err != nil {
			return err
		}
		r.After.FileBytes = info.Size()
	}
	if !c.NoEval && !c.NoLatency {
		if err := r.time(a, g, q); err != nil {
			return err
		}
	}
	r.Seconds = time.Since(start).Seconds()
	return a.emit(r, func(w io.Writer) error {
		if err := r.print(w); err != nil {
			return err
		}
		for _, f := range report.Float {
			fmt.Fprintf(w, "float: %s (%s): %s\n", f.Node, f.Op, f.Reason)
		}
		for _, note := range report.Notes {
			fmt.Fprintln(w, note)
		}
		if report.Images > 0 {
			fmt.Fprintf(w, "calibrated on %d images; ", report.Images)
		}
		_, err := fmt.Fprintf(w, "wrote %s\n", out)
		return err
	})
}

// coded reports whether a file of that name holds Huffman-coded weights.
func coded(name string) bool { return filepath.Ext(name) == codebook.Extension }

// write writes the model in the format that the file's name asks for.
func (c *quantizeCmd) write(out string, g *graph.Graph) error {
	if !coded(out) {
		return onnx.Write(out, g)
	}
	if c.Form != "qdq" {
		return usagef("--form %s: a %s file holds weights that deep-compression has shared", c.Form, codebook.Extension)
	}
	return codebook.Write(out, g)
}

// suffix tells the bits in the name of the output.
func (c *quantizeCmd) suffix() string {
	w, a := c.WBits, c.ABits
	switch m, _ := c.method(); m := m.(type) {
	case *qat.Method:
		w, a = cmp.Or(w, m.WBits), cmp.Or(a, m.ABits)
	case *codebook.Sharing:
		return "_shared"
	}
	if c.Convert {
		return "_" + c.Form
	}
	bits := func(n int) int {
		if n == 0 || n > 16 { // as they are in training, and 8 in the end
			return 8
		}
		return n
	}
	if w, a = bits(w), bits(a); w == 8 && a == 8 {
		return "_int8"
	}
	return fmt.Sprintf("_w%da%d", w, a)
}

// method is a quantize.Preset of what happens after training, a *qat.Method
// that trains, or a *codebook.Sharing.
func (c *quantizeCmd) method() (any, error) {
	made, err := method.New[any](method.Quantize, c.Method)
	if err != nil {
		return nil, usageError{err}
	}
	return made, nil
}

// share puts weights into tables of few values.
func share(m *codebook.Sharing, g *graph.Graph) (*graph.Graph, *quantize.Report, error) {
	q, shared, err := m.Share(g)
	if err != nil {
		return nil, nil, err
	}
	r := &quantize.Report{Notes: []string{fmt.Sprintf("with Huffman coding the model takes %s, its parameters as float32 %s: %.1fx",
		size(int64(shared.Bytes)), size(int64(shared.Float)), float64(shared.Float)/float64(shared.Bytes))}}
	for _, l := range shared.Layers {
		r.Layers = append(r.Layers, quantize.Layer{Node: l.Node, Op: "shared values", SQNR: l.SQNR, WBits: int(math.Ceil(math.Log2(float64(max(l.Values, 2))))), ABits: 32})
	}
	return q, r, nil
}

// options are those of the method, changed by the flags.
func (c *quantizeCmd) options(a *app, preset quantize.Preset) quantize.Options {
	o := quantize.Defaults()
	preset(&o)
	if c.Calibrator != "" {
		o.Calibrator = c.Calibrator
	}
	if c.WeightBy != "" {
		o.WeightRange = c.WeightBy
	}
	o.Target, o.PerChannel, o.ReduceRange, o.Equalize = c.Target, !c.PerTensor, c.Reduce, o.Equalize || c.Equalize
	o.BiasCorrection = o.BiasCorrection && !c.NoBias
	o.WBits, o.ABits, o.EdgeBits, o.Asymmetric, o.Group, o.Storage = c.WBits, c.ABits, c.EdgeBits, c.Asymmetric, c.Group, c.Storage
	o.Float, o.Threads, o.Requantize, o.Seed = c.Float, a.Threads, c.Force, a.Seed
	return o
}

// static quantizes after training.
func (c *quantizeCmd) static(a *app, g *graph.Graph, calib *data.Loader, o quantize.Options) (*graph.Graph, *quantize.Report, error) {
	step, end := a.progress("calibrate", calib.Images())
	o.Progress = step
	var part func(int)
	finish := func() {}
	o.Reconstructed = func(done, all int) {
		if part == nil {
			end()
			part, finish = a.progress("reconstruct", all)
		}
		part(done)
	}
	defer func() { end(); finish() }()
	batches := calib.Batches(a, 0)
	if c.DataFree {
		channels, h, w := calib.Shape()
		shape := []int{min(c.Images, 64), channels, h, w}
		var err error
		if batches, err = quantize.Synthesize(a, g, shape, 200, a.Threads, a.Seed); err != nil {
			return nil, nil, err
		}
	}
	return quantize.Static(a, g, batches, o)
}

func (c *quantizeCmd) calibration(g *graph.Graph, pre data.Preprocess) (*data.Loader, error) {
	if c.Images < 1 {
		return nil, usagef("--images must be at least 1")
	}
	spec := c.Calib
	if spec == "" {
		spec = c.Data
	}
	ds, err := openData(spec, c.Labels, "train", c.Images)
	if err != nil {
		return nil, err
	}
	batch, fixed := 16, false
	if s := g.Inputs[0].Shape; len(s) > 0 && s[0].Known() {
		batch, fixed = s[0].Size, true
	}
	return data.NewLoader(ds, data.LoaderOptions{Batch: batch, Preprocess: fit(pre, g), DropLast: fixed})
}

// besides names an output beside the input: dir/model_suffix.onnx.
func besides(model, suffix string) string {
	model = strings.TrimPrefix(model, "zoo:")
	model, _, _ = strings.Cut(model, "?")
	base := strings.TrimSuffix(strings.TrimSuffix(model, ".gz"), filepath.Ext(strings.TrimSuffix(model, ".gz")))
	return base + suffix + ".onnx"
}

// count fills in a column: what can be counted and, with images, the accuracy.
func (r *beforeAfter) count(a *app, to *measure.Metrics, g *graph.Graph, ds data.Dataset, pre data.Preprocess) error {
	if err := to.Cost(g); err != nil || ds == nil {
		return err
	}
	what := "measure after"
	if to == &r.Before {
		what = "measure before"
	}
	step, end := a.progress(what, ds.Len())
	defer end()
	acc, _, err := measure.Accuracy(a, g, ds, pre, measure.Options{Threads: a.Threads, Progress: step})
	if err != nil {
		return fmt.Errorf("%s: %w", r.Model, err)
	}
	r.measured = acc.N() > 0
	to.Top1, to.Top5, to.Loss = acc.Top1(), acc.Top5(), acc.Loss()
	return nil
}

// time fills in both columns' latencies.
func (r *beforeAfter) time(a *app, before, after *graph.Graph) error {
	return measure.Latencies(a, a.Threads, before, after, &r.Before, &r.After)
}

func (r *beforeAfter) print(w io.Writer) error {
	ratio := func(a, b float64) string {
		if a == 0 || b == 0 {
			return ""
		}
		return fmt.Sprintf("%.2fx", a/b)
	}
	b, f := r.Before, r.After
	rows := [][]string{{" ", "before", "after", "ratio"}}
	if r.measured {
		rows = append(rows, []string{"top-1 %", fmt.Sprintf("%.2f", b.Top1), fmt.Sprintf("%.2f", f.Top1), fmt.Sprintf("%+.2f", f.Top1-b.Top1)})
	}
	rows = append(rows,
		[]string{"parameters", count(b.Params), count(f.Params), ratio(float64(b.Params), float64(f.Params))},
		[]string{"MACs", count(b.MACs), count(f.MACs), ratio(float64(b.MACs), float64(f.MACs))},
		[]string{"file size", size(b.FileBytes), size(f.FileBytes), ratio(float64(b.FileBytes), float64(f.FileBytes))},
		[]string{"peak activations", size(b.PeakActivationBytes), size(f.PeakActivationBytes), ratio(float64(b.PeakActivationBytes), float64(f.PeakActivationBytes))})
	if f.MedianMs > 0 {
		rows = append(rows,
			[]string{"latency, all threads (ms)", f3(b.MedianMs), f3(f.MedianMs), ratio(b.MedianMs, f.MedianMs)},
			[]string{"latency, 1 thread (ms)", f3(b.MedianMs1), f3(f.MedianMs1), ratio(b.MedianMs1, f.MedianMs1)})
	}
	return table(w, rows)
}
