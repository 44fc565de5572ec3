// Package prune removes channels. A Score says how important each channel of
// a dependency group is, an Allocator how many channels each group keeps, and
// the remover takes them out of the graph for good: the result is a plain
// smaller network.
package prune

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
)

// A Score rates the channels of a group; higher is more important. It is what
// the family "prune" of the method registry makes.
type Score interface {
	Channels(gr *graph.Group) ([]float64, error)
}

// Candidate is a group that may lose channels, with its scores.
type Candidate struct {
	Group *graph.Group
	Score []float64
}

// An Allocator decides how many channels each candidate keeps at a strength
// between 0 (keep all) and 1 (keep as few as allowed); more strength never
// keeps more. It is what the family "allocate" of the method registry makes.
type Allocator interface {
	Keep(cs []Candidate, strength float64) []int
}

// Options of Channels. The zero value of a field means its default.
type Options struct {
	Score     string  // method of the family "prune"; default l1
	Allocator string  // method of the family "allocate"; default uniform
	Ratio     float64 // share of channels to remove, in [0, 1)
	// MACs, if above 0, is the share of multiply-accumulates to keep; the
	// strength is searched for that meets it.
	MACs    float64
	RoundTo int     // kept channels are rounded up to a multiple; default 8, 1 turns it off
	MinKeep float64 // least share of a group's channels to keep; default 0.1
	// Skip holds patterns (path.Match) of names of layers whose channels stay.
	Skip []string
	// InnerOnly spares channels that residual additions tie together.
	InnerOnly bool
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
	switch {
	case !(o.Ratio >= 0 && o.Ratio < 1):
		return fmt.Errorf("prune: ratio %g: want at least 0 and less than 1", o.Ratio)
	case !(o.MACs >= 0 && o.MACs <= 1):
		return fmt.Errorf("prune: MACs %g: want a share to keep between 0 and 1", o.MACs)
	case o.Ratio > 0 && o.MACs > 0:
		return errors.New("prune: give a ratio of channels or a share of MACs, not both")
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

// Channels removes channels from a copy of g.
func Channels(g *graph.Graph, o Options) (*graph.Graph, *Report, error) {
	if err := o.fill(); err != nil {
		return nil, nil, err
	}
	alloc, err := method.New[Allocator](method.Allocate, o.Allocator)
	if err != nil {
		return nil, nil, err
	}
	cut := func(strength float64) (*graph.Graph, *Report, error) {
		c := g.Clone()
		if err := c.InferShapes(); err != nil {
			return nil, nil, err
		}
		cs, rows, err := candidates(c, o)
		if err != nil {
			return nil, nil, err
		}
		keep := alloc.Keep(cs, strength)
		for i, k := range keep {
			keep[i] = o.round(k, cs[i].Group.Size)
		}
		return remove(g, c, cs, keep, rows)
	}
	if o.MACs == 0 {
		return cut(o.Ratio)
	}
	before := g.Cost().MACs
	var best *graph.Graph
	var report *Report
	lo, hi := 0.0, 1.0
	for range 12 { // MACs fall with strength; find the least that is enough
		mid := (lo + hi) / 2
		p, r, err := cut(mid)
		if err != nil {
			return nil, nil, err
		}
		if float64(r.MACsAfter) <= o.MACs*float64(before) {
			best, report, hi = p, r, mid
		} else {
			lo = mid
		}
	}
	if best == nil {
		p, r, err := cut(1)
		if err != nil {
			return nil, nil, err
		}
		if float64(r.MACsAfter) > o.MACs*float64(before) {
			return nil, nil, fmt.Errorf("prune: %.0f %% of the MACs is out of reach: with the least channels allowed %.1f %% are left (see the least share to keep and the layers skipped)",
				100*o.MACs, 100*float64(r.MACsAfter)/float64(before))
		}
		best, report = p, r
	}
	return best, report, nil
}

// To prunes a copy of g so that each group named in keep has that many
// channels left, the ones of the highest score.
func To(g *graph.Graph, score string, keep map[string]int) (*graph.Graph, *Report, error) {
	c := g.Clone()
	if err := c.InferShapes(); err != nil {
		return nil, nil, err
	}
	o := Options{Score: score}
	if err := o.fill(); err != nil {
		return nil, nil, err
	}
	cs, rows, err := candidates(c, o)
	if err != nil {
		return nil, nil, err
	}
	counts := make([]int, len(cs))
	found := 0
	for i, cd := range cs {
		counts[i] = cd.Group.Size
		if k, ok := keep[cd.Group.Name]; ok {
			found++
			if k < 1 || k > cd.Group.Size {
				return nil, nil, fmt.Errorf("prune: group %q has %d channels; cannot keep %d", cd.Group.Name, cd.Group.Size, k)
			}
			counts[i] = k
		}
	}
	if found < len(keep) {
		for name := range keep {
			if !slices.ContainsFunc(cs, func(c Candidate) bool { return c.Group.Name == name }) {
				return nil, nil, fmt.Errorf("prune: the model has no group of channels %q that can be pruned", name)
			}
		}
	}
	return remove(g, c, cs, counts, rows)
}

// Candidates lists the groups of g that can be pruned, scored, and why the
// others cannot. The groups belong to g as it is.
func Candidates(g *graph.Graph, o Options) ([]Candidate, []Row, error) {
	if err := o.fill(); err != nil {
		return nil, nil, err
	}
	return candidates(g, o)
}

func candidates(g *graph.Graph, o Options) ([]Candidate, []Row, error) {
	score, err := method.New[Score](method.Prune, o.Score)
	if err != nil {
		return nil, nil, err
	}
	groups, err := g.Groups()
	if err != nil {
		return nil, nil, err
	}
	used := make([]bool, len(o.Skip))
	var cs []Candidate
	var rows []Row
	for _, gr := range groups {
		reason := gr.Frozen
		for i, p := range o.Skip {
			for _, m := range gr.Producers() {
				if ok, _ := path.Match(p, m.Node.Name); ok {
					used[i] = true
					reason = "skipped by request"
				}
			}
		}
		switch {
		case reason != "":
		case o.InnerOnly && gr.Residual:
			reason = "tied by residual additions"
		case gr.Inexact != "":
			reason = gr.Inexact
		case gr.Size < 2:
			reason = "it has a single channel"
		}
		if reason != "" {
			rows = append(rows, Row{gr.Name, gr.Size, gr.Size, reason})
			continue
		}
		s, err := score.Channels(gr)
		if err != nil {
			return nil, nil, fmt.Errorf("prune: group %q: %w", gr.Name, err)
		}
		for _, v := range s {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, nil, fmt.Errorf("prune: group %q: its weights hold NaN or infinity", gr.Name)
			}
		}
		cs = append(cs, Candidate{gr, s})
	}
	for i, u := range used {
		if !u {
			return nil, nil, fmt.Errorf("prune: no layer's name matches %q", o.Skip[i])
		}
	}
	if len(cs) == 0 {
		return nil, nil, fmt.Errorf("prune: %w", ErrNothing)
	}
	return cs, rows, nil
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

// remove takes the channels of the lowest scores out of c, a copy of g.
func remove(g, c *graph.Graph, cs []Candidate, keep []int, rows []Row) (*graph.Graph, *Report, error) {
	gone := map[*graph.Group][]int{}
	r := &Report{Groups: rows}
	before := g.Cost()
	for i, cd := range cs {
		order := make([]int, cd.Group.Size)
		for k := range order {
			order[k] = k
		}
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case cd.Score[a] < cd.Score[b]:
				return -1
			case cd.Score[a] > cd.Score[b]:
				return 1
			}
			return a - b
		})
		out := cd.Group.Choose(order, cd.Group.Size-keep[i])
		row := Row{cd.Group.Name, cd.Group.Size, cd.Group.Size - len(out), ""}
		if len(out) > 0 {
			gone[cd.Group] = out
		}
		r.Groups = append(r.Groups, row)
	}
	if len(gone) > 0 {
		note := func(s string) { r.Notes = append(r.Notes, s) }
		if err := c.RemoveChannels(gone, graph.RemoveOptions{FoldConstants: true, Note: note}); err != nil {
			return nil, nil, fmt.Errorf("prune: %w", err)
		}
		c.Record("prune", fmt.Sprintf("removed channels from %d groups", len(gone)))
	}
	after := c.Cost()
	r.MACs, r.MACsAfter, r.Params, r.ParamAfter = before.MACs, after.MACs, before.Params, after.Params
	return c, r, c.Verify()
}
