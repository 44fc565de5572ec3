package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/data/npz"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
	"github.com/drawknife/drawknife/zoo"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"drawknife": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScript runs the program as a user would, on a tiny trained network and
// tiny pictures that it finds in $T.
func TestScript(t *testing.T) {
	dir := t.TempDir()
	if err := writeFixtures(dir); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("T", dir)
			e.Setenv("DRAWKNIFE_DATA", filepath.Join(dir, "none"))
			e.Setenv("DRAWKNIFE_CPU", os.Getenv("DRAWKNIFE_CPU"))
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"json": jsonHas, "oneline": oneLine, "only": only, "usage": usage, "await": await, "terminate": terminate,
		},
	})
}

// await waits until a file is there that a program in the background writes.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await FILE")
	}
	for range 600 {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	ts.Fatalf("%s has not been written in a minute", args[0])
}

// terminate sends SIGTERM to what runs in the background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}

// jsonHas checks that a file holds one JSON object and nothing else, and that
// each path leads somewhere in it: "nodes[].name" is the name of every node,
// "after.top1=75" a value.
func jsonHas(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: json FILE PATH...")
	}
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		ts.Fatalf("%s is no JSON object: %v", args[0], err)
	}
	if _, err := d.Token(); err != io.EOF {
		ts.Fatalf("%s holds more than one JSON object", args[0])
	}
	for _, path := range args[1:] {
		keys, want, _ := strings.Cut(path, "=")
		if err := follow(v, strings.Split(keys, "."), want); err != nil {
			ts.Fatalf("%s: %s: %v", args[0], path, err)
		}
	}
}

func follow(v any, keys []string, want string) error {
	if len(keys) == 0 {
		if want != "" && fmt.Sprint(v) != want {
			return fmt.Errorf("it is %v", v)
		}
		return nil
	}
	key, list := strings.CutSuffix(keys[0], "[]")
	m, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("no object holds %q", key)
	}
	next, ok := m[key]
	if !ok {
		return fmt.Errorf("no key %q", key)
	}
	if !list {
		return follow(next, keys[1:], want)
	}
	items, ok := next.([]any)
	if !ok || len(items) == 0 {
		return fmt.Errorf("%q is no list with elements", key)
	}
	for _, item := range items {
		if err := follow(item, keys[1:], want); err != nil {
			return err
		}
	}
	return nil
}

// oneLine checks that the last command printed one line of error, apart from
// notes and the hint at --help.
func oneLine(ts *testscript.TestScript, neg bool, args []string) {
	n := 0
	for _, l := range strings.Split(strings.TrimSpace(ts.ReadFile("stderr")), "\n") {
		if !strings.HasPrefix(l, "note:") && !strings.HasPrefix(l, "Try: ") {
			n++
		}
	}
	if n != 1 {
		ts.Fatalf("%d lines of error, want one:\n%s", n, ts.ReadFile("stderr"))
	}
}

// only checks that a folder holds the named files and no others.
func only(ts *testscript.TestScript, neg bool, args []string) {
	left, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	names := []string{}
	for _, e := range left {
		if e.Name() != ".tmp" { // testscript's own
			names = append(names, e.Name())
		}
	}
	if got, want := strings.Join(names, " "), strings.Join(args[1:], " "); got != want {
		ts.Fatalf("%s holds %q, want %q", args[0], got, want)
	}
}

// usage runs the program in this process and wants exit code 2 and an error
// that holds a text.
func usage(ts *testscript.TestScript, neg bool, args []string) {
	var out, errs bytes.Buffer
	code := run(args[1:], &out, &errs)
	if code != 2 || out.Len() > 0 || !strings.Contains(errs.String(), args[0]) {
		ts.Fatalf("%q: code %d, want 2 and an error with %q\nstdout: %s\nstderr: %s", args[1:], code, args[0], out.String(), errs.String())
	}
}

// blobs are pictures of 16x16 pixels with a bright square in one of four
// corners, which is the class, on noise.
func blobs(n int, seed uint64) (x, y *tensor.Tensor) {
	rng := rand.New(rand.NewPCG(seed, 1))
	pix, labels := make([]uint8, n*256), make([]int64, n)
	for i := range n {
		k := i % 4
		labels[i] = int64(k)
		for p := range 256 {
			v := rng.IntN(110)
			if r, c := p/16, p%16; r/8 == k/2 && c/8 == k%2 && r%8 > 1 && c%8 > 1 {
				v += 90
			}
			pix[i*256+p] = uint8(v)
		}
	}
	return tensor.Of(pix, n, 16, 16), tensor.Of(labels, n)
}

