package data

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
)

// LoaderOptions says how a Loader makes batches. The zero value of a field
// means its default.
type LoaderOptions struct {
	// Batch is the number of pictures in a batch (default 1).
	Batch int
	// DropLast leaves out the last batch of an epoch if it is not full.
	DropLast bool
	// Shuffle takes the pictures in another order each epoch.
	Shuffle bool
	// Seed and the epoch decide the order and the augmentation.
	Seed uint64
	// Workers is the number of goroutines that prepare pictures (default: one
	// for each CPU). It does not change the batches.
	Workers int
	// Prefetch is the number of batches prepared ahead (default 2). The loader
	// holds Prefetch+1 batches in memory.
	Prefetch int
	// Preprocess makes a picture the network's input.
	Preprocess Preprocess
	// Augment changes pictures at random; leave it zero for evaluation.
	Augment Augment
}

// Loader makes batches of a data set's pictures.
type Loader struct {
	ds       Dataset
	opts     LoaderOptions
	pipeline *Pipeline
	c, h, w  int
	free     sync.Pool // of *Batch
}

// Batch is a number of prepared pictures. It belongs to the loader again when
// the loop that received it goes on: copy what must live longer.
type Batch struct {
	// N is the number of pictures, C, H and W the size of each.
	N, C, H, W int
	// X holds the pictures, [N, C, H, W], or [N, H, W, C] with the layout HWC.
	X []float32
	// Y holds the labels with the label offset added; -1 is no label.
	Y []int32
	// Index says which pictures of the data set these are.
	Index []int
	// Lambda and Y2 are set with mixup: X is a blend of pictures of classes Y
	// and Y2 with shares Lambda and 1−Lambda. Without it Lambda is 1 and Y2 nil.
	Lambda float32
	Y2     []int32

	number int
	left   atomic.Int32 // chunks not done
	mu     sync.Mutex
	err    error
	errAt  int
	y2     []int32
}

// NewLoader checks the options and reads the first picture to learn the size of
// a batch.
func NewLoader(ds Dataset, opts LoaderOptions) (*Loader, error) {
	if ds.Len() == 0 {
		return nil, fmt.Errorf("data: empty data set")
	}
	if opts.Batch < 0 || opts.Workers < 0 || opts.Prefetch < 0 {
		return nil, fmt.Errorf("data: loader: batch %d, %d workers, prefetch %d", opts.Batch, opts.Workers, opts.Prefetch)
	}
	if opts.Batch == 0 {
		opts.Batch = 1
	}
	if opts.Workers == 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	if opts.Prefetch == 0 {
		opts.Prefetch = 2
	}
	if opts.DropLast && ds.Len() < opts.Batch {
		return nil, fmt.Errorf("data: %d pictures do not fill one batch of %d", ds.Len(), opts.Batch)
	}
	l := &Loader{ds: ds, opts: opts}
	var err error
	if l.pipeline, err = NewPipeline(opts.Preprocess, opts.Augment); err != nil {
		return nil, err
	}
	var s Sample
	if err := ds.Read(0, &s); err != nil {
		return nil, err
	}
	if l.c, l.h, l.w, err = l.pipeline.Shape(s.H, s.W, s.C); err != nil {
		return nil, fmt.Errorf("%s: %w", Name(ds, 0), err)
	}
	if size := l.c * l.h * l.w; opts.Batch > maxBatchFloats/size {
		return nil, fmt.Errorf("data: a batch of %d pictures of %dx%dx%d is too large", opts.Batch, l.c, l.h, l.w)
	}
	return l, nil
}

// maxBatchFloats bounds a batch to 16 GiB.
const maxBatchFloats = 1 << 32

// Dataset is what the loader reads.
func (l *Loader) Dataset() Dataset { return l.ds }

// Options are the loader's options with the defaults filled in.
func (l *Loader) Options() LoaderOptions { return l.opts }

// Shape is the size of a prepared picture: channels, height, width.
func (l *Loader) Shape() (c, h, w int) { return l.c, l.h, l.w }

// Len is the number of batches in an epoch.
func (l *Loader) Len() int {
	if l.opts.DropLast {
		return l.ds.Len() / l.opts.Batch
	}
	return (l.ds.Len() + l.opts.Batch - 1) / l.opts.Batch
}

// Images is the number of pictures in an epoch.
func (l *Loader) Images() int {
	if l.opts.DropLast {
		return l.Len() * l.opts.Batch
	}
	return l.ds.Len()
}

// Batches yields the batches of an epoch in order. After an error, which names
// the picture, or the end of ctx it yields that and stops. All goroutines have
// ended when the loop has. Several epochs may be read at once.
func (l *Loader) Batches(ctx context.Context, epoch int) iter.Seq2[*Batch, error] {
	return l.BatchesFrom(ctx, epoch, 0)
}

// BatchesFrom is Batches without the first batches of the epoch: what is left
// is the same as if they had been read, so interrupted training goes on with
// the very same pictures.
func (l *Loader) BatchesFrom(ctx context.Context, epoch, first int) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		inner, cancel := context.WithCancel(ctx)
		r := l.start(inner, epoch, first)
		defer r.stop(cancel)
		for k := max(first, 0); k < l.Len(); k++ {
			var b *Batch
			select {
			case b = <-r.ready[k%len(r.ready)]:
			case <-ctx.Done():
				yield(nil, context.Cause(ctx))
				return
			}
			if b.err != nil {
				yield(nil, b.err)
				return
			}
			if !yield(b, nil) {
				return
			}
			r.free <- b
		}
	}
}

