package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/tensor"
)

func lerp(dst []float32, keep float32, x []float32) { vec.Lerp(dst, keep, 1-keep, x) }

func squares(x []float32) float64 { return float64(vec.SumSquares(x)) }

func scale(x []float32, by float32) { vec.Scale(by, x, x) }

// errStop ends an epoch before its time without an error.
var errStop = errors.New("stop")

// run does the epochs.
func (t *trainer) run(ctx context.Context) (*Result, error) {
	t.start = time.Now()
	for t.Epoch < t.c.Epochs && (t.Step < t.steps || t.InEpoch > 0) {
		err := t.epoch(ctx)
		switch {
		case errors.Is(err, errStop): // budget or number of steps
			if err := t.endEpoch(ctx); err != nil {
				return nil, err
			}
			return t.finish(ctx, t.why())
		case err != nil && ctx.Err() != nil:
			return t.interrupted(ctx)
		case err != nil:
			return nil, err
		}
		if err := t.endEpoch(ctx); err != nil {
			if ctx.Err() != nil {
				return t.interrupted(ctx)
			}
			return nil, err
		}
		if t.c.Patience > 0 && t.Worse >= t.c.Patience {
			return t.finish(ctx, "patience")
		}
		if t.overBudget() {
			return t.finish(ctx, "budget")
		}
	}
	return t.finish(ctx, t.why())
}

func (t *trainer) overBudget() bool { return t.c.Budget > 0 && t.elapsed() >= t.c.Budget.Seconds() }

// why tells what ended a run early.
func (t *trainer) why() string {
	switch {
	case t.Epoch >= t.c.Epochs:
		return ""
	case t.Step >= t.steps:
		return "steps"
	}
	return "budget"
}

// interrupted saves the state and gives what has been reached.
func (t *trainer) interrupted(ctx context.Context) (*Result, error) {
	if err := t.save(); err != nil {
		return nil, err
	}
	r, _ := t.finish(ctx, "cancelled")
	return r, context.Cause(ctx)
}

// epoch trains on the batches that are left of the epoch.
func (t *trainer) epoch(ctx context.Context) error {
	t.mark = time.Now()
	for b, err := range t.loader.BatchesFrom(ctx, t.Epoch, t.InEpoch) {
		if err != nil {
			return err
		}
		if b.N < t.batch {
			break
		}
		if t.Step >= t.steps || t.overBudget() {
			return errStop
		}
		if err := t.step(ctx, b); err != nil {
			return err
		}
		if t.c.Progress != nil {
			t.c.Progress(t.report(nil))
		}
	}
	return nil
}

// step trains on one batch.
func (t *trainer) step(ctx context.Context, b *data.Batch) error {
	s := &State{Epoch: t.Epoch, Step: t.Step, Fraction: t.fraction(), Graph: t.graph, t: t}
	s.LR = t.c.Optimizer.LR * t.c.Schedule.Factor(s.Fraction, t.epochsOf())
	if err := t.feed(ctx, b); err != nil {
		return err
	}
	if err := t.hooks(func(h Hook) error { return h.BeforeForward(s) }); err != nil {
		return err
	}
	if err := t.program.RunInto(ctx, t.in, t.out); err != nil {
		return err
	}
	s.Loss = t.out[0].At(0)
	if s.Loss-s.Loss != 0 {
		return fmt.Errorf("epoch %d, step %d: %w", t.Epoch+1, t.Step+1, ErrDiverged)
	}
	if err := t.hooks(func(h Hook) error { return h.AfterBackward(s) }); err != nil {
		return err
	}
	t.clip()
	for _, p := range t.params {
		t.c.Optimizer.update(t.pool, p, s.LR, t.Step+1)
	}
	for _, r := range t.stats {
		copy(r.data, r.next)
	}
	if err := t.hooks(func(h Hook) error { return h.AfterStep(s) }); err != nil {
		return err
	}
	t.average()
	t.Step++
	t.InEpoch++
	t.LossSum += s.Loss
	t.count(b)
	now := time.Now()
	t.TrainSeconds += now.Sub(t.mark).Seconds() // the wait for data included
	t.mark = now
	return nil
}

// feed fills the program's inputs.
func (t *trainer) feed(ctx context.Context, b *data.Batch) error {
	x := tensor.Of(b.X, inputShape(t.loader, b.N)...)
	for i, name := range t.program.Inputs() {
		switch name {
		case targetInput, seedInput:
		case teacherInput:
			out := t.teacher.NewOutputs()
			if err := t.teacher.RunInto(ctx, []*tensor.Tensor{x}, out); err != nil {
				return fmt.Errorf("teacher: %w", err)
			}
			t.in[i] = out[0]
		default:
			t.in[i] = x
		}
	}
	if t.seed != nil {
		tensor.Data[int64](t.seed)[0] = int64(mix(t.c.Seed, uint64(t.Step)))
	}
	for i, y := range b.Y {
		if y < -1 || int(y) >= t.classes {
			return fmt.Errorf("picture %s has label %d, but the network has %d outputs", data.Name(t.loader.Dataset(), b.Index[i]), y, t.classes)
		}
	}
	if t.target.DType == tensor.Int32 {
		copy(tensor.Data[int32](t.target), b.Y)
		return nil
	}
	t.soften(b)
	return nil
}

