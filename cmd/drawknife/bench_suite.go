package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/quantize"
)

// judged are the networks of bench --suite, the big ones first: those that
// people compress, those made for phones, and the tiny ones of
// microcontrollers, where the overhead of a node shows.
var judged = []string{
	"alexnet", "vgg16", "resnet18", "resnet50", "squeezenet1.1", "mobilenetv1", "mobilenetv2", "mobilenetv3-large",
	"shufflenetv2", "mnasnet1.0", "efficientnet-b0", "densenet121",
	"resnet20", "resnet56", "resnet8-mlperf", "dscnn", "vww", "lenet5",
}

// suiteRow is a line of the table.
type suiteRow struct {
	*benchResult
	Type string  `json:"type"` // float32, int8, or file
	GOPS float64 `json:"gops"` // operations (two a MAC) a second at the fastest run
	// Share is that of the peak: what float32 kernels reach on data in the
	// first-level cache, times the threads, and for 8 bits as much more as the
	// instructions do at once. Winograd's algorithm exceeds it.
	Share float64 `json:"share_of_peak,omitempty"`
}

// peaks are the rates of one core, operations a second.
type peaks struct{ float32, int8 float64 }

// findPeaks measures float32, and derives what the widest instructions on bytes
// reach from it, AMX at float32's clock.
func findPeaks() peaks {
	p := peaks{float32: tile.Peak()}
	switch cpu.Best() {
	case cpu.AMX: // tiles of 16×16 sums of 64 products, in 16 cycles
		p.int8 = 32 * p.float32
	case cpu.AVXVNNI, cpu.VNNI, cpu.VBMI, cpu.DotProd:
		p.int8 = 4 * p.float32
	default: // two instructions for four products in each lane
		p.int8 = 2 * p.float32
	}
	return p
}

// of is the peak that models of a kind are held to, infinite for files, which may
// be of both.
func (p peaks) of(kind string) float64 {
	switch kind {
	case "float32":
		return p.float32
	case "int8":
		return p.int8
	}
	return math.Inf(1)
}

type suiteResult struct {
	Rows []suiteRow `json:"rows"`
}

// contender is a model of the table.
type contender struct {
	name, kind string
	load       func() (*graph.Graph, error)
}

// suite times several models, each on one thread and on all.
func (c *benchCmd) suite(a *app) error {
	list, err := c.contenders(a)
	if err != nil {
		return err
	}
	threads := []int{1, a.Threads}
	if a.Threads == 1 {
		threads = threads[:1]
	}
	r, peak := &suiteResult{}, findPeaks()
	step, end := a.progress("bench", len(list)*len(threads))
	defer end()
	quiet := *a
	quiet.Quiet = true
	for i, m := range list {
		g, err := m.load()
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		macs := g.Cost().MACs
		for j, t := range threads {
			one, err := c.one(&quiet, m.name, g, t)
			if err != nil {
				return err
			}
			rate := 2 * float64(macs) * float64(c.Batch) / (one.Min * 1e-3)
			r.Rows = append(r.Rows, suiteRow{one, m.kind, rate / 1e9, rate / (peak.of(m.kind) * float64(max(t, 1)))})
			step(i*len(threads) + j + 1)
		}
	}
	return a.emit(r, r.print)
}

func (c *benchCmd) contenders(a *app) ([]contender, error) {
	var list []contender
	for _, m := range c.Models {
		name := strings.TrimSuffix(filepath.Base(m), ".onnx")
		list = append(list, contender{name, "file", func() (*graph.Graph, error) { return a.load(m) }})
	}
	if !c.Suite {
		return list, nil
	}
	found := false
	for _, name := range judged {
		matches := func(p string) bool { ok, _ := path.Match(p, name); return ok }
		if len(c.Only) > 0 && !slices.ContainsFunc(c.Only, matches) {
			continue
		}
		found = true
		float := func() (*graph.Graph, error) { return a.load("zoo:" + name) }
		list = append(list, contender{name, "float32", float}, contender{name, "int8", func() (*graph.Graph, error) {
			g, err := float()
			if err != nil {
				return nil, err
			}
			return quantizeRandomly(a, g, false)
		}})
	}
	if !found {
		return nil, usagef("--only %s: no network of the suite matches; there are %s", strings.Join(c.Only, ","), strings.Join(judged, ", "))
	}
	return list, nil
}

// quantizeRandomly quantizes g on noise: good enough to time it. Weights have zero
// points of their own if asymmetric.
func quantizeRandomly(a *app, g *graph.Graph, asymmetric bool) (*graph.Graph, error) {
	o := quantize.Defaults()
	o.Calibrator, o.Threads, o.BiasCorrection, o.Asymmetric = "minmax", a.Threads, false, asymmetric
	batches, err := noise(g, a.Seed)
	if err != nil {
		return nil, err
	}
	q, _, err := quantize.Static(a, g, batches, o)
	return q, err
}

// noise is one batch of random pictures for g's input.
func noise(g *graph.Graph, seed uint64) (iter.Seq2[*data.Batch, error], error) {
	if len(g.Inputs) != 1 || len(g.Inputs[0].Shape) != 4 {
		return nil, errors.New("wants a model with one input of pictures")
	}
	s := g.Inputs[0].Shape.Ints()
	b := &data.Batch{N: 1, C: s[1], H: s[2], W: s[3], X: make([]float32, s[1]*s[2]*s[3]), Y: []int32{-1}, Index: []int{0}, Lambda: 1}
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range b.X {
		b.X[i] = float32(rng.NormFloat64())
	}
	return func(yield func(*data.Batch, error) bool) { yield(b, nil) }, nil
}

// print writes a table in Markdown, which reads well on a terminal, too.
func (r *suiteResult) print(w io.Writer) error {
	rows := [][]string{{"model", "type", "threads", "min / median ms", "GOP/s", "of peak", "peer's min / median ms", "ratio of medians", "of minima"}}
	for _, b := range r.Rows {
		row := []string{b.Model, b.Type, fmt.Sprint(b.Threads), fmt.Sprintf("%.3f / %.3f", b.Min, b.Median), fmt.Sprintf("%.0f", b.GOPS), "", "", "", ""}
		if b.Share > 0 {
			row[5] = fmt.Sprintf("%.0f %%", 100*b.Share)
		}
		for _, p := range b.Peers {
			row = append(row[:6], fmt.Sprintf("%.3f / %.3f", p.Min, p.Median), fmt.Sprintf("%.2f", p.Ratio), fmt.Sprintf("%.2f", p.Min/b.Min))
		}
		rows = append(rows, row)
	}
	return markdown(w, rows)
}

// markdown writes a table, its first row the heading.
func markdown(w io.Writer, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for i, row := range rows {
		for j, cell := range row {
			fmt.Fprintf(w, "| %-*s ", widths[j], cell)
		}
		fmt.Fprintln(w, "|")
		if i > 0 {
			continue
		}
		for _, n := range widths {
			fmt.Fprintf(w, "|%s", strings.Repeat("-", n+2))
		}
		fmt.Fprintln(w, "|")
	}
	return nil
}
