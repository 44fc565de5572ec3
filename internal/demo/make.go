//go:build ignore

// Make trains the demonstration's network and writes the files that package
// demo embeds; see the package's documentation for how it is called.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/train"
	"github.com/drawknife/drawknife/zoo"
)

// Preprocess is Fashion-MNIST's own mean and standard deviation.
const preprocess = "size=28x28 color=gray mean=72.94 std=90.02"

var (
	images    = flag.String("data", "fashion-mnist", "Fashion-MNIST, as data.Open takes it")
	out       = flag.String("o", "internal/demo", "folder to write to")
	network   = flag.String("network", "resnet8?channels=1&size=28&width=1.5&shortcut=B", "network of the zoo")
	epochs    = flag.Int("epochs", 6, "passes over the training split; 0 writes the images only")
	batch     = flag.Int("batch", 64, "images a step")
	rate      = flag.Float64("lr", 0.1, "peak of the learning rate")
	seed      = flag.Uint64("seed", 1, "seed of weights, order and augmentation")
	logs      = flag.String("log", "out/demo", "log FILE.csv and checkpoint FILE.checkpoint")
	trainings = flag.Int("train", 3000, "training images to embed")
	tests     = flag.Int("test", 2000, "test images to embed")
	choosers  = flag.Int("val", 2000, "test images to embed besides, for validation")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := makeAll(ctx); err != nil {
		log.Fatal(err)
	}
}

func makeAll(ctx context.Context) error {
	training, err := data.Open(*images+"@train", data.Options{})
	if err != nil {
		return err
	}
	test, err := data.Open(*images+"@test", data.Options{})
	if err != nil {
		return err
	}
	if err := writeImages("fashion-mnist-train.idx.gz", training, 0, *trainings); err != nil {
		return err
	}
	if err := writeImages("fashion-mnist-test.idx.gz", test, 0, *tests); err != nil {
		return err
	}
	if err := writeImages("fashion-mnist-val.idx.gz", test, *tests, *choosers); err != nil {
		return err
	}
	if *epochs == 0 {
		return nil
	}
	return makeNetwork(ctx, training, test)
}

// writeImages embeds n pictures of ds, as many of each class: those that follow
// the first skip ones that another call embeds.
func writeImages(name string, ds data.Dataset, skip, n int) error {
	each, first := n/len(ds.Classes()), skip/len(ds.Classes())
	count := make([]int, len(ds.Classes()))
	var chosen []int
	for i := range ds.Len() {
		l := ds.Label(i)
		if k := count[l]; k >= first && k < first+each {
			chosen = append(chosen, i)
		}
		count[l]++
	}
	var b bytes.Buffer
	zw, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := data.WriteIDX(zw, data.Subset(ds, chosen)); err != nil {
		return err
	}
	if err := zw.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*out, name), b.Bytes(), 0o644)
}

// makeNetwork trains on the whole training split and writes model.onnx.
func makeNetwork(ctx context.Context, training, test data.Dataset) error {
	pre, err := data.ParsePreprocess(preprocess)
	if err != nil {
		return err
	}
	aug, err := data.ParseAugment("crop2,flip")
	if err != nil {
		return err
	}
	loader, err := data.NewLoader(training, data.LoaderOptions{Batch: *batch, DropLast: true, Shuffle: true, Seed: *seed, Preprocess: pre, Augment: aug})
	if err != nil {
		return err
	}
	val, err := data.NewLoader(test, data.LoaderOptions{Batch: 250, Preprocess: pre})
	if err != nil {
		return err
	}
	g, err := zoo.Build(*network, *seed)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(*logs), 0o755); err != nil {
		return err
	}
	optimizer := train.SGD(*rate, 0.9, 5e-4)
	optimizer.Nesterov = true
	shown := time.Now()
	r, err := train.Run(ctx, g, loader, train.Config{
		Epochs: *epochs, Seed: *seed, Optimizer: optimizer, Val: val,
		Schedule:   train.Schedule{Kind: train.OneCycle, Warmup: float64(*epochs) / 4},
		Checkpoint: *logs + ".checkpoint", Resume: true, CSV: *logs + ".csv",
		Progress: func(p train.Progress) {
			if e := p.Last; e != nil {
				log.Printf("epoch %d: loss %.4f, test top-1 %.2f %%, %.0f images/s", e.Epoch, e.Loss, e.ValTop1, e.ImagesPerS)
			} else if time.Since(shown) > 20*time.Second {
				shown = time.Now()
				log.Printf("step %d/%d: loss %.4f, %.0f images/s, %v left", p.Step, p.Steps, p.Loss, p.ImagesPerS, p.Left.Round(time.Second))
			}
		},
	})
	if err != nil {
		return err
	}
	r.Graph.Metadata[data.MetadataKey] = pre.String()
	r.Graph.Record("train", fmt.Sprintf("zoo:%s on Fashion-MNIST, %d epochs, batch %d, one-cycle to %g, seed %d", *network, *epochs, *batch, *rate, *seed))
	return onnx.Write(filepath.Join(*out, "model.onnx"), r.Graph)
}
