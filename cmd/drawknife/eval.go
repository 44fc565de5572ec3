package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/data/metrics"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/ort"
	"github.com/drawknife/drawknife/tensor"
)

// dataFlags name the data set that a model is measured on.
type dataFlags struct {
	Data   string `help:"Data set: NAME, NAME:DIR, a folder, a tar or an .npz file, each optionally @SPLIT." placeholder:"SPEC" required:""`
	Labels string `help:"Table of file names and classes (tsv or csv) for folders and tars." placeholder:"FILE" type:"path"`
	Limit  int    `help:"Use only this many images, spread evenly." placeholder:"N"`
}

func (f *dataFlags) open(split string) (data.Dataset, error) {
	return openData(f.Data, f.Labels, split, f.Limit)
}

func openData(spec, labels, split string, limit int) (data.Dataset, error) {
	if limit < 0 {
		return nil, usagef("--limit cannot be negative")
	}
	ds, err := data.Open(spec, data.Options{Split: split, Labels: labels})
	if err != nil {
		return nil, err
	}
	if ds.Len() == 0 {
		return nil, fmt.Errorf("%s: the data set is empty", spec)
	}
	if limit > 0 && limit < ds.Len() {
		ds = data.Spread(ds, limit)
	}
	return ds, nil
}

type evalCmd struct {
	Model string `arg:"" help:"Model file or zoo:NAME."`
	dataFlags
	Batch    int    `help:"Images a run; 0 chooses." default:"0" placeholder:"N"`
	PerClass bool   `help:"Also print a table of the classes."`
	Confuse  int    `help:"Also print this many of the most frequent confusions." placeholder:"N"`
	Ort      string `help:"Path of ONNX Runtime's shared library: evaluate there too, on the same images." placeholder:"PATH"`
	preFlags
}

type evalResult struct {
	Model     string            `json:"model"`
	Data      string            `json:"data"`
	N         int               `json:"n"`
	Top1      float64           `json:"top1"`
	Top5      float64           `json:"top5"`
	Loss      float64           `json:"loss"`
	PerSecond float64           `json:"images_per_s"`
	Skipped   int               `json:"unlabelled,omitempty"`
	Pre       string            `json:"preprocess"`
	Classes   []metrics.Class   `json:"classes,omitempty"`
	Mistakes  []metrics.Mistake `json:"confusions,omitempty"`
	Peers     []evalPeer        `json:"peers,omitempty"`
}

type evalPeer struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Top1    float64 `json:"top1"`
	Top5    float64 `json:"top5"`
	Agree   float64 `json:"same_top1_percent"`
}

func (c *evalCmd) Run(a *app) error {
	if c.Batch < 0 {
		return usagef("--batch cannot be negative")
	}
	g, err := a.loadSound(c.Model)
	if err != nil {
		return err
	}
	pre, err := c.preprocess(a, g)
	if err != nil {
		return err
	}
	ds, err := c.open("test")
	if err != nil {
		return err
	}
	step, end := a.progress("eval", ds.Len())
	m, rate, err := measure.Accuracy(a, g, ds, pre, measure.Options{Threads: a.Threads, Batch: c.Batch, Progress: step})
	end()
	if err != nil {
		return fmt.Errorf("%s on %s: %w", c.Model, c.Data, err)
	}
	r := evalResult{Model: c.Model, Data: c.Data, N: m.N(), Top1: m.Top1(), Top5: m.Top5(), Loss: m.Loss(), PerSecond: rate,
		Skipped: m.Skipped(), Pre: pre.String()}
	if m.N() == 0 {
		return fmt.Errorf("%s: none of the images has a label; give a table with --labels", c.Data)
	}
	if c.PerClass || a.JSON {
		r.Classes = m.Classes()
	}
	if c.Confuse > 0 {
		r.Mistakes = m.Mistakes(c.Confuse)
	}
	if c.Ort != "" {
		p, err := c.peer(a, g, ds, pre, m)
		if err != nil {
			return err
		}
		r.Peers = append(r.Peers, p)
	}
	return a.emit(r, func(w io.Writer) error { return r.print(w, ds.Classes(), c.PerClass) })
}

