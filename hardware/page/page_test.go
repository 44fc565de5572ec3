package page

import (
	"bytes"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/loopnest"
)

func sample(t *testing.T, names ...string) (list []*hardware.Report) {
	t.Helper()
	w := &hardware.Workload{Name: "two <layers>", Batch: 1, Layers: []*hardware.Layer{
		hardware.Conv("a&b", 1, 1, 8, 4, 8, 3, 1, 1), hardware.FC("fc", 1, 10, 32)}}
	for _, name := range names {
		a, err := loopnest.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := loopnest.Run(a, w, loopnest.Options{Tilings: 100, Exhaustive: -1})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

func TestHTML(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, sample(t, "edge-8x8", "eyeriss-v1")); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"two &lt;layers&gt;", "a&amp;b", "loop nest of fc", "multiply and accumulate", "<polyline", "edge-8x8", "eyeriss-v1",
		"<title>buffer: ", "<th>level</th>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"<layers>", "NaN", "Inf", "ZgotmplZ", "%!", "http:", "https:", "<script"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

func TestStackAddsUp(t *testing.T) {
	r := sample(t, "edge-8x8")[0]
	for i := range r.Layers {
		total := 0.0
		for _, s := range stack(&r.Layers[i], r.Layers[i].Energy) {
			total += s.Width
		}
		if total < 199.9 || total > 200.1 {
			t.Errorf("layer %s fills %v of 200", r.Layers[i].Layer, total)
		}
	}
}

func TestHTMLErrors(t *testing.T) {
	if err := HTML(&bytes.Buffer{}, nil); err == nil {
		t.Error("a page of nothing")
	}
	list := sample(t, "edge-8x8", "edge-8x8")
	list[1].Network = "another"
	if err := HTML(&bytes.Buffer{}, list); err == nil {
		t.Error("two networks on one page")
	}
}
