package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/prune"
)

// groupsOf is what inspect --groups shows.
type groupsOf struct {
	Model   string        `json:"model"`
	Groups  []groupInfo   `json:"groups"`
	Proofs  []prune.Proof `json:"proofs,omitempty"`
	Proved  int           `json:"proved"`
	Seconds float64       `json:"seconds"`
}

type groupInfo struct {
	Name     string `json:"name"`
	Channels int    `json:"channels"`
	// Step is how many channels go at once.
	Step     int  `json:"step"`
	Layers   int  `json:"layers"` // that compute the channels
	Residual bool `json:"residual"`
	// Frozen says why none can be removed, Inexact why removing silent ones
	// changes the result all the same.
	Frozen  string `json:"frozen,omitempty"`
	Inexact string `json:"inexact,omitempty"`
}

func (c *inspectCmd) groups(a *app) error {
	start := time.Now()
	g, err := a.load(c.Model)
	if err != nil {
		return err
	}
	shapes, err := inputShapes(g, c.Shape, 1)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	if c.Shape != nil {
		if err := g.BindInputs(shapes); err != nil {
			return fmt.Errorf("%s: %w", c.Model, err)
		}
	}
	groups, err := g.Groups()
	if err != nil {
		return fmt.Errorf("%s: %w", c.Model, err)
	}
	r := groupsOf{Model: c.Model, Groups: make([]groupInfo, len(groups))}
	for i, gr := range groups {
		r.Groups[i] = groupInfo{gr.Name, gr.Size, gr.Divisor(), len(producing(gr)), gr.Residual, gr.Frozen, gr.Inexact}
	}
	failed := 0
	if c.Prove {
		if strings.HasPrefix(c.Model, "zoo:") {
			prune.Unsettle(g, a.Seed)
		}
		inputs, err := randomInputs(shapes, g.Inputs, a.Seed)
		if err != nil {
			return err
		}
		if r.Proofs, err = prune.Prove(a, g, inputs, a.Seed); err != nil {
			return fmt.Errorf("%s: %w", c.Model, err)
		}
		for _, p := range r.Proofs {
			switch {
			case p.Failed:
				failed++
			case p.Reason == "":
				r.Proved++
			}
		}
	}
	r.Seconds = time.Since(start).Seconds()
	if err := a.emit(r, r.print); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%s: removing channels of %d groups changes what the network computes", c.Model, failed)
	}
	return nil
}

// producing are the nodes that compute the channels of a group.
func producing(gr *graph.Group) map[*graph.Node]bool {
	nodes := map[*graph.Node]bool{}
	for _, m := range gr.Producers() {
		nodes[m.Node] = true
	}
	return nodes
}

func (r *groupsOf) print(w io.Writer) error {
	rows := [][]string{{"channels of ", "channels", "step", "layers", "  why not"}}
	if r.Proofs != nil {
		rows[0] = []string{"channels of ", "channels", "step", "layers", "removed", "zeroed: output changes by", "then removed: by", "  why not"}
	}
	frozen, worst := 0, 0.0
	for i, gr := range r.Groups {
		row := []string{gr.Name, fmt.Sprint(gr.Channels), fmt.Sprint(gr.Step), fmt.Sprint(gr.Layers)}
		why := gr.Frozen
		if why == "" {
			why = gr.Inexact
		}
		if gr.Frozen != "" {
			frozen++
		}
		if r.Proofs != nil {
			p := r.Proofs[i]
			why = p.Reason
			if p.Failed {
				why = "FAILED"
			}
			if p.Removed > 0 {
				row = append(row, fmt.Sprint(p.Removed), fmt.Sprintf("%.1e", p.Zeroed), fmt.Sprintf("%.1e", p.Difference))
				if p.Reason == "" {
					worst = max(worst, p.Difference)
				}
			} else {
				row = append(row, "", "", "")
			}
		}
		if why != "" {
			why = "  " + why
		}
		rows = append(rows, append(row, why))
	}
	if err := table(w, rows); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d groups, %d of them cannot lose channels\n", len(r.Groups), frozen)
	if r.Proofs != nil {
		fmt.Fprintf(w, "removal proved for %d: the output differs by at most %.1e of its largest value (%.1f s)\n", r.Proved, worst, r.Seconds)
	}
	return nil
}
