package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/compress"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/quantize"
)

var write = flag.String("write", "", "write the sample's page to this file, to look at it in a browser")

func render(t *testing.T, r *compress.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// outline parses the page, checks that every element is closed, and returns
// the headings and the text that a reader sees.
func outline(t *testing.T, page string) (headings []string, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var open []string
	var seen strings.Builder
	void := []string{"meta", "link", "br"}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page does not parse: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			open = append(open, e.Name.Local)
			if e.Name.Local == "h1" || e.Name.Local == "h2" || e.Name.Local == "h3" {
				headings = append(headings, e.Name.Local+" ")
			}
		case xml.EndElement:
			for len(open) > 0 && slices.Contains(void, open[len(open)-1]) && open[len(open)-1] != e.Name.Local {
				open = open[:len(open)-1]
			}
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("</%s> closes nothing (open: %v)", e.Name.Local, open)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) == 0 || open[len(open)-1] == "style" || open[len(open)-1] == "script" {
				continue
			}
			if top := open[len(open)-1]; top == "h1" || top == "h2" || top == "h3" {
				headings[len(headings)-1] += string(e)
			}
			if open[len(open)-1] != "wbr" {
				seen.WriteString(" ")
			}
			seen.Write(e)
		}
	}
	if len(open) > 0 {
		t.Errorf("elements left open: %v", open)
	}
	return headings, strings.Join(strings.Fields(seen.String()), " ")
}

func TestHTMLOutline(t *testing.T) {
	page := render(t, sample())
	if *write != "" {
		if err := os.WriteFile(*write, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := outline(t, page)
	want := []string{"h1 Compression of resnet20.onnx", "h2 Before and after", "h2 Trials", "h2 Methods", "h2 Feasibility", "h2 Latency per layer",
		"h2 Size per layer", "h2 Sensitivity", "h3 Left whole", "h2 What was done to each layer, and why", "h2 Changed confusions",
		"h3 More often confused", "h3 Less often confused", "h2 Calibration ranges", "h2 Warnings", "h2 How to reproduce this", "h3 Recipe"}
	if !slices.Equal(got, want) {
		t.Errorf("headings\n%q\nwant\n%q", got, want)
	}
	for _, m := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, `<section id="`+m[1]+`"`) {
			t.Errorf("the link to #%s leads nowhere", m[1])
		}
	}
}

// Every figure of the result can be read on the page.
func TestHTMLShowsEveryNumber(t *testing.T) {
	r := sample()
	html := render(t, r)
	_, text := outline(t, html)
	text += " " + strings.Join(regexp.MustCompile(`title="[^"]*"`).FindAllString(html, -1), " ")
	want := func(format string, args ...any) {
		t.Helper()
		if s := fmt.Sprintf(format, args...); !strings.Contains(text, s) {
			t.Errorf("the page does not show %q", s)
		}
	}
	for _, m := range []measure.Metrics{r.Before, r.After} {
		want("%s", percent(m.Top1))
		want("%s", percent(m.Top5))
		for _, n := range []int64{m.Params, m.MACs} {
			want("%s", count(n))
		}
		for _, n := range []int64{m.FileBytes, m.WeightBytes, m.PeakActivationBytes} {
			want("%s", size(n))
		}
		want("%s", ms(m.MedianMs))
		want("%s", ms(m.MedianMs1))
	}
	want("293.0 KiB 1.04 MiB 78.2 KiB yes")
	want("MACs 5.00 M 40.81 M 10.20 M no")
	for _, s := range []string{"5.00× smaller", "3.08× faster", "0.58 points of top-1 accuracy lost", "−0.58 points", "Budget met"} {
		want("%s", s)
	}
	for _, f := range r.Feasibility {
		var p *page
		want("%s %s %s", p.Asked(f.Asked, f.Unit), p.Asked(f.Original, f.Unit), p.Asked(f.Best, f.Unit))
	}
	for i, x := range r.Trials {
		want("%d %s", i+1, x.Name)
		want("%s %s %s %s %s", percent(x.Top1), ms(x.Ms), size(x.Bytes), count(x.MACs), count(x.Params))
	}
	for _, c := range r.Sensitivity {
		want("%s %d", c.Group, c.Channels)
		want("%s", c.Frozen)
		for _, p := range c.Points {
			want("%d of %d channels kept: top-1 %s", p.Keep, c.Channels, percent(p.Top1))
			want("%s multiply-accumulates", count(p.MACs))
		}
	}
	for _, l := range r.Layers {
		for _, s := range []string{l.Name, l.Op, l.Before, l.After, l.What, l.Why} {
			want("%s", s)
		}
		want("%s", dash(l.Ms, number))
		want("%s", dash(l.MsAfter, number))
		if l.Bytes > 0 {
			want("%s", size(l.Bytes))
			want("%s", size(l.BytesAft))
		}
	}
	for _, c := range r.Ranges {
		want("%s %s %s", c.Value, number(float64(c.Min)), number(float64(c.Max)))
		want("%s %s %s %d", number(float64(c.Lo)), number(float64(c.Hi)), number(float64(c.Scale)), c.Zero)
	}
	want("cat dog 44 57")
	want("dog taken for cat: 41 before, 35 after")
	for _, s := range append(r.Warnings, r.Command, r.Digest, r.Machine, r.Version, r.Data, strings.Join(strings.Fields(r.Recipe), " "), "9m43s") {
		want("%s", s)
	}
}

