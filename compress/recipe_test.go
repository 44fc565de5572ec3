package compress

import (
	"bytes"
	"strings"
	"testing"
)

const sampleRecipe = `drawknife: 2
model: net.onnx
digest: 0123456789ab
data: cdef
holdout: 1000
seed: 7
steps:
- layers:
    method: taylor
    blocks: 1
    epochs: 1.5
- prune:
    method: l1
    keep:
      conv1: 8
      layer2.0.conv1: 12
    no-norm: true
- prune:
    method: fpgm:distance=cosine
    ratio: 0.5
    allocation: lamp
    schedule: iterative:rounds=3
    min-keep: 0.2
    skip:
    - stem*
    inner-only: true
    sparsify: sfp
    sparsify-epochs: 2.0
    epochs: 3.0
    weight-decay: 0.0
- reestimate-norm:
    images: 512
- sparsify:
    sparsity: 0.9
    pattern: block4
    allocation: erk
    schedule: gradual:end=0.5
    epochs: 4.0
    no-distill: true
- finetune:
    epochs: 2.5
    batch: 128
    lr: 0.02
    distill-weight: 0.7
    temperature: 4.0
    augment: crop4,flip
- quantize:
    method: lsq:per-channel=true
    wbits: 4
    abits: 4
    calibrator: mse
    float:
    - fc
    images: 256
    epochs: 5.0
`

func TestRecipe(t *testing.T) {
	r, err := ParseRecipe([]byte(sampleRecipe))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Steps) != 7 || r.Steps[1].(*PruneStep).Keep["layer2.0.conv1"] != 12 || r.Steps[5].(*FinetuneStep).Epochs != 2.5 || r.Steps[6].(*QuantizeStep).Float[0] != "fc" ||
		r.Holdout != 1000 || *r.Steps[2].(*PruneStep).Decay != 0 {
		t.Errorf("read %+v", r)
	}
	b, err := r.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != sampleRecipe {
		t.Errorf("written again it is\n%s", b)
	}
	seen := map[string]bool{}
	for n := range 8 {
		seen[r.key(n)] = true
	}
	r.Seed++
	seen[r.key(7)] = true
	if len(seen) != 9 {
		t.Errorf("nine different recipes have %d keys", len(seen))
	}
}

// TestRecipeErrors wants the line and the step of what is wrong, and one line.
func TestRecipeErrors(t *testing.T) {
	for name, c := range map[string]struct{ old, with, want string }{
		"empty":              {sampleRecipe, "", "empty"},
		"version":            {"drawknife: 2", "drawknife: 1", "version 1"},
		"unknown step":       {"- reestimate-norm:", "- distil:", `line 31: step 4: no step is called "distil" (there are: finetune, layers`},
		"unknown option":     {"ratio: 0.5", "ratios: 0.5", `line 20: step 3: unknown field "ratios"`},
		"unknown method":     {"method: l1", "method: l7", `line 12: step 2: prune: prune: no method is called "l7" (there are: apoz`},
		"option of a method": {"distance=cosine", "distance=far", `fpgm: distance`},
		"not an option":      {"distance=cosine", "metric=l1", `no option "metric=l1"`},
		"allocation":         {"allocation: lamp", "allocation: lump", `no method is called "lump"`},
		"schedule":           {"iterative:rounds=3", "gradual", "is for single weights"},
		"clock":              {"allocation: lamp", "allocation: cost:of=latency", "does not replay"},
		"clock's budget":     {"ratio: 0.5", "budget: latency=0.5", "does not replay"},
		"no channels":        {"conv1: 8", "conv1: 0", "keep 0"},
		"two amounts":        {"ratio: 0.5", "ratio: 0.5\n    macs: 0.5", "one of keep, ratio, macs, budget"},
		"no amount":          {"    ratio: 0.5\n", "", "one of keep, ratio, macs, budget"},
		"blocks":             {"blocks: 1", "blocks: 0", "at least one block"},
		"pattern":            {"pattern: block4", "pattern: circle", "circle"},
		"training missing":   {"    epochs: 4.0\n", "", "give epochs"},
		"quantized training": {"    epochs: 5.0\n", "", "lsq:per-channel=true trains: give epochs"},
		"not trained":        {"method: lsq:per-channel=true", "method: gptq", "does not train"},
		"bits":               {"wbits: 4", "wbits: 77", "77 bits"},
		"no images":          {"images: 512", "images: 0", "0 images"},
		"rate":               {"lr: 0.02", "lr: -1", "out of range"},
		"epochs":             {"epochs: 2.5", "epochs: .nan", "give epochs"},
		"augmentation":       {"augment: crop4,flip", "augment: melt", "melt"},
		"two methods":        {"- reestimate-norm:\n    images: 512", "- reestimate-norm:\n    images: 512\n  finetune:\n    epochs: 1", "2 methods"},
		"not a recipe":       {sampleRecipe, "{[", "recipe"},
		"a list":             {sampleRecipe, "drawknife: 2\nsteps:\n- [1, 2]\n", "step 1"},
		"an empty step":      {sampleRecipe, "drawknife: 2\nsteps:\n-\n", "step 1"},
	} {
		text := strings.Replace(sampleRecipe, c.old, c.with, 1)
		_, err := ParseRecipe([]byte(text))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", name, err, c.want)
		}
	}
}

// FuzzParseRecipe wants that whatever is accepted survives a round trip.
func FuzzParseRecipe(f *testing.F) {
	f.Add([]byte(sampleRecipe))
	f.Add([]byte("drawknife: 2\nsteps: []\n"))
	f.Add([]byte("drawknife: 2\nsteps:\n- norm: &a\n    images: *a\n"))
	f.Add([]byte("{drawknife: 2, steps: [{quantize: {images: 1}}]}"))
	f.Add([]byte("drawknife: 2\nsteps:\n- quantize:\n- layers: {blocks: 2, method: !x norm}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecipe(b)
		if err != nil {
			return
		}
		out, err := r.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRecipe(out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		twice, err := again.Bytes()
		if err != nil || !bytes.Equal(out, twice) || r.Seed != again.Seed {
			t.Fatalf("round trip:\n%s\n%s", out, twice)
		}
	})
}
