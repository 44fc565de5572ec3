package compress

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

const sample = `drawknife: 1
model: net.onnx
digest: 0123456789ab
data: cdef
seed: 7
steps:
- prune:
    score: l1
    keep:
      conv1: 8
      layer2.0.conv1: 12
- reestimate-norm:
    images: 512
- finetune:
    epochs: 2.5
    batch: 128
    learning-rate: 0.02
    weight-decay: 0.0001
    distill: 0.7
    temperature: 4.0
    augment: crop4,flip
- quantize:
    calibrator: mse
    images: 256
    target: ort
    equalize: false
    bias-correction: true
    float:
    - fc
`

func TestRecipe(t *testing.T) {
	r, err := ParseRecipe([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Steps) != 4 || r.Steps[0].Prune.Keep["layer2.0.conv1"] != 12 || r.Steps[2].Finetune.Epochs != 2.5 || r.Steps[3].Quantize.Float[0] != "fc" {
		t.Errorf("read %+v", r)
	}
	b, err := r.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != sample {
		t.Errorf("written again it is\n%s", b)
	}
	seen := map[string]bool{}
	for n := range 5 {
		seen[r.key(n)] = true
	}
	r.Seed++
	seen[r.key(4)] = true
	if len(seen) != 6 {
		t.Errorf("six different recipes have %d keys", len(seen))
	}
}

func TestRecipeErrors(t *testing.T) {
	for name, c := range map[string]struct{ old, with, want string }{
		"empty":          {sample, "", "recipe"},
		"version":        {"drawknife: 1", "drawknife: 2", "version 2"},
		"unknown method": {"- reestimate-norm:", "- distil:", "distil"},
		"unknown option": {"score: l1", "scores: l1", "scores"},
		"no channels":    {"conv1: 8", "conv1: 0", "keep 0"},
		"no images":      {"images: 512", "images: 0", "0 images"},
		"rate":           {"learning-rate: 0.02", "learning-rate: -1", "out of range"},
		"epochs":         {"epochs: 2.5", "epochs: .nan", "out of range"},
		"two methods":    {"- reestimate-norm:", "  reestimate-norm:", "2 methods"},
		"not a recipe":   {sample, "{[", "recipe"},
	} {
		text := strings.Replace(sample, c.old, c.with, 1)
		if _, err := ParseRecipe([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
}

// FuzzParseRecipe wants that whatever is accepted survives a round trip.
func FuzzParseRecipe(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("drawknife: 1\nsteps: []\n"))
	f.Add([]byte("drawknife: 1\nsteps:\n- norm: &a\n    images: *a\n"))
	f.Add([]byte("{drawknife: 1, steps: [{quantize: {images: 1}}]}"))
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
		if err != nil || !bytes.Equal(out, twice) || !reflect.DeepEqual(r.Seed, again.Seed) {
			t.Fatalf("round trip:\n%s\n%s", out, twice)
		}
	})
}
