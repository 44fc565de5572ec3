package compress

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
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
	leastImages = 1000 // to choose between candidates, if there are as many
	mostImages  = 5000
	scanImages  = 500  // for each point of the sensitivity scan
	calibImages = 256  // to calibrate on
	provenance  = 4096 // bytes of the recipe that the final file holds besides
	normImages  = 2048 // to measure batch normalisation's statistics on
)

var errNoLabels = errors.New("compress: none of the test images has a label")

// search is a job in progress.
type search struct {
	job    *Job
	pre    data.Preprocess
	recipe Recipe // without steps: model, data and seed
	start  time.Time

	trainset data.Dataset // of the training images those that train and calibrate
	held     data.Dataset // images that may choose between candidates
	test     data.Dataset // images that measure the result
	labelled bool         // the training images have labels
	canTrain bool

	selection  sample // images that choose between candidates
	chosenFrom string // where they are from
	chooser    string // tells a validation set from another, "" for none
	original   *metrics.Classification
	before     measure.Metrics
	beforeMJ   float64
	baseline   float64 // top-1 of the original on the selection

	methods    []string // FAMILY/NAME
	screened   screening
	calibrator string
	reduce     bool // weights of 7 bits are faster here
	reserved   time.Duration

	base     *graph.Graph // what the walk removes channels from
	curves   []Curve
	groups   []prune.Candidate
	frozen   []prune.Row
	trials   []*candidate
	warnings []string
	journal  journal
}

// candidate is a recipe with what was measured of its result.
type candidate struct {
	steps []Step
	Trial
}

// newSearch prepares a search, or a replay of recipe if that is not nil.
func newSearch(ctx context.Context, j *Job, recipe *Recipe) (*search, error) {
	s := &search{job: j, pre: j.Pre, start: time.Now(), trainset: j.Train, test: j.Test, calibrator: "mse"}
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
	fingerprint, err := data.Fingerprint(ctx, j.Train)
	if err != nil {
		return nil, fmt.Errorf("compress: training images: %w", err)
	}
	s.recipe = Recipe{Version: recipeVersion, Model: j.Model, Digest: digest(model), Data: fingerprint, Seed: j.Seed}
	if s.methods, err = ParseMethods(j.Methods, j.Budget); err != nil {
		return nil, fmt.Errorf("compress: methods: %w", err)
	}
	if j.Val != nil {
		if s.chooser, err = data.Fingerprint(ctx, j.Val); err != nil {
			return nil, fmt.Errorf("compress: validation images: %w", err)
		}
	}
	s.divide(recipe)
	return s, s.openJournal()
}

// divide settles which training images train and which choose, or, if these
// have no labels, which test images choose and which measure.
func (s *search) divide(recipe *Recipe) {
	j := s.job
	n, seen := 0, min(j.Train.Len(), 100)
	for i := range seen {
		if j.Train.Label(i) >= 0 {
			n++
		}
	}
	s.labelled = n == seen
	switch {
	case recipe != nil:
		s.recipe.Holdout = min(recipe.Holdout, j.Train.Len()/2)
	case s.labelled && j.Val == nil:
		s.recipe.Holdout = holdout(j.Train.Len())
	}
	s.held, s.chosenFrom = j.Val, "the validation set"
	if s.recipe.Holdout > 0 {
		var held data.Dataset
		if s.trainset, held = split(j.Train, s.recipe.Holdout); j.Val == nil {
			s.held, s.chosenFrom = held, "training images held out"
		}
	}
	if s.held == nil && recipe == nil {
		s.halve()
	}
	s.canTrain = s.labelled && s.trainset.Len() >= 400
}

// left is how much of the job's time remains for the walk.
func (s *search) left() time.Duration { return s.job.Time - time.Since(s.start) - s.reserved }

