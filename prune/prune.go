// Package prune removes channels. A Score says how important each channel of
// a dependency group is, an Allocator how many channels each group keeps, and
// the remover takes them out of the graph for good: the result is a plain
// smaller network.
//
// Training that makes channels unimportant before they are removed is a
// train.Hook of the family "sparsify"; whole blocks are removed by package
// prune/layers, single weights by package prune/weights.
package prune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

// A Score rates the channels of a group; higher is more important. It is what
// the family "prune" of the method registry makes. An error of type Unrated
// leaves the group as it is, for the reason it gives.
type Score interface {
	Channels(gr *graph.Group) ([]float64, error)
}

// An Observer is a Score that looks at images first. Observe is called once,
// with the groups of g that Channels will then be asked for.
type Observer interface {
	Score
	Observe(ctx context.Context, g *graph.Graph, groups []*graph.Group, d *Data) error
}

// A Reconstructor is a Score that changes the layers that read a group so that
// they miss the channels less; it is called right before the channels gone are
// removed from the graph that gr belongs to.
type Reconstructor interface {
	Score
	Reconstruct(gr *graph.Group, gone []int) error
}

// Unrated says why a Score cannot tell anything about a group.
type Unrated string

func (u Unrated) Error() string { return string(u) }

// Candidate is something that may lose parts: a group its channels, a layer
// its weights.
type Candidate struct {
	Group *graph.Group // nil for a layer's weights
	// Name is the group's or the layer's.
	Name  string
	Score []float64 // of each part
	// Shape is that of the (first) weight that computes it, as ONNX has it.
	Shape []int
	// Cost is what one part costs, in the unit that the allocator asked for.
	Cost float64
}

// An Allocator decides how many parts each candidate keeps at a strength
// between 0 (keep all) and 1 (keep as few as allowed); more strength never
// keeps more. It is what the family "allocate" of the method registry makes.
type Allocator interface {
	Keep(cs []Candidate, strength float64) []int
}

// A Planner is an Allocator that looks at the model first: Plan is called
// once, before Keep.
type Planner interface {
	Allocator
	Plan(ctx context.Context, p *Problem) error
}

// Problem is what a Planner sees.
type Problem struct {
	Graph      *graph.Graph
	Candidates []Candidate
	Data       *Data // nil if there is none
	// Cut gives the model with the candidates cut to the given sizes.
	Cut func(keep []int) (*graph.Graph, error)
}

// Options of Channels. The zero value of a field means its default.
type Options struct {
	Score     string  // method of the family "prune"; default l1
	Allocator string  // method of the family "allocate"; default uniform
	Ratio     float64 // share of channels to remove, in [0, 1)
	// MACs, if above 0, is the share of multiply-accumulates to keep; the
	// strength is searched for that meets it.
	MACs float64
	// Share, if above 0, is the share to keep of what Budget names: macs,
	// params, energy or latency (see Budgets).
	Budget string
	Share  float64
	// Keep, if not nil, names the number of channels to keep of some groups
	// instead; all others keep theirs.
	Keep    map[string]int
	RoundTo int     // kept channels are rounded up to a multiple; default 8, 1 turns it off
	MinKeep float64 // least share of a group's channels to keep; default 0.1
	// Skip holds patterns (path.Match) of names of layers whose channels stay.
	Skip []string
	// InnerOnly spares channels that residual additions tie together.
	InnerOnly bool
	// Progress, if not nil, is told how much of the search for a budget is done.
	Progress func(what string, done, total int)
}

// Row tells what happened to one group.
type Row struct {
	Group  string `json:"group"`
	Before int    `json:"channels_before"`
	After  int    `json:"channels_after"`
	Reason string `json:"reason,omitempty"` // why nothing was removed
}

