package engine

import (
	"unsafe"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/parallel"
	"github.com/drawknife/drawknife/tensor"
)

// layout is the order of a buffer's dimensions in memory.
type layout uint8

const (
	plain        layout = iota // ONNX's own order: N, C, spatial…
	channelsLast               // N, spatial…, C
)

func (l layout) String() string {
	if l == channelsLast {
		return "channels-last"
	}
	return "plain"
}

// place is where a buffer's bytes are found at run time.
type place uint8

const (
	inArena  place = iota // at an offset of the run's arena
	inConst               // fixed when the program was compiled
	inInput               // the caller's input tensor
	inOutput              // the caller's output tensor
)

// buf is memory for one value in one layout.
type buf struct {
	name   string
	dtype  tensor.DType
	shape  []int // in ONNX order, whatever the layout
	layout layout
	bytes  int // from the first element to the end of the last

	// pitch is the number of elements from one pixel to the next of a buffer
	// that lies among the channels of a wider one (see wide.go); 0 if dense.
	pitch int

	place place
	off   int    // arena offset, or index of the input or output
	data  []byte // inConst

	of *buf // a view: the same memory as of, from byte at on
	at int

	first, last int // steps between which the memory is live
}

// root is the buffer that owns the memory, and the byte where b starts in it.
func (b *buf) root() (*buf, int) {
	at := 0
	for b.of != nil {
		at += b.at
		b = b.of
	}
	return b, at
}

// len is the number of elements.
func (b *buf) len() int {
	n, _ := tensor.NumElements(b.shape)
	return n
}

// channels splits the shape of a batch of images into N, C and the product of
// the spatial dimensions.
func (b *buf) channels() (n, c, spatial int) { return split(b.shape) }

func split(shape []int) (n, c, spatial int) {
	n, c, spatial = 1, 1, 1
	if len(shape) > 0 {
		n = shape[0]
	}
	if len(shape) > 1 {
		c = shape[1]
	}
	for _, d := range shape[min(2, len(shape)):] {
		spatial *= d
	}
	return n, c, spatial
}

// sameInBothLayouts reports whether the two layouts of a shape coincide.
func sameInBothLayouts(shape []int) bool {
	_, c, spatial := split(shape)
	return len(shape) < 3 || c == 1 || spatial == 1
}

// frame is the memory of one run.
type frame struct {
	arena []byte
	ext   [2][][]byte                // the caller's inputs and outputs
	loops []func(worker, lo, hi int) // loop bodies bound to this frame
	ctx   interface{ Err() error }
	pool  *parallel.Pool // of the step that runs
	clock clock          // of its parts, if it is a chain and profiled
}

// alignment of every buffer: a cache line, and the widest vector.
const alignment = 64

func alignUp(n int) int { return (n + alignment - 1) &^ (alignment - 1) }

// alignedBytes returns n bytes that start at a multiple of alignment.
func alignedBytes(n int) []byte {
	b := make([]byte, n+alignment)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & (alignment - 1))
	return b[skip : skip+n : skip+n]
}

// raw returns the bytes of b in this run.
func (x *frame) raw(b *buf) []byte {
	r, at := b.root()
	switch r.place {
	case inConst:
		return r.data[at : at+b.bytes : at+b.bytes]
	case inInput:
		return x.ext[0][r.off][at : at+b.bytes]
	case inOutput:
		return x.ext[1][r.off][at : at+b.bytes]
	}
	at += r.off
	return x.arena[at : at+b.bytes : at+b.bytes]
}

// view returns the elements of b in this run as T.
func view[T any](x *frame, b *buf) []T {
	raw := x.raw(b)
	if len(raw) == 0 {
		return nil
	}
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(&raw[0])), len(raw)/int(unsafe.Sizeof(zero)))
}

func f32(x *frame, b *buf) []float32 {
	if b == nil {
		return nil
	}
	return view[float32](x, b)
}

func u8(x *frame, b *buf) []uint8 { return x.raw(b) }

// tensorOf copies nothing: it wraps b's bytes (plain layout) in a tensor. A
// tensor of bool is a copy, since its bytes are checked.
func (x *frame) tensorOf(b *buf) (*tensor.Tensor, error) {
	return tensor.FromBytes(b.dtype, x.raw(b), b.shape...)
}

func concrete(v *graph.Value) ([]int, bool) {
	if !v.Shape.Known() {
		return nil, false
	}
	return v.Shape.Ints(), true
}
