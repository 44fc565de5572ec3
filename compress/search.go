package compress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/data/metrics"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
)

// Sizes of the samples that the search works with.
const (
	selectImages = 2000 // to choose between candidates
	scanImages   = 500  // for each point of the sensitivity scan
	calibImages  = 256  // to calibrate on
	provenance   = 4096 // bytes of the recipe that the final file holds besides
	normImages   = 2048 // to measure batch normalisation's statistics on
)

// search is a job in progress.
type search struct {
	job    *Job
	pre    data.Preprocess
	recipe Recipe // without steps: model, data and seed
	start  time.Time

	selection data.Dataset // images that choose between candidates
	chosen    []int        // their places among the test images
	original  *metrics.Classification
	before    measure.Metrics
	baseline  float64 // top-1 of the original on the selection
	curves    []Curve
	groups    []prune.Candidate
	frozen    []prune.Row
	trials    []*candidate
	warnings  []string
	canTrain  bool
	epoch     time.Duration // how long one epoch of fine-tuning takes
	journal   journal
}

// candidate is a recipe with what was measured of its result.
type candidate struct {
	steps []Step
	Trial
}

func newSearch(ctx context.Context, j *Job) (*search, error) {
	s := &search{job: j, pre: j.Pre, start: time.Now()}
	if d := j.Graph.Inputs[0].Shape.Ints(); len(d) == 4 {
		s.pre = j.Pre.ForInput(max(d[1], 0), max(d[2], 0), max(d[3], 0))
	}
	if err := os.MkdirAll(filepath.Join(j.Dir, workDir), 0o755); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	model, err := onnx.Encode(j.Graph)
	if err != nil {
		return nil, err
	}
	train, err := data.Fingerprint(ctx, j.Train)
	if err != nil {
		return nil, fmt.Errorf("compress: training images: %w", err)
	}
	s.recipe = Recipe{Version: 1, Model: j.Model, Digest: digest(model), Data: train, Seed: j.Seed}
	// Half of the test images at most choose: the others tell whether the
	// choice holds on images that played no part in it.
	for n, i := min(selectImages, max(j.Test.Len()/2, min(j.Test.Len(), 200))), 0; i < n; i++ {
		s.chosen = append(s.chosen, i*j.Test.Len()/n)
	}
	s.selection = data.Subset(j.Test, s.chosen)
	labelled := 0
	for i := range min(j.Train.Len(), 100) {
		if j.Train.Label(i) >= 0 {
			labelled++
		}
	}
	s.canTrain = labelled == min(j.Train.Len(), 100) && j.Train.Len() >= 500
	return s, s.openJournal()
}

// left is how much of the job's time remains.
func (s *search) left() time.Duration { return s.job.Time - time.Since(s.start) }

func (s *search) run(ctx context.Context) error {
	s.job.say("measuring the original")
	if err := s.measureOriginal(ctx); err != nil {
		return err
	}
	s.job.say("original: %.2f %% top-1, %.3f ms", s.before.Top1, s.before.MedianMs)
	steps := []Step{s.quantizeStep(nil)}
	quant, err := s.try(ctx, "int8", steps)
	if err != nil {
		return err
	}
	if _, err := s.mixed(ctx, "int8", steps, s.trials[0], quant); err != nil {
		return err
	}
	groups, frozen, err := prune.Candidates(s.inferred(), prune.Options{})
	if errors.Is(err, prune.ErrNothing) {
		s.warnings = append(s.warnings, "no channels can be removed from this model: only quantization was tried")
		return nil
	}
	if err != nil {
		return err
	}
	s.groups, s.frozen = groups, frozen
	if err := s.scan(ctx); err != nil {
		return err
	}
	return s.descend(ctx)
}

// inferred is a copy of the original with all shapes known.
func (s *search) inferred() *graph.Graph {
	g := s.job.Graph.Clone()
	_ = g.InferShapes() // an error would have surfaced when the original ran
	return g
}

func (s *search) measureOriginal(ctx context.Context) error {
	j := s.job
	acc, _, err := measure.Accuracy(ctx, j.Graph, j.Test, s.pre, measure.Options{Threads: j.Threads,
		Progress: func(n int) { j.progress("original", n, j.Test.Len()) }})
	if err != nil {
		return err
	}
	if acc.N() == 0 {
		return errors.New("compress: none of the test images has a label")
	}
	s.original = acc
	s.before.Top1, s.before.Top5, s.before.Loss = acc.Top1(), acc.Top5(), acc.Loss()
	if err := s.before.Cost(s.inferred()); err != nil {
		return err
	}
	ms, err := measure.Latency(ctx, j.Threads, j.Graph)
	if err != nil {
		return err
	}
	s.before.MedianMs = float64(ms[0].Nanoseconds()) / 1e6
	if s.baseline, err = s.accuracy(ctx, j.Graph, s.selection); err != nil {
		return err
	}
	s.trials = append(s.trials, &candidate{Trial: Trial{Name: "original", Key: "original", Top1: s.baseline, Ms: s.before.MedianMs,
		Bytes: s.before.WeightBytes, File: s.before.FileBytes, MACs: s.before.MACs, Params: s.before.Params, Original: true}})
	return nil
}