// Report tells what Channels did.
type Report struct {
	Groups     []Row `json:"groups"`
	MACs       int64 `json:"macs_before"`
	MACsAfter  int64 `json:"macs_after"`
	Params     int64 `json:"params_before"`
	ParamAfter int64 `json:"params_after"`
	// Left is the share of the budget that is left, where there was one.
	Left float64 `json:"budget_left,omitempty"`
	// Notes tell where the constant that a removed channel leaves behind could
	// not be kept exactly.
	Notes []string `json:"notes,omitempty"`
}

// ErrNothing is the cause when no group of the model can lose a channel.
var ErrNothing = errors.New("nothing in this model can be pruned")

func (o *Options) fill() error {
	if o.Score == "" {
		o.Score = "l1"
	}
	if o.Allocator == "" {
		o.Allocator = "uniform"
	}
	if o.MinKeep == 0 {
		o.MinKeep = 0.1
	}
	if o.MACs != 0 && o.Share == 0 {
		o.Budget, o.Share = "macs", o.MACs
	}
	switch {
	case !(o.Ratio >= 0 && o.Ratio < 1):
		return fmt.Errorf("prune: ratio %g: want at least 0 and less than 1", o.Ratio)
	case !(o.MACs >= 0 && o.MACs <= 1):
		return fmt.Errorf("prune: MACs %g: want a share to keep between 0 and 1", o.MACs)
	case !(o.Share >= 0 && o.Share <= 1):
		return fmt.Errorf("prune: share %g of the budget: want a share to keep between 0 and 1", o.Share)
	case o.Ratio > 0 && o.MACs > 0:
		return errors.New("prune: give a ratio of channels or a share of MACs, not both")
	case o.Ratio > 0 && o.Share > 0:
		return errors.New("prune: give a ratio of channels or a budget, not both")
	case o.RoundTo < 0:
		return fmt.Errorf("prune: round to %d channels: want at least 1", o.RoundTo)
	case !(o.MinKeep > 0 && o.MinKeep <= 1):
		return fmt.Errorf("prune: least share to keep %g: want more than 0, at most 1", o.MinKeep)
	}
	for _, p := range o.Skip {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("prune: pattern %q: %w", p, err)
		}
	}
	return nil
}

// Channels removes channels from a copy of g by a score that needs no images.
func Channels(g *graph.Graph, o Options) (*graph.Graph, *Report, error) {
	return Apply(context.Background(), g, o, nil)
}

// To prunes a copy of g so that each group named in keep has that many
// channels left, the ones of the highest score.
func To(g *graph.Graph, score string, keep map[string]int) (*graph.Graph, *Report, error) {
	if keep == nil {
		keep = map[string]int{}
	}
	return Channels(g, Options{Score: score, Keep: keep})
}

// Apply removes channels from a copy of g. Data may be nil if neither the
// score nor the allocator needs any.
func Apply(ctx context.Context, g *graph.Graph, o Options, d *Data) (*graph.Graph, *Report, error) {
	if err := o.fill(); err != nil {
		return nil, nil, err
	}
	alloc, err := method.New[Allocator](method.Allocate, o.Allocator)
	if err != nil {
		return nil, nil, err
	}
	j := &job{source: g, base: g.Clone(), options: o, data: d}
	if err := j.base.InferShapes(); err != nil {
		return nil, nil, err
	}
	if err := j.rate(ctx); err != nil {
		return nil, nil, err
	}
	if o.Keep != nil {
		keep, err := j.named(o.Keep)
		if err != nil {
			return nil, nil, err
		}
		return j.cut(keep)
	}
	if p, ok := alloc.(Planner); ok {
		plan := &Problem{Graph: j.base, Candidates: j.cs, Data: d, Cut: func(keep []int) (*graph.Graph, error) {
			g, _, err := j.cut(keep)
			return g, err
		}}
		if err := p.Plan(ctx, plan); err != nil {
			return nil, nil, fmt.Errorf("prune: allocation %s: %w", o.Allocator, err)
		}
	}
	keep := func(strength float64) []int {
		list := alloc.Keep(j.cs, strength)
		for i, k := range list {
			list[i] = o.round(k, len(j.cs[i].Score))
		}
		return list
	}
	if o.Share == 0 {
		return j.cut(keep(o.Ratio))
	}
	return j.meet(ctx, keep)
}