// reader is one pass over an epoch: a dispatcher hands chunks of pictures of
// the next batches to workers as buffers come free; the worker that ends a
// batch puts it into its slot.
type reader struct {
	l     *Loader
	epoch int
	order []int
	free  chan *Batch
	ready []chan *Batch // batch k comes out of ready[k % len(ready)]
	tasks chan task
	wg    sync.WaitGroup
	all   []*Batch
}

// task is pictures lo … hi−1 of a batch.
type task struct {
	b      *Batch
	lo, hi int
}

func (l *Loader) start(ctx context.Context, epoch, first int) *reader {
	n := l.opts.Prefetch + 1
	r := &reader{l: l, epoch: epoch, free: make(chan *Batch, n), tasks: make(chan task)}
	if l.opts.Shuffle {
		r.order = shuffled(nil, l.ds.Len(), l.opts.Seed, epoch)
	}
	for range n {
		b, _ := l.free.Get().(*Batch)
		if b == nil {
			b = l.newBatch()
		}
		r.all = append(r.all, b)
		r.free <- b
		r.ready = append(r.ready, make(chan *Batch, 1))
	}
	r.wg.Go(func() { r.dispatch(ctx, max(first, 0)) })
	for range l.opts.Workers {
		r.wg.Go(func() { r.work(ctx) })
	}
	return r
}

func (l *Loader) newBatch() *Batch {
	n := min(l.opts.Batch, l.ds.Len())
	b := &Batch{
		C: l.c, H: l.h, W: l.w,
		X: make([]float32, n*l.c*l.h*l.w), Y: make([]int32, n), Index: make([]int, n),
	}
	if l.opts.Augment.Mixup > 0 {
		b.y2 = make([]int32, n)
	}
	return b
}

// stop ends the goroutines and keeps the buffers for the next epoch.
func (r *reader) stop(cancel context.CancelFunc) {
	cancel()
	r.wg.Wait()
	for _, b := range r.all {
		r.l.free.Put(b)
	}
}

func (r *reader) dispatch(ctx context.Context, first int) {
	defer close(r.tasks)
	for k := first; k < r.l.Len(); k++ {
		var b *Batch
		select {
		case b = <-r.free:
		case <-ctx.Done():
			return
		}
		r.fill(b, k)
		size := max(1, b.N/(2*r.l.opts.Workers))
		chunks := (b.N + size - 1) / size
		b.left.Store(int32(chunks))
		for lo := 0; lo < b.N; lo += size {
			select {
			case r.tasks <- task{b, lo, min(lo+size, b.N)}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// fill makes b the empty batch k.
func (r *reader) fill(b *Batch, k int) {
	lo := k * r.l.opts.Batch
	b.number, b.err, b.errAt = k, nil, 0
	b.N = min(r.l.opts.Batch, r.l.ds.Len()-lo)
	b.X, b.Y, b.Index = b.X[:b.N*b.C*b.H*b.W], b.Y[:b.N], b.Index[:b.N]
	b.Lambda, b.Y2 = 1, nil
	for i := range b.Index {
		b.Index[i] = lo + i
		if r.order != nil {
			b.Index[i] = r.order[lo+i]
		}
	}
}

func (r *reader) work(ctx context.Context) {
	var s Sample
	for t := range r.tasks {
		for i := t.lo; i < t.hi; i++ {
			if ctx.Err() != nil {
				t.b.fail(i, context.Cause(ctx))
				break
			}
			if err := r.one(t.b, i, &s); err != nil {
				t.b.fail(i, fmt.Errorf("%s: %w", Name(r.l.ds, t.b.Index[i]), err))
				break
			}
		}
		if t.b.left.Add(-1) == 0 {
			r.mixup(t.b)
			r.ready[t.b.number%len(r.ready)] <- t.b // has room: the slot's last batch was read
		}
	}
}

// one prepares picture i of the batch.
func (r *reader) one(b *Batch, i int, s *Sample) error {
	l := r.l
	if err := l.ds.Read(b.Index[i], s); err != nil {
		return err
	}
	b.Y[i] = -1
	if s.Label >= 0 {
		b.Y[i] = int32(s.Label + l.opts.Preprocess.LabelOffset)
	}
	size := b.C * b.H * b.W
	dst := b.X[i*size : (i+1)*size]
	if l.opts.Augment == (Augment{}) {
		return l.pipeline.Apply(dst, s)
	}
	return l.pipeline.Train(dst, s, l.opts.Seed, r.epoch, b.Index[i])
}

// fail records the error of the first picture that failed.
func (b *Batch) fail(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil || i < b.errAt {
		b.err, b.errAt = err, i
	}
}

// mixup blends picture i with picture n−1−i, which is a random one in a
// shuffled batch, in place.
func (r *reader) mixup(b *Batch) {
	alpha := r.l.opts.Augment.Mixup
	if alpha == 0 || b.err != nil {
		return
	}
	b.Lambda, b.Y2 = mixupShare(alpha, r.l.opts.Seed, r.epoch, b.number), b.y2[:b.N]
	size := b.C * b.H * b.W
	p, q := b.Lambda, 1-b.Lambda
	for i := range b.N {
		j := b.N - 1 - i
		b.Y2[i] = b.Y[j]
		if i >= j {
			continue
		}
		x, y := b.X[i*size:(i+1)*size], b.X[j*size:(j+1)*size]
		for k, u := range x {
			v := y[k]
			x[k], y[k] = p*u+q*v, p*v+q*u
		}
	}
}