func (s *search) accuracy(ctx context.Context, g *graph.Graph, ds data.Dataset) (float64, error) {
	acc, _, err := measure.Accuracy(ctx, g, ds, s.pre, measure.Options{Threads: s.job.Threads})
	if err != nil {
		return 0, err
	}
	return acc.Top1(), nil
}

func (s *search) quantizeStep(float []string) Step {
	return Step{Quantize: &QuantizeStep{Calibrator: "mse", Images: min(calibImages, s.job.Train.Len()), Target: "ort", BiasCorrection: true, Float: float}}
}

// try builds a candidate, measures it and adds it to the trials. What was
// measured is kept on disk beside the model.
func (s *search) try(ctx context.Context, name string, steps []Step) (*candidate, error) {
	r := s.recipe
	r.Steps = steps
	key := r.key(len(steps))
	for _, t := range s.trials {
		if t.Key == key {
			return t, nil
		}
	}
	c := &candidate{steps: steps}
	note := filepath.Join(s.job.Dir, workDir, key+".json")
	if b, err := os.ReadFile(note); err == nil && json.Unmarshal(b, &c.Trial) == nil && c.Key == key {
		s.trials = append(s.trials, c)
		s.job.say("%s: %.2f %% top-1, %.3f ms (from the last run)", c.Name, c.Top1, c.Ms)
		return c, nil
	}
	g, err := s.apply(ctx, steps)
	if err != nil {
		return nil, err
	}
	top1, err := s.accuracy(ctx, g, s.selection)
	if err != nil {
		return nil, err
	}
	// Timed beside the original: a machine that is slower now slows both.
	ms, err := measure.Latency(ctx, s.job.Threads, s.job.Graph, g)
	if err != nil {
		return nil, err
	}
	cost := g.Cost()
	c.Trial = Trial{Name: name, Key: key, Top1: top1, Ms: s.before.MedianMs * float64(ms[1]) / float64(ms[0]), Bytes: cost.WeightBytes, MACs: cost.MACs, Params: cost.Params}
	if st, err := os.Stat(s.file(key)); err == nil {
		c.File = st.Size()
	}
	b, err := json.Marshal(c.Trial)
	if err != nil {
		return nil, err
	}
	if err := writeFile(note, b); err != nil {
		return nil, err
	}
	s.trials = append(s.trials, c)
	s.job.say("%s: %.2f %% top-1, %.3f ms", name, top1, c.Ms)
	return c, nil
}

// meets reports whether a trial keeps to the budget.
func (s *search) meets(t *Trial) bool {
	b := s.job.Budget
	return s.baseline-t.Top1 <= b.MaxDrop+1e-9 && (b.LatencyMs == 0 || t.Ms <= b.LatencyMs) &&
		(b.Bytes == 0 || t.File+provenance <= b.Bytes) && (b.MACs == 0 || t.MACs <= b.MACs)
}

// excess says how far a trial is from the budget, 0 if it meets it.
func (s *search) excess(t *Trial) float64 {
	b := s.job.Budget
	over := func(v, limit float64) float64 {
		if limit == 0 {
			return 0
		}
		return max(v/limit-1, 0)
	}
	return max(s.baseline-t.Top1-b.MaxDrop-1e-9, 0)/10 + over(t.Ms, b.LatencyMs) + over(float64(t.File+provenance), float64(b.Bytes)) + over(float64(t.MACs), float64(b.MACs))
}

// best is the candidate to hand over: among those that meet the budget the
// fastest or, if a latency was asked for, the most accurate; else the one
// nearest to the budget. Nil if there is none but the original.
func (s *search) best() *candidate {
	var best *candidate
	better := func(a, b *candidate) bool {
		ea, eb := s.excess(&a.Trial), s.excess(&b.Trial)
		switch {
		case ea != eb:
			return ea < eb
		case s.job.Budget.LatencyMs > 0 && a.Top1 != b.Top1:
			return a.Top1 > b.Top1
		case a.Ms != b.Ms:
			return a.Ms < b.Ms
		}
		return a.Bytes < b.Bytes
	}
	for _, t := range s.trials {
		if !t.Original && (best == nil || better(t, best)) {
			best = t
		}
	}
	return best
}

