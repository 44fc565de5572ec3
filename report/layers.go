package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/compress"
)

// maxBars is the largest number of layers drawn as bars of their own; the
// table of layers always has all.
const maxBars = 40

// bars is a chart of one quantity of all layers, before and after.
type bars struct {
	Rows []bar
	Rest *bar // the layers that have no bars, together
	Sum  bar
}

// bar is one layer's pair of bars; widths are in percent of the longest.
type bar struct {
	Name, Op              string
	Before, After, Change string
	WidthBefore           float64
	WidthAfter            float64
	before, after         float64
}

// layerBars makes the bars of a quantity; nil if no layer has any of it. The
// layers stand in the order of the network.
func layerBars(layers []compress.Layer, value func(compress.Layer) (before, after float64), form func(float64) string, less, more string) *bars {
	b := &bars{Sum: bar{Name: "all layers"}}
	for _, l := range layers {
		before, after := value(l)
		if before <= 0 && after <= 0 {
			continue
		}
		b.Rows = append(b.Rows, bar{Name: l.Name, Op: l.Op, before: before, after: after})
		b.Sum.before += before
		b.Sum.after += after
	}
	if b.Rows == nil {
		return nil
	}
	b.split()
	longest := 0.0
	for _, x := range b.Rows {
		longest = max(longest, x.before, x.after)
	}
	finish := func(x *bar) {
		x.Before, x.After = dash(x.before, form), dash(x.after, form)
		x.Change = times(x.before, x.after, less, more)
		x.WidthBefore, x.WidthAfter = width(x.before, longest), width(x.after, longest)
	}
	for i := range b.Rows {
		finish(&b.Rows[i])
	}
	if b.Rest != nil {
		finish(b.Rest)
	}
	finish(&b.Sum)
	return b
}

// split leaves the layers that take most among the first maxBars and adds the
// others up.
func (b *bars) split() {
	if len(b.Rows) <= maxBars {
		return
	}
	order := slices.Clone(b.Rows)
	slices.SortStableFunc(order, func(x, y bar) int { return cmp.Compare(max(y.before, y.after), max(x.before, x.after)) })
	least := max(order[maxBars-1].before, order[maxBars-1].after)
	rest := bar{}
	var kept []bar
	n := 0
	for _, x := range b.Rows {
		if max(x.before, x.after) >= least && len(kept) < maxBars {
			kept = append(kept, x)
			continue
		}
		n++
		rest.before += x.before
		rest.after += x.after
	}
	rest.Name = plural(n, "smaller layer")
	b.Rows, b.Rest = kept, &rest
}

func dash(v float64, form func(float64) string) string {
	if v <= 0 {
		return none
	}
	return form(v)
}

func width(v, longest float64) float64 { return 100 * min(max(v, 0)/longest, 1) }

func latencyBars(r *compress.Result) *bars {
	return layerBars(r.Layers, func(l compress.Layer) (float64, float64) { return l.Ms, l.MsAfter }, number, "faster", "slower")
}

func sizeBars(r *compress.Result) *bars {
	return layerBars(r.Layers, func(l compress.Layer) (float64, float64) { return float64(l.Bytes), float64(l.BytesAft) },
		func(v float64) string { return size(int64(v)) }, "smaller", "larger")
}

// layer is a line of the table of what was done.
type layer struct {
	compress.Layer
	Shape, MAC, Size, Time change
	Precision              string
}

// change is a pair of cells' text; Same is set when both are equal.
type change struct {
	Before, After string
	Same          bool
	Sort          float64
}

func pairOf(before, after string, sort float64) change {
	return change{before, after, before == after, sort}
}

func layersOf(r *compress.Result) []layer {
	out := make([]layer, len(r.Layers))
	counted := func(v float64) string { return count(int64(v)) }
	bytes := func(v float64) string { return size(int64(v)) }
	for i, l := range r.Layers {
		out[i] = layer{Layer: l,
			Shape: pairOf(orNone(l.Before), orNone(l.After), float64(i)),
			MAC:   pairOf(dash(float64(l.MACs), counted), dash(float64(l.MACsAfter), counted), float64(l.MACs)),
			Size:  pairOf(dash(float64(l.Bytes), bytes), dash(float64(l.BytesAft), bytes), float64(l.Bytes)),
			Time:  pairOf(dash(l.Ms, number), dash(l.MsAfter, number), l.Ms),
		}
		switch {
		case l.Bits == 32:
			out[i].Precision = "float32"
		case l.Bits > 0:
			out[i].Precision = fmt.Sprintf("int%d", l.Bits)
		default:
			out[i].Precision = none
		}
	}
	return out
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}
