package qat

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/ort"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/quantize/dialect"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// photographs is the number of test images that files are compared on: one of
// them is 0.1 points.
const photographs = 1000

// peer compares files with what ONNX Runtime makes of them, on real images.
type peer struct {
	lib     *ort.Runtime
	batches []*data.Batch
}

// compare writes g and runs the file in both.
func (p *peer) compare(t *testing.T, g *graph.Graph) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "g.onnx")
	if err := onnx.Write(file, g); err != nil {
		t.Fatal(err)
	}
	g, err := onnx.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.lib.Load(file, ort.Options{Threads: 1, Config: map[string]string{"session.x64quantprecision": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	model := engine.NewModel(g, engine.Options{Threads: 1})
	in, out := g.Inputs[0].Name, g.Outputs[0].Name
	ours, theirs, alike := 0, 0, 0
	for _, b := range p.batches {
		feeds := map[string]*tensor.Tensor{in: tensor.Of(b.X, b.N, b.C, b.H, b.W)}
		x, err := model.Run(context.Background(), feeds)
		if err != nil {
			t.Fatal(err)
		}
		y, err := s.Run(feeds)
		if err != nil {
			t.Fatal(err)
		}
		classes := x[out].Shape[1]
		for i, label := range b.Y {
			if v := x[out].Float32s()[i*classes]; v-v != 0 {
				t.Fatalf("a score is %g", v)
			}
			k, l := best(x[out].Float32s()[i*classes:(i+1)*classes]), best(y[out].Float32s()[i*classes:(i+1)*classes])
			if k == l {
				alike++
			}
			if k == int(label) {
				ours++
			}
			if l == int(label) {
				theirs++
			}
		}
	}
	t.Logf("top-1 %.1f, in ONNX Runtime %.1f, %.1f %% alike", float64(ours)*100/photographs, float64(theirs)*100/photographs, float64(alike)*100/photographs)
	if d := ours - theirs; d < -1 || d > 1 {
		t.Errorf("%d of %d images are right, %d in ONNX Runtime: more than 0.1 points apart", ours, photographs, theirs)
	}
}

func best(x []float32) int {
	at := 0
	for i, v := range x {
		if v > x[at] {
			at = i
		}
	}
	return at
}

// TestTopOneInORT: every file that a method writes has the same top-1 in ONNX
// Runtime, within 0.1 points, on photographs.
func TestTopOneInORT(t *testing.T) {
	lib, err := ort.Open(testdata.ORT(t))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	g, err := onnx.Read(testdata.Path(t, "models", "cifar10", "resnet8.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	pre, err := data.ParsePreprocess("raw")
	if err != nil {
		t.Fatal(err)
	}
	load := func(split string, n, size int) *data.Loader {
		ds, err := data.Open("cifar10:"+testdata.Path(t, "cifar10"), data.Options{Split: split})
		if err != nil {
			t.Fatal(err)
		}
		l, err := data.NewLoader(data.Spread(ds, n), data.LoaderOptions{Batch: size, Seed: 1, Preprocess: pre})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	p := &peer{lib: lib}
	for b, err := range load("test", photographs, 100).Batches(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		p.batches = append(p.batches, &data.Batch{N: b.N, C: b.C, H: b.H, W: b.W, X: slices.Clone(b.X), Y: slices.Clone(b.Y)})
	}
	loader := load("train", 128, 64)
	for _, spec := range []string{"int8", "aciq", "gptq", "log", "dfq", "mixed:share=0.5", "adaround:iterations=10", "brecq:iterations=10"} {
		for _, bits := range [][2]int{{8, 8}, {4, 8}, {4, 4}, {2, 6}} {
			for _, form := range []string{"qdq", "qcdq", "qoperator"} {
				if spec != "int8" && (form != "qdq" || bits != [2]int{4, 4}) || form != "qdq" && bits[0] != bits[1] {
					continue // the same operators
				}
				t.Run(fmt.Sprintf("%s/W%dA%d/%s", spec, bits[0], bits[1], form), func(t *testing.T) {
					o := quantize.Defaults()
					preset, err := method.New[quantize.Preset](method.Quantize, spec)
					if err != nil {
						t.Fatal(err)
					}
					preset(&o)
					o.WBits, o.ABits = bits[0], bits[1]
					q, _, err := quantize.Static(t.Context(), g, loader.Batches(t.Context(), 0), o)
					if err != nil {
						t.Fatal(err)
					}
					if err := dialect.Convert(q, form); err != nil {
						t.Fatal(err)
					}
					p.compare(t, q)
				})
			}
		}
	}
	for _, spec := range []string{"lsq", "lsq:offset=true", "qat", "pact", "dorefa", "qnn", "octo", "ternary", "inq", "binaryconnect", "bwn", "lab",
		"bnn", "xnor", "irnet", "irnet:shortcuts=true", "bireal", "reactnet"} {
		t.Run(spec, func(t *testing.T) {
			m, err := method.New[*Method](method.Quantize, spec)
			if err != nil {
				t.Fatal(err)
			}
			start, _, hooks, err := m.Prepare(t.Context(), g, loader.Batches(t.Context(), 0), Options{})
			if err != nil {
				t.Fatal(err)
			}
			r, err := train.Run(t.Context(), start, loader, train.Config{Steps: 4, Threads: 1, Hooks: hooks,
				// Nothing is normalized and pixels reach 255: only small steps
				// leave a network that knows something.
				ClipNorm: 1, Optimizer: train.Optimizer{Name: m.Recipe.Optimizer, LR: m.Recipe.LR / 1000, Momentum: 0.9}})
			if err != nil {
				t.Fatal(err)
			}
			q, _, err := Finish(t.Context(), r.Graph, loader.Batches(t.Context(), 0), quantize.Defaults())
			if err != nil {
				t.Fatal(err)
			}
			p.compare(t, q)
			if m.ABits == 1 {
				if err := Standard(q); err != nil {
					t.Fatal(err)
				}
				p.compare(t, q)
			}
		})
	}
}
