package train_test

import (
	"context"
	"fmt"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/train"
	"github.com/drawknife/drawknife/zoo"
)

// Train a small network to tell bright pictures from dark ones.
func ExampleRun() {
	pictures, labels := make([]uint8, 64*28*28), make([]int32, 64)
	for i := range labels {
		labels[i] = int32(i % 2)
		for p := range 28 * 28 {
			pictures[i*28*28+p] = uint8(60 + 120*(i%2) + (i*7+p*13)%40)
		}
	}
	ds, err := data.FromPixels(pictures, 28, 28, 1, labels, []string{"dark", "bright"})
	if err != nil {
		fmt.Println(err)
		return
	}
	loader, err := data.NewLoader(ds, data.LoaderOptions{Batch: 16, Shuffle: true, Preprocess: data.Preprocess{Mean: []float32{128}, Std: []float32{64}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := zoo.Build("lenet5?classes=2&width=0.5", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := train.Run(context.Background(), g, loader, train.Config{Epochs: 3, Optimizer: train.SGD(0.05, 0.9, 0)})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := train.Evaluate(context.Background(), result.Graph, loader, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d steps, top-1 %.0f %%\n", result.Steps, m.Top1())
	// Output: 12 steps, top-1 100 %
}
