package hardware

import (
	"fmt"
	"io"
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

// WriteMarkdown writes the comparison as one table a machine.
func WriteMarkdown(w io.Writer, rows []Comparison) error {
	var b strings.Builder
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
	_, err := io.WriteString(w, strings.TrimPrefix(b.String(), "\n"))
	return err
}

// asserted says what the tests demand of the figure.
func (f *Figure) asserted() string {
	room := "exactly"
	switch {
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
