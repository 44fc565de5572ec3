package compress

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/quantize"
)

// levels lists the numbers of channels to try for a group, descending, all of
// them multiples of 8 where the group is large enough.
func levels(size int) []int {
	unit := 8
	if size < 16 {
		unit = 4
	}
	if size <= 8 {
		unit = 2
	}
	var out []int
	for _, f := range []float64{0.875, 0.75, 0.625, 0.5, 0.375, 0.25} {
		k := max(unit, (int(f*float64(size))+unit-1)/unit*unit)
		if k < size && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// scan measures how accuracy falls when one group alone loses channels,
// within a sixth of the time allowed.
func (s *search) scan(ctx context.Context) error {
	j := s.job
	file := s.note("sensitivity-" + s.recipe.key(0))
	if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &s.curves) == nil && len(s.curves) == len(s.groups) {
		return nil
	}
	s.curves = nil
	ds := s.selection.part(scanImages)
	// Points that the time allows: the first measured tells how long one takes.
	deadline := time.Now().Add(j.Time / 6)
	fractions := 3
	j.say("measuring how sensitive %d groups of channels are", len(s.groups))
	base, err := s.score(ctx, j.Graph, ds)
	if err != nil {
		return err
	}
	fullMACs := s.before.MACs
	for i, c := range s.groups {
		all := levels(c.Group.Size)
		curve := Curve{Group: c.Group.Name, Channels: c.Group.Size, Points: []Point{{Keep: c.Group.Size, Top1: base.Top1, MACs: fullMACs}}}
		pick := all
		if len(all) > fractions {
			pick = []int{all[0], all[len(all)/2], all[len(all)-1]}
		}
		if time.Now().After(deadline) && len(pick) > 0 {
			pick = pick[len(pick)/2 : len(pick)/2+1]
		}
		for _, keep := range pick {
			g, _, err := prune.To(j.Graph, "l1", map[string]int{c.Group.Name: keep})
			if err != nil {
				return err
			}
			sc, err := s.score(ctx, g, ds)
			if err != nil {
				return err
			}
			curve.Points = append(curve.Points, Point{Keep: keep, Top1: sc.Top1, MACs: g.Cost().MACs})
		}
		s.curves = append(s.curves, curve)
		j.progress("sensitivity", i+1, len(s.groups))
	}
	if err := s.timeCurves(ctx); err != nil {
		return err
	}
	for _, r := range s.frozen {
		if strings.Contains(r.Reason, "is an output of the graph") {
			continue // as in every model
		}
		s.warnings = append(s.warnings, fmt.Sprintf("channels of %s cannot be pruned: %s", r.Group, r.Reason))
	}
	b, err := json.Marshal(s.curves)
	if err != nil {
		return err
	}
	return writeFile(file, b)
}

// timeCurves measures how long the network takes, in 8 bits if these are allowed, at the points of the
// curves, within a twentieth of the time allowed. Operations alone mislead:
// kernels work on whole vectors of channels.
func (s *search) timeCurves(ctx context.Context) error {
	deadline := time.Now().Add(s.job.Time / 20)
	form := s.integer
	if !s.tries("quantize/int8") {
		form = func(_ context.Context, g *graph.Graph) (*graph.Graph, error) { return g, nil }
	}
	full, err := form(ctx, s.job.Graph)
	if err != nil {
		return nil // what the network cannot do in integers, operations must tell
	}
	for i := range s.curves {
		c := &s.curves[i]
		models := []*graph.Graph{full}
		for _, p := range c.Points[1:] {
			g, _, err := prune.To(s.job.Graph, "l1", map[string]int{c.Group: p.Keep})
			if err != nil {
				return err
			}
			if g, err = form(ctx, g); err != nil {
				return err
			}
			models = append(models, g)
		}
		if time.Now().After(deadline) {
			return nil
		}
		ms, err := measure.Fastest(ctx, s.job.Threads, models...)
		if err != nil {
			return err
		}
		for k := range c.Points {
			c.Points[k].Ms = float64(ms[k].Nanoseconds()) / 1e6
		}
		s.job.progress("latency", i+1, len(s.curves))
	}
	return nil
}

// integer quantizes g in a moment, for its speed alone.
func (s *search) integer(ctx context.Context, g *graph.Graph) (*graph.Graph, error) {
	const enough = 2
	l, err := s.work().loader(enough, g)
	if err != nil {
		return nil, err
	}
	q, _, err := quantize.Static(ctx, g, l.Batches(ctx, 0), quantize.Options{Calibrator: "minmax", Target: "ort",
		PerChannel: true, ReduceRange: s.reduce, Threads: s.job.Threads})
	return q, err
}

// between reads a quantity off the lines between a curve's points, which lie
// at falling numbers of channels; beyond the last point the line goes on level.
func (c *Curve) between(k int, of func(Point) float64) float64 {
	p := c.Points
	for i := 1; i < len(p); i++ {
		if k >= p[i].Keep {
			t := float64(p[i-1].Keep-k) / float64(p[i-1].Keep-p[i].Keep)
			return of(p[i-1]) + t*(of(p[i])-of(p[i-1]))
		}
	}
	return of(p[len(p)-1])
}

// drop estimates the points of top-1 that keeping k channels of a group costs;
// never negative.
func (c *Curve) drop(k int) float64 {
	p := c.Points
	beyond := 1e-3 * float64(max(0, p[len(p)-1].Keep-k))
	return max(0, p[0].Top1-c.between(k, func(p Point) float64 { return p.Top1 })) + beyond
}

// gain estimates what going from one number of channels to a smaller one
// saves, as a share of the whole model: of its 8-bit latency where that was
// measured, else of its operations. What saves operations but no time counts
// for a little: it makes the file smaller, and frees the layers beside it.
func (c *Curve) gain(from, to int) float64 {
	share := func(of func(Point) float64) float64 {
		full := of(c.Points[0])
		if full <= 0 {
			return 0
		}
		return (c.between(from, of) - c.between(to, of)) / full
	}
	macs := share(func(p Point) float64 { return float64(p.MACs) })
	if c.Points[0].Ms == 0 {
		return macs
	}
	return max(0.8*share(func(p Point) float64 { return p.Ms })+0.2*macs, 0.05*macs)
}

// shares returns, for a share of the original's MACs to keep, the channels of
// each group of the walk's base: starting from all of them, always the cut that
// costs least accuracy for what it saves. A smaller share only ever cuts
// further.
func (s *search) shares(target float64) (map[string]int, error) {
	type state struct {
		size   int // of the group in the base, 0 if it is not there
		levels []int
		at     int // -1: all channels
	}
	there, _, err := prune.Candidates(s.base, prune.Options{})
	if err != nil {
		return nil, err
	}
	sizes := map[string]int{}
	for _, c := range there {
		sizes[c.Group.Name] = c.Group.Size
	}
	st := make([]state, len(s.groups))
	for i, c := range s.groups {
		st[i] = state{size: sizes[c.Group.Name], at: -1}
		for _, k := range levels(c.Group.Size) {
			if k < st[i].size {
				st[i].levels = append(st[i].levels, k)
			}
		}
	}
	size := func(i, at int) int {
		if at < 0 {
			return st[i].size
		}
		return st[i].levels[at]
	}
	keep := map[string]int{}
	macs := s.base.Cost().MACs
	for float64(macs) > target*float64(s.before.MACs) {
		best, gain := -1, 0.0
		for i := range st {
			if st[i].at+1 >= len(st[i].levels) {
				continue
			}
			now, next := size(i, st[i].at), size(i, st[i].at+1)
			cost := s.curves[i].drop(next) - s.curves[i].drop(now)
			if g := s.curves[i].gain(now, next) / (max(cost, 0) + 0.05); best < 0 || g > gain {
				best, gain = i, g
			}
		}
		if best < 0 {
			break
		}
		st[best].at++
		keep[s.groups[best].Group.Name] = size(best, st[best].at)
		g, _, err := prune.To(s.base, "l1", keep)
		if err != nil {
			return nil, err
		}
		macs = g.Cost().MACs
	}
	return maps.Clone(keep), nil
}
