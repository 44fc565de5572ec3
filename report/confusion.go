package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/compress"
)

// maxHeatClasses is the largest number of classes whose confusions are drawn
// as a heat map.
const maxHeatClasses = 20

// maxPairs is the length of the lists of pairs that changed most.
const maxPairs = 10

// fewImages is the change that never has the strongest colour of a heat map.
const fewImages = 6

// confusion is what changed between the two confusion matrices.
type confusion struct {
	Images, RightBefore, RightAfter int
	Classes                         []string
	Heat                            [][]cell // nil if there are too many classes
	Worse, Better                   []pair
}

// pair is a true and a predicted class and how often one was taken for the
// other.
type pair struct {
	True, Predicted       string
	Before, After, Change int
}

// cell is a square of a heat map.
type cell struct {
	Text, Title, Class string
}

// confusions compares the matrices of r; nil if there are none, or they do not
// fit each other.
func confusions(r *compress.Result) *confusion {
	m := r.Confusion
	if m == nil || len(m.Before) == 0 || len(m.After) != len(m.Before) {
		return nil
	}
	n := len(m.Before)
	for i := range n {
		if len(m.Before[i]) != n || len(m.After[i]) != n {
			return nil
		}
	}
	c := &confusion{Classes: make([]string, n)}
	for i := range n {
		c.Classes[i] = fmt.Sprintf("class %d", i)
		if i < len(m.Classes) && m.Classes[i] != "" {
			c.Classes[i] = m.Classes[i]
		}
	}
	var pairs []pair
	most := 0
	for i := range n {
		c.RightBefore += m.Before[i][i]
		c.RightAfter += m.After[i][i]
		for j := range n {
			c.Images += m.Before[i][j]
			d := m.After[i][j] - m.Before[i][j]
			most = max(most, d, -d)
			if i != j && d != 0 {
				pairs = append(pairs, pair{c.Classes[i], c.Classes[j], m.Before[i][j], m.After[i][j], d})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return b.Change - a.Change })
	for _, p := range pairs {
		if p.Change > 0 && len(c.Worse) < maxPairs {
			c.Worse = append(c.Worse, p)
		}
	}
	for _, p := range slices.Backward(pairs) {
		if p.Change < 0 && len(c.Better) < maxPairs {
			c.Better = append(c.Better, p)
		}
	}
	if n <= maxHeatClasses {
		c.heat(m, max(most, fewImages))
	}
	return c
}

// heat fills the heat map: fewer right answers and more wrong ones are bad.
func (c *confusion) heat(m *compress.Confusion, most int) {
	for i := range m.Before {
		line := make([]cell, len(m.Before))
		for j := range line {
			d := m.After[i][j] - m.Before[i][j]
			bad := d > 0
			if i == j {
				bad = d < 0
			}
			line[j] = cell{Text: signed("%.0f", float64(d)), Class: shade(float64(max(d, -d)), float64(most), bad),
				Title: fmt.Sprintf("%s taken for %s: %d before, %d after", c.Classes[i], c.Classes[j], m.Before[i][j], m.After[i][j])}
			if d == 0 {
				line[j].Text = "·"
			}
			if i == j {
				line[j].Class += " diagonal"
			}
		}
		c.Heat = append(c.Heat, line)
	}
}

// shades is the number of steps of a heat map's colour.
const shades = 6

// shade is the CSS class of a heat map's square: w1..w6 for worse, b1..b6 for
// better, and nothing for no change.
func shade(v, most float64, bad bool) string {
	if !(v > 0) || !(most > 0) {
		return ""
	}
	step := min(int(math.Ceil(v/most*shades)), shades)
	if bad {
		return fmt.Sprintf("w%d", step)
	}
	return fmt.Sprintf("b%d", step)
}
