package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/prune/layers"
	"github.com/drawknife/drawknife/prune/weights"
	"github.com/drawknife/drawknife/train"
)

type pruneCmd struct {
	Model      string  `arg:"" help:"Model file or zoo:NAME."`
	Output     string  `short:"o" help:"File to write; by default MODEL_pruned.onnx." placeholder:"FILE"`
	Method     string  `help:"What is rated and how; see drawknife methods prune, weights or layers. By default l1 for channels, magnitude for weights, norm for blocks." placeholder:"NAME"`
	Allocation string  `help:"How the removal is shared out; see drawknife methods allocate. By default uniform for channels, global for weights." placeholder:"NAME"`
	Ratio      float64 `help:"Share of the channels to remove, from 0 up to 1." placeholder:"R"`
	Macs       float64 `help:"Share of the multiply-accumulates to keep, instead of --ratio." placeholder:"R"`
	Budget     string  `help:"Share of something else to keep, instead: params=R, energy=R or latency=R." placeholder:"KIND=R"`
	Sparsity   float64 `help:"Make this share of the single weights zero, instead of removing channels." placeholder:"S"`
	Pattern    string  `help:"Shape of these zeros: unstructured, N:M such as 2:4 (which needs no --sparsity), or blocks such as block4 or block1x8." placeholder:"P"`
	Permute    bool    `help:"With a pattern N:M, first put the channels into the order in which it keeps the most."`
	Blocks     int     `help:"Remove this many whole residual blocks, instead of channels." placeholder:"N"`
	Schedule   string  `help:"How much goes when: one-shot, iterative:rounds=N, gradual, lottery; see drawknife methods schedule." default:"one-shot"`
	Sparsify   string  `help:"Train first so that channels become removable; see drawknife methods sparsify." placeholder:"NAME"`
	DeadUnits  bool    `help:"After pruning weights, really remove channels that nothing computes or reads."`
	Dense      bool    `name:"compare-dense" help:"Beside the sparse network make a dense one of as many parameters, by removing channels uniformly, train it alike, and compare."`

	RoundTo   int      `help:"Round the channels kept up to a multiple of this; 0 is 4 for up to 32 channels, else 8." default:"0"`
	MinKeep   float64  `help:"Least share of a layer's channels to keep." default:"0.1"`
	Skip      []string `help:"Names (patterns) of layers, or blocks, that stay." placeholder:"NAME"`
	InnerOnly bool     `help:"Spare channels that residual additions tie together."`

	Data    string  `help:"Data set: measures, rates, re-estimates batch normalization, and trains." placeholder:"SPEC"`
	Labels  string  `help:"Table of file names and classes." placeholder:"FILE" type:"path"`
	Limit   int     `help:"Measure on only this many images." placeholder:"N"`
	Images  int     `help:"Images that methods look at to rate. 0 is 512, and up to 4096 for gradients of a loss." default:"0" placeholder:"N"`
	Epochs  int     `help:"Epochs of fine-tuning, shared out to the rounds of a schedule (lottery: of every training)." default:"0"`
	Before  int     `name:"sparsify-epochs" help:"Epochs of --sparsify, and of methods for blocks that train first; by default those of --epochs." default:"0" placeholder:"N"`
	Steps   int     `help:"End every training after this many steps; 0 does not." default:"0"`
	Retrain string  `help:"Train what is left on (finetune), or from new weights for as many epochs (scratch-e) or as many multiply-accumulates (scratch-b)." default:"finetune" enum:"finetune,scratch-e,scratch-b"`
	Batch   int     `help:"Images a step of training." default:"128"`
	Lr      float64 `name:"lr" help:"Learning rate of training." default:"0.02"`
	Moment  float64 `name:"momentum" help:"Momentum of training." default:"0.9"`
	Decay   float64 `name:"weight-decay" help:"Weight decay of training." default:"1e-4"`
	Distill bool    `help:"Fine-tune with the original as teacher." default:"true" negatable:""`
	NoNorm  bool    `name:"no-norm" help:"Do not measure batch normalization's statistics again."`
	Resume  bool    `help:"Go on from the checkpoints beside the output, if there are any."`
	preFlags

	budget string // kind and share of --macs or --budget
	share  float64
}

