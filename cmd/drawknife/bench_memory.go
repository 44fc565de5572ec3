package main

import (
	"fmt"
	"io"

	"github.com/drawknife/drawknife/graph"
)

// memoryRow is the most memory that processes had which read a model from a
// file and ran it a few times, in megabytes, of a line of the table.
type memoryRow struct {
	Model   string  `json:"model"`
	Type    string  `json:"type"`
	Threads int     `json:"threads"`
	Ours    float64 `json:"peak_rss_mb"`
	Peer    float64 `json:"peer_peak_rss_mb,omitempty"`
}

type memoryResult struct {
	Rows []memoryRow `json:"rows"`
}

// memory measures each model in processes of their own.
func (c *benchCmd) memory(a *app) error {
	list, err := c.contenders(a)
	if err != nil {
		return err
	}
	step, end := a.progress("bench", len(list))
	defer end()
	r := &memoryResult{}
	for i, m := range list {
		g, err := m.load()
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		shapes, err := inputShapes(g, nil, c.Batch)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		row := memoryRow{Model: m.name, Type: m.kind, Threads: a.Threads}
		if row.Ours, err = c.memoryOf(a, g, shapes, aloneOurs); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if c.Ort != "" {
			if row.Peer, err = c.memoryOf(a, g, shapes, aloneORT); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		r.Rows = append(r.Rows, row)
		step(i + 1)
	}
	return a.emit(r, r.print)
}

// memoryOf is the most memory of a process that runs g a few times on one engine.
func (c *benchCmd) memoryOf(a *app, g *graph.Graph, shapes map[string][]int, alone string) (float64, error) {
	k, err := c.start(a, g, shapes, a.Threads, alone)
	if err != nil {
		return 0, err
	}
	if _, err := k.run(3, 0); err != nil {
		return 0, err
	}
	return k.end()
}

func (r *memoryResult) print(w io.Writer) error {
	rows := [][]string{{"model", "type", "threads", "peak MB", "peer's peak MB", "ratio"}}
	for _, m := range r.Rows {
		row := []string{m.Model, m.Type, fmt.Sprint(m.Threads), fmt.Sprintf("%.0f", m.Ours), "", ""}
		if m.Peer > 0 {
			row = append(row[:4], fmt.Sprintf("%.0f", m.Peer), fmt.Sprintf("%.2f", m.Peer/m.Ours))
		}
		rows = append(rows, row)
	}
	return markdown(w, rows)
}
