package report

import (
	"math"
	"strconv"
	"strings"
)

// chart is a plot of points in a box of W by H units, which the page draws.
type chart struct {
	W, H                     float64
	Left, Right, Top, Bottom float64 // of the data, inside the box
	Title, Desc              string
	XLabel, YLabel           string
	X, Y                     axis
	Front                    string   // points of a line; empty without
	Limits                   []string // the same, dashed
	Marks                    []mark
}

// axis is the range of values along one side of a chart.
type axis struct{ Min, Max float64 }

// mark is a point of a chart, in its units.
type mark struct {
	X, Y   float64
	R      float64
	Class  string
	Title  string // tooltip
	Label  string // text beside it
	Anchor string
	LX, LY float64
}

// tick is a round number of an axis and where it stands in the chart.
type tick struct {
	At    float64
	Label string
}

// at is where a value stands in the chart.
func (c *chart) at(x, y float64) (float64, float64) {
	return c.Left + (c.Right-c.Left)*c.X.share(x), c.Bottom - (c.Bottom-c.Top)*c.Y.share(y)
}

// points writes values as the points of a polyline.
func (c *chart) points(values ...[2]float64) string {
	var b strings.Builder
	for _, v := range values {
		x, y := c.at(v[0], v[1])
		b.WriteString(strconv.FormatFloat(x, 'f', 2, 64) + "," + strconv.FormatFloat(y, 'f', 2, 64) + " ")
	}
	return strings.TrimSpace(b.String())
}

// XTicks and YTicks are the round numbers of the axes.
func (c *chart) XTicks() []tick {
	return c.X.ticks(func(v float64) float64 { x, _ := c.at(v, c.Y.Min); return x })
}

func (c *chart) YTicks() []tick {
	return c.Y.ticks(func(v float64) float64 { _, y := c.at(c.X.Min, v); return y })
}

// MidX and MidY are the middles of the sides, where the labels stand.
func (c *chart) MidX() float64 { return (c.Left + c.Right) / 2 }
func (c *chart) MidY() float64 { return (c.Top + c.Bottom) / 2 }

func (a axis) share(v float64) float64 { return (v - a.Min) / (a.Max - a.Min) }

// contains reports whether v lies inside, not at an end.
func (a axis) contains(v float64) bool { return v > a.Min && v < a.Max }

// maxTicks is the most that a span between two powers of ten has.
const maxTicks = 11

// ticks marks four to eleven round numbers of the axis.
func (a axis) ticks(at func(float64) float64) []tick {
	span := a.Max - a.Min
	if !(span > 0) || math.IsInf(span, 0) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(span)))
	switch n := span / step; {
	case n < 2:
		step /= 5
	case n < 4:
		step /= 2
	}
	digits := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	var out []tick
	first := math.Ceil(a.Min / step)
	for i := range maxTicks {
		if v := (first + float64(i)) * step; v <= a.Max {
			out = append(out, tick{at(v), strconv.FormatFloat(v, 'f', digits, 64)})
		}
	}
	return out
}
