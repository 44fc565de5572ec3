package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/parallel"
	"github.com/drawknife/drawknife/tensor"
)

// param is a parameter under training.
type param struct {
	name       string
	data       []float32 // the program's own
	grad       []float32
	gradTensor *tensor.Tensor
	state      [][]float32 // of the optimizer
	lr, decay  float64     // factors
}

// trainer is a run.
type trainer struct {
	c       Config
	source  *graph.Graph // the network as it was given
	graph   *graph.Graph // the training graph, without gradients
	loader  *data.Loader
	program *engine.Program
	teacher *engine.Program
	pool    *parallel.Pool

	params []*param
	byName map[string]*param
	stats  []running
	ema    map[string][]float32

	in, out  []*tensor.Tensor
	target   *tensor.Tensor
	seed     *tensor.Tensor
	classes  int
	batch    int
	perEpoch int
	steps    int // of the whole run

	progress
	log   logFiles
	start time.Time
	mark  time.Time // end of the last step
}

// running is a running statistic: the program's variable and the output that
// holds its successor.
type running struct {
	name string
	data []float32
	next []float32
}

// progress is what a run has reached; a checkpoint holds it.
type progress struct {
	Epoch, InEpoch, Step int
	LossSum              float64 // of the epoch's steps so far
	Correct, Seen        int
	Elapsed              float64 // seconds, earlier runs included
	TrainSeconds         float64 // of the epoch's steps so far
	Epochs               []Epoch
	Best                 int
	BestTop1             float64
	Worse                int // evaluations since the best
	best                 map[string][]float32
}

func newTrainer(g *graph.Graph, loader *data.Loader, c Config) (*trainer, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &trainer{c: c, source: g, loader: loader, byName: map[string]*param{}}
	t.batch = min(loader.Options().Batch, loader.Dataset().Len())
	t.perEpoch = loader.Dataset().Len() / t.batch
	t.steps = c.Epochs * t.perEpoch
	if c.Steps > 0 {
		t.steps = min(t.steps, c.Steps)
	}
	t.pool = engine.Pool(c.Threads)
	if err := t.build(); err != nil {
		return nil, err
	}
	if c.Resume {
		if err := t.restore(); err != nil {
			return nil, err
		}
	}
	return t, t.log.open(c.CSV, c.JSONL, t.Step > 0)
}

// inputShape is the shape of a batch of n pictures.
func inputShape(l *data.Loader, n int) []int {
	c, h, w := l.Shape()
	if l.Options().Preprocess.Layout == data.CHW {
		return []int{n, c, h, w}
	}
	return []int{n, h, w, c}
}

// build makes the training graph and compiles it.
func (t *trainer) build() error {
	g := t.source.Clone()
	if len(g.Inputs) != 1 {
		return fmt.Errorf("the network has %d inputs; only networks of one can be trained", len(g.Inputs))
	}
	if err := g.BindInputs(map[string][]int{g.Inputs[0].Name: inputShape(t.loader, t.batch)}); err != nil {
		return err
	}
	var extra []*graph.Value
	var err error
	if t.c.Prepare != nil {
		if extra, err = t.c.Prepare(g); err != nil {
			return err
		}
		if err := g.InferShapes(); err != nil {
			return err
		}
	}
	stats, err := training(g, t.c.FreezeNorm)
	if err != nil {
		return err
	}
	z, err := logits(g)
	if err != nil {
		return err
	}
	t.classes = z.Shape[1].Size
	soft := t.c.Loss == MSE || t.loader.Options().Augment.Mixup > 0
	loss, err := addLoss(g, z, &t.c, soft, extra)
	if err != nil {
		return err
	}
	t.graph = g
	if err := t.compile(loss, z, stats); err != nil {
		return err
	}
	return t.bind(soft)
}

// compile adds the gradients, compiles, and connects parameters and
// statistics with the program's variables and outputs.
func (t *trainer) compile(loss, z *graph.Value, stats []statistic) error {
	g := t.graph
	all, roles := parameters(g)
	if t.c.Trainable != nil {
		all = slices.DeleteFunc(all, func(v *graph.Value) bool { return !t.c.Trainable(v) })
	}
	if len(all) == 0 {
		return errors.New("there is no parameter to train")
	}
	grads, err := autodiff.Gradient(g, loss, all)
	if err != nil {
		return err
	}
	g.Outputs = nil
	at := map[*graph.Value]int{}
	output := func(v *graph.Value) int {
		i, ok := at[v]
		if !ok {
			i = len(g.Outputs)
			at[v] = i
			g.AddOutput(v)
		}
		return i
	}
	output(loss)
	output(z)
	var variables []string
	var gradAt, nextAt []int
	for _, v := range all {
		if grads[v] == nil {
			continue
		}
		p := &param{name: v.Name, lr: 1, decay: 1}
		if roles[v] != weight && !t.c.Optimizer.DecayAll {
			p.decay = 0
		}
		if t.c.Optimizer.Group != nil {
			lr, decay := t.c.Optimizer.Group(v)
			p.lr, p.decay = lr, p.decay*decay
		}
		t.params = append(t.params, p)
		t.byName[p.name] = p
		variables = append(variables, v.Name)
		gradAt = append(gradAt, output(grads[v]))
	}
	for _, s := range stats {
		variables = append(variables, s.name)
		t.stats = append(t.stats, running{name: s.name})
		nextAt = append(nextAt, output(s.next))
	}
	g.RemoveDead()
	slices.Sort(variables)
	t.program, err = engine.Compile(g, engine.Options{Threads: t.c.Threads, Variables: slices.Compact(variables)})
	if err != nil {
		return err
	}
	t.out = t.program.NewOutputs()
	for i, p := range t.params {
		p.data = tensor.Data[float32](t.program.Variable(p.name))
		p.gradTensor = t.out[gradAt[i]]
		p.grad = tensor.Data[float32](p.gradTensor)
		for range t.c.Optimizer.slots() {
			p.state = append(p.state, make([]float32, len(p.data)))
		}
	}
	for i := range t.stats {
		s := &t.stats[i]
		s.data, s.next = tensor.Data[float32](t.program.Variable(s.name)), tensor.Data[float32](t.out[nextAt[i]])
	}
	if t.c.EMA > 0 {
		t.ema = t.snapshot()
	}
	return nil
}

