package main

import (
	"fmt"
	"io"

	"github.com/drawknife/drawknife/method"
)

type methodsCmd struct {
	Family string `arg:"" optional:"" help:"Only this family: prune, sparsify, weights, layers, allocate, schedule, quantize, calibrate, train."`
}

func (c *methodsCmd) Run(a *app) error {
	list := method.All()
	if c.Family != "" {
		if list = method.Of(method.Family(c.Family)); len(list) == 0 {
			return usagef("there is no family %q", c.Family)
		}
	}
	return a.emit(map[string]any{"methods": list}, func(w io.Writer) error {
		rows := [][]string{{"family ", "name ", "needs ", "year", "what and where "}}
		for _, m := range list {
			year := ""
			if m.Year > 0 {
				year = fmt.Sprint(m.Year)
			}
			what := m.Summary
			if m.Paper != "" {
				what += " (" + m.Paper + ")"
			}
			rows = append(rows, []string{string(m.Family), m.Name, m.Needs.String(), year, what})
		}
		return table(w, rows)
	})
}
