// Package page explains simulations to people: one self-contained HTML page
// with a comparison of machines on one network, and for each machine its
// roofline, the energy of every layer by level of memory, and the loop nests
// that a search has chosen.
package page

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"

	"github.com/drawknife/drawknife/hardware"
)

//go:embed page.html
var source string

//go:embed style.css
var style string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"num":   number,
	"ms":    func(s float64) string { return number(1e3 * s) },
	"pct":   func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"mega":  func(v float64) string { return number(v / 1e6) },
	"milli": func(pj float64) string { return number(pj / 1e9) },
	"micro": func(pj float64) string { return number(pj / 1e6) },
	"reads": func(t [hardware.NumOperands]hardware.Traffic) string {
		return number(t[hardware.Weights].Reads + t[hardware.Inputs].Reads + t[hardware.Outputs].Reads)
	},
	"writes": func(t [hardware.NumOperands]hardware.Traffic) string {
		return number(t[hardware.Weights].Writes + t[hardware.Inputs].Writes + t[hardware.Outputs].Writes)
	},
	"whole": func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) },
}).Parse(source))

// number writes three digits, and a dash for what is not known.
func number(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	if a := math.Abs(v); a >= 1e3 && a < 1e7 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// segment is a part of a stacked bar.
type segment struct {
	Name     string
	PJ       float64
	X, Width float64
	Class    int
}

type row struct {
	hardware.Cost
	Stack []segment
}

type machine struct {
	*hardware.Report
	ID       string
	Total    []segment
	Legend   []segment
	Rows     []row
	Roofline *roofline
}

// HTML writes a page about the reports, which must be of one network.
func HTML(w io.Writer, reports []*hardware.Report) error {
	if len(reports) == 0 {
		return errors.New("there is no report to show")
	}
	data := struct {
		Network  string
		Batch    int
		Style    template.CSS
		Machines []machine
	}{reports[0].Network, reports[0].Batch, template.CSS(style), nil}
	most := 0.0
	for _, r := range reports {
		most = max(most, r.Energy)
	}
	for i, r := range reports {
		if r.Network != data.Network || r.Batch != data.Batch {
			return fmt.Errorf("reports of %s (batch %d) and %s (batch %d) cannot be compared", data.Network, data.Batch, r.Network, r.Batch)
		}
		data.Machines = append(data.Machines, describe(r, i, most))
	}
	return pageTemplate.Execute(w, data)
}

func describe(r *hardware.Report, index int, most float64) machine {
	m := machine{Report: r, ID: fmt.Sprintf("m%d", index), Roofline: newRoofline(r)}
	sum := hardware.Cost{Levels: r.Levels, MACEnergy: r.MACEnergy, NetworkEnergy: r.NetworkEnergy, StaticEnergy: r.StaticEnergy}
	largest := 0.0
	for i := range r.Layers {
		largest = max(largest, r.Layers[i].Energy)
	}
	for i := range r.Layers {
		m.Rows = append(m.Rows, row{r.Layers[i], stack(&r.Layers[i], largest)})
	}
	m.Total, m.Legend = stack(&sum, most), stack(&sum, most)
	return m
}

// stack divides a bar of 200 units, which stand for the energy all.
func stack(c *hardware.Cost, all float64) (list []segment) {
	if !(all > 0) {
		return nil
	}
	x := 0.0
	put := func(class int, name string, pj float64) {
		if pj <= 0 {
			return
		}
		width := 200 * pj / all
		list = append(list, segment{name, pj, round(x), round(width), class})
		x += width
	}
	put(0, "arithmetic", c.MACEnergy)
	for i := range c.Levels {
		put(1+i%5, c.Levels[i].Name, c.Levels[i].EnergyPJ())
	}
	put(6, "network", c.NetworkEnergy)
	put(7, "static", c.StaticEnergy)
	return list
}

func round(v float64) float64 { return math.Round(100*v) / 100 }