// levels lists the numbers of channels to try for a group, descending, all of
// them multiples of 8 where the group is large enough.
func levels(size int) []int {
	unit := 8
	if size <= 32 {
		unit = 4
	}
	if size <= 8 {
		unit = 2
	}
	var out []int
	for _, f := range []float64{0.875, 0.75, 0.625, 0.5, 0.375, 0.25} {
		k := max(unit, (int(f*float64(size))+unit-1)/unit*unit)
		if k < size && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// scan measures how accuracy falls when one group alone loses channels,
// within a sixth of the time allowed.
func (s *search) scan(ctx context.Context) error {
	j := s.job
	file := filepath.Join(j.Dir, workDir, "sensitivity.json")
	if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &s.curves) == nil && len(s.curves) == len(s.groups) {
		return nil
	}
	s.curves = nil
	ds := data.Spread(j.Test, min(scanImages, j.Test.Len()))
	// Points that the time allows: the first measured tells how long one takes.
	deadline := time.Now().Add(j.Time / 6)
	fractions := 3
	j.say("measuring how sensitive %d groups of channels are", len(s.groups))
	base, err := s.accuracy(ctx, j.Graph, ds)
	if err != nil {
		return err
	}
	fullMACs := s.before.MACs
	for i, c := range s.groups {
		all := levels(c.Group.Size)
		curve := Curve{Group: c.Group.Name, Channels: c.Group.Size, Points: []Point{{c.Group.Size, base, fullMACs}}}
		pick := all
		if len(all) > fractions {
			pick = []int{all[0], all[len(all)/2], all[len(all)-1]}
		}
		if time.Now().After(deadline) && len(pick) > 0 {
			pick = pick[len(pick)/2 : len(pick)/2+1]
		}
		for _, keep := range pick {
			g, _, err := prune.To(j.Graph, "l1", map[string]int{c.Group.Name: keep})
			if err != nil {
				return err
			}
			top1, err := s.accuracy(ctx, g, ds)
			if err != nil {
				return err
			}
			curve.Points = append(curve.Points, Point{keep, top1, g.Cost().MACs})
		}
		s.curves = append(s.curves, curve)
		j.progress("sensitivity", i+1, len(s.groups))
	}
	for _, r := range s.frozen {
		if strings.Contains(r.Reason, "is an output of the graph") {
			continue // as in every model
		}
		s.warnings = append(s.warnings, fmt.Sprintf("channels of %s cannot be pruned: %s", r.Group, r.Reason))
	}
	b, err := json.Marshal(s.curves)
	if err != nil {
		return err
	}
	return writeFile(file, b)
}

// drop estimates the points of top-1 that keeping k channels of a group costs,
// by the lines between the measured points; never negative.
func (c *Curve) drop(k int) float64 {
	p := c.Points
	for i := 1; i < len(p); i++ {
		if k >= p[i].Keep {
			t := float64(p[i-1].Keep-k) / float64(p[i-1].Keep-p[i].Keep)
			return max(0, p[0].Top1-(p[i-1].Top1+t*(p[i].Top1-p[i-1].Top1)))
		}
	}
	return max(0, p[0].Top1-p[len(p)-1].Top1) + 1e-3*float64(p[len(p)-1].Keep-k)
}

// shares returns, for a share of the MACs to keep, the channels of each group:
// starting from all of them, always the cut that costs least accuracy for the
// operations it saves.
func (s *search) shares(target float64) (map[string]int, error) {
	type state struct {
		levels []int
		at     int // -1: all channels
	}
	st := make([]state, len(s.groups))
	keep := map[string]int{}
	for i, c := range s.groups {
		st[i] = state{levels(c.Group.Size), -1}
	}
	size := func(i, at int) int {
		if at < 0 {
			return s.groups[i].Group.Size
		}
		return st[i].levels[at]
	}
	macs := s.before.MACs
	for float64(macs) > target*float64(s.before.MACs) {
		best, gain := -1, 0.0
		for i := range st {
			if st[i].at+1 >= len(st[i].levels) {
				continue
			}
			now, next := size(i, st[i].at), size(i, st[i].at+1)
			cost := s.curves[i].drop(next) - s.curves[i].drop(now)
			last := s.curves[i].Points[len(s.curves[i].Points)-1]
			perChannel := float64(s.before.MACs-last.MACs) / float64(s.groups[i].Group.Size-last.Keep)
			if g := perChannel * float64(now-next) / (max(cost, 0) + 0.05); best < 0 || g > gain {
				best, gain = i, g
			}
		}
		if best < 0 {
			break
		}
		st[best].at++
		keep[s.groups[best].Group.Name] = size(best, st[best].at)
		g, _, err := prune.To(s.job.Graph, "l1", keep)
		if err != nil {
			return nil, err
		}
		macs = g.Cost().MACs
	}
	return maps.Clone(keep), nil
}
