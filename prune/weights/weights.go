// Package weights removes single weights: it makes them zero for good. The
// network keeps its shapes; sparse kernels and compressed files use the zeros.
//
// A method of the family "weights" is a Score, which rates weights, perhaps
// after looking at images (Observer), perhaps with a change of the weights that
// stay (Updater); or a Learner, which decides during training. Allocation and
// schedule are those of package prune, the pattern that zeros must have is a
// Pattern, and masks are kept during training by a train.Hook.
package weights

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/train"
)

// A Score rates the weights of a layer; higher is more important.
type Score interface {
	Rate(l *Layer) ([]float64, error)
}

// An Observer is a Score that looks at images first, at the beginning of every
// round.
type Observer interface {
	Score
	Observe(ctx context.Context, g *graph.Graph, layers []*Layer, d *prune.Data) error
}

// An Updater is a Score that changes the weights which stay, so that those
// which go are missed less. It gets the masks chosen by the scores, may change
// which weights of a layer go (not how many), and writes to the layers'
// weights; those that go are made zero afterwards.
type Updater interface {
	Score
	Update(ctx context.Context, p *Pass) error
}

// Pass is one round of pruning.
type Pass struct {
	Graph   *graph.Graph
	Layers  []*Layer
	Mask    Masks
	Pattern Pattern
	Data    *prune.Data
}

// Each calls do for the layers, one after the other, until there is an error or
// ctx is done, and reports progress by the number of weights.
func (p *Pass) Each(ctx context.Context, layers []*Layer, do func(l *Layer) error) error {
	done, total := 0, 0
	for _, l := range layers {
		total += len(l.W)
	}
	for _, l := range layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(l); err != nil {
			return err
		}
		done += len(l.W)
		p.Data.Step("make up for what goes", done, total)
	}
	return nil
}

// A Learner decides during training which weights go. The Course is that
// training; Finish is called with what came out of it.
type Learner interface {
	Learn(c *Course) (train.Keeper, error)
	// Finish makes what was learned final and returns the masks of g.
	Finish(g *graph.Graph, c *Course) (Masks, error)
}

// Fit trains a copy of g with hooks, in round k of n (from 0), and returns it.
type Fit func(ctx context.Context, g *graph.Graph, k, n int, hooks []train.Hook) (*graph.Graph, error)

// Options of Prune. The zero value of a field means its default.
type Options struct {
	Method    string  // of the family "weights"; default magnitude
	Allocator string  // of the family "allocate"; default global
	Schedule  string  // of the family "schedule"; default one-shot
	Pattern   string  // see ParsePattern; default unstructured
	Sparsity  float64 // share of the weights to remove, in [0, 1); patterns N:M have their own
	// Skip holds patterns (path.Match) of names of layers that stay as they are.
	Skip []string
	// Permute first gives channels the order in which the pattern, which must be
	// N:M, keeps the most magnitude.
	Permute bool
	// DeadUnits really removes the channels that no weight computes or reads any
	// more.
	DeadUnits bool
	// Seed draws what controls draw.
	Seed uint64
	// Checkpoint, if set, is the beginning of the names of files that keep the
	// result of each round; with them an interrupted call goes on where it was.
	Checkpoint string
}

// Row tells what happened to one layer.
type Row struct {
	Layer    string  `json:"layer"`
	Weights  int     `json:"weights"`
	NonZero  int     `json:"non_zero"`
	Sparsity float64 `json:"sparsity"`
	Reason   string  `json:"reason,omitempty"` // why the layer was left alone
}

// Report tells what Prune did.
type Report struct {
	Layers   []Row   `json:"layers"`
	Weights  int     `json:"weights"` // of all layers listed, those left alone too
	NonZero  int     `json:"non_zero"`
	Sparsity float64 `json:"sparsity"`
	Pattern  string  `json:"pattern"`
	Rounds   int     `json:"rounds"`
	// DeadUnits is the number of channels that were removed for good.
	DeadUnits int      `json:"dead_units,omitempty"`
	Notes     []string `json:"notes,omitempty"`
}

