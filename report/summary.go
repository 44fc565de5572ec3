package report

import (
	"fmt"
	"strings"

	"github.com/drawknife/drawknife/compress"
)

// row is a line of the table of before and after.
type row struct{ Name, Before, After, Change string }

// rows lists what was measured; lines of which neither side has a value are
// left out.
func rows(r *compress.Result) []row {
	b, a := r.Before, r.After
	var out []row
	points := func(name string, before, after float64) {
		if before == 0 && after == 0 {
			return
		}
		out = append(out, row{name, percent(before), percent(after), signed("%.2f", after-before) + " points"})
	}
	number := func(name string, before, after int64, f func(int64) string, less, more string) {
		if before == 0 && after == 0 {
			return
		}
		out = append(out, row{name, f(before), f(after), times(float64(before), float64(after), less, more)})
	}
	latency := func(name string, before, after float64) {
		if before == 0 && after == 0 {
			return
		}
		out = append(out, row{name, ms(before), ms(after), times(before, after, "faster", "slower")})
	}
	points("top-1 accuracy", b.Top1, a.Top1)
	points("top-5 accuracy", b.Top5, a.Top5)
	number("parameters", b.Params, a.Params, count, "fewer", "more")
	number("multiply-accumulates", b.MACs, a.MACs, count, "fewer", "more")
	number("file size", b.FileBytes, a.FileBytes, size, "smaller", "larger")
	number("weights", b.WeightBytes, a.WeightBytes, size, "smaller", "larger")
	number("peak activation memory", b.PeakActivationBytes, a.PeakActivationBytes, size, "smaller", "larger")
	threads := "all threads"
	if r.Threads > 0 {
		threads = plural(r.Threads, "thread")
	}
	if r.Threads != 1 {
		latency("latency, "+threads, b.MedianMs, a.MedianMs)
	}
	latency("latency, 1 thread", b.MedianMs1, a.MedianMs1)
	if e := r.Energy; e != nil {
		out = append(out, row{"energy of an image", mj(e.Before), mj(e.After), times(e.Before, e.After, "less", "more")})
	}
	return out
}

// limit is one part of the budget and whether it was kept.
type limit struct {
	Text string
	Kept bool
}

// limits compares the result with each part of the budget.
func limits(r *compress.Result) []limit {
	var out []limit
	if r.Before.Top1 != 0 || r.After.Top1 != 0 {
		lost := r.Before.Top1 - r.After.Top1
		out = append(out, limit{fmt.Sprintf("at most %s points of top-1 lost: %s", number(r.Budget.MaxDrop), lostPoints(lost)), lost <= r.Budget.MaxDrop+1e-9})
	}
	if l := r.Budget.LatencyMs; l > 0 {
		out = append(out, limit{fmt.Sprintf("latency of at most %s: %s", ms(l), ms(r.After.MedianMs)), r.After.MedianMs <= l})
	}
	if l := r.Budget.Bytes; l > 0 {
		out = append(out, limit{fmt.Sprintf("size of at most %s: %s", size(l), size(r.After.FileBytes)), r.After.FileBytes <= l})
	}
	if e, l := r.Energy, r.Budget.EnergyMJ; e != nil && l > 0 {
		out = append(out, limit{fmt.Sprintf("at most %s an image on %s: %s", mj(l), e.Machine, mj(e.After)), e.After <= l})
	}
	if l := r.Budget.MACs; l > 0 {
		out = append(out, limit{fmt.Sprintf("at most %s multiply-accumulates: %s", count(l), count(r.After.MACs)), r.After.MACs <= l})
	}
	return out
}

func lostPoints(lost float64) string {
	switch s := fmt.Sprintf("%.2f", lost); {
	case s == "0.00" || s == "-0.00":
		return "none lost"
	case lost < 0:
		return s[1:] + " gained"
	default:
		return s + " lost"
	}
}

// headline is the whole result in one sentence.
func headline(r *compress.Result) string {
	var gains []string
	if s := times(float64(r.Before.FileBytes), float64(r.After.FileBytes), "smaller", "larger"); s != none {
		gains = append(gains, same(s, "size"))
	}
	if s := times(r.Before.MedianMs, r.After.MedianMs, "faster", "slower"); s != none {
		gains = append(gains, same(s, "latency"))
	}
	if r.Before.Top1 != 0 || r.After.Top1 != 0 {
		switch s := lostPoints(r.Before.Top1 - r.After.Top1); {
		case s == "none lost":
			gains = append(gains, "no accuracy lost")
		default:
			points, what, _ := strings.Cut(s, " ")
			gains = append(gains, points+" points of top-1 accuracy "+what)
		}
	}
	if gains == nil {
		return "Nothing was measured."
	}
	if len(gains) == 1 {
		return gains[0] + "."
	}
	return strings.Join(gains[:len(gains)-1], ", ") + " and " + gains[len(gains)-1] + "."
}

func same(s, what string) string {
	if s == "same" {
		return "the same " + what
	}
	return s
}

// verdict says whether the budget was met, and what was not.
func verdict(r *compress.Result) string {
	if r.Met {
		return "Budget met"
	}
	var over []string
	for _, l := range limits(r) {
		if !l.Kept {
			over = append(over, l.Text)
		}
	}
	if over == nil {
		return "Budget not met"
	}
	return "Budget not met: " + strings.Join(over, "; ")
}
