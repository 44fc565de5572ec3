// Package data reads labelled images, prepares them for a network and hands
// them out in batches.
//
// The flow has three steps:
//
//	ds, err := data.Open("cifar10:DIR@train[:45000]", data.Options{})
//	pre, err := data.ParsePreprocess("imagenet")
//	aug, err := data.ParseAugment("crop4,flip")
//	loader, err := data.NewLoader(ds, data.LoaderOptions{
//		Batch: 128, Shuffle: true, Seed: 1, Preprocess: pre, Augment: aug,
//	})
//	for batch, err := range loader.Batches(ctx, epoch) { … }
//
// A [Dataset] gives raw pictures (8-bit, height × width × channels) and integer
// labels at random; a [Preprocess] says how a picture becomes the network's
// input and travels with the model as one line of text; a [Loader] does the
// work in parallel, ahead of its reader, in an order and with random changes
// that depend on the seed, the epoch and the index of the picture only.
package data

import (
	"fmt"
	"slices"
)

// Dataset is an indexed set of labelled pictures. Its methods may be called
// from several goroutines at once.
type Dataset interface {
	// Len is the number of pictures.
	Len() int
	// Classes names the classes; a label is an index into it. The slice must
	// not be changed.
	Classes() []string
	// Label is the class of picture i, or -1 if it has none.
	Label(i int) int
	// Read sets s to picture i. It reuses the memory that s owns, so one
	// Sample serves many reads; s.Pix and s.Float may also point into the data
	// set itself and must not be written.
	Read(i int, s *Sample) error
}

// Namer is a Dataset whose pictures have names (files, mostly).
type Namer interface {
	// Name is what a person would call picture i.
	Name(i int) string
}

// Name is the name of picture i of ds for messages and tables.
func Name(ds Dataset, i int) string {
	if n, ok := ds.(Namer); ok {
		return n.Name(i)
	}
	return fmt.Sprintf("#%d", i)
}

// Sample is one picture with its label.
type Sample struct {
	// Pix holds the picture, [H, W, C], one byte a value; C is 1 (gray) or 3
	// (red, green, blue). It is nil if Float is set.
	Pix []uint8
	// Float holds the picture as [C, H, W] for sets that store numbers instead
	// of bytes.
	Float []float32
	// H, W and C are the height, width and number of channels.
	H, W, C int
	// Label is the class, or -1.
	Label int

	buf []uint8 // memory that Pix may use
	raw []byte  // the encoded picture
}

// alloc points Pix at h×w×c bytes of the sample's own memory.
func (s *Sample) alloc(h, w, c int) []uint8 {
	n := h * w * c
	if cap(s.buf) < n {
		s.buf = make([]uint8, n)
	}
	s.Pix, s.Float, s.H, s.W, s.C = s.buf[:n], nil, h, w, c
	return s.Pix
}

// Labels returns the label of every picture.
func Labels(ds Dataset) []int32 {
	labels := make([]int32, ds.Len())
	for i := range labels {
		labels[i] = int32(ds.Label(i))
	}
	return labels
}

// checkLabels reports the first label that is not -1 and not in [0, classes).
func checkLabels(name string, labels []int32, classes int) error {
	for i, l := range labels {
		if l < -1 || int(l) >= classes {
			return fmt.Errorf("data: %s: record %d: label %d is not in [0, %d)", name, i, l, classes)
		}
	}
	return nil
}

// Subset is the set of the pictures of ds at the given indices, in that order;
// an index may occur more than once. It panics if an index is out of range.
func Subset(ds Dataset, indices []int) Dataset {
	for _, i := range indices {
		if i < 0 || i >= ds.Len() {
			panic(fmt.Sprintf("data: subset index %d of a set of %d", i, ds.Len()))
		}
	}
	if s, ok := ds.(*subset); ok { // one level is enough
		inner := make([]int, len(indices))
		for k, i := range indices {
			inner[k] = s.indices[i]
		}
		return &subset{s.ds, inner}
	}
	return &subset{ds, slices.Clone(indices)}
}

// Spread is a subset of at most n pictures, evenly spaced over ds.
func Spread(ds Dataset, n int) Dataset {
	total := ds.Len()
	if n >= total {
		return ds
	}
	indices := make([]int, max(n, 0))
	for k := range indices {
		indices[k] = int(int64(k) * int64(total) / int64(n))
	}
	return Subset(ds, indices)
}

type subset struct {
	ds      Dataset
	indices []int
}

func (s *subset) Len() int                      { return len(s.indices) }
func (s *subset) Classes() []string             { return s.ds.Classes() }
func (s *subset) Label(i int) int               { return s.ds.Label(s.indices[i]) }
func (s *subset) Read(i int, dst *Sample) error { return s.ds.Read(s.indices[i], dst) }
func (s *subset) Name(i int) string             { return Name(s.ds, s.indices[i]) }
