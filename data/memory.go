package data

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// pixels is a data set of equally large 8-bit pictures in memory.
type pixels struct {
	pix     []uint8 // [n, h, w, c]
	h, w, c int
	labels  []int32
	classes []string
	source  string // what the pictures were read from
}

// FromPixels makes a data set of n pictures out of memory: pix is [n, h, w, c]
// with c = 1 or 3, labels has n entries. Neither is copied.
func FromPixels(pix []uint8, h, w, c int, labels []int32, classes []string) (Dataset, error) {
	n := len(labels)
	if n == 0 {
		return nil, fmt.Errorf("data: empty data set")
	}
	if h < 1 || w < 1 || (c != 1 && c != 3) || len(pix) != n*h*w*c {
		return nil, fmt.Errorf("data: %d bytes do not hold %d pictures of %dx%dx%d", len(pix), n, h, w, c)
	}
	if err := checkLabels("pictures in memory", labels, len(classes)); err != nil {
		return nil, err
	}
	return &pixels{pix: pix, h: h, w: w, c: c, labels: labels, classes: classes}, nil
}

func (p *pixels) Len() int          { return len(p.labels) }
func (p *pixels) Classes() []string { return p.classes }
func (p *pixels) Label(i int) int   { return int(p.labels[i]) }

func (p *pixels) Name(i int) string {
	if p.source == "" {
		return fmt.Sprintf("#%d", i)
	}
	return fmt.Sprintf("%s#%d", p.source, i)
}

func (p *pixels) Read(i int, s *Sample) error {
	size := p.h * p.w * p.c
	s.Pix, s.Float = p.pix[i*size:(i+1)*size:(i+1)*size], nil
	s.H, s.W, s.C, s.Label = p.h, p.w, p.c, int(p.labels[i])
	return nil
}

// floats is a data set of equally large pictures of numbers in memory.
type floats struct {
	x       []float32 // [n, c, h, w]
	h, w, c int
	labels  []int32
	classes []string
}

// FromFloats makes a data set out of numbers in memory: x is [n, c, h, w],
// labels has n entries. Neither is copied.
func FromFloats(x []float32, c, h, w int, labels []int32, classes []string) (Dataset, error) {
	n := len(labels)
	if n == 0 {
		return nil, fmt.Errorf("data: empty data set")
	}
	if h < 1 || w < 1 || c < 1 || len(x) != n*h*w*c {
		return nil, fmt.Errorf("data: %d numbers do not hold %d pictures of %dx%dx%d", len(x), n, c, h, w)
	}
	if err := checkLabels("numbers in memory", labels, len(classes)); err != nil {
		return nil, err
	}
	return &floats{x, h, w, c, labels, classes}, nil
}

func (f *floats) Len() int          { return len(f.labels) }
func (f *floats) Classes() []string { return f.classes }
func (f *floats) Label(i int) int   { return int(f.labels[i]) }

func (f *floats) Read(i int, s *Sample) error {
	size := f.h * f.w * f.c
	s.Pix, s.Float = nil, f.x[i*size:(i+1)*size:(i+1)*size]
	s.H, s.W, s.C, s.Label = f.h, f.w, f.c, int(f.labels[i])
	return nil
}

// cached is a data set whose decoded pictures, of any sizes, are in memory.
type cached struct {
	Dataset
	items []Sample
}

func (c *cached) Name(i int) string { return Name(c.Dataset, i) }

func (c *cached) Read(i int, s *Sample) error {
	it := &c.items[i]
	s.Pix, s.Float, s.H, s.W, s.C, s.Label = it.Pix, it.Float, it.H, it.W, it.C, it.Label
	return nil
}

// InMemory decodes every picture of ds once, in parallel, and returns a data
// set that serves them from memory. It fails if they need more than maxBytes
// (0 means 4 GiB). A set that is in memory already is returned as it is.
func InMemory(ctx context.Context, ds Dataset, maxBytes int64) (Dataset, error) {
	if held(ds) {
		return ds, nil
	}
	if maxBytes <= 0 {
		maxBytes = 4 << 30
	}
	items := make([]Sample, ds.Len())
	var used atomic.Int64
	err := forEach(ctx, ds.Len(), func(i int, scratch *Sample) error {
		if err := ds.Read(i, scratch); err != nil {
			return err
		}
		size := int64(len(scratch.Pix)) + 4*int64(len(scratch.Float))
		if used.Add(size) > maxBytes {
			return fmt.Errorf("data: the decoded pictures need more than %d MB of memory", maxBytes>>20)
		}
		it := &items[i]
		*it = *scratch
		it.buf = nil
		it.Pix = append([]uint8(nil), scratch.Pix...)
		it.Float = append([]float32(nil), scratch.Float...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &cached{ds, items}, nil
}

// held tells whether the pictures of ds are in memory already.
func held(ds Dataset) bool {
	switch d := ds.(type) {
	case *pixels, *floats, *cached:
		return true
	case *subset:
		return held(d.ds)
	}
	return false
}

// forEach calls fn for every index on all CPUs; each goroutine has a Sample of
// its own. It returns the error of the lowest index that failed, and stops
// early after an error or when ctx ends.
func forEach(ctx context.Context, n int, fn func(i int, scratch *Sample) error) error {
	var (
		next   atomic.Int64
		failed atomic.Bool
		mu     sync.Mutex
		at     = n
		first  error
		wg     sync.WaitGroup
	)
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			var scratch Sample
			for !failed.Load() && ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= n {
					return
				}
				if err := fn(i, &scratch); err != nil {
					failed.Store(true)
					mu.Lock()
					if i < at {
						at, first = i, err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		return first
	}
	return ctx.Err()
}