// peer evaluates the same file in ONNX Runtime.
func (c *evalCmd) peer(a *app, g *graph.Graph, ds data.Dataset, pre data.Preprocess, ours *metrics.Classification) (evalPeer, error) {
	rt, err := ort.Open(c.Ort)
	if err != nil {
		return evalPeer{}, err
	}
	// Without this its 8-bit kernels saturate on CPUs without VNNI: a question
	// of accuracy deserves its accurate ones.
	s, err := c.session(rt, g, ort.Options{Threads: a.Threads, Optimize: ort.All, Config: map[string]string{"session.x64quantprecision": "1"}})
	if err != nil {
		return evalPeer{}, err
	}
	defer s.Close()
	name := g.Outputs[0].Name
	m, _, err := measure.AccuracyOf(a, g, ds, pre, measure.Options{Threads: a.Threads, Batch: c.Batch},
		func(x *tensor.Tensor) (*tensor.Tensor, error) {
			out, err := s.Run(map[string]*tensor.Tensor{g.Inputs[0].Name: x}, name)
			return out[name], err
		})
	if err != nil {
		return evalPeer{}, err
	}
	p, _ := ours.Predictions()
	q, _ := m.Predictions()
	same := 0
	for i := range p {
		if p[i] == q[i] {
			same++
		}
	}
	return evalPeer{"onnxruntime", rt.Version(), m.Top1(), m.Top5(), 100 * float64(same) / float64(max(len(p), 1))}, nil
}

// session opens the model's file in ONNX Runtime, or the file that a network
// of the zoo or a compressed file would be.
func (c *evalCmd) session(rt *ort.Runtime, g *graph.Graph, o ort.Options) (*ort.Session, error) {
	if filepath.Ext(c.Model) == ".onnx" {
		return rt.Load(c.Model, o)
	}
	b, err := onnx.Encode(g)
	if err != nil {
		return nil, err
	}
	return rt.LoadBytes(b, o)
}

func (r *evalResult) print(w io.Writer, names []string, perClass bool) error {
	err := pairs(w, "model", r.Model, "data", fmt.Sprintf("%s, %d images", filepath.Base(r.Data), r.N), "preprocessing", r.Pre,
		"top-1", fmt.Sprintf("%.2f %%", r.Top1), "top-5", fmt.Sprintf("%.2f %%", r.Top5),
		"loss", fmt.Sprintf("%.4f", r.Loss), "throughput", fmt.Sprintf("%.1f images/s", r.PerSecond))
	if err != nil {
		return err
	}
	for _, p := range r.Peers {
		fmt.Fprintf(w, "%s %s: top-1 %.2f %%, top-5 %.2f %%, the same class for %.2f %% of the images\n", p.Name, p.Version, p.Top1, p.Top5, p.Agree)
	}
	name := func(k int) string {
		if k >= 0 && k < len(names) {
			return names[k]
		}
		return fmt.Sprint(k)
	}
	if perClass {
		rows := [][]string{{"class ", "images", "recall %", "precision %", "most often taken for "}}
		for _, k := range r.Classes {
			wrong := ""
			if k.MostConfused >= 0 {
				wrong = fmt.Sprintf("%s (%d)", name(k.MostConfused), k.Times)
			}
			rows = append(rows, []string{name(k.Class), fmt.Sprint(k.Count), fmt.Sprintf("%.1f", k.Recall), fmt.Sprintf("%.1f", k.Precision), wrong})
		}
		fmt.Fprintln(w)
		if err := table(w, rows); err != nil {
			return err
		}
	}
	if r.Mistakes != nil {
		rows := [][]string{{"class ", "taken for ", "times"}}
		for _, k := range r.Mistakes {
			rows = append(rows, []string{name(k.Label), name(k.Predicted), fmt.Sprint(k.Times)})
		}
		fmt.Fprintln(w)
		return table(w, rows)
	}
	return nil
}