func (o *Options) fill() error {
	for p, def := range map[*string]string{&o.Method: "magnitude", &o.Allocator: "global", &o.Schedule: "one-shot", &o.Pattern: "unstructured"} {
		if *p == "" {
			*p = def
		}
	}
	if !(o.Sparsity >= 0 && o.Sparsity < 1) {
		return fmt.Errorf("weights: sparsity %g: want at least 0 and less than 1", o.Sparsity)
	}
	return nil
}

// ErrTraining is the cause when a method or schedule needs training and there
// is none.
var ErrTraining = errors.New("it needs training; give data and epochs")

// Prune returns a copy of g in which weights are zero. d may be nil if neither
// method nor allocator needs images, fit if there is to be no training.
func Prune(ctx context.Context, g *graph.Graph, o Options, d *prune.Data, fit Fit) (*graph.Graph, *Report, error) {
	if err := o.fill(); err != nil {
		return nil, nil, err
	}
	r := &run{options: o, data: d, fit: fit}
	out, err := r.prune(ctx, g)
	if err != nil {
		return nil, nil, fmt.Errorf("weights: %w", err)
	}
	report, err := r.report(out)
	if err != nil {
		return nil, nil, fmt.Errorf("weights: %w", err)
	}
	if o.DeadUnits {
		n, err := removeDead(out, report)
		if err != nil {
			return nil, nil, fmt.Errorf("weights: dead units: %w", err)
		}
		report.DeadUnits = n
	}
	out.Record("prune weights", fmt.Sprintf("%s, %s, %s: %.1f %% of the weights are zero", o.Method, o.Allocator, o.Pattern, 100*report.Sparsity))
	return out, report, out.Verify()
}

// run is one call of Prune.
type run struct {
	options  Options
	data     *prune.Data
	fit      Fit
	schedule prune.Schedule
	alloc    prune.Allocator
	pattern  Pattern
	rows     []Row // of layers left alone
	notes    []string
	// stored counts the numbers that are not zero where they are not the weights
	// themselves.
	stored map[string]int
}

func (r *run) prune(ctx context.Context, g *graph.Graph) (*graph.Graph, error) {
	var err error
	o := r.options
	if r.pattern, err = ParsePattern(o.Pattern); err != nil {
		return nil, err
	}
	if r.schedule, err = method.New[prune.Schedule](method.Schedule, o.Schedule); err != nil {
		return nil, err
	}
	if r.alloc, err = method.New[prune.Allocator](method.Allocate, o.Allocator); err != nil {
		return nil, err
	}
	m, err := method.New[any](method.Weights, o.Method)
	if err != nil {
		return nil, err
	}
	if o.Permute {
		var note string
		if g, note, err = r.permuted(g); err != nil {
			return nil, err
		}
		r.notes = append(r.notes, note)
	}
	rounds := r.schedule.Rounds()
	switch m := m.(type) {
	case Learner:
		return r.learn(ctx, g, m)
	case Score:
		if rounds == 0 {
			if _, ok := m.(Observer); ok {
				return nil, fmt.Errorf("method %s rates weights on images and cannot follow schedule %s; take one-shot or iterative", o.Method, o.Schedule)
			}
			return r.learn(ctx, g, &gradual{score: m})
		}
		return r.rounds(ctx, g, m, rounds)
	}
	return nil, fmt.Errorf("method %s: %T is neither a score nor a learner", o.Method, m)
}

// learn trains with a learner.
func (r *run) learn(ctx context.Context, g *graph.Graph, m Learner) (*graph.Graph, error) {
	if r.fit == nil {
		return nil, fmt.Errorf("%s with schedule %s: %w", r.options.Method, r.options.Schedule, ErrTraining)
	}
	c := g.Clone()
	layers, rows, err := Layers(c, r.options.Skip, r.pattern)
	if err != nil {
		return nil, err
	}
	r.rows = rows
	course, err := r.course(ctx, c, layers)
	if err != nil {
		return nil, err
	}
	hook, err := m.Learn(course)
	if err != nil {
		return nil, err
	}
	out, err := r.fit(ctx, c, 0, 1, []train.Hook{hook})
	if err != nil {
		return nil, err
	}
	_, err = m.Finish(out, course)
	r.notes = append(r.notes, course.notes...)
	if st, ok := m.(interface{ Stored() map[string]int }); ok {
		r.stored = st.Stored()
	}
	return out, err
}

