// Package compress is the main job: a model, data and a budget in; the best
// smaller and faster model out, measured on this machine, with the recipe that
// makes it again.
//
// A search takes a quick look at every method it is to consider, measures how
// sensitive each group of channels is, and walks a family of ever smaller
// networks that gives up the least accuracy for the time saved. It trains the
// promising ones within the time allowed, finishes each in integers, and keeps
// everything it measured. The methods are those of the registry of package
// method; see ParseMethods.
package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/onnx"
)

// Job is what to compress and within which limits.
type Job struct {
	Graph *graph.Graph
	Model string // its name, for the report
	// Test measures the result. Train calibrates and, if it has labels,
	// fine-tunes; none of its images may be in Test. Val, if set, has the images
	// that choose between candidates, in neither of the others; else a part of
	// Train is held out for that or, if that has no labels or the original was
	// trained on it, half of Test.
	Test, Train, Val data.Dataset
	Data             string // the data's name
	Pre              data.Preprocess
	Augment          string // of fine-tuning; see data.ParseAugment
	Budget           Budget
	// Methods says which methods to consider; see ParseMethods.
	Methods []string
	// Machine is what the energy is of; see Energy. If it or a limit of energy
	// is set, energy counts.
	Machine string
	Time    time.Duration // for search and fine-tuning
	Threads int
	Seed    uint64
	Dir     string // where outputs and the search's intermediate results go
	Version string // of the program
	Command string // that was given, for the report
	// Say, if set, is told what is being done; Progress how far it is.
	Say      func(format string, args ...any)
	Progress func(what string, done, total int)
}

// Files that a job writes to its directory.
const (
	ModelFile  = "model.onnx"
	RecipeFile = "recipe.yaml"
	JSONFile   = "report.json"
	HTMLFile   = "report.html"
	workDir    = ".search" // intermediate results, so that a job can go on
)

// ErrBudget is the cause when no candidate meets the budget. The best one
// found is written all the same.
var ErrBudget = errors.New("the budget could not be met")

func (j *Job) say(format string, args ...any) {
	if j.Say != nil {
		j.Say(format, args...)
	}
}

func (j *Job) progress(what string, done, total int) {
	if j.Progress != nil {
		j.Progress(what, done, total)
	}
}

// check rejects jobs that cannot succeed.
func (j *Job) check() error {
	b := j.Budget
	switch {
	case j.Graph == nil || j.Test == nil || j.Test.Len() == 0:
		return errors.New("compress: there are no images to measure accuracy on")
	case j.Train == nil || j.Train.Len() == 0:
		return errors.New("compress: there are no images to calibrate on")
	case len(j.Graph.Inputs) != 1:
		return fmt.Errorf("compress: the model has %d inputs; it must take images only", len(j.Graph.Inputs))
	case !(b.MaxDrop >= 0) || b.LatencyMs < 0 || b.Bytes < 0 || b.MACs < 0 || b.EnergyMJ < 0:
		return fmt.Errorf("compress: a limit of the budget is negative: %+v", b)
	}
	for _, n := range j.Graph.Nodes {
		if n.Is("QuantizeLinear", "DequantizeLinear") {
			return fmt.Errorf("compress: the model is quantized already (%v): give the float model", n)
		}
	}
	return nil
}

// Run carries out the job and writes its outputs, all but the HTML page (see
// package report). When ctx ends early, the best result so far is written and
// returned with ctx's error.
func (j *Job) Run(ctx context.Context) (*Result, error) {
	start := time.Now()
	if err := j.check(); err != nil {
		return nil, err
	}
	if j.Time < time.Second {
		return nil, fmt.Errorf("compress: %v is no time for a search; give at least a second", j.Time)
	}
	if err := os.MkdirAll(filepath.Join(j.Dir, workDir), 0o755); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	s, err := newSearch(ctx, j, nil)
	if err != nil {
		return nil, err
	}
	searchErr := s.run(ctx)
	if searchErr != nil && (ctx.Err() == nil || len(s.ranked()) == 0) {
		return nil, searchErr
	}
	// What is left must finish even after an interruption.
	r, err := s.finish(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	r.Seconds = time.Since(start).Seconds()
	if searchErr != nil {
		r.Warnings = append(r.Warnings, "the search was interrupted: this is the best result until then; run the same command again to go on")
	}
	if err := r.write(j.Dir); err != nil {
		return nil, err
	}
	switch {
	case searchErr != nil:
		return r, searchErr
	case !r.Met:
		return r, fmt.Errorf("compress: %w: %s", ErrBudget, r.missed())
	}
	return r, nil
}

// machine describes where the latencies were measured.
func machine() string {
	return fmt.Sprintf("%s/%s, %d CPUs, kernels %v", runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), cpu.Best())
}

// Replay applies a recipe to the job's model and writes the result to path:
// the same bytes that the search wrote. It returns the model. A recipe written
// by hand may leave out which model and data it is for.
func (j *Job) Replay(ctx context.Context, r *Recipe, path string) (*graph.Graph, error) {
	if err := j.check(); err != nil {
		return nil, err
	}
	s, err := newSearch(ctx, j, r)
	if err != nil {
		return nil, err
	}
	if r.Digest != "" && r.Digest != s.recipe.Digest {
		return nil, fmt.Errorf("compress: the recipe was made for another model (its digest is %s, this one's %s)", r.Digest, s.recipe.Digest)
	}
	if r.Data != "" && r.Data != s.recipe.Data {
		return nil, fmt.Errorf("compress: the recipe was made with other data (digest %s, these have %s)", r.Data, s.recipe.Data)
	}
	if err := r.check(s.labelled); err != nil {
		return nil, err
	}
	// Its name of the model, too, is in the file. One that was written by hand
	// need not say what it is for.
	own := s.recipe
	s.recipe = *r
	s.recipe.Holdout = own.Holdout
	s.recipe.Model, s.recipe.Digest, s.recipe.Data = cmp.Or(r.Model, own.Model), cmp.Or(r.Digest, own.Digest), cmp.Or(r.Data, own.Data)
	g, _, err := s.final(ctx, r.Steps)
	if err != nil {
		return nil, err
	}
	return g, onnx.Write(path, g)
}