func (s *search) run(ctx context.Context) error {
	s.job.say("measuring the original")
	if err := s.measureOriginal(ctx); err != nil {
		return err
	}
	s.job.say("original: %.2f %% top-1, %.3f ms; %d images choose (%s)", s.before.Top1, s.before.MedianMs, s.selection.images.Len(), s.chosenFrom)
	if s.tries("quantize/int8") {
		if err := s.integers(ctx); err != nil {
			return err
		}
	}
	if err := s.channels(ctx); err != nil {
		return err
	}
	if err := s.screen(ctx); err != nil {
		return err
	}
	if _, err := s.finishers(ctx, "original", nil); err != nil {
		return err
	}
	return s.walk(ctx)
}

// channels finds the groups of channels that may go, and how sensitive they are.
func (s *search) channels(ctx context.Context) error {
	s.base = s.inferred()
	if len(s.ideas(channelFamilies...)) == 0 {
		return nil
	}
	groups, frozen, err := prune.Candidates(s.base, prune.Options{})
	if errors.Is(err, prune.ErrNothing) {
		s.warnings = append(s.warnings, "no channels can be removed from this model: only quantization was tried")
		return nil
	}
	if err != nil {
		return err
	}
	s.groups, s.frozen = groups, frozen
	return s.scan(ctx)
}

// integers tries the original in 8 bits, with weights of 8 and of 7 bits.
func (s *search) integers(ctx context.Context) error {
	steps := []Step{s.quantizeStep(nil)}
	quant, err := s.try(ctx, "int8", steps)
	if err != nil {
		return err
	}
	if _, err := s.mixed(ctx, "int8", steps, s.trials[0], quant); err != nil {
		return err
	}
	narrow := s.quantizeStep(nil)
	narrow.ReduceRange = true
	if _, err := s.try(ctx, "int8, 7-bit weights", []Step{narrow}); err != nil {
		return err
	}
	s.reduce, err = decide(s, "7-bit weights", func() (bool, error) {
		wide, err := s.apply(ctx, steps)
		if err != nil {
			return false, err
		}
		seven, err := s.apply(ctx, []Step{narrow})
		if err != nil {
			return false, err
		}
		ms, err := measure.Fastest(ctx, s.job.Threads, wide, seven)
		return err == nil && float64(ms[1]) < 0.97*float64(ms[0]), err
	})
	return err
}

// inferred is a copy of the original with all shapes known.
func (s *search) inferred() *graph.Graph {
	g := s.job.Graph.Clone()
	_ = g.InferShapes() // an error would have surfaced when the original ran
	return g
}

func (s *search) measureOriginal(ctx context.Context) error {
	j := s.job
	ms, err := measure.Latency(ctx, j.Threads, j.Graph)
	if err != nil {
		return err
	}
	if err := s.choose(ctx, ms[0]); err != nil {
		return err
	}
	acc, err := s.accuracyOf(ctx, j.Graph, "original")
	if err != nil {
		return err
	}
	if acc.N() == 0 {
		return errNoLabels
	}
	s.original = acc
	s.before.Top1, s.before.Top5, s.before.Loss = acc.Top1(), acc.Top5(), acc.Loss()
	if err := s.before.Cost(s.inferred()); err != nil {
		return err
	}
	if s.beforeMJ, err = s.energy(s.inferred()); err != nil {
		return err
	}
	s.before.MedianMs = float64(ms[0].Nanoseconds()) / 1e6
	base, err := s.score(ctx, j.Graph, s.selection)
	if err != nil {
		return err
	}
	s.baseline = base.Top1
	s.trials = append(s.trials, &candidate{Trial: Trial{Name: "original", Key: "original", Top1: s.baseline, Images: s.selection.images.Len(), Ms: s.before.MedianMs,
		Bytes: s.before.WeightBytes, File: s.before.FileBytes, MACs: s.before.MACs, Params: s.before.Params, EnergyMJ: s.beforeMJ, Original: true}})
	return nil
}