const hostile = `x"'></td></svg><script>alert(1)</script><img src=http://example.com/x onerror=alert(2)>&amp;{{.}}`

func hostileResult() *compress.Result {
	r := sample()
	r.Version, r.Command, r.Model, r.Data, r.Digest, r.Machine, r.Recipe = hostile, hostile, hostile, hostile, hostile, hostile, hostile
	r.Outputs, r.Warnings = []string{hostile}, []string{hostile, "]]>", "<!--", "</style>", "</title>"}
	for i := range r.Layers {
		l := &r.Layers[i]
		l.Name, l.Op, l.Before, l.After, l.What, l.Why = hostile, hostile, hostile, hostile, hostile, hostile
	}
	for i := range r.Trials {
		r.Trials[i].Name, r.Trials[i].Key = hostile, hostile
	}
	for i := range r.Sensitivity {
		r.Sensitivity[i].Group = hostile
	}
	r.Sensitivity[3].Frozen = hostile
	for i := range r.Ranges {
		r.Ranges[i].Value = hostile
	}
	r.Feasibility[0].Limit, r.Feasibility[0].Unit = hostile, hostile
	r.Confusion.Classes = slices.Repeat([]string{hostile}, 10)
	return r
}

func TestHTMLEscapes(t *testing.T) {
	page := render(t, hostileResult())
	outline(t, page)
	if n := strings.Count(page, "<script"); n != 1 {
		t.Errorf("the page has %d scripts, want its own alone", n)
	}
	if strings.Contains(page, "<img") || regexp.MustCompile(`<[^>]*\sonerror=`).MatchString(stripQuoted(page)) {
		t.Error("a name became an element")
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the hostile name is not shown at all")
	}
}

// stripQuoted removes the values of attributes.
func stripQuoted(page string) string {
	return regexp.MustCompile(`="[^"]*"`).ReplaceAllString(page, `=""`)
}

// The page loads nothing: no attribute or style names a resource elsewhere.
func TestHTMLIsSelfContained(t *testing.T) {
	for name, r := range map[string]*compress.Result{"sample": sample(), "hostile": hostileResult(), "empty": {}} {
		page := render(t, r)
		for _, bad := range []string{`(?i)<[^>]*\s(src|srcset|data|action|poster|xlink:href)=`, `(?i)<(link|a)[^>]*href="(http|//|file)`, `(?i)url\(`, `@import`, `xmlns`} {
			if m := regexp.MustCompile(bad).FindString(stripTitles(page)); m != "" {
				t.Errorf("%s: the page refers to something outside: %q", name, m)
			}
		}
		if !strings.Contains(page, "default-src &#39;none&#39;") && !strings.Contains(page, "default-src 'none'") {
			t.Errorf("%s: the page has no content security policy", name)
		}
	}
	if strings.Contains(render(t, sample()), "http:") || strings.Contains(render(t, sample()), "https:") {
		t.Error("the sample's page holds an address")
	}
}