// pruned is what one way of pruning gives.
type pruned struct {
	graph  *graph.Graph
	report any
	rows   [][]string
	budget string // how much of it is left
	notes  []string
	beside *sparseOrDense // nil without --compare-dense
}

func (c *pruneCmd) Run(a *app) error {
	start := time.Now()
	if err := c.check(); err != nil {
		return err
	}
	g, err := a.loadSound(c.Model)
	if err != nil {
		return err
	}
	out := c.Output
	if out == "" {
		out = besides(c.Model, "_pruned")
	}
	if err := atomicfile.Check(out); err != nil {
		return err
	}
	t, err := c.trainer(a, g, out)
	if err != nil {
		return err
	}
	r := beforeAfter{Model: c.Model, Outputs: []string{out}}
	if err := r.count(a, &r.Before, g, t.test, t.pre); err != nil {
		return err
	}
	var p pruned
	switch {
	case c.Blocks > 0:
		p, err = c.pruneLayers(a, g, t)
	case c.ofWeights():
		p, err = c.pruneWeights(a, g, t)
	default:
		p, err = c.pruneChannels(a, g, t)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	if c.Data != "" {
		p.graph.Metadata[data.MetadataKey] = t.pre.String()
	}
	if c.Dense {
		if p.beside, err = c.compareDense(a, g, t, p, out); err != nil {
			return fmt.Errorf("%s: %w", c.Model, err)
		}
		p.report = p.beside
		r.Outputs = append(r.Outputs, p.beside.Dense.File)
	}
	if err := onnx.Write(out, p.graph); err != nil {
		return err
	}
	t.forget()
	r.Report = p.report
	if err := r.count(a, &r.After, p.graph, t.test, t.pre); err != nil {
		return err
	}
	err = r.time(a, g, p.graph)
	if err == nil && p.beside != nil {
		err = p.beside.measure(a, &r, g, t)
	}
	if err != nil {
		if c.Data != "" || a.Err() != nil {
			return err
		}
		a.note("note: no latencies, since this model cannot be run: %v", err)
	}
	r.Seconds = time.Since(start).Seconds()
	return a.emit(r, func(w io.Writer) error { return c.print(w, p, r, out) })
}

func (c *pruneCmd) print(w io.Writer, p pruned, r beforeAfter, out string) error {
	if err := table(w, p.rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if p.beside != nil {
		if err := p.beside.print(w, &r); err != nil {
			return err
		}
	}
	if err := r.print(w); err != nil {
		return err
	}
	if p.budget != "" {
		fmt.Fprintln(w, p.budget)
	}
	const shown = 2
	for _, n := range p.notes[:min(shown, len(p.notes))] {
		fmt.Fprintln(w, "note:", n)
	}
	if more := len(p.notes) - shown; more > 0 {
		fmt.Fprintf(w, "note: and %d more such places; --data measures batch normalization again, --epochs fine-tunes\n", more)
	}
	_, err := fmt.Fprintf(w, "wrote %s\n", out)
	return err
}

// ofWeights reports that single weights are to be pruned.
func (c *pruneCmd) ofWeights() bool { return c.Sparsity > 0 || c.Pattern != "" }

func (c *pruneCmd) check() error {
	wanted := 0
	for _, given := range []bool{c.Ratio != 0, c.Macs != 0, c.Budget != "", c.ofWeights() || c.Sparsity != 0, c.Blocks != 0} {
		if given {
			wanted++
		}
	}
	switch {
	case wanted == 0:
		return usagef("prune needs --ratio or --macs (or --budget) for channels, --sparsity or --pattern for weights, or --blocks")
	case wanted > 1:
		return usagef("give one of --ratio, --macs, --budget, --sparsity (or --pattern), --blocks")
	case !(c.Ratio >= 0 && c.Ratio < 1):
		return usagef("--ratio %g: want at least 0 and less than 1", c.Ratio)
	case !(c.Macs >= 0 && c.Macs <= 1):
		return usagef("--macs %g: want a share to keep between 0 and 1", c.Macs)
	case !(c.Sparsity >= 0 && c.Sparsity < 1):
		return usagef("--sparsity %g: want at least 0 and less than 1", c.Sparsity)
	case c.Blocks < 0:
		return usagef("--blocks %d: want at least 1", c.Blocks)
	case c.Epochs < 0 || c.Before < 0 || c.Steps < 0 || c.Images < 0 || c.Batch < 1 || !(c.Lr > 0) || !(c.Moment >= 0 && c.Moment < 1) || !(c.Decay >= 0):
		return usagef("--epochs, --steps, --weight-decay and --images cannot be negative, --batch and --lr must be positive, --momentum less than 1")
	case (c.Epochs > 0 || c.Sparsify != "") && c.Data == "":
		return usagef("--epochs and --sparsify need --data to train on")
	case c.Sparsify != "" && (c.ofWeights() || c.Blocks > 0):
		return usagef("--sparsify is for channels: give --ratio, --macs or --budget")
	case c.Sparsify != "" && max(c.Before, c.Epochs) == 0:
		return usagef("--sparsify needs --sparsify-epochs or --epochs")
	case c.Dense && !c.ofWeights():
		return usagef("--compare-dense is for single weights: give --sparsity or --pattern")
	case prune.Retrain(c.Retrain) != prune.Finetune && (c.Epochs == 0 || c.ofWeights() && !c.Dense):
		return usagef("--retrain %s trains channels or blocks (or the network of --compare-dense) from new weights: give --epochs", c.Retrain)
	}
	if p, err := weights.ParsePattern(c.Pattern); c.Pattern != "" && err != nil {
		return usagef("--pattern: %w", err)
	} else if c.Pattern != "" && p.M == 0 && c.Sparsity == 0 {
		return usagef("--pattern %s needs --sparsity", c.Pattern)
	} else if c.Permute && p.M == 0 {
		return usagef("--permute is for patterns N:M: give --pattern 2:4 or another")
	}
	c.budget, c.share = "macs", c.Macs
	if c.Budget != "" {
		kind, share, _ := strings.Cut(c.Budget, "=")
		v, err := strconv.ParseFloat(share, 64)
		if !slices.Contains(prune.Budgets(), kind) || err != nil || !(v > 0 && v <= 1) {
			return usagef("--budget %s: want KIND=SHARE, where KIND is one of %s and SHARE the part to keep, up to 1", c.Budget, strings.Join(prune.Budgets(), ", "))
		}
		c.budget, c.share = kind, v
	}
	return c.checkMethod()
}

// checkMethod finds a method given for another kind of pruning.
func (c *pruneCmd) checkMethod() error {
	family, other := method.Prune, map[method.Family]string{method.Weights: "--sparsity", method.Layers: "--blocks"}
	switch {
	case c.Blocks > 0:
		family, other = method.Layers, map[method.Family]string{method.Prune: "--ratio or --macs", method.Weights: "--sparsity"}
	case c.ofWeights():
		family, other = method.Weights, map[method.Family]string{method.Prune: "--ratio or --macs", method.Layers: "--blocks"}
	}
	name, _, _ := strings.Cut(c.Method, ":")
	if name == "" || slices.Contains(method.Names(family), name) {
		return nil
	}
	for f, flag := range other {
		if slices.Contains(method.Names(f), name) {
			return usagef("--method %s belongs to the methods of %s: give %s", name, f, flag)
		}
	}
	return usagef("--method: no method is called %q (there are: %s)", name, strings.Join(method.Names(family), ", "))
}

func (c *pruneCmd) options() prune.Options {
	o := prune.Options{Score: c.Method, Allocator: c.Allocation, Ratio: c.Ratio, RoundTo: c.RoundTo, MinKeep: c.MinKeep, Skip: c.Skip, InnerOnly: c.InnerOnly}
	if c.share > 0 {
		o.Budget, o.Share = c.budget, c.share
	}
	return o
}

// pruneChannels trains to make channels removable if asked to, and removes them
// in the rounds of the schedule.
func (c *pruneCmd) pruneChannels(a *app, g *graph.Graph, t *trainer) (pruned, error) {
	s, err := method.New[prune.Schedule](method.Schedule, c.Schedule)
	if err != nil {
		return pruned{}, err
	}
	if _, lottery := s.(prune.Rewinder); lottery || s.Rounds() == 0 {
		return pruned{}, usagef("--schedule %s is for single weights; channels go one-shot or iterative (or softly: --sparsify sfp)", c.Schedule)
	}
	o := c.options()
	o.Progress = t.steps
	base := g
	if c.Sparsify != "" {
		if base, o.Score, err = t.sparsify(a, g, o); err != nil {
			return pruned{}, err
		}
	}
	if c.Method != "" {
		o.Score = c.Method
	}
	d, err := t.look(base, "prune", o.Score, "allocate", o.Allocator)
	if err != nil {
		return pruned{}, err
	}
	p, r, err := prune.Rounds(a, base, o, d, s, func(p *graph.Graph, k, n int) (*graph.Graph, error) { return t.heal(a, g, p, k, n) })
	if err != nil {
		return pruned{}, err
	}
	rows := [][]string{{"channels of ", "before", "after", " "}}
	for _, row := range r.Groups {
		rows = append(rows, []string{row.Group, fmt.Sprint(row.Before), fmt.Sprint(row.After), row.Reason})
	}
	budget := ""
	if c.budget != "" {
		budget = fmt.Sprintf("%s: %.1f %% left, at most %.1f %% wanted", c.budget, 100*r.Left, 100*c.share)
	}
	return pruned{graph: p, report: r, rows: rows, budget: budget, notes: r.Notes}, nil
}

func (c *pruneCmd) pruneWeights(a *app, g *graph.Graph, t *trainer) (pruned, error) {
	o := weights.Options{Method: c.Method, Allocator: c.Allocation, Schedule: c.Schedule, Pattern: c.Pattern, Sparsity: c.Sparsity, Skip: c.Skip,
		DeadUnits: c.DeadUnits, Permute: c.Permute, Seed: a.Seed, Checkpoint: t.file("")}
	t.rounds = o
	if !c.Resume {
		weights.Forget(o)
	}
	d, err := t.look(g, "weights", c.Method, "allocate", c.Allocation)
	if err != nil {
		return pruned{}, err
	}
	p, r, err := weights.Prune(a, g, o, d, t.fit(a, g))
	if err != nil {
		return pruned{}, err
	}
	if c.Epochs == 0 {
		if err := t.norm(a, p, g); err != nil {
			return pruned{}, err
		}
	}
	rows := [][]string{{"weights of ", "all", "left", "zero", " "}}
	for _, row := range r.Layers {
		rows = append(rows, []string{row.Layer, fmt.Sprint(row.Weights), fmt.Sprint(row.NonZero), fmt.Sprintf("%.1f %%", 100*row.Sparsity), row.Reason})
	}
	rows = append(rows, []string{"all", fmt.Sprint(r.Weights), fmt.Sprint(r.NonZero), fmt.Sprintf("%.1f %%", 100*r.Sparsity), ""})
	if r.DeadUnits > 0 {
		r.Notes = append([]string{fmt.Sprintf("%d dead channels were removed", r.DeadUnits)}, r.Notes...)
	}
	return pruned{graph: p, report: r, rows: rows, notes: r.Notes}, nil
}

func (c *pruneCmd) pruneLayers(a *app, g *graph.Graph, t *trainer) (pruned, error) {
	d, err := t.look(g, "layers", c.Method)
	if err != nil {
		return pruned{}, err
	}
	o := layers.Options{Method: c.Method, Blocks: c.Blocks, Skip: c.Skip}
	if t.train != nil && max(c.Before, c.Epochs) > 0 {
		o.Fit = func(_ context.Context, g *graph.Graph, h train.Hook) (*graph.Graph, error) { return t.before(a, g, h) }
	}
	p, r, err := layers.Prune(a, g, o, d)
	if err != nil {
		return pruned{}, err
	}
	if p, err = t.heal(a, g, p, 0, 1); err != nil {
		return pruned{}, err
	}
	rows := [][]string{{"block ", "layers", "score", " "}}
	for _, row := range r.Blocks {
		what := row.Reason
		if row.Removed {
			what = "removed"
		}
		rows = append(rows, []string{row.Block, fmt.Sprint(row.Layers), fmt.Sprintf("%.4g", row.Score), what})
	}
	return pruned{graph: p, report: r, rows: rows}, nil
}

// exists reports a file.
func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
