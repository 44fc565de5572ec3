package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/drawknife/drawknife/compress"
	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/internal/demo"
	"github.com/drawknife/drawknife/report"
)

type compressCmd struct {
	Model     string        `arg:"" optional:"" help:"Model file or zoo:NAME; without it the demonstration that comes with the program."`
	Output    string        `short:"o" help:"Folder for model.onnx, recipe.yaml, report.html and report.json; by default MODEL_small." placeholder:"DIR" type:"path"`
	Data      string        `help:"Data set: its test split measures the result, its training split fine-tunes and calibrates." placeholder:"SPEC"`
	TrainData string        `help:"Training data, if not the training split of --data." placeholder:"SPEC"`
	ValData   string        `help:"Images that choose between candidates; by default a part of the training data is held out for that or, if the model was trained on it, half of the test split. What measures the result chooses nothing." placeholder:"SPEC"`
	Labels    string        `help:"Table of file names and classes." placeholder:"FILE" type:"path"`
	MaxDrop   *float64      `help:"Percentage points of top-1 that may be lost: 1 unless given (the demonstration: 0.5)." placeholder:"PTS"`
	Latency   string        `help:"Latency to reach for one image on all threads: 2ms, 800us." placeholder:"TIME"`
	Size      string        `help:"Size of the model file to reach: 300k, 1.5M." placeholder:"BYTES"`
	Macs      string        `name:"macs" help:"Multiply-accumulates to reach: 20M, or a share: 50%." placeholder:"N"`
	Energy    string        `help:"Energy of one image to reach on --machine, by the models of drawknife simulate: 0.2mJ, 150uJ, or a ratio: 2x." placeholder:"E"`
	Machine   string        `help:"Machine whose energy counts: a name of 'drawknife simulate --list' or an architecture file (.yaml); with --energy bitfusion unless given. Without --energy the report shows the energy only." placeholder:"NAME"`
	Methods   []string      `help:"Methods to consider, as patterns of FAMILY/NAME: 'quantize/*,prune/l1'. With + they add to the usual ones, with - they take away: '+weights/*,-layers/*'. Families: prune, allocate, sparsify, layers, weights, schedule, quantize, calibrate; see drawknife methods. Methods that train take most time." placeholder:"PATTERN"`
	Time      time.Duration `help:"Time for search and fine-tuning: 10m unless given (the demonstration: 100s)." placeholder:"DURATION"`
	Augment   string        `help:"Augmentation of fine-tuning: crop4,flip,… or none; by default what suits the data." placeholder:"SPEC"`
	Recipe    string        `help:"Replay this recipe instead of searching: the same bytes come out." placeholder:"FILE" type:"path"`
	Limit     int           `help:"Measure on only this many test images." placeholder:"N"`
	Fresh     bool          `help:"Do not go on from an interrupted search in the output folder."`
	preFlags
}

func (c *compressCmd) Run(a *app) error {
	j, err := c.job(a)
	if err != nil {
		return err
	}
	if c.Fresh {
		if err := os.RemoveAll(filepath.Join(j.Dir, ".search")); err != nil {
			return err
		}
	}
	if c.Recipe != "" {
		return c.replay(a, j)
	}
	r, err := j.Run(a)
	if r == nil {
		return err
	}
	if werr := writeHTML(filepath.Join(j.Dir, compress.HTMLFile), r); werr != nil {
		return errors.Join(err, werr)
	}
	if perr := a.emit(r, func(w io.Writer) error {
		if err := report.Text(w, r); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "\nwrote %s\n", strings.Join(r.Outputs, ", "))
		return err
	}); perr != nil {
		return perr
	}
	return err
}

func (c *compressCmd) replay(a *app, j *compress.Job) error {
	b, err := os.ReadFile(c.Recipe)
	if err != nil {
		return err
	}
	recipe, err := compress.ParseRecipe(b)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Recipe, err)
	}
	start := time.Now()
	path := filepath.Join(j.Dir, compress.ModelFile)
	g, err := j.Replay(a, recipe, path)
	if err != nil {
		return err
	}
	r := beforeAfter{Model: j.Model, Outputs: []string{path}}
	if err := r.count(a, &r.Before, j.Graph, j.Test, j.Pre); err != nil {
		return err
	}
	if err := r.count(a, &r.After, g, j.Test, j.Pre); err != nil {
		return err
	}
	if err := r.time(a, j.Graph, g); err != nil {
		return err
	}
	r.Seconds = time.Since(start).Seconds()
	return a.emit(r, func(w io.Writer) error {
		if err := r.print(w); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "replayed %d steps; wrote %s\n", len(recipe.Steps), path)
		return err
	})
}

