package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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

// child is a process of its own that runs a model on one engine: neither its
// memory nor its threads, some of which go on for a while after a run to see
// whether there will be another, are those of who measures.
type child struct {
	cmd       *exec.Cmd
	dir       string
	requests  io.WriteCloser
	answers   *json.Decoder
	complaint bytes.Buffer
	version   string
}

// request is a line that a child reads, answer what it says: at first the
// version of its engine, then how long runs took, and at the end of its input the
// memory that it had.
type (
	request struct {
		Runs int           // that count
		Wait time.Duration // of runs before, which do not
	}
	answer struct {
		Version string          `json:",omitempty"`
		Times   []time.Duration `json:",omitempty"`
		RSS     float64         `json:",omitempty"` // megabytes
	}
)

// start begins a process that runs g.
func (c *benchCmd) start(a *app, g *graph.Graph, shapes map[string][]int, threads int, alone string) (_ *child, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	k := &child{}
	if k.dir, err = os.MkdirTemp("", "drawknife-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(k.dir)
		}
	}()
	file := filepath.Join(k.dir, "model.onnx")
	if err := onnx.Write(file, g); err != nil {
		return nil, err
	}
	args := []string{"bench", file, "--alone", alone, "--threads", fmt.Sprint(threads), "--seed", fmt.Sprint(a.Seed)}
	for _, v := range g.Inputs {
		args = append(args, "--shape", v.Name+"="+strings.Trim(strings.ReplaceAll(fmt.Sprint(shapes[v.Name]), " ", "x"), "[]"))
		if v.Type != tensor.Float32 {
			args = append(args, "--input-type", fmt.Sprintf("%s=%d", v.Name, v.Type))
		}
	}
	k.cmd = exec.CommandContext(a, self, args...)
	k.cmd.Args[0] = os.Args[0]
	k.cmd.Env = append(os.Environ(), "DRAWKNIFE_ORT="+c.Ort)
	k.cmd.Stderr = &k.complaint
	if k.requests, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	k.answers = json.NewDecoder(bufio.NewReader(out))
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	hello, err := k.next()
	k.version = hello.Version
	return k, err
}

// next reads an answer. Where there is none the process has ended, and its
// complaint is the error.
func (k *child) next() (answer, error) {
	var r answer
	err := k.answers.Decode(&r)
	if err == nil {
		return r, nil
	}
	if ended := k.cmd.Wait(); ended != nil {
		err = ended
	}
	os.RemoveAll(k.dir)
	if c := strings.TrimSpace(k.complaint.String()); c != "" {
		return r, errors.New(strings.TrimPrefix(c, "drawknife: "))
	}
	return r, fmt.Errorf("a process of its own: %w", err)
}

// run times runs after others that do not count.
func (k *child) run(runs int, wait time.Duration) ([]time.Duration, error) {
	if err := json.NewEncoder(k.requests).Encode(request{runs, wait}); err != nil {
		_, err := k.next()
		return nil, err
	}
	r, err := k.next()
	return r.Times, err
}

// end ends the process and returns the most memory that it had, in megabytes.
func (k *child) end() (rss float64, err error) {
	k.requests.Close()
	r, err := k.next()
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(k.dir)
	return r.RSS, k.cmd.Wait()
}

// alone is the process that start begins.
func (c *benchCmd) alone(a *app) error {
	inputs := make([]*graph.Value, len(c.Shape))
	for i, s := range c.Shape {
		name, _, _ := strings.Cut(s, "=")
		inputs[i] = &graph.Value{Name: name, Type: tensor.Float32}
		for _, t := range c.InputType {
			if of, kind, _ := strings.Cut(t, "="); of == name {
				n, err := strconv.Atoi(kind)
				if inputs[i].Type = tensor.DType(n); err != nil || !inputs[i].Type.Known() {
					return usagef("--input-type %s: want NAME=NUMBER", t)
				}
			}
		}
	}
	shapes, err := inputShapes(new(graph.Graph), c.Shape, c.Batch)
	if err != nil {
		return err
	}
	in, err := randomInputs(shapes, inputs, a.Seed)
	if err != nil {
		return err
	}
	run, version, end, err := c.runner(a, in, shapes)
	if err != nil {
		return err
	}
	defer end()
	requests, answers := json.NewDecoder(os.Stdin), json.NewEncoder(a.out)
	if err := answers.Encode(answer{Version: version}); err != nil {
		return err
	}
	for {
		var r request
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return answers.Encode(answer{RSS: peakRSS()})
		} else if err != nil {
			return err
		}
		times, err := timed(nil, r.Runs, r.Wait, run)
		if err != nil {
			return err
		}
		if err := answers.Encode(answer{Times: times}); err != nil {
			return err
		}
	}
}

// timed appends how long n runs took, after others for as long as it should wait.
func timed(times []time.Duration, n int, wait time.Duration, run func() error) ([]time.Duration, error) {
	for begin := time.Now(); time.Since(begin) < wait; {
		if err := run(); err != nil {
			return nil, err
		}
	}
	for range n {
		start := time.Now()
		if err := run(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
	}
	return times, nil
}

// runner returns one run of the model on the engine chosen, and what ends its use.
func (c *benchCmd) runner(a *app, in map[string]*tensor.Tensor, shapes map[string][]int) (run func() error, version string, end func(), err error) {
	switch c.Alone {
	case aloneOurs:
		g, err := a.load(c.Models[0])
		if err != nil {
			return nil, "", nil, err
		}
		p, err := engine.Compile(g, engine.Options{Shapes: shapes, Threads: a.Threads})
		if err != nil {
			return nil, "", nil, err
		}
		return func() error { _, err := p.Run(a, in); return err }, "", func() {}, nil
	case aloneORT:
		if c.Ort == "" {
			return nil, "", nil, errors.New("--alone onnxruntime needs --ort")
		}
		rt, err := ort.Open(c.Ort)
		if err != nil {
			return nil, "", nil, err
		}
		s, err := rt.Load(c.Models[0], ort.Options{Threads: a.Threads, Optimize: ort.All})
		if err != nil {
			return nil, "", nil, err
		}
		b, err := s.Bind(in)
		if err != nil {
			s.Close()
			return nil, "", nil, err
		}
		return b.Run, rt.Version(), func() { b.Close(); s.Close() }, nil
	}
	return nil, "", nil, usagef("--alone %s: want %s or %s", c.Alone, aloneOurs, aloneORT)
}