// rounds prunes and trains in turn.
func (r *run) rounds(ctx context.Context, g *graph.Graph, s Score, n int) (*graph.Graph, error) {
	if n > 1 && r.fit == nil {
		return nil, fmt.Errorf("schedule %s: %w", r.options.Schedule, ErrTraining)
	}
	c, masks := g.Clone(), Masks{}
	var back *graph.Graph
	rw, rewinds := r.schedule.(prune.Rewinder)
	if rewinds {
		var err error
		if c, back, err = r.ticket(ctx, c, rw.Rewind(), n); err != nil {
			return nil, err
		}
	}
	for k := range n {
		if next, m := r.kept(k); next != nil {
			c, masks = next, m
			continue
		}
		next, m, err := r.round(ctx, c, s, k, n, masks)
		if err != nil {
			return nil, err
		}
		if rewinds {
			if err := r.rewind(next, back, m, rw.Rewind(), k); err != nil {
				return nil, err
			}
		}
		if r.fit != nil {
			fitted, err := r.fit(ctx, next, k, n, []train.Hook{&Keeper{Masks: m}})
			if err != nil {
				return nil, err
			}
			if err := m.Apply(fitted); err != nil { // averaged weights need it
				return nil, err
			}
			next = fitted
		}
		if err := r.keep(k, next); err != nil {
			return nil, err
		}
		if again, kept := r.kept(k); again != nil { // what follows must not depend on an interruption
			next, m = again, kept
		}
		c, masks = next, m
	}
	if r.rows == nil { // every round came from a file
		if _, rows, err := Layers(c, r.options.Skip, r.pattern); err == nil {
			r.rows = rows
		}
	}
	return c, nil
}

// round rates the weights of a copy of g, chooses and zeroes.
func (r *run) round(ctx context.Context, g *graph.Graph, s Score, k, n int, last Masks) (*graph.Graph, Masks, error) {
	c := g.Clone()
	layers, rows, err := Layers(c, r.options.Skip, r.pattern)
	if err != nil {
		return nil, nil, err
	}
	r.rows = rows
	course, err := r.course(ctx, c, layers)
	if err != nil {
		return nil, nil, err
	}
	if ob, ok := s.(Observer); ok {
		if err := ob.Observe(ctx, c, layers, r.data); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", r.options.Method, err)
		}
	}
	rated := map[*Layer][]float64{}
	for i, l := range layers {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		r.data.Step("rate layers", i, len(layers))
		if rated[l], err = s.Rate(l); err != nil {
			return nil, nil, fmt.Errorf("%s: layer %q: %w", r.options.Method, l.Name, err)
		}
		for _, v := range rated[l] {
			if math.IsNaN(v) {
				return nil, nil, fmt.Errorf("%s: layer %q: its weights or gradients hold NaN", r.options.Method, l.Name)
			}
		}
	}
	r.data.Step("rate layers", len(layers), len(layers))
	target := r.schedule.At(float64(k+1)/float64(n), r.options.Sparsity)
	masks, err := course.Choose(target, func(l *Layer) []float64 { return rated[l] }, last)
	if err != nil {
		return nil, nil, err
	}
	if up, ok := s.(Updater); ok {
		if err := up.Update(ctx, &Pass{c, layers, masks, r.pattern, r.data}); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", r.options.Method, err)
		}
	}
	return c, masks, masks.Apply(c)
}

