package compress

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/onnx"
)

// stepCases has a step of every kind with the options that matter to how it
// is carried out.
func stepCases() map[string][]Step {
	short := Training{Epochs: 0.4, Batch: 32}
	return map[string][]Step{
		"ratio":      {&PruneStep{Ratio: 0.5, RoundTo: 1}},
		"taylor":     {&PruneStep{Method: "taylor", MACs: 0.7, Allocation: "global", RoundTo: 1, Images: 64}},
		"rounds":     {&PruneStep{Method: "fpgm", Budget: "params=0.6", Schedule: "iterative:rounds=2", RoundTo: 1, Training: short}},
		"sparsifier": {&PruneStep{Ratio: 0.3, Sparsify: "slimming", RoundTo: 1, Training: short}},
		"scratch":    {&PruneStep{Ratio: 0.3, Retrain: "scratch-b", RoundTo: 1, Training: short}},
		"magnitude":  {&SparsifyStep{Sparsity: 0.8}},
		"gradual":    {&SparsifyStep{Sparsity: 0.8, Schedule: "gradual", Allocation: "erk", Training: short}},
		"N:M":        {&SparsifyStep{Pattern: "2:4", Schedule: "iterative:rounds=2", Training: short}},
		"permuted":   {&SparsifyStep{Pattern: "2:4", Permute: true}},
		"resconv":    {&LayersStep{Method: "resconv", Blocks: 1, SparsifyEpochs: 0.4, Training: Training{Batch: 32}}},
		"blocks":     {&LayersStep{Method: "output", Blocks: 1, Images: 64, Training: short}},
		"gptq":       {&QuantizeStep{Method: "gptq", WBits: 4, Images: 32}},
		"shared":     {&SparsifyStep{Sparsity: 0.5}, &QuantizeStep{Method: "deep-compression:conv=5"}},
		"lsq":        {&QuantizeStep{Method: "lsq", WBits: 4, ABits: 8, Images: 32, Training: short}},
		"data-free":  {&QuantizeStep{DataFree: true, Images: 16, PerTensor: true}},
		"binary":     {&QuantizeStep{Method: "irnet", Images: 32, Training: short}},
	}
}

// made carries steps out on a fresh job; interrupt, if not 0, stops at that
// step of the first training and goes on from what is left.
func made(t *testing.T, steps []Step, interrupt int) []byte {
	t.Helper()
	j := job(t)
	s, err := newSearch(context.Background(), j, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := s.recipe
	r.Steps = steps
	if b, err := r.Bytes(); err != nil {
		t.Fatal(err)
	} else if _, err := ParseRecipe(b); err != nil {
		t.Fatal(err)
	}
	if interrupt > 0 {
		ctx, cancel := context.WithCancel(context.Background())
		j.Progress = func(what string, done, _ int) {
			if strings.HasPrefix(what, "train") && done == interrupt {
				cancel()
			}
		}
		if _, err := s.apply(ctx, steps); !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted: %v", err)
		}
		j.Progress = nil
	}
	g, err := s.apply(context.Background(), steps)
	if err != nil {
		t.Fatal(err)
	}
	b, err := onnx.Encode(g)
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(j.Dir, workDir, "*.onnx?*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if filepath.Ext(f) != ".json" {
			t.Errorf("%s is left", filepath.Base(f))
		}
	}
	if left, err := filepath.Glob(filepath.Join(j.Dir, workDir, "*.checkpoint")); err != nil || len(left) > 0 {
		t.Errorf("checkpoints are left: %v %v", left, err)
	}
	return b
}

// TestStepsReplay carries every kind of step out twice; the bytes must be the
// same, also after an interruption of those that train.
func TestStepsReplay(t *testing.T) {
	for name, steps := range stepCases() {
		t.Run(name, func(t *testing.T) {
			want := made(t, steps, 0)
			trains := false
			for _, st := range steps {
				n, err := st.needs()
				if err != nil {
					t.Fatal(err)
				}
				trains = trains || n.Labels && name != "taylor"
			}
			interrupt := 0
			if trains {
				interrupt = 3
			}
			if !bytes.Equal(made(t, steps, interrupt), want) {
				t.Errorf("interrupted at step %d of training (0: not), the result is another", interrupt)
			}
		})
	}
}

// TestEveryMethodInRecipes wants that every method of the registry can be
// named in a recipe without this package knowing it.
func TestEveryMethodInRecipes(t *testing.T) {
	for _, m := range method.All() {
		var text string
		switch m.Family {
		case method.Prune:
			text = "prune: {ratio: 0.3, method: " + m.Name
		case method.Allocate:
			text = "prune: {ratio: 0.3, allocation: " + m.Name
		case method.Sparsify:
			text = "prune: {ratio: 0.3, epochs: 1, sparsify: " + m.Name
		case method.Weights:
			text = "sparsify: {sparsity: 0.5, epochs: 1, method: " + m.Name
		case method.Schedule:
			text = "sparsify: {sparsity: 0.5, epochs: 1, schedule: " + m.Name
		case method.Layers:
			text = "layers: {blocks: 1, epochs: 1, method: " + m.Name
		case method.Calibrate:
			text = "quantize: {calibrator: " + m.Name
		case method.Quantize:
			text = "quantize: {method: " + m.Name
			if m.Needs.Train {
				text += ", epochs: 1"
			}
		case method.Train:
			continue
		default:
			t.Fatalf("family %s has no place in recipes", m.Family)
		}
		if _, err := ParseRecipe([]byte("drawknife: 2\nsteps:\n- " + text + "}\n")); err != nil {
			t.Errorf("%s %s: %v", m.Family, m.Name, err)
		}
	}
}