// job gathers what the flags say.
func (c *compressCmd) job(a *app) (*compress.Job, error) {
	j := &compress.Job{Model: c.Model, Data: c.Data, Augment: c.Augment, Time: c.Time, Threads: a.Threads, Seed: a.Seed, Dir: c.Output,
		Version: version, Command: "drawknife " + strings.Join(a.args, " "), Budget: compress.Budget{MaxDrop: 1},
		Say: func(f string, args ...any) { a.note("%s %s", time.Now().Format("15:04:05"), fmt.Sprintf(f, args...)) }}
	j.Progress = a.steps()
	var err error
	if c.Model == "" {
		err = c.demo(j)
	} else {
		err = c.own(a, j)
	}
	if err != nil {
		return nil, err
	}
	if c.Augment != "" {
		j.Augment = c.Augment
	}
	if j.Augment == "none" {
		j.Augment = ""
	}
	if _, err := data.ParseAugment(j.Augment); err != nil {
		return nil, usagef("--augment: %w", err)
	}
	if j.Time == 0 {
		j.Time = 10 * time.Minute
	}
	if c.MaxDrop != nil {
		j.Budget.MaxDrop = *c.MaxDrop
	}
	if c.Latency != "" {
		d, err := time.ParseDuration(c.Latency)
		if err != nil || d <= 0 {
			return nil, usagef("--latency %s: want a time such as 2ms or 800us", c.Latency)
		}
		j.Budget.LatencyMs = ms(d)
	}
	if c.Size != "" {
		if j.Budget.Bytes, err = parseCount(c.Size); err != nil {
			return nil, usagef("--size %s: want a number of bytes such as 300k or 1.5M", c.Size)
		}
	}
	if c.Macs != "" {
		if share, ok := strings.CutSuffix(c.Macs, "%"); ok {
			var p float64
			if _, err := fmt.Sscan(share, &p); err != nil || p <= 0 || p > 100 {
				return nil, usagef("--macs %s: want a share between 0 and 100 %%", c.Macs)
			}
			j.Budget.MACs = int64(p / 100 * float64(j.Graph.Cost().MACs))
		} else if j.Budget.MACs, err = parseCount(c.Macs); err != nil {
			return nil, usagef("--macs %s: want a number such as 20M, or a share such as 50%%", c.Macs)
		}
	}
	if err := c.energy(j); err != nil {
		return nil, err
	}
	j.Methods = c.Methods
	if _, err := compress.ParseMethods(j.Methods, j.Budget); err != nil {
		return nil, usagef("--methods: %w", err)
	}
	if !(j.Budget.MaxDrop >= 0) {
		return nil, usagef("--max-drop cannot be negative")
	}
	if j.Time < time.Second {
		return nil, usagef("--time %v: give at least a second", j.Time)
	}
	return j, nil
}

// energy reads --energy and --machine. A ratio is of the original's energy.
func (c *compressCmd) energy(j *compress.Job) error {
	j.Machine = c.Machine
	if c.Energy == "" && c.Machine == "" {
		return nil
	}
	if j.Machine == "" {
		j.Machine = compress.DefaultMachine
	}
	before, err := compress.Energy(j.Graph, j.Machine)
	if err != nil {
		return usagef("--machine %s: %w", j.Machine, err)
	}
	if c.Energy != "" {
		if j.Budget.EnergyMJ, err = parseEnergy(c.Energy, before); err != nil {
			return usagef("--energy %s: %w", c.Energy, err)
		}
	}
	return nil
}

