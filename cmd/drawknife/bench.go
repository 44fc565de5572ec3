package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

type benchCmd struct {
	Models    []string `arg:"" optional:"" name:"model" help:"Model file or zoo:NAME; several print a table."`
	Suite     bool     `help:"Time the networks that drawknife is judged by, in float32 and in 8 bits, on one thread and on all: print a table."`
	Only      []string `help:"With --suite: only networks whose name matches one of these patterns." placeholder:"PATTERN"`
	Batch     int      `help:"Images a run." default:"1" placeholder:"N"`
	Shape     []string `help:"Concrete shape of an input: NAME=1x3x224x224." placeholder:"NAME=DIMS" sep:"none"`
	Warmup    int      `help:"Runs before the clock counts." default:"5" placeholder:"N"`
	Runs      int      `help:"Timed runs; 0 chooses by time." default:"0" placeholder:"N"`
	PerNode   bool     `help:"Also time each kernel of the plan."`
	NoTune    bool     `help:"Take the plan as it is, without timing which steps one worker does sooner than all."`
	Memory    bool     `help:"Measure the most memory that each engine takes, each in a process of its own, not time."`
	Alone     string   `help:"Be the process that runs the model on this engine." hidden:"" placeholder:"ENGINE"`
	InputType []string `help:"With --alone: what an input holds but float32." hidden:"" placeholder:"NAME=NUMBER" sep:"none"`
	Ort       string   `help:"Path of ONNX Runtime's shared library: run it in turn with ours, in a process of its own, and print the ratio." placeholder:"PATH" env:"DRAWKNIFE_ORT"`
}

type benchResult struct {
	Model   string      `json:"model"`
	Batch   int         `json:"batch"`
	Threads int         `json:"threads"`
	Runs    int         `json:"runs"`
	Min     float64     `json:"min_ms"`
	Median  float64     `json:"median_ms"`
	P95     float64     `json:"p95_ms"`
	RSS     float64     `json:"peak_rss_mb"`
	Arena   int         `json:"arena_bytes"`
	Peers   []benchPeer `json:"peers"`
	Nodes   []nodeTime  `json:"nodes,omitempty"`
}

type benchPeer struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Min     float64 `json:"min_ms"`
	Median  float64 `json:"median_ms"`
	P95     float64 `json:"p95_ms"`
	Ratio   float64 `json:"ratio"`
}

type nodeTime struct {
	Node   string  `json:"node"`
	Op     string  `json:"op"`
	Kernel string  `json:"kernel"`
	Shape  []int   `json:"shape"`
	Ms     float64 `json:"ms"`
	GOPS   float64 `json:"gops,omitempty"`
	GBs    float64 `json:"gb_per_s"`
}

func (c *benchCmd) Run(a *app) error {
	switch {
	case c.Batch < 1 || c.Runs < 0 || c.Warmup < 0:
		return usagef("--batch must be at least 1, --runs and --warmup at least 0")
	case len(c.Models) == 0 && !c.Suite:
		return usagef("bench needs a model or --suite")
	case len(c.Only) > 0 && !c.Suite:
		return usagef("--only chooses from --suite")
	case c.Alone != "" && len(c.Models) != 1:
		return usagef("--alone is for one model's file")
	case c.Alone != "":
		return c.alone(a)
	case (c.Suite || c.Memory || len(c.Models) > 1) && (len(c.Shape) > 0 || c.PerNode):
		return usagef("--shape and --per-node are for one model")
	}
	if c.Memory {
		return c.memory(a)
	}
	if c.Suite || len(c.Models) > 1 {
		return c.suite(a)
	}
	g, err := a.load(c.Models[0])
	if err != nil {
		return err
	}
	r, err := c.one(a, c.Models[0], g, a.Threads)
	if err != nil {
		return err
	}
	return a.emit(r, r.print)
}

// one times one model on a number of threads.
func (c *benchCmd) one(a *app, name string, g *graph.Graph, threads int) (*benchResult, error) {
	shapes, err := inputShapes(g, c.Shape, c.Batch)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p, err := engine.Compile(g, engine.Options{Shapes: shapes, Threads: threads, NoTune: c.NoTune})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	inputs, err := randomInputs(shapes, g.Inputs, a.Seed)
	if err != nil {
		return nil, err
	}
	in := make([]*tensor.Tensor, len(g.Inputs))
	for i, name := range p.Inputs() {
		in[i] = inputs[name]
	}
	first, err := p.Latency(a, in, c.Warmup, 1)
	if err != nil {
		return nil, err
	}
	r := &benchResult{Model: name, Batch: c.Batch, Threads: threads, Arena: p.ArenaBytes(), RSS: peakRSS(), Peers: []benchPeer{}}
	r.Runs = c.Runs
	if r.Runs == 0 { // about two seconds' worth
		r.Runs = int(min(max(2*time.Second/max(first[0], time.Microsecond), 10), 2000))
	}
	var peer *child
	if c.Ort != "" {
		if peer, err = c.start(a, g, shapes, threads, aloneORT); err != nil {
			return nil, fmt.Errorf("%s: ONNX Runtime: %w", name, err)
		}
		defer peer.end()
		if _, err := peer.run(c.Warmup, 0); err != nil {
			return nil, err
		}
	}
	ours, theirs, err := c.race(a, p, in, peer, r.Runs, first[0])
	if err != nil {
		return nil, err
	}
	r.Min, r.Median, r.P95 = stats(ours)
	if peer != nil {
		q := benchPeer{Name: "onnxruntime", Version: peer.version}
		q.Min, q.Median, q.P95 = stats(theirs)
		q.Ratio = q.Median / r.Median
		r.Peers = append(r.Peers, q)
	}
	if c.PerNode {
		rows, err := p.Profile(a, in, min(r.Runs, 50))
		if err != nil {
			return nil, err
		}
		for _, s := range rows {
			n := nodeTime{s.Node, s.Op, s.Kernel, s.Shape, ms(s.Time), 0, 0}
			if s.Banded {
				n.Kernel += ", in bands"
			}
			if s.Alone {
				n.Kernel += ", one worker"
			}
			if s.Time > 0 {
				n.GOPS = 2 * float64(s.MACs) / float64(s.Time.Nanoseconds())
				n.GBs = float64(s.Bytes) / float64(s.Time.Nanoseconds())
			}
			r.Nodes = append(r.Nodes, n)
		}
	}
	return r, nil
}

