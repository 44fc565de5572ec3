package demo

import (
	"embed"
	"fmt"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
)

//go:embed model.onnx fashion-mnist-train.idx.gz fashion-mnist-test.idx.gz fashion-mnist-val.idx.gz LICENSE-fashion-mnist
var files embed.FS

// Demo is a trained network with the images to compress it on.
type Demo struct {
	// Graph is the network, with its preprocessing under data.MetadataKey.
	Graph *graph.Graph
	// Train is a balanced part of Fashion-MNIST's training split, Test and Val
	// are parts of its test split; no two of them have an image in common. Val is
	// there to choose by, so that Test measures nothing but the result.
	Train, Test, Val data.Dataset
	// Augment is the augmentation that the network was trained with, in the
	// form that data.ParseAugment reads.
	Augment string
}

// Open decodes the embedded files. Every call returns a graph of its own.
func Open() (*Demo, error) {
	d := &Demo{Augment: "crop2,flip"}
	raw, err := files.ReadFile("model.onnx")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if d.Graph, err = onnx.Decode(raw); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if d.Train, err = data.OpenFS(files, "fashion-mnist-train.idx.gz"); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if d.Test, err = data.OpenFS(files, "fashion-mnist-test.idx.gz"); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if d.Val, err = data.OpenFS(files, "fashion-mnist-val.idx.gz"); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	return d, nil
}
