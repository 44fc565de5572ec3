package hardware

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Comparison is one published figure beside ours.
type Comparison struct {
	Machine string `json:"machine"`
	Title   string `json:"title"`
	Figure
	Ours  float64 `json:"ours"`
	Error float64 `json:"error"` // relative
	Holds bool    `json:"holds"`
}

// Compare computes every figure of the machines.
func Compare(list []*Accelerator) ([]Comparison, error) {
	var rows []Comparison
	for _, a := range list {
		for _, f := range a.Figures {
			ours, err := f.Ours()
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", a.Name, f.Name, err)
			}
			if f.Relation == "" {
				f.Relation = Near
			}
			rows = append(rows, Comparison{Machine: a.Name, Title: a.Title, Figure: f, Ours: ours, Error: f.Error(ours), Holds: f.Holds(ours)})
		}
	}
	return rows, nil
}

// preamble explains the tables to a reader.
const preamble = `# Published figures of accelerators beside ours

Written by ` + "`drawknife simulate --figures`" + `. Ours are computed by the models in
` + "`hardware`" + `; ` + "`drawknife simulate --explain NAME`" + ` tells a model's formulas.
*Evidence* says how the published figure is known: read in the paper, rerun with
public software, computed from other figures, second-hand, or recalled ((M): with
medium confidence). *Asserted* is what the tests demand; figures marked "no" are
shown with the reason. *Fitted* figures had a constant of ours chosen for them:
they show that the model can follow the machine, not that it predicts it.
`

// WriteMarkdown writes the comparison as a page: totals, then one table a
// machine.
func WriteMarkdown(w io.Writer, rows []Comparison) error {
	var b strings.Builder
	b.WriteString(preamble)
	writeTotals(&b, rows)
	machine := ""
	for _, r := range rows {
		if r.Machine != machine {
			machine = r.Machine
			fmt.Fprintf(&b, "\n### %s (`%s`)\n\n| figure | published | ours | error | evidence | asserted | remark |\n|---|---|---|---|---|---|---|\n", r.Title, r.Machine)
		}
		remark := r.Note
		if r.Fitted {
			remark = strings.TrimSuffix("fitted. "+remark, " ")
		}
		fmt.Fprintf(&b, "| %s | %.5g %s | %.5g | %+.1f %% | %s | %s | %s |\n", r.Name, r.Published, r.Unit, r.Ours, 100*r.Error, r.Evidence, r.asserted(), remark)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTotals counts the figures by how near ours are. Those that are bounds,
// not values, are counted apart.
func writeTotals(b *strings.Builder, rows []Comparison) {
	values, within10, within25, fitted, bounds, failed := 0, 0, 0, 0, 0, 0
	for _, r := range rows {
		switch {
		case !r.Holds:
			failed++
		case r.Relation == AtLeast || r.Relation == AtMost:
			bounds++
		case r.Fitted:
			fitted++
		default:
			values++
			if math.Abs(r.Error) <= 0.10 {
				within10++
			}
			if math.Abs(r.Error) <= 0.25 {
				within25++
			}
		}
	}
	fmt.Fprintf(b, "\nOf %d figures %d are values that nothing was fitted to: ours are within 10 %% for %d of them and within 25 %% for %d.\n"+
		"%d are bounds that hold, %d are fitted, %d do not hold.\n", len(rows), values, within10, within25, bounds, fitted, failed)
}

// asserted says what the tests demand of the figure.
func (f *Figure) asserted() string {
	room := "exactly"
	switch {
	case f.Within > 0 && f.Tolerance > 0:
		room = fmt.Sprintf("±%g or ±%.4g %%", f.Within, 100*f.Tolerance)
	case f.Within > 0:
		room = fmt.Sprintf("±%g", f.Within)
	case f.Tolerance > 0:
		room = fmt.Sprintf("±%.4g %%", 100*f.Tolerance)
	}
	switch f.Relation {
	case AtLeast, AtMost:
		return string(f.Relation)
	case Shown:
		return "no"
	}
	return room
}
