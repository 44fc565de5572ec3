package report

import (
	"fmt"
	"math"
	"sort"

	"github.com/drawknife/drawknife/compress"
)

// fewTrials is the least number of trials in a chart that leaves some out.
const fewTrials = 5

// trial is a line of the table of trials; N numbers it in the chart.
type trial struct {
	N int
	compress.Trial
	Role string
}

func trials(r *compress.Result) []trial {
	out := make([]trial, len(r.Trials))
	for i, t := range r.Trials {
		out[i] = trial{i + 1, t, ""}
		switch {
		case t.Chosen && t.Original:
			out[i].Role = "original, chosen"
		case t.Chosen:
			out[i].Role = "chosen"
		case t.Original:
			out[i].Role = "original"
		case t.Pareto:
			out[i].Role = "front"
		}
	}
	return out
}

// ShortKey is enough of the key to find the trial's files by.
func (t trial) ShortKey() string {
	if t.Key == t.Name {
		return ""
	}
	return t.Key[:min(len(t.Key), 8)]
}

// class is the trial's style in the chart.
func (t trial) class() string {
	switch {
	case t.Chosen:
		return "chosen"
	case t.Original:
		return "original"
	case t.Pareto:
		return "front"
	}
	return "other"
}

// paretoChart draws accuracy over latency. Trials whose accuracy collapsed
// would squeeze the others into a line: unless few are left, they are left to
// the table, and hidden counts them. The chart is nil when there are not two trials to show.
func paretoChart(r *compress.Result) (c *chart, hidden int) {
	var shown []trial
	for _, t := range trials(r) {
		if t.Ms > 0 && !math.IsInf(t.Ms, 0) && !math.IsNaN(t.Top1) && !math.IsInf(t.Top1, 0) {
			shown = append(shown, t)
		}
	}
	shown, hidden = worthShowing(shown)
	if len(shown) < 2 {
		return nil, 0
	}
	// The important marks are drawn last, on top.
	rank := map[string]int{"front": 1, "original": 2, "chosen": 3}
	sort.SliceStable(shown, func(i, j int) bool { return rank[shown[i].class()] < rank[shown[j].class()] })

	c = &chart{W: 360, H: 240, Left: 42, Right: 352, Top: 8, Bottom: 204,
		Title: "Accuracy over latency of all trials", XLabel: "latency of one image, ms", YLabel: "top-1 accuracy, %"}
	c.X, c.Y = around(shown)
	var front [][2]float64
	for _, t := range shown {
		if t.Pareto {
			front = append(front, [2]float64{t.Ms, t.Top1})
		}
	}
	sort.Slice(front, func(i, j int) bool { return front[i][0] < front[j][0] })
	if len(front) > 1 {
		c.Front = c.points(front...)
	}
	if l := r.Budget.LatencyMs; c.X.contains(l) {
		c.Limits = append(c.Limits, c.points([2]float64{l, c.Y.Min}, [2]float64{l, c.Y.Max}))
	}
	if l := floor(r.Trials, r.Budget); c.Y.contains(l) {
		c.Limits = append(c.Limits, c.points([2]float64{c.X.Min, l}, [2]float64{c.X.Max, l}))
	}
	c.Desc = fmt.Sprintf("%d trials, %d of them on the Pareto front. The table below holds the numbers.", len(shown), len(front))
	for _, t := range shown {
		c.Marks = append(c.Marks, c.trialMark(t))
	}
	return c, hidden
}

// worthShowing drops trials far below the least accurate one that matters.
func worthShowing(all []trial) (shown []trial, hidden int) {
	best, need := math.Inf(-1), math.Inf(1)
	for _, t := range all {
		best = max(best, t.Top1)
		if t.Chosen || t.Original {
			need = min(need, t.Top1)
		}
	}
	bottom := min(best, need) - 8
	for _, t := range all {
		if t.Top1 >= bottom {
			shown = append(shown, t)
		} else {
			hidden++
		}
	}
	if len(shown) < fewTrials {
		return all, 0
	}
	return shown, hidden
}

// around is the axes inside which all marks lie well.
func around(shown []trial) (x, y axis) {
	lo, hi := shown[0], shown[0]
	for _, t := range shown {
		lo.Ms, hi.Ms = min(lo.Ms, t.Ms), max(hi.Ms, t.Ms)
		lo.Top1, hi.Top1 = min(lo.Top1, t.Top1), max(hi.Top1, t.Top1)
	}
	dx, dy := max((hi.Ms-lo.Ms)*0.08, hi.Ms*1e-3), max((hi.Top1-lo.Top1)*0.12, 0.02)
	x, y = axis{lo.Ms - dx, hi.Ms + dx}, axis{lo.Top1 - dy, hi.Top1 + dy}
	if lo.Ms < hi.Ms/2 {
		x.Min = 0
	}
	return x, y
}

// floor is the least accuracy that the budget allows on the images of the
// search, or 0 if no original was measured.
func floor(ts []compress.Trial, b compress.Budget) float64 {
	for _, t := range ts {
		if t.Original {
			return t.Top1 - b.MaxDrop
		}
	}
	return 0
}

// trialMark places the label of a mark at its upper left, where the front,
// which rises to the right, leaves room.
func (c *chart) trialMark(t trial) mark {
	x, y := c.at(t.Ms, t.Top1)
	m := mark{X: x, Y: y, R: 3, Class: t.class(), Anchor: "end", LX: x - 4, LY: y - 4,
		Title: fmt.Sprintf("%d: %s, %s, %s, %s of weights", t.N, t.Name, percent(t.Top1), ms(t.Ms), size(t.Bytes))}
	switch m.Class {
	case "original", "chosen":
		m.R, m.Label, m.LX = 5, m.Class, x-7
		if x < c.W*0.3 {
			m.Anchor, m.LX, m.LY = "start", x+8, y+10
		}
	case "front":
		m.Label = fmt.Sprint(t.N)
	}
	return m
}
