package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"regexp"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The colours of a chart are names of CSS variables, so that one drawing
// serves light and dark screens and paper. gonum/plot draws with these stand-ins.
var (
	inkColor   = color.NRGBA{1, 2, 3, 255}
	gridColor  = color.NRGBA{4, 5, 6, 255}
	lineColor  = color.NRGBA{7, 8, 9, 255}
	limitColor = color.NRGBA{10, 11, 12, 255}

	cssColors = strings.NewReplacer("#010203", "var(--ink)", "#040506", "var(--rule)",
		"#070809", "var(--after)", "#0A0B0C", "var(--bad)", "#0a0b0c", "var(--bad)")
	styleAttribute = regexp.MustCompile(`style="[^"]*"`)
	fontProperties = regexp.MustCompile(`font-(family|variant|weight|style):[^;"]*;?`)
)

// chart is a drawing of gonum/plot with marks on top that carry tooltips.
type chart struct {
	W, H        float64
	Title, Desc string
	Body        template.HTML // axes and lines; holds no text of the model's
	Marks       []mark
}

// mark is a point of a chart, in the coordinates of the drawing.
type mark struct {
	X, Y   float64
	R      float64
	Class  string
	Title  string // tooltip
	Label  string // text beside it
	Anchor string
	LX, LY float64
}

// newPlot is an empty plot in the page's style.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	style := func(size vg.Length) font.Font {
		return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
	}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color, a.Tick.Color = inkColor, gridColor
		a.LineStyle.Color, a.LineStyle.Width = gridColor, 0.8
		a.Tick.LineStyle.Color, a.Tick.LineStyle.Width = gridColor, 0.8
		a.Padding = 0
		for _, t := range []*text.Style{&a.Label.TextStyle, &a.Tick.Label} {
			t.Color, t.Font = inkColor, style(10)
		}
	}
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(ticks), plot.TickerFunc(ticks)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridColor, gridColor
	grid.Vertical.Width, grid.Horizontal.Width = 0.4, 0.4
	p.Add(grid)
	return p
}

// ticks marks four to eight round numbers between lo and hi.
func ticks(lo, hi float64) []plot.Tick {
	span := hi - lo
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
	var out []plot.Tick
	for i := math.Ceil(lo / step); i*step <= hi; i++ {
		out = append(out, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step, 'f', digits, 64)})
	}
	return out
}

// line adds a line through the points.
func line(p *plot.Plot, points plotter.XYs, c color.Color, dashes ...vg.Length) error {
	l, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	l.Color, l.Width, l.Dashes = c, 1.5, dashes
	p.Add(l)
	return nil
}

// render draws p and returns a function from data to drawing coordinates.
func (c *chart) render(p *plot.Plot) (at func(x, y float64) (float64, float64), err error) {
	canvas := vgsvg.New(vg.Length(c.W), vg.Length(c.H))
	whole := draw.Crop(draw.New(canvas), 0, -8, 0, -8)
	p.Draw(whole)
	area := p.DataCanvas(whole)
	tx, ty := p.Transforms(&area)
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	if c.Body, err = inner(b.String()); err != nil {
		return nil, err
	}
	return func(x, y float64) (float64, float64) {
		return tx(x).Points(), c.H - ty(y).Points()
	}, nil
}

// inner takes the contents out of an SVG document and gives them the page's
// colours and font.
func inner(svg string) (template.HTML, error) {
	start, end := strings.Index(svg, "<g "), strings.LastIndex(svg, "</svg>")
	if start < 0 || end < start {
		return "", fmt.Errorf("chart is not an SVG document: %.60q", svg)
	}
	styled := styleAttribute.ReplaceAllStringFunc(svg[start:end], func(s string) string {
		return cssColors.Replace(fontProperties.ReplaceAllString(s, ""))
	})
	return template.HTML(styled), nil
}
