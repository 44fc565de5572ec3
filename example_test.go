package drawknife_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/drawknife/drawknife/compress"
	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// stripes makes gray pictures of 16x16 pixels in two classes: horizontal and
// vertical stripes.
func stripes(n int) data.Dataset {
	pix, labels := make([]uint8, n*256), make([]int32, n)
	for i := range n {
		labels[i] = int32(i % 2)
		for p := range 256 {
			row, col := p/16, p%16
			if (row*(1-i%2)+col*(i%2)+i/2)/2%2 == 0 {
				pix[i*256+p] = uint8(200 + i%50)
			}
		}
	}
	ds, err := data.FromPixels(pix, 16, 16, 1, labels, []string{"horizontal", "vertical"})
	if err != nil {
		log.Fatal(err)
	}
	return ds
}

func small() *graph.Graph {
	g, err := zoo.Build("resnet8?channels=1&size=16&classes=2&width=0.5", 1)
	if err != nil {
		log.Fatal(err)
	}
	return g
}

// Read a model and run it on a batch of two images.
func Example_run() {
	dir, err := os.MkdirTemp("", "drawknife")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.onnx")
	if err := onnx.Write(path, small()); err != nil {
		log.Fatal(err)
	}

	g, err := onnx.Read(path)
	if err != nil {
		log.Fatal(err)
	}
	program, err := engine.Compile(g, engine.Options{Batch: 2})
	if err != nil {
		log.Fatal(err)
	}
	images := tensor.New(tensor.Float32, 2, 1, 16, 16)
	out, err := program.Run(context.Background(), map[string]*tensor.Tensor{"input": images})
	if err != nil {
		log.Fatal(err)
	}
	logits := out["logits"]
	fmt.Println(logits.DType, logits.Shape)
	// Output: float32 [2 2]
}

// Measure what a model costs, and its accuracy on a data set.
func Example_evaluate() {
	g := small()
	cost := g.Cost()
	pre, err := data.ParsePreprocess("unit")
	if err != nil {
		log.Fatal(err)
	}
	acc, _, err := measure.Accuracy(context.Background(), g, stripes(100), pre, measure.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cost.Params, "parameters,", cost.MACs, "MACs;", acc.N(), "images")
	// Output: 18810 parameters, 755776 MACs; 100 images
}

// Quantize a model to 8-bit integers, calibrated on a few images.
func Example_quantize() {
	g := small()
	pre, err := data.ParsePreprocess("unit")
	if err != nil {
		log.Fatal(err)
	}
	loader, err := data.NewLoader(stripes(32), data.LoaderOptions{Batch: 8, Preprocess: pre})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	q, report, err := quantize.Static(ctx, g, loader.Batches(ctx, 0), quantize.Defaults())
	if err != nil {
		log.Fatal(err)
	}
	before, after := g.Cost(), q.Cost()
	fmt.Printf("calibrated on %d images, %d layers in integers\n", report.Images, len(report.Layers))
	fmt.Printf("weights are %.1f times smaller\n", float64(before.WeightBytes)/float64(after.WeightBytes))
	// Output:
	// calibrated on 32 images, 8 layers in integers
	// weights are 3.9 times smaller
}

// Remove the least important half of a model's channels.
func Example_prune() {
	p, report, err := prune.Channels(small(), prune.Options{Ratio: 0.5})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.MACs, "MACs before,", report.MACsAfter, "after;", len(p.Outputs), "output")
	// Output: 755776 MACs before, 350240 after; 1 output
}

// Let the search find the smallest model within a budget. It leaves the model,
// the recipe that makes it again, and a report in a folder.
func Example_compress() {
	dir, err := os.MkdirTemp("", "drawknife")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pre, err := data.ParsePreprocess("unit")
	if err != nil {
		log.Fatal(err)
	}
	job := &compress.Job{
		Graph: small(), Model: "small", // better a trained one
		Train: stripes(600), Test: stripes(200), Data: "stripes", Pre: pre,
		Budget: compress.Budget{MaxDrop: 100}, Time: time.Second, Seed: 1, Dir: dir,
	}
	r, err := job.Run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("budget met:", r.Met)
	fmt.Println("smaller:", r.After.FileBytes < r.Before.FileBytes)
	for _, path := range r.Outputs[:2] {
		fmt.Println(filepath.Base(path))
	}
	// Output:
	// budget met: true
	// smaller: true
	// model.onnx
	// recipe.yaml
}