// named turns counts by name into counts of the candidates.
func (j *job) named(keep map[string]int) ([]int, error) {
	counts := make([]int, len(j.cs))
	found := 0
	for i, cd := range j.cs {
		counts[i] = len(cd.Score)
		if k, ok := keep[cd.Name]; ok {
			found++
			if k < 1 || k > len(cd.Score) {
				return nil, fmt.Errorf("prune: group %q has %d channels; cannot keep %d", cd.Name, len(cd.Score), k)
			}
			counts[i] = k
		}
	}
	if found < len(keep) {
		for _, name := range slices.Sorted(maps.Keys(keep)) {
			if !slices.ContainsFunc(j.cs, func(c Candidate) bool { return c.Name == name }) {
				return nil, fmt.Errorf("prune: the model has no group of channels %q that can be pruned", name)
			}
		}
	}
	return counts, nil
}

// Candidates lists the groups of g that can be pruned, scored, and why the
// others cannot. The groups belong to g as it is. The score must not need
// images.
func Candidates(g *graph.Graph, o Options) ([]Candidate, []Row, error) {
	if err := o.fill(); err != nil {
		return nil, nil, err
	}
	j := &job{source: g, base: g, options: o}
	err := j.rate(context.Background())
	return j.cs, j.rows, err
}

// job is one pruning of one model.
type job struct {
	source, base *graph.Graph // base is a copy that the candidates belong to
	options      Options
	data         *Data
	score        Score
	cs           []Candidate
	at           []int // index of each candidate's group
	rows         []Row // groups that stay
}

// rate finds the candidates and scores them.
func (j *job) rate(ctx context.Context) error {
	var err error
	if j.score, err = method.New[Score](method.Prune, j.options.Score); err != nil {
		return err
	}
	groups, err := j.base.Groups()
	if err != nil {
		return err
	}
	free, err := j.free(groups)
	if err != nil {
		return err
	}
	if len(free) == 0 {
		return j.nothing()
	}
	if ob, ok := j.score.(Observer); ok {
		var list []*graph.Group
		for _, i := range free {
			list = append(list, groups[i])
		}
		if err := ob.Observe(ctx, j.base, list, j.data); err != nil {
			return fmt.Errorf("prune: score %s: %w", j.options.Score, err)
		}
	}
	var unrated Unrated
	for _, i := range free {
		gr := groups[i]
		s, err := j.score.Channels(gr)
		if errors.As(err, &unrated) {
			j.rows = append(j.rows, Row{gr.Name, gr.Size, gr.Size, fmt.Sprintf("score %s does not apply: %s", j.options.Score, unrated)})
			continue
		}
		if err != nil {
			return fmt.Errorf("prune: group %q: %w", gr.Name, err)
		}
		for _, v := range s {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("prune: group %q: its weights hold NaN or infinity", gr.Name)
			}
		}
		c := Candidate{Group: gr, Name: gr.Name, Score: s, Cost: 1}
		if p := gr.Producers(); len(p) > 0 && p[0].Value.Data != nil {
			c.Shape = p[0].Value.Data.Shape
		}
		j.cs, j.at = append(j.cs, c), append(j.at, i)
	}
	if len(j.cs) == 0 {
		if unrated != "" {
			return fmt.Errorf("prune: %w by score %s: %s", ErrNothing, j.options.Score, unrated)
		}
		return j.nothing()
	}
	return nil
}

// nothing is the error of a model where no group is free, with the first
// reasons.
func (j *job) nothing() error {
	if len(j.rows) == 0 {
		return fmt.Errorf("prune: %w: no layer computes channels", ErrNothing)
	}
	const shown = 3
	var why []string
	for _, r := range j.rows[:min(shown, len(j.rows))] {
		why = append(why, fmt.Sprintf("channels of %q: %s", r.Group, r.Reason))
	}
	if more := len(j.rows) - shown; more > 0 {
		why = append(why, fmt.Sprintf("and %d groups more", more))
	}
	return fmt.Errorf("prune: %w: %s", ErrNothing, strings.Join(why, "; "))
}

