package demo

import (
	"context"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/train"
)

// TestOpen looks at what is embedded: the counts, the balance of the classes
// and the network's form.
func TestOpen(t *testing.T) {
	d, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name string
		ds   data.Dataset
		want int
	}{{"train", d.Train, 3000}, {"test", d.Test, 2000}, {"val", d.Val, 2000}} {
		if got := part.ds.Len(); got != part.want {
			t.Errorf("%s: %d images, want %d", part.name, got, part.want)
		}
		if c := part.ds.Classes(); len(c) != 10 || c[0] != "T-shirt/top" {
			t.Errorf("%s: classes %q", part.name, c)
		}
		count := make([]int, 10)
		for _, l := range data.Labels(part.ds) {
			count[l]++
		}
		if lo, hi := slices.Min(count), slices.Max(count); lo != hi {
			t.Errorf("%s: between %d and %d images of a class", part.name, lo, hi)
		}
	}
	if s := d.Graph.Inputs[0].Shape.Ints(); !slices.Equal(s[1:], []int{1, 28, 28}) {
		t.Errorf("the network takes %v", s)
	}
	if _, err := data.ParseAugment(d.Augment); err != nil {
		t.Error(err)
	}
	if b, err := files.ReadFile("LICENSE-fashion-mnist"); err != nil || len(b) < 1000 {
		t.Errorf("the images' licence: %d bytes, %v", len(b), err)
	}
}

// TestAccuracy runs the network on some of the images.
func TestAccuracy(t *testing.T) {
	d, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	pre, err := data.ParsePreprocess(d.Graph.Metadata[data.MetadataKey])
	if err != nil {
		t.Fatal(err)
	}
	loader, err := data.NewLoader(data.Spread(d.Test, 200), data.LoaderOptions{Batch: 50, Preprocess: pre})
	if err != nil {
		t.Fatal(err)
	}
	m, err := train.Evaluate(context.Background(), d.Graph, loader, 0)
	if err != nil {
		t.Fatal(err)
	}
	if top1 := m.Top1(); !(top1 > 85) {
		t.Errorf("top-1 on 200 test images is %.1f %%, want more than 85 %%", top1)
	}
}