// mix hashes two numbers (SplitMix64).
func mix(a, b uint64) uint64 {
	z := a + (b+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// soften writes the targets as distributions, blended by mixup and smoothed.
func (t *trainer) soften(b *data.Batch) {
	y := tensor.Data[float32](t.target)
	clear(y)
	add := func(row []float32, label int32, share float32) {
		if label >= 0 {
			row[label] += share
		}
	}
	smooth := t.c.LabelSmoothing
	for i, label := range b.Y {
		row := y[i*t.classes:][:t.classes]
		if b.Y2 == nil {
			add(row, label, 1-smooth)
		} else {
			add(row, label, b.Lambda*(1-smooth))
			add(row, b.Y2[i], (1-b.Lambda)*(1-smooth))
		}
		if label >= 0 && smooth > 0 {
			for c := range row {
				row[c] += smooth / float32(t.classes)
			}
		}
	}
}

// count adds the batch to the epoch's accuracy.
func (t *trainer) count(b *data.Batch) {
	z := t.out[1].Float32s()
	for i, label := range b.Y {
		if label < 0 {
			continue
		}
		t.Seen++
		if vec.ArgMax(z[i*t.classes:][:t.classes]) == int(label) {
			t.Correct++
		}
	}
}

// endEpoch validates, logs and saves.
func (t *trainer) endEpoch(ctx context.Context) error {
	s := &State{Epoch: t.Epoch, Step: t.Step, Fraction: t.fraction(), Graph: t.graph, t: t}
	s.LR = t.c.Optimizer.LR * t.c.Schedule.Factor(float64(max(t.Step-1, 0))/float64(max(t.steps, 1)), t.epochsOf())
	if err := t.hooks(func(h Hook) error { return h.EpochEnd(s) }); err != nil {
		return err
	}
	e := Epoch{Epoch: t.Epoch + 1, Step: t.Step, LR: s.LR, Loss: t.LossSum / float64(max(t.InEpoch, 1)), Top1: t.top1(), ImagesPerS: t.imagesPerS()}
	last := t.Epoch+1 >= t.c.Epochs || t.Step >= t.steps || t.overBudget()
	if t.c.Val != nil && (last || (t.Epoch+1)%t.c.ValEvery == 0) {
		if err := t.validate(ctx, &e); err != nil {
			return err
		}
	}
	e.TotalSecond = t.elapsed()
	t.Epochs = append(t.Epochs, e)
	if t.c.Progress != nil {
		t.c.Progress(t.report(&e))
	}
	t.Epoch++
	t.InEpoch, t.LossSum, t.Correct, t.Seen, t.TrainSeconds = 0, 0, 0, 0, 0
	if err := t.log.write(e); err != nil {
		return err
	}
	if last || t.Epoch%t.c.CheckpointEvery == 0 {
		return t.save()
	}
	return nil
}

func (t *trainer) validate(ctx context.Context, e *Epoch) error {
	values := t.current()
	m, err := Evaluate(ctx, t.export(values), t.c.Val, t.c.Threads)
	if err != nil {
		return err
	}
	e.Validated, e.ValLoss, e.ValTop1, e.ValTop5 = true, m.Loss(), m.Top1(), m.Top5()
	if t.Best == 0 || e.ValTop1 > t.BestTop1 {
		t.Best, t.BestTop1, t.Worse = e.Epoch, e.ValTop1, 0
		if t.c.KeepBest {
			t.best = map[string][]float32{}
			for name, v := range values {
				t.best[name] = append([]float32(nil), v...)
			}
		}
	} else {
		t.Worse++
	}
	return nil
}

func (t *trainer) top1() float64 { return 100 * float64(t.Correct) / float64(max(t.Seen, 1)) }

func (t *trainer) imagesPerS() float64 {
	if t.TrainSeconds == 0 {
		return 0
	}
	return float64(t.InEpoch*t.batch) / t.TrainSeconds
}

// report describes the state for the progress callback.
func (t *trainer) report(e *Epoch) Progress {
	p := Progress{Epoch: t.Epoch + 1, Epochs: t.c.Epochs, Step: t.Step, Steps: t.steps,
		Loss: t.LossSum / float64(max(t.InEpoch, 1)), Top1: t.top1(), ImagesPerS: t.imagesPerS(), Last: e}
	p.LR = t.c.Optimizer.LR * t.c.Schedule.Factor(t.fraction(), t.epochsOf())
	seconds := t.elapsed()
	p.Elapsed = time.Duration(seconds * float64(time.Second))
	if t.Step > 0 {
		left := seconds / float64(t.Step) * float64(t.steps-t.Step)
		if t.c.Budget > 0 {
			left = min(left, max(t.c.Budget.Seconds()-seconds, 0))
		}
		p.Left = time.Duration(left * float64(time.Second))
	}
	return p
}
