package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/ort"
	"github.com/drawknife/drawknife/tensor"
)

// Engines of --alone.
const (
	aloneOurs = "drawknife"
	aloneORT  = "onnxruntime"
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
	dir, err := os.MkdirTemp("", "drawknife-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	step, end := a.progress("bench", len(list))
	defer end()
	r := &memoryResult{}
	for i, m := range list {
		g, err := m.load()
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		file := filepath.Join(dir, "model.onnx")
		if err := onnx.Write(file, g); err != nil {
			return err
		}
		row := memoryRow{Model: m.name, Type: m.kind, Threads: a.Threads}
		if row.Ours, err = c.child(a, g, file, aloneOurs); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if c.Ort != "" {
			if row.Peer, err = c.child(a, g, file, aloneORT); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		r.Rows = append(r.Rows, row)
		step(i + 1)
	}
	return a.emit(r, r.print)
}

// child is the most memory of a process that runs a file on one engine.
func (c *benchCmd) child(a *app, g *graph.Graph, file, alone string) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	shapes, err := inputShapes(g, nil, c.Batch)
	if err != nil {
		return 0, err
	}
	args := []string{"bench", file, "--alone", alone, "--runs", "3", "--json", "-q", "--threads", fmt.Sprint(a.Threads)}
	for name, s := range shapes {
		args = append(args, "--shape", name+"="+strings.Trim(strings.ReplaceAll(fmt.Sprint(s), " ", "x"), "[]"))
	}
	cmd := exec.CommandContext(a, self, args...)
	cmd.Env = append(os.Environ(), "DRAWKNIFE_ORT="+c.Ort)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("a process of its own: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	var r memoryRow
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return 0, err
	}
	return r.Ours, nil
}

// alone runs a model's file on one engine and says how much memory this process
// had.
func (c *benchCmd) alone(a *app) error {
	shapes, err := inputShapes(new(graph.Graph), c.Shape, c.Batch)
	if err != nil {
		return err
	}
	in := map[string]*tensor.Tensor{}
	for name, s := range shapes {
		in[name] = tensor.New(tensor.Float32, s...)
	}
	run, end, err := c.runner(a, in, shapes)
	if err != nil {
		return err
	}
	defer end()
	for range max(c.Runs, 1) {
		if err := run(); err != nil {
			return err
		}
	}
	r := memoryRow{Model: c.Models[0], Threads: a.Threads, Ours: peakRSS()}
	return a.emit(r, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: peak memory %.0f MB\n", r.Model, r.Ours)
		return err
	})
}

// runner returns one run of the model on the engine chosen, and what ends its use.
func (c *benchCmd) runner(a *app, in map[string]*tensor.Tensor, shapes map[string][]int) (run func() error, end func(), err error) {
	switch c.Alone {
	case aloneOurs:
		g, err := a.load(c.Models[0])
		if err != nil {
			return nil, nil, err
		}
		p, err := engine.Compile(g, engine.Options{Shapes: shapes, Threads: a.Threads})
		if err != nil {
			return nil, nil, err
		}
		return func() error { _, err := p.Run(a, in); return err }, func() {}, nil
	case aloneORT:
		if c.Ort == "" {
			return nil, nil, errors.New("--alone onnxruntime needs --ort")
		}
		rt, err := ort.Open(c.Ort)
		if err != nil {
			return nil, nil, err
		}
		s, err := rt.Load(c.Models[0], ort.Options{Threads: a.Threads, Optimize: ort.All})
		if err != nil {
			return nil, nil, err
		}
		b, err := s.Bind(in)
		if err != nil {
			s.Close()
			return nil, nil, err
		}
		return b.Run, func() { b.Close(); s.Close() }, nil
	}
	return nil, nil, usagef("--alone %s: want %s or %s", c.Alone, aloneOurs, aloneORT)
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
