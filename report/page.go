package report

import (
	"fmt"
	"html/template"
	"path"
	"strings"
	"time"

	"github.com/drawknife/drawknife/compress"
	"github.com/drawknife/drawknife/quantize"
)

// page is what the template shows. A nil or empty part leaves its section out.
type page struct {
	*compress.Result
	Title, Headline, Verdict string
	Subtitle                 string
	Tiles                    []tile
	Limits                   []limit
	Rows                     []row
	Pareto                   *chart
	Hidden                   int
	Table                    []trial
	Latency, Sizes           *bars
	Sensitive                *sensitivity
	Changes                  []layer
	Confused                 *confusion
	Calibration              []calibrated
	Facts                    []fact
	Sections                 []section

	Style  template.CSS
	Script template.JS
	Policy string
}

// tile is one of the large figures at the top.
type tile struct{ Figure, Text string }

// fact is a line of the list of circumstances.
type fact struct{ Name, Value string }

// section is an entry of the table of contents.
type section struct{ ID, Title string }

// calibrated is a calibrated range with the share of what was seen that it
// covers, drawn as a strip.
type calibrated struct {
	quantize.Range
	Left, Width float64 // percent
}

func newPage(r *compress.Result) *page {
	script := asset("sort.js")
	p := &page{Result: r, Title: "Compression of " + modelName(r), Headline: headline(r), Verdict: verdict(r),
		Tiles: tiles(r), Limits: limits(r), Rows: rows(r), Table: trials(r),
		Latency: latencyBars(r), Sizes: sizeBars(r), Sensitive: sensitivities(r), Changes: layersOf(r),
		Confused: confusions(r), Calibration: calibrations(r.Ranges), Facts: facts(r),
		Style: template.CSS(asset("style.css")), Script: template.JS(script),
		Policy: "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src " + scriptPolicy(script)}
	p.Pareto, p.Hidden = paretoChart(r)
	for _, s := range []struct {
		present   bool
		id, title string
	}{
		{len(p.Rows) > 0, "summary", "Before and after"},
		{len(p.Table) > 0, "trials", "Trials"},
		{len(r.Screened) > 0, "methods", "Methods"},
		{len(r.Feasibility) > 0, "feasibility", "Feasibility"},
		{p.Latency != nil, "latency", "Latency per layer"},
		{p.Sizes != nil, "size", "Size per layer"},
		{p.Sensitive != nil, "sensitivity", "Sensitivity"},
		{len(p.Changes) > 0, "layers", "What was done"},
		{p.Confused != nil, "confusion", "Confusions"},
		{len(p.Calibration) > 0, "calibration", "Calibration"},
		{len(r.Warnings) > 0, "warnings", "Warnings"},
		{true, "reproduce", "Reproduce"},
	} {
		if s.present {
			p.Sections = append(p.Sections, section{s.id, s.title})
		}
	}
	return p
}

// modelName is short enough for a heading.
func modelName(r *compress.Result) string {
	if r.Model == "" {
		return "a model"
	}
	return path.Base(strings.ReplaceAll(r.Model, `\`, "/"))
}

func tiles(r *compress.Result) []tile {
	var out []tile
	add := func(before, after float64, less, more string) {
		if figure, text, ok := strings.Cut(times(before, after, less, more), " "); ok {
			out = append(out, tile{figure, text})
		}
	}
	add(float64(r.Before.FileBytes), float64(r.After.FileBytes), "smaller file", "larger file")
	add(r.Before.MedianMs, r.After.MedianMs, "faster", "slower")
	add(float64(r.Before.MACs), float64(r.After.MACs), "fewer operations", "more operations")
	if r.Before.Top1 != 0 || r.After.Top1 != 0 {
		out = append(out, tile{signed("%.2f", r.After.Top1-r.Before.Top1), "points of top-1"})
	}
	return out
}

func facts(r *compress.Result) []fact {
	var out []fact
	add := func(name, value string) {
		if value != "" {
			out = append(out, fact{name, value})
		}
	}
	add("model", r.Model)
	add("data", r.Data)
	if r.Images > 0 {
		add("images measured", fmt.Sprint(r.Images))
	}
	if s := r.Selection; s.Images > 0 {
		add("images that chose", fmt.Sprintf("%d (%s); top-1 %s before, %s after", s.Images, s.From, percent(s.Before), percent(s.After)))
	}
	if e := r.Energy; e != nil {
		add("energy of an image", fmt.Sprintf("%s before, %s after, on %s", mj(e.Before), mj(e.After), e.Machine))
	}
	add("digest of the data", r.Digest)
	add("seed", fmt.Sprint(r.Seed))
	add("machine", r.Machine)
	if r.Threads > 0 {
		add("threads", fmt.Sprint(r.Threads))
	}
	if r.Version != "" {
		add("drawknife", r.Version)
	}
	if r.Seconds > 0 {
		add("time taken", duration(r.Seconds))
	}
	add("written", strings.Join(r.Outputs, ", "))
	return out
}

// duration rounds to what matters.
func duration(seconds float64) string {
	if !(seconds < 1e9) {
		return none
	}
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

func calibrations(ranges []quantize.Range) []calibrated {
	out := make([]calibrated, len(ranges))
	for i, c := range ranges {
		out[i] = calibrated{Range: c}
		lo, hi := float64(min(c.Min, c.Lo)), float64(max(c.Max, c.Hi))
		if hi > lo {
			out[i].Left = 100 * (float64(c.Lo) - lo) / (hi - lo)
			out[i].Width = 100 * float64(c.Hi-c.Lo) / (hi - lo)
		}
	}
	return out
}

// Number formats a float32 of the calibration table.
func (calibrated) Number(v float32) string { return number(float64(v)) }

// Percent, Ms, Size, Count and Asked give the template the page's formats.
func (*page) Percent(v float64) string { return percent(v) }
func (*page) Ms(v float64) string      { return ms(v) }
func (*page) Size(n int64) string      { return size(n) }
func (*page) Count(n int64) string     { return count(n) }
func (*page) Asked(v float64, unit string) string {
	switch {
	case unit == "bytes" && v >= 0 && v < 1e18:
		return size(int64(v))
	case unit == "" && v >= 1000 && v < 1e18:
		return count(int64(v))
	}
	return strings.TrimSpace(number(v) + " " + unit)
}