// free lists the groups that may lose channels and notes why others may not.
func (j *job) free(groups []*graph.Group) ([]int, error) {
	used := make([]bool, len(j.options.Skip))
	var list []int
	for i, gr := range groups {
		reason := gr.Frozen
		for k, p := range j.options.Skip {
			for _, m := range gr.Producers() {
				if ok, _ := path.Match(p, m.Node.Name); ok {
					used[k] = true
					reason = "skipped by request"
				}
			}
		}
		switch {
		case reason != "":
		case j.options.InnerOnly && gr.Residual:
			reason = "tied by residual additions"
		case gr.Inexact != "":
			reason = gr.Inexact
		case gr.Size < 2:
			reason = "it has a single channel"
		}
		if reason != "" {
			j.rows = append(j.rows, Row{gr.Name, gr.Size, gr.Size, reason})
			continue
		}
		list = append(list, i)
	}
	for k, u := range used {
		if !u {
			return nil, fmt.Errorf("prune: no layer's name matches %q", j.options.Skip[k])
		}
	}
	return list, nil
}

// round gives the number of channels to keep: at least MinKeep of them,
// rounded up to a multiple of RoundTo.
func (o *Options) round(keep, size int) int {
	unit := o.RoundTo
	switch {
	case unit > 0:
	case size <= 32:
		unit = 4
	default:
		unit = 8
	}
	least := max(1, int(math.Ceil(o.MinKeep*float64(size)-1e-9)))
	keep = max(keep, least)
	keep = (keep + unit - 1) / unit * unit
	return min(keep, size)
}

// cut takes the channels of the lowest scores out of a copy of the model.
func (j *job) cut(keep []int) (*graph.Graph, *Report, error) {
	c := j.base.Clone()
	groups, err := c.Groups()
	if err != nil {
		return nil, nil, err
	}
	gone := map[*graph.Group][]int{}
	r := &Report{Groups: slices.Clone(j.rows)}
	for i, cd := range j.cs {
		gr := groups[j.at[i]]
		out := gr.Choose(ascending(cd.Score), gr.Size-keep[i])
		r.Groups = append(r.Groups, Row{gr.Name, gr.Size, gr.Size - len(out), unmoved(gr, gr.Size-keep[i], len(out))})
		if len(out) == 0 {
			continue
		}
		gone[gr] = out
		if rec, ok := j.score.(Reconstructor); ok {
			if err := rec.Reconstruct(gr, out); err != nil {
				return nil, nil, fmt.Errorf("prune: group %q: %w", gr.Name, err)
			}
		}
	}
	if len(gone) > 0 {
		note := func(s string) { r.Notes = append(r.Notes, s) }
		if err := c.RemoveChannels(gone, graph.RemoveOptions{FoldConstants: true, Note: note}); err != nil {
			return nil, nil, fmt.Errorf("prune: %w", err)
		}
		c.Record("prune", fmt.Sprintf("removed channels from %d groups by %s", len(gone), j.options.Score))
	}
	before, after := j.source.Cost(), c.Cost()
	r.MACs, r.MACsAfter, r.Params, r.ParamAfter = before.MACs, after.MACs, before.Params, after.Params
	return c, r, c.Verify()
}

// unmoved says why none of the channels that were to go went.
func unmoved(gr *graph.Group, wanted, gone int) string {
	if wanted <= 0 || gone > 0 {
		return ""
	}
	return fmt.Sprintf("grouped convolutions lose %d channels at a time, and no more than %d were to go", gr.Divisor(), wanted)
}

// ascending lists indices from the lowest score to the highest, ties by index.
func ascending(score []float64) []int {
	order := make([]int, len(score))
	for k := range order {
		order[k] = k
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[a], score[b]) })
	return order
}