const tinyNet = "resnet8?channels=1&size=16&classes=4&width=0.5"

// writeFixtures makes what the scripts work on.
func writeFixtures(dir string) error {
	x, y := blobs(640, 1)
	vx, vy := blobs(80, 2)
	far := vy.Clone()
	tensor.Data[int64](far)[7] = 99
	small, _ := tensor.Of(make([]uint8, 4*5*5), 4, 5, 5), 0
	for name, arrays := range map[string][]npz.Array{
		"blobs.npz": {{Name: "x_train", Tensor: x}, {Name: "y_train", Tensor: y}, {Name: "x_test", Tensor: vx}, {Name: "y_test", Tensor: vy}},
		"far.npz":   {{Name: "x", Tensor: vx}, {Name: "y", Tensor: far}},
		"bare.npz":  {{Name: "x", Tensor: vx}},
		"none.npz":  {{Name: "x", Tensor: tensor.New(tensor.Uint8, 0, 16, 16)}, {Name: "y", Tensor: tensor.New(tensor.Int64, 0)}},
		"small.npz": {{Name: "x", Tensor: small}, {Name: "y", Tensor: tensor.New(tensor.Int64, 4)}},
		"in.npz":    {{Name: "input", Tensor: tensor.New(tensor.Float32, 2, 1, 16, 16)}},
		"wide.npz":  {{Name: "input", Tensor: tensor.New(tensor.Float32, 2, 3, 16, 16)}},
		"in.npy":    {{Name: "input", Tensor: tensor.New(tensor.Float32, 1, 1, 16, 16)}},
	} {
		if err := npz.WriteFile(filepath.Join(dir, name), arrays...); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, &image.Gray{Pix: tensor.Data[uint8](x)[:256], Stride: 16, Rect: image.Rect(0, 0, 16, 16)}); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "one.png"), b.Bytes(), 0o644); err != nil {
		return err
	}
	if err := writeIDX(filepath.Join(dir, "idx"), x, y); err != nil {
		return err
	}
	return writeModels(dir)
}

// writeIDX stores both splits of a data set in MNIST's form.
func writeIDX(dir string, x, y *tensor.Tensor) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	n := len(tensor.Data[int64](y))
	images := append([]byte{0, 0, 8, 3, 0, 0, byte(n >> 8), byte(n), 0, 0, 0, 16, 0, 0, 0, 16}, tensor.Data[uint8](x)...)
	labels := []byte{0, 0, 8, 1, 0, 0, byte(n >> 8), byte(n)}
	for _, l := range tensor.Data[int64](y) {
		labels = append(labels, byte(l))
	}
	for name, b := range map[string][]byte{"train-images-idx3-ubyte": images, "t10k-images-idx3-ubyte": images,
		"train-labels-idx1-ubyte": labels, "t10k-labels-idx1-ubyte": labels} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeModels trains the tiny network and makes broken copies of its file.
func writeModels(dir string) error {
	g, err := trainedTiny(filepath.Join(dir, "blobs.npz"))
	if err != nil {
		return err
	}
	b, err := onnx.Encode(g)
	if err != nil {
		return err
	}
	sick := g.Clone()
	for _, n := range sick.Nodes {
		if n.Is("Conv") {
			w := n.Inputs[1].Data.Clone()
			tensor.Data[float32](w)[3] = float32(math.NaN())
			n.SetInput(1, sick.AddConst("sick", w))
			break
		}
	}
	sick.RemoveDead()
	nan, err := onnx.Encode(sick)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"net.onnx": b, "cut.onnx": b[:len(b)/2], "noise.onnx": []byte(strings.Repeat("what is this?", 99)),
		"empty.onnx": {}, "nan.onnx": nan} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func trainedTiny(spec string) (*graph.Graph, error) {
	g, err := zoo.Build(tinyNet, 3)
	if err != nil {
		return nil, err
	}
	ds, err := data.Open(spec, data.Options{Split: "train"})
	if err != nil {
		return nil, err
	}
	pre, err := data.ParsePreprocess("size=16x16 color=gray mean=70 std=50")
	if err != nil {
		return nil, err
	}
	l, err := data.NewLoader(ds, data.LoaderOptions{Batch: 32, Preprocess: pre, Shuffle: true, DropLast: true, Seed: 1})
	if err != nil {
		return nil, err
	}
	r, err := train.Run(context.Background(), g, l, train.Config{Epochs: 2, Optimizer: train.SGD(0.05, 0.9, 1e-4)})
	if err != nil {
		return nil, err
	}
	r.Graph.Metadata[data.MetadataKey] = pre.String()
	return r.Graph, nil
}