// After its last run an engine's workers poll for a while for more to do, and a
// CPU that was idle is slow at first: what begins waits for the other to settle,
// then runs for as long without counting.
const settle = 20 * time.Millisecond

// race times our program and the peer alternately, in rounds of about a tenth
// of a second, so that both see the same machine.
func (c *benchCmd) race(a *app, p *engine.Program, in []*tensor.Tensor, peer *child, runs int, one time.Duration) (ours, theirs []time.Duration, err error) {
	step, end := a.progress("bench", runs)
	defer end()
	out := p.NewOutputs()
	round := int(max(100*time.Millisecond/max(one, 1), 1))
	for done := 0; done < runs; done += round {
		n, wait := min(round, runs-done), time.Duration(0)
		if peer != nil {
			wait = settle
			time.Sleep(settle)
		}
		if ours, err = timed(ours, n, wait, func() error { return p.RunInto(a, in, out) }); err != nil {
			return nil, nil, err
		}
		if peer != nil {
			time.Sleep(settle)
			times, err := peer.run(n, wait)
			if a.Err() != nil { // an interruption ends the peer, too, which is no failure of its
				return nil, nil, a.Err()
			}
			if err != nil {
				return nil, nil, fmt.Errorf("ONNX Runtime: %w", err)
			}
			theirs = append(theirs, times...)
		}
		if err := a.Err(); err != nil {
			return nil, nil, err
		}
		step(done)
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	return ours, theirs, nil
}

func stats(d []time.Duration) (lo, median, p95 float64) {
	if len(d) == 0 {
		return 0, 0, 0
	}
	return ms(d[0]), ms(d[len(d)/2]), ms(d[min(len(d)-1, len(d)*95/100)])
}

// inputShapes makes every input's shape concrete: from --shape, else as the
// model says with the open first dimension as the batch.
func inputShapes(g *graph.Graph, flags []string, batch int) (map[string][]int, error) {
	shapes := map[string][]int{}
	for _, f := range flags {
		name, dims, ok := strings.Cut(f, "=")
		if !ok {
			return nil, usagef("--shape %s: want NAME=1x3x224x224", f)
		}
		var s []int
		for _, d := range strings.FieldsFunc(dims, func(r rune) bool { return r == 'x' || r == ',' }) {
			var n int
			if _, err := fmt.Sscan(d, &n); err != nil || n < 0 {
				return nil, usagef("--shape %s: %q is no size", f, d)
			}
			s = append(s, n)
		}
		shapes[name] = s
	}
	for _, v := range g.Inputs {
		if _, ok := shapes[v.Name]; ok {
			continue
		}
		s := v.Shape.Ints()
		if v.Shape == nil {
			return nil, fmt.Errorf("input %q has no declared shape: give --shape %s=DIMS", v.Name, v.Name)
		}
		if len(s) > 0 && s[0] < 0 {
			s[0] = batch
		}
		if len(s) > 0 && s[0] != batch && batch != 1 {
			return nil, fmt.Errorf("input %q has the fixed batch %d: --batch %d is not possible", v.Name, s[0], batch)
		}
		if slices.ContainsFunc(s, func(d int) bool { return d < 0 }) {
			return nil, fmt.Errorf("input %q has the open shape %v: give --shape %s=DIMS", v.Name, v.Shape, v.Name)
		}
		shapes[v.Name] = s
	}
	return shapes, nil
}

func (r *benchResult) print(w io.Writer) error {
	fmt.Fprintf(w, "%s: batch %d, %d threads, %d runs\n", r.Model, r.Batch, r.Threads, r.Runs)
	rows := [][]string{{"engine ", "min ms", "median ms", "p95 ms", "ratio"}, {"drawknife", f3(r.Min), f3(r.Median), f3(r.P95), ""}}
	for _, p := range r.Peers {
		rows = append(rows, []string{p.Name + " " + p.Version, f3(p.Min), f3(p.Median), f3(p.P95), fmt.Sprintf("%.2fx", p.Ratio)})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	fmt.Fprintf(w, "peak memory %.0f MB (activations %s)\n", r.RSS, size(int64(r.Arena)))
	if r.Nodes == nil {
		return nil
	}
	total := 0.0
	for _, n := range r.Nodes {
		total += n.Ms
	}
	rows = [][]string{{"node ", "op ", "kernel ", "output ", "ms", "%", "GOP/s", "GB/s"}}
	for _, n := range r.Nodes {
		gops := ""
		if n.GOPS > 0 {
			gops = fmt.Sprintf("%.1f", n.GOPS)
		}
		rows = append(rows, []string{n.Node, n.Op, n.Kernel, strings.Trim(strings.ReplaceAll(fmt.Sprint(n.Shape), " ", "x"), "[]"),
			fmt.Sprintf("%.4f", n.Ms), fmt.Sprintf("%.1f", 100*n.Ms/max(total, 1e-9)), gops, fmt.Sprintf("%.1f", n.GBs)})
	}
	fmt.Fprintln(w)
	return table(w, rows)
}

func f3(v float64) string { return fmt.Sprintf("%.3f", v) }
