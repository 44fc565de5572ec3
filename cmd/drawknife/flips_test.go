package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBrokenModels gives every verb models with a few bytes changed or the end
// cut off. Whatever comes of it, it is a result or one line of error, and never
// a panic.
func TestBrokenModels(t *testing.T) {
	dir := t.TempDir()
	if err := writeFixtures(dir); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "net.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	path, blobs, out := filepath.Join(dir, "broken.onnx"), filepath.Join(dir, "blobs.npz"), filepath.Join(dir, "out.onnx")
	verbs := [][]string{
		{"inspect", path},
		{"bench", path, "--runs", "1", "--warmup", "0"},
		{"eval", path, "--data", blobs, "--limit", "4"},
		{"quantize", path, "--data", blobs, "--images", "4", "--no-eval", "-o", out},
		{"prune", path, "--ratio", "0.3", "-o", out},
		{"diff", path, filepath.Join(dir, "net.onnx")},
	}
	rng := rand.New(rand.NewPCG(4, 5))
	n := 48
	if testing.Short() {
		n = 12
	}
	for i := range n {
		b := bytes.Clone(whole)
		what := ""
		if i%6 == 0 {
			b = b[:rng.IntN(len(b))]
			what = fmt.Sprintf("cut to %d bytes", len(b))
		} else {
			// Most of a model is weights: aim at the structure around them too.
			for range 1 + rng.IntN(3) {
				at := rng.IntN(len(b))
				if rng.IntN(2) == 0 {
					at = rng.IntN(6000)
				}
				b[at] ^= 1 << rng.IntN(8)
				what += fmt.Sprintf("byte %d is %#x; ", at, b[at])
			}
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		args := verbs[(i+i/6)%len(verbs)]
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"-q", "--threads", "1"}, args...), &stdout, &stderr)
		if code != 0 && code != 1 && code != 2 || code != 0 && strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s of a model where %s: code %d\n%s", args[0], what, code, stderr.String())
		}
	}
}