// parseEnergy reads an energy in millijoules: 0.2mJ, 150uJ, 3nJ, 1J, a plain
// number of millijoules, or the part of before that a ratio such as 2x leaves.
func parseEnergy(s string, before float64) (float64, error) {
	text := strings.ReplaceAll(s, "µ", "u")
	unit := 1.0
	for _, u := range []struct {
		suffix string
		mj     float64
	}{{"mJ", 1}, {"uJ", 1e-3}, {"nJ", 1e-6}, {"J", 1e3}, {"x", 0}} {
		if t, ok := strings.CutSuffix(text, u.suffix); ok {
			text, unit = t, u.mj
			break
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	switch {
	case err != nil || !(v > 0) || v > 1e15:
		return 0, errors.New("want an energy such as 0.2mJ or 150uJ, or a ratio such as 2x")
	case unit == 0 && v < 1:
		return 0, errors.New("a ratio says how many times less; want at least 1x")
	case unit == 0:
		return before / v, nil
	}
	return v * unit, nil
}

// demo is the job on the network and the images inside the program.
func (c *compressCmd) demo(j *compress.Job) error {
	d, err := demo.Open()
	if err != nil {
		return err
	}
	j.Model, j.Data, j.Graph, j.Test, j.Train = "demo", "demo", d.Graph, d.Test, d.Train
	j.Val = d.Val
	if err := d.Graph.InferShapes(); err != nil {
		return err
	}
	if j.Dir == "" {
		j.Dir = "demo_small"
	}
	if j.Time == 0 {
		j.Time = 100 * time.Second
	}
	j.Budget.MaxDrop = 0.5
	j.Augment = d.Augment
	j.Pre, err = data.ParsePreprocess(d.Graph.Metadata[data.MetadataKey])
	return err
}

func (c *compressCmd) own(a *app, j *compress.Job) error {
	if c.Data == "" {
		return usagef("compress needs --data to measure accuracy on")
	}
	var err error
	if j.Graph, err = a.loadSound(c.Model); err != nil {
		return err
	}
	if j.Pre, err = c.preprocess(a, j.Graph); err != nil {
		return err
	}
	if j.Dir == "" {
		j.Dir = strings.TrimSuffix(besides(c.Model, "_small"), ".onnx")
	}
	if j.Test, err = openData(c.Data, c.Labels, "test", 0); err != nil {
		return err
	}
	spec := c.TrainData
	if spec == "" {
		spec = c.Data
	}
	if j.Train, err = openData(spec, c.Labels, "train", 0); err != nil {
		return err
	}
	same, err := sameImages(j.Train, j.Test)
	if err != nil {
		return err
	}
	if same {
		// The data have one part only: every fifth image measures, the others
		// train, so that no image does both.
		a.note("note: %s has no training split of its own: four fifths of it train, one fifth measures (see --train-data)", c.Data)
		j.Train, j.Test = split(j.Train)
	}
	if c.ValData != "" {
		if j.Val, err = openData(c.ValData, c.Labels, "val", 0); err != nil {
			return err
		}
	}
	if c.Limit < 0 {
		return usagef("--limit cannot be negative")
	}
	if c.Limit > 0 && c.Limit < j.Test.Len() {
		j.Test = data.Spread(j.Test, c.Limit)
	}
	if c.Augment == "" && small(j.Graph) {
		j.Augment = "crop4,flip"
	}
	return nil
}

// small reports whether the model takes images of CIFAR's size.
func small(g *graph.Graph) bool {
	s := g.Inputs[0].Shape.Ints()
	return len(s) == 4 && s[1] == 3 && s[2] > 0 && s[2] <= 64
}

// sameImages reports whether two data sets hold the same images, by their
// number and a sample.
func sameImages(a, b data.Dataset) (bool, error) {
	if a.Len() != b.Len() {
		return false, nil
	}
	var x, y data.Sample
	for k := range min(a.Len(), 16) {
		i := k * a.Len() / min(a.Len(), 16)
		if err := errors.Join(a.Read(i, &x), b.Read(i, &y)); err != nil {
			return false, err
		}
		if x.H != y.H || x.W != y.W || x.C != y.C || !bytes.Equal(x.Pix, y.Pix) || !slices.Equal(x.Float, y.Float) || a.Label(i) != b.Label(i) {
			return false, nil
		}
	}
	return true, nil
}

func split(ds data.Dataset) (train, test data.Dataset) {
	var a, b []int
	for i := range ds.Len() {
		if i%5 == 4 {
			b = append(b, i)
		} else {
			a = append(a, i)
		}
	}
	return data.Subset(ds, a), data.Subset(ds, b)
}

// parseCount reads 300k, 1.5M, 2G or a plain number.
func parseCount(s string) (int64, error) {
	unit := 1.0
	switch {
	case strings.HasSuffix(strings.ToLower(s), "k"):
		unit = 1e3
	case strings.HasSuffix(strings.ToLower(s), "m"):
		unit = 1e6
	case strings.HasSuffix(strings.ToLower(s), "g"):
		unit = 1e9
	}
	if unit > 1 {
		s = s[:len(s)-1]
	}
	var v float64
	var rest string
	if n, err := fmt.Sscanf(s+" .", "%g %s", &v, &rest); err != nil || n != 2 || !(v > 0) || v*unit > 1e15 {
		return 0, fmt.Errorf("not a count: %q", s)
	}
	return int64(v * unit), nil
}

func writeHTML(path string, r *compress.Result) error {
	return atomicfile.Write(path, func(w io.Writer) error { return report.HTML(w, r) })
}

// steps makes a progress function that starts a new bar whenever the work
// changes its name.
func (a *app) steps() func(what string, done, total int) {
	var name string
	step, end := func(int) {}, func() {}
	return func(what string, done, total int) {
		kind, _, _ := strings.Cut(what, " (")
		if kind != name || done == 0 {
			end()
			name = kind
			step, end = a.progress(kind, total)
		}
		step(done)
		if done >= total {
			end()
			name = ""
		}
	}
}
