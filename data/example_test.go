package data_test

import (
	"context"
	"fmt"
	"log"

	"github.com/drawknife/drawknife/data"
)

// Two batches of augmented pictures for training.
func ExampleLoader() {
	pix := make([]uint8, 6*32*32*3) // six black pictures
	ds, err := data.FromPixels(pix, 32, 32, 3, []int32{0, 1, 2, 0, 1, 2}, []string{"cat", "dog", "owl"})
	if err != nil {
		log.Fatal(err)
	}
	pre, err := data.ParsePreprocess("imagenet")
	if err != nil {
		log.Fatal(err)
	}
	aug, err := data.ParseAugment("crop4,flip")
	if err != nil {
		log.Fatal(err)
	}
	loader, err := data.NewLoader(ds, data.LoaderOptions{Batch: 4, Shuffle: true, Seed: 1, Preprocess: pre, Augment: aug})
	if err != nil {
		log.Fatal(err)
	}
	for batch, err := range loader.Batches(context.Background(), 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(batch.N, batch.C, batch.H, batch.W, len(batch.X))
	}
	// Output:
	// 4 3 32 32 12288
	// 2 3 32 32 6144
}

// A preprocessing is one line of text that a model carries in its metadata.
func ExampleParsePreprocess() {
	p, err := data.ParsePreprocess("caffe crop=227")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p)
	fmt.Println(p.ForInput(3, 224, 224))
	// Output:
	// crop=227 color=bgr mean=104,117,123 std=1
	// crop=227 size=224 color=bgr mean=104,117,123 std=1
}
