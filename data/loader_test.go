package data

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// tiny is a data set of n random pictures of h×w×c pixels in k classes.
func tiny(tb testing.TB, n, h, w, c, k int) Dataset {
	tb.Helper()
	rng := stream(1, 0, 99)
	pix := make([]uint8, n*h*w*c)
	for i := range pix {
		pix[i] = uint8(rng.Uint32())
	}
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = int32(i % k)
	}
	ds, err := FromPixels(pix, h, w, c, labels, numbered(k))
	if err != nil {
		tb.Fatal(err)
	}
	return ds
}

// epoch copies what a loader yields.
func epoch(t *testing.T, l *Loader, e, first int) (x []float32, y []int32, index []int) {
	t.Helper()
	for b, err := range l.BatchesFrom(context.Background(), e, first) {
		if err != nil {
			t.Fatal(err)
		}
		x, y, index = append(x, b.X...), append(y, b.Y...), append(index, b.Index...)
	}
	return x, y, index
}

func loader(t testing.TB, ds Dataset, o LoaderOptions) *Loader {
	t.Helper()
	l, err := NewLoader(ds, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func augment(t testing.TB, s string) Augment {
	t.Helper()
	a, err := ParseAugment(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func preset(t testing.TB, s string) Preprocess {
	t.Helper()
	p, err := ParsePreprocess(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoaderDoesNotDependOnWorkers(t *testing.T) {
	ds := tiny(t, 101, 8, 8, 3, 10)
	opts := LoaderOptions{
		Batch: 16, Shuffle: true, Seed: 7, Workers: 1,
		Preprocess: preset(t, "imagenet"), Augment: augment(t, "crop2,flip,cutout3,jitter0.3,mixup0.4"),
	}
	x, y, index := epoch(t, loader(t, ds, opts), 3, 0)
	if len(y) != 101 {
		t.Fatalf("an epoch has %d pictures, want 101", len(y))
	}
	sorted := slices.Sorted(slices.Values(index))
	for i, k := range sorted {
		if i != k {
			t.Fatalf("picture %d is missing or twice", i)
		}
	}
	for _, workers := range []int{2, 7} {
		o := opts
		o.Workers, o.Prefetch = workers, 1
		x2, y2, index2 := epoch(t, loader(t, ds, o), 3, 0)
		if !slices.Equal(x, x2) || !slices.Equal(y, y2) || !slices.Equal(index, index2) {
			t.Errorf("%d workers give another epoch than 1", workers)
		}
	}
	rest, _, _ := epoch(t, loader(t, ds, opts), 3, 4)
	if !slices.Equal(rest, x[4*16*8*8*3:]) {
		t.Error("going on from batch 4 gives other pictures")
	}
	if other, _, _ := epoch(t, loader(t, ds, opts), 4, 0); slices.Equal(x, other) {
		t.Error("two epochs are the same")
	}
}

func TestLoaderPlainBatches(t *testing.T) {
	ds := tiny(t, 10, 2, 3, 3, 5)
	p := preset(t, "raw label_offset=1")
	l := loader(t, ds, LoaderOptions{Batch: 4, Preprocess: p})
	if c, h, w := l.Shape(); c != 3 || h != 2 || w != 3 || l.Len() != 3 || l.Images() != 10 {
		t.Fatalf("shape %d %d %d, %d batches, %d images", c, h, w, l.Len(), l.Images())
	}
	x, y, _ := epoch(t, l, 0, 0)
	var s Sample
	for i := range 10 {
		if err := ds.Read(i, &s); err != nil {
			t.Fatal(err)
		}
		if int(y[i]) != s.Label+1 {
			t.Errorf("label %d of picture %d, want %d", y[i], i, s.Label+1)
		}
		for k := range 18 {
			c, pos := k/6, k%6
			if got, want := x[i*18+k], float32(s.Pix[pos*3+c]); got != want {
				t.Fatalf("picture %d, channel %d, pixel %d: %v, want %v", i, c, pos, got, want)
			}
		}
	}
	l = loader(t, ds, LoaderOptions{Batch: 4, DropLast: true})
	if _, y, _ := epoch(t, l, 0, 0); len(y) != 8 || l.Len() != 2 || l.Images() != 8 {
		t.Errorf("dropping the last batch leaves %d pictures", len(y))
	}
}

// failing is a data set whose picture at cannot be read.
type failing struct {
	Dataset
	at int
}

func (f failing) Read(i int, s *Sample) error {
	if i == f.at {
		return errors.New("broken")
	}
	return f.Dataset.Read(i, s)
}

func TestLoaderNamesTheBrokenPicture(t *testing.T) {
	l := loader(t, failing{tiny(t, 20, 2, 2, 1, 2), 9}, LoaderOptions{Batch: 4, Workers: 3})
	good := 0
	var last error
	for b, err := range l.Batches(context.Background(), 0) {
		if last = err; err == nil {
			good += b.N
		}
	}
	if good != 8 || last == nil || last.Error() != "#9: broken" {
		t.Errorf("%d good pictures, then %v", good, last)
	}
}

// slow is a data set that takes its time, until release is closed.
type slow struct {
	Dataset
	release chan struct{}
}

func (s slow) Read(i int, dst *Sample) error {
	if i >= 4 {
		<-s.release
	}
	return s.Dataset.Read(i, dst)
}

func TestLoaderStops(t *testing.T) {
	ds := tiny(t, 400, 4, 4, 3, 2)
	l := loader(t, ds, LoaderOptions{Batch: 4, Workers: 3, Shuffle: true})
	for range l.Batches(context.Background(), 0) { // the loop ends first
		break
	}
	ctx, cancel := context.WithCancel(context.Background())
	n, ended := 0, error(nil)
	for b, err := range l.Batches(ctx, 0) {
		if err != nil {
			ended = err
			break
		}
		n += b.N
		cancel()
	}
	if !errors.Is(ended, context.Canceled) || n == 0 || n == 400 {
		t.Errorf("after cancelling: %d pictures, %v", n, ended)
	}
	// A cancelled wait for a slow picture ends with the context's error.
	s := slow{ds, make(chan struct{})}
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	time.AfterFunc(20*time.Millisecond, func() { close(s.release) })
	ended = nil
	for _, err := range loader(t, s, LoaderOptions{Batch: 4, Workers: 2}).Batches(ctx, 0) {
		ended = err
	}
	if !errors.Is(ended, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", ended)
	}
}

func TestLoaderMixup(t *testing.T) {
	ds := tiny(t, 8, 2, 2, 1, 8)
	plain, y, _ := epoch(t, loader(t, ds, LoaderOptions{Batch: 8}), 0, 0)
	for b, err := range loader(t, ds, LoaderOptions{Batch: 8, Augment: augment(t, "mixup1")}).Batches(context.Background(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if !(b.Lambda > 0 && b.Lambda < 1) {
			t.Fatalf("λ = %v", b.Lambda)
		}
		for i := range 8 {
			if b.Y[i] != y[i] || b.Y2[i] != y[7-i] {
				t.Errorf("picture %d: classes %d and %d", i, b.Y[i], b.Y2[i])
			}
			for k := range 4 {
				want := b.Lambda*plain[i*4+k] + (1-b.Lambda)*plain[(7-i)*4+k]
				if got := b.X[i*4+k]; got != want {
					t.Errorf("picture %d, pixel %d: %v, want %v", i, k, got, want)
				}
			}
		}
	}
}

func TestLoaderErrors(t *testing.T) {
	ds := tiny(t, 3, 4, 4, 3, 2)
	for _, c := range []struct {
		name string
		o    LoaderOptions
	}{
		{"drop last", LoaderOptions{Batch: 4, DropLast: true}},
		{"negative batch", LoaderOptions{Batch: -1}},
		{"crop too large", LoaderOptions{Preprocess: Preprocess{Crop: [2]int{5, 5}}}},
		{"two means", LoaderOptions{Preprocess: Preprocess{Mean: []float32{1, 2}}}},
		{"std 0", LoaderOptions{Preprocess: Preprocess{Std: []float32{0}}}},
		{"huge batch", LoaderOptions{Batch: 1 << 40}},
	} {
		if _, err := NewLoader(ds, c.o); err == nil {
			t.Errorf("%s: no error", c.name)
		}
	}
}

// BenchmarkLoader feeds CIFAR-size training; the metric is pictures a second.
func BenchmarkLoader(b *testing.B) {
	ds := tiny(b, 5000, 32, 32, 3, 10)
	for _, aug := range []string{"none", "crop4,flip", "crop4,flip,cutout8,mixup0.2", "crop4,flip,jitter0.4"} {
		b.Run(aug, func(b *testing.B) {
			l := loader(b, ds, LoaderOptions{Batch: 128, Shuffle: true, Workers: 1, Preprocess: preset(b, "imagenet"), Augment: augment(b, aug)})
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				for batch, err := range l.Batches(context.Background(), n) {
					if err != nil {
						b.Fatal(err)
					}
					n += batch.N
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