// bind allocates the inputs and compiles the teacher.
func (t *trainer) bind(soft bool) error {
	t.in = make([]*tensor.Tensor, len(t.program.Inputs()))
	for i, name := range t.program.Inputs() {
		switch name {
		case targetInput:
			if soft {
				t.target = tensor.New(tensor.Float32, t.batch, t.classes)
			} else {
				t.target = tensor.New(tensor.Int32, t.batch)
			}
			t.in[i] = t.target
		case seedInput:
			t.seed = tensor.New(tensor.Int64)
			t.in[i] = t.seed
		}
	}
	d := t.c.Distill
	if d == nil {
		return nil
	}
	g := d.Teacher.Clone()
	if len(g.Inputs) != 1 {
		return fmt.Errorf("the teacher has %d inputs, want one", len(g.Inputs))
	}
	if err := g.BindInputs(map[string][]int{g.Inputs[0].Name: inputShape(t.loader, t.batch)}); err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	z, err := logits(g)
	if err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	if z.Shape[1].Size != t.classes {
		return fmt.Errorf("the teacher has %d classes, the student %d", z.Shape[1].Size, t.classes)
	}
	g.Outputs = []*graph.Value{z}
	g.RemoveDead()
	if t.teacher, err = engine.Compile(g, engine.Options{Threads: t.c.Threads}); err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	return nil
}

// snapshot copies parameters and statistics, by name.
func (t *trainer) snapshot() map[string][]float32 {
	m := map[string][]float32{}
	t.each(func(name string, data []float32) { m[name] = slices.Clone(data) })
	return m
}

// each visits the parameters and statistics in a fixed order.
func (t *trainer) each(f func(name string, data []float32)) {
	for _, p := range t.params {
		f(p.name, p.data)
	}
	for _, s := range t.stats {
		f(s.name, s.data)
	}
}

// export makes a network of the source with the given values.
func (t *trainer) export(values map[string][]float32) *graph.Graph {
	g := t.source.Clone()
	for name, data := range values {
		if v := g.Value(name); v != nil && v.Data != nil && v.Data.Len() == len(data) {
			v.SetData(tensor.Of(slices.Clone(data), v.Data.Shape...))
		}
	}
	return g
}

// current is what validation and the result use: the averaged values if there
// are any.
func (t *trainer) current() map[string][]float32 {
	if t.ema != nil {
		return t.ema
	}
	return t.snapshot()
}

// finish makes the result.
func (t *trainer) finish(ctx context.Context, stopped string) (*Result, error) {
	values := t.current()
	if t.c.KeepBest && t.best != nil {
		values = t.best
	}
	r := &Result{Graph: t.export(values), Epochs: t.Epochs, Steps: t.Step, Seconds: t.elapsed(),
		Best: t.Best, BestTop1: t.BestTop1, Stopped: stopped}
	if t.c.ReestimateNorm > 0 && stopped != "cancelled" {
		if err := ReestimateNorm(ctx, r.Graph, t.loader, t.c.ReestimateNorm, t.c.Threads); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (t *trainer) elapsed() float64 { return t.Elapsed + time.Since(t.start).Seconds() }

// fraction is the share of the run that is done: what the schedule follows.
func (t *trainer) fraction() float64 {
	f := float64(t.Step) / float64(max(t.steps, 1))
	if t.c.ScheduleByTime {
		f = max(f, t.elapsed()/t.c.Budget.Seconds())
	}
	return min(f, 1)
}

// epochsOf is the length of the run in epochs, for the schedule.
func (t *trainer) epochsOf() float64 { return float64(t.steps) / float64(max(t.perEpoch, 1)) }

// average moves the averaged weights; the decay rises to its value over the
// first steps so that the random start is soon forgotten.
func (t *trainer) average() {
	if t.ema == nil {
		return
	}
	n := float64(t.Step + 1)
	d := float32(min(t.c.EMA, (1+n)/(10+n)))
	t.each(func(name string, data []float32) { lerp(t.ema[name], d, data) })
}

// clip scales the gradients down to the greatest norm.
func (t *trainer) clip() {
	if t.c.ClipNorm <= 0 {
		return
	}
	sum := 0.0
	for _, p := range t.params {
		sum += squares(p.grad)
	}
	norm := math.Sqrt(sum)
	if norm <= t.c.ClipNorm {
		return
	}
	for _, p := range t.params {
		scale(p.grad, float32(t.c.ClipNorm/norm))
	}
}