func (s *search) quantizeStep(float []string) *QuantizeStep {
	return &QuantizeStep{Method: "int8", Calibrator: s.calibrator, Images: min(calibImages, s.trainset.Len()), Target: "ort", ReduceRange: s.reduce, Float: float}
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
	images := s.selection.images.Len()
	note := s.note(key)
	if b, err := os.ReadFile(note); err == nil && json.Unmarshal(b, &c.Trial) == nil && c.Key == key && c.Images == images && (c.EnergyMJ > 0) == s.job.countsEnergy() {
		s.trials = append(s.trials, c)
		s.job.say("%s: %.2f %% top-1, %.3f ms (from the last run)", c.Name, c.Top1, c.Ms)
		return c, nil
	}
	g, err := s.apply(ctx, steps)
	if err != nil {
		return nil, err
	}
	if c.Trial, err = s.measure(ctx, g); err != nil {
		return nil, err
	}
	c.Name, c.Key = name, key
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
	s.job.say("%s: %.2f %% top-1, %.3f ms, %d KiB", name, c.Top1, c.Ms, (c.File+1023)/1024)
	return c, nil
}

// note is the file that keeps what was measured under a name, on the images that
// choose.
func (s *search) note(name string) string {
	if s.chooser != "" {
		name += "-" + s.chooser[:min(len(s.chooser), 8)]
	}
	return filepath.Join(s.job.Dir, workDir, name+".json")
}

// measure finds out what a candidate is worth.
func (s *search) measure(ctx context.Context, g *graph.Graph) (Trial, error) {
	sc, err := s.score(ctx, g, s.selection)
	if err != nil {
		return Trial{}, err
	}
	// Timed beside the original: a machine that is slower now slows both.
	ms, err := s.pace(ctx, g)
	if err != nil {
		return Trial{}, err
	}
	mj, err := s.energy(g)
	cost := g.Cost()
	return Trial{Top1: sc.Top1, Images: s.selection.images.Len(), Ms: ms, Bytes: cost.WeightBytes, MACs: cost.MACs, Params: cost.Params, EnergyMJ: mj}, err
}

// meets reports whether a trial keeps to the budget.
func (s *search) meets(t *Trial) bool { return s.excess(t) == 0 }

// excess says how far a trial is from the budget, 0 if it meets it.
func (s *search) excess(t *Trial) float64 {
	b := s.job.Budget
	over := func(v, limit float64) float64 {
		if limit == 0 {
			return 0
		}
		return max(v/limit-1, 0)
	}
	return max(s.baseline-t.Top1-b.MaxDrop-1e-9, 0)/10 + over(t.Ms, b.LatencyMs) + over(float64(t.File+provenance), float64(b.Bytes)) +
		over(float64(t.MACs), float64(b.MACs)) + over(t.EnergyMJ, b.EnergyMJ)
}

// worth of a network by its speed and size; less is better. To halve the file
// counts as much as to run in 84 % of the time.
func (s *search) worth(ms float64, file int64) float64 {
	return math.Log(max(ms, 1e-9)) + 0.25*math.Log(float64(max(file, 1)))
}

// compare orders candidates, the one to hand over first: among those that meet
// the budget the most worth or, if a latency was asked for, the most accurate;
// then the others, the nearest to the budget first.
func (s *search) compare(a, b *candidate) int {
	accuracy := 0
	if s.job.Budget.LatencyMs > 0 {
		accuracy = cmp.Compare(b.Top1, a.Top1)
	}
	return cmp.Or(cmp.Compare(s.excess(&a.Trial), s.excess(&b.Trial)), accuracy, cmp.Compare(s.worth(a.Ms, a.File), s.worth(b.Ms, b.File)), cmp.Compare(a.Bytes, b.Bytes))
}

// ranked lists the candidates in the order of compare. It is empty if there is
// none but the original.
func (s *search) ranked() []*candidate {
	var list []*candidate
	for _, t := range s.trials {
		if !t.Original {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, s.compare)
	return list
}