// stripTitles removes tooltips, which hold text of the user's.
func stripTitles(page string) string {
	return regexp.MustCompile(`title="[^"]*"`).ReplaceAllString(page, "")
}

func TestHTMLOfNothing(t *testing.T) {
	page := render(t, &compress.Result{})
	headings, text := outline(t, page)
	if want := []string{"h1 Compression of a model", "h2 How to reproduce this"}; !slices.Equal(headings, want) {
		t.Errorf("headings %q, want %q", headings, want)
	}
	if !strings.Contains(text, "Nothing was measured.") {
		t.Errorf("the page says %q", text)
	}
	if strings.Contains(page, "<svg") {
		t.Error("the empty page has a chart")
	}
	noNonsense(t, page)
}

// noNonsense checks that no number or value came out as Go's or the template
// engine's word for a failure.
func noNonsense(t *testing.T, page string) {
	t.Helper()
	body, _, _ := strings.Cut(page, "<script>")
	for _, bad := range []string{"NaN", "Inf", "ZgotmplZ", "<no value>"} {
		if strings.Contains(body, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}

// Odd but possible results neither fail nor show nonsense.
func TestHTMLOddResults(t *testing.T) {
	for name, change := range map[string]func(*compress.Result){
		"one trial":           func(r *compress.Result) { r.Trials = r.Trials[:1] },
		"equal trials":        func(r *compress.Result) { r.Trials = slices.Repeat(r.Trials[:1], 5) },
		"trials without time": func(r *compress.Result) { r.Trials[0].Ms, r.Trials[1].Ms = 0, 0 },
		"ragged confusion":    func(r *compress.Result) { r.Confusion.After[2] = r.Confusion.After[2][:3] },
		"no class names":      func(r *compress.Result) { r.Confusion.Classes = nil },
		"nothing confused":    func(r *compress.Result) { r.Confusion.After = r.Confusion.Before },
		"many layers":         func(r *compress.Result) { r.Layers = slices.Repeat(r.Layers, 10) },
		"groups of nothing":   func(r *compress.Result) { r.Sensitivity[0].Channels = 0 },
		"only frozen groups":  func(r *compress.Result) { r.Sensitivity = r.Sensitivity[3:4] },
		"empty range":         func(r *compress.Result) { r.Ranges = []quantize.Range{{Value: "dead"}} },
		"worse in everything": func(r *compress.Result) { r.Before, r.After, r.Met = r.After, r.Before, false },
		"many sensitivities": func(r *compress.Result) {
			for k := range 64 {
				r.Sensitivity[8].Points = append(r.Sensitivity[8].Points, compress.Point{Keep: k + 1, Top1: 90})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := sample()
			change(r)
			page := render(t, r)
			outline(t, page)
			noNonsense(t, page)
		})
	}
}

func TestVerdict(t *testing.T) {
	r := sample()
	r.Met, r.After.MedianMs = false, 0.61
	want := "Budget not met: latency of at most 0.500 ms: 0.610 ms"
	if got := verdict(r); got != want {
		t.Errorf("verdict %q, want %q", got, want)
	}
	r.Before, r.After = r.After, r.Before
	if got, want := headline(r), "5.00× larger, 1.38× slower and 0.58 points of top-1 accuracy gained."; got != want {
		t.Errorf("headline %q, want %q", got, want)
	}
}

func TestManyClassesHaveNoHeatMap(t *testing.T) {
	r := sample()
	n := maxHeatClasses + 1
	c := &compress.Confusion{}
	for i := range n {
		before, after := make([]int, n), make([]int, n)
		before[i], after[i], after[(i+1)%n] = 10, 10-i%3, i%3
		c.Before, c.After = append(c.Before, before), append(c.After, after)
	}
	r.Confusion = c
	got := confusions(r)
	if got.Heat != nil {
		t.Error("21 classes have a heat map")
	}
	if len(got.Worse) != maxPairs || got.Worse[0] != (pair{"class 2", "class 3", 0, 2, 2}) || got.Better != nil {
		t.Errorf("worse %v, better %v", got.Worse, got.Better)
	}
}

func TestManyLayersAreSummed(t *testing.T) {
	r := sample()
	r.Layers = nil
	for i := range 100 {
		r.Layers = append(r.Layers, compress.Layer{Name: fmt.Sprint("l", i), Ms: float64(i + 1), MsAfter: 0.5})
	}
	b := latencyBars(r)
	if len(b.Rows) != maxBars || b.Rows[0].Name != "l60" || b.Rows[maxBars-1].WidthBefore != 100 {
		t.Errorf("%d bars, first %+v", len(b.Rows), b.Rows[0])
	}
	if b.Rest.Name != "60 smaller layers" || b.Rest.Before != "1830" || b.Rest.After != "30.0" || b.Sum.Before != "5050" {
		t.Errorf("rest %+v, sum %+v", b.Rest, b.Sum)
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{number(0.8424), "0.842"}, {number(12.345), "12.3"}, {number(123.4), "123"}, {number(0), "0"}, {number(-0.5), "-0.500"},
		{number(0.00012), "0.000120"}, {number(3e-7), "3e-07"}, {number(4.2e9), "4.2e+09"},
		{count(9999), "9999"}, {count(12345), "12.3 k"}, {count(1_250_000), "1.25 M"}, {count(4e9), "4.00 G"},
		{size(12), "12 B"}, {size(2048), "2.0 KiB"}, {size(3 << 20), "3.00 MiB"}, {size(5 << 30), "5.00 GiB"},
		{times(4, 2, "smaller", "larger"), "2.00× smaller"}, {times(2, 4, "smaller", "larger"), "2.00× larger"},
		{times(2, 2, "smaller", "larger"), "same"}, {times(0, 2, "smaller", "larger"), none}, {times(1000, 3, "smaller", ""), "333× smaller"},
		{signed("%.1f", -2), "−2.0"}, {signed("%.1f", 2), "+2.0"}, {signed("%.1f", 0), "0.0"},
		{lostPoints(0.001), "none lost"}, {lostPoints(-0.2), "0.20 gained"}, {ms(0), none}, {duration(3.456), "3.46s"}, {duration(3600), "1h0m0s"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestText(t *testing.T) {
	r := sample()
	r.Warnings = []string{"bell \a and colour \x1b[31m"}
	var b bytes.Buffer
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	want := `                           before      after  change
top-1 accuracy            92.46 %    91.88 %  −0.58 points
top-5 accuracy            99.78 %    99.71 %  −0.07 points
parameters                272.5 k    189.2 k  1.44× fewer
multiply-accumulates      40.81 M    27.34 M  1.49× fewer
file size                1.05 MiB  214.7 KiB  5.00× smaller
weights                  1.04 MiB  191.7 KiB  5.55× smaller
peak activation memory  192.0 KiB   48.0 KiB  4.00× smaller
latency, 2 threads       0.842 ms   0.273 ms  3.08× faster
latency, 1 thread         1.33 ms   0.401 ms  3.31× faster
energy of an image        1.20 mJ     210 µJ  5.71× less

5.00× smaller, 3.08× faster and 0.58 points of top-1 accuracy lost.
Budget met.
warning: bell ? and colour ?[31m
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteErrors(t *testing.T) {
	for name, f := range map[string]func(io.Writer, *compress.Result) error{"HTML": HTML, "Text": Text} {
		if err := f(failing{}, sample()); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s: error %v, want one that says disk full", name, err)
		}
	}
}

func BenchmarkHTML(b *testing.B) {
	r := sample()
	for b.Loop() {
		if err := HTML(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}