// course prepares the allocation for layers.
func (r *run) course(ctx context.Context, g *graph.Graph, layers []*Layer) (*Course, error) {
	c := &Course{Layers: layers, Sparsity: r.options.Sparsity, Schedule: r.schedule, Pattern: r.pattern, Seed: r.options.Seed, alloc: r.alloc}
	p, ok := r.alloc.(prune.Planner)
	if !ok {
		return c, nil
	}
	cs := c.candidates(func(l *Layer) []float64 { return magnitudes(l.W) }, nil)
	problem := &prune.Problem{Graph: g, Candidates: cs, Data: r.data, Cut: func(keep []int) (*graph.Graph, error) {
		trial := g.Clone()
		return trial, c.masks(cs, keep).Apply(trial)
	}}
	if err := p.Plan(ctx, problem); err != nil {
		return nil, fmt.Errorf("allocation %s: %w", r.options.Allocator, err)
	}
	return c, nil
}

// report counts what is zero in g.
func (r *run) report(g *graph.Graph) (*Report, error) {
	rep := &Report{Pattern: r.pattern.String(), Rounds: r.schedule.Rounds(), Notes: r.notes}
	layers, _, err := Layers(g, nil, Pattern{})
	if err != nil {
		return nil, err
	}
	reasons := map[string]string{}
	for _, row := range r.rows {
		reasons[row.Layer] = row.Reason
	}
	all := slices.Clone(layers)
	for _, row := range r.rows {
		if !slices.ContainsFunc(all, func(l *Layer) bool { return l.Name == row.Layer }) {
			rep.Layers = append(rep.Layers, row)
			rep.Weights, rep.NonZero = rep.Weights+row.Weights, rep.NonZero+row.NonZero
		}
	}
	for _, l := range all {
		row := Row{Layer: l.Name, Weights: len(l.W), Reason: reasons[l.Name]}
		row.NonZero = len(l.W) - countZeros(l.W)
		if n, ok := r.stored[l.Value.Name]; ok {
			row.NonZero = n
		}
		row.Sparsity = 1 - float64(row.NonZero)/float64(max(row.Weights, 1))
		rep.Layers = append(rep.Layers, row)
		rep.Weights, rep.NonZero = rep.Weights+row.Weights, rep.NonZero+row.NonZero
	}
	rep.Sparsity = 1 - float64(rep.NonZero)/float64(max(rep.Weights, 1))
	if note := collapsed(all, rep.Layers[len(rep.Layers)-len(all):]); note != "" {
		rep.Notes = append(rep.Notes, note)
	}
	return rep, nil
}

// collapsed names the layers of which so little is left that most of their
// channels are empty.
func collapsed(layers []*Layer, rows []Row) string {
	var names []string
	for i, l := range layers {
		if rows[i].NonZero < l.Rows/2 {
			names = append(names, fmt.Sprintf("%s (%d of %d)", l.Name, rows[i].NonZero, rows[i].Weights))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("hardly any weights are left of %s: most of their channels compute nothing. --allocation uniform, erk or lamp spares single layers", strings.Join(names, ", "))
}

func countZeros(x []float32) int {
	n := 0
	for _, v := range x {
		if v == 0 {
			n++
		}
	}
	return n
}

// keep stores a round's result; kept reads it. Masks are where the weights are
// not zero.
func (r *run) keep(k int, g *graph.Graph) error {
	if r.options.Checkpoint == "" {
		return nil
	}
	return onnx.Write(r.file(k), g)
}

func (r *run) kept(k int) (*graph.Graph, Masks) {
	if r.options.Checkpoint == "" {
		return nil, nil
	}
	if _, err := os.Stat(r.file(k)); err != nil {
		return nil, nil
	}
	g, err := onnx.Read(r.file(k))
	if err != nil || g.InferShapes() != nil {
		return nil, nil
	}
	layers, _, err := Layers(g, r.options.Skip, r.pattern)
	if err != nil {
		return nil, nil
	}
	m := Masks{}
	for _, l := range layers {
		m[l.Value.Name] = nonZero(l.W)
	}
	return g, m
}

func (r *run) file(k int) string { return fmt.Sprintf("%s-round%d.onnx", r.options.Checkpoint, k+1) }

// Forget removes the files of a call's rounds once its result is safe.
func Forget(o Options) {
	if o.Checkpoint == "" {
		return
	}
	r := &run{options: o}
	for k := -1; os.Remove(r.file(k)) == nil || k < 0; k++ {
	}
	os.Remove(o.Checkpoint + "-start.onnx")
}
