package qconv

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// tileArgs is what the assembly reads; its layout is fixed (TestTileArgs).
type tileArgs struct {
	base      unsafe.Pointer // the strip
	offs      unsafe.Pointer // offset of each pixel from base
	steps     unsafe.Pointer // with vnni, offset of each step from a pixel
	count     int            // number of steps
	w         unsafe.Pointer
	bias      unsafe.Pointer
	scale     unsafe.Pointer
	dst       unsafe.Pointer // of the first pixel
	dstStride int            // bytes between pixels
	tiles     int            // tiles to compute; the kernel counts it down
	mode      int            // form of the output: one of the modes
	elem      int            // bytes of an output element
	chunks    int            // groups of eight channels
	zero      [16]int16      // zero point of the output
	lo, hi    [32]uint8      // clamp of bytes
	flo, fhi  [16]float32    // clamp of floats
	lane      [8]int32       // order of dwords that undoes lane-wise packing

	offsAt, dstAt, headAt uintptr // of the assembly
	left                  int

	// Depthwise kernels only.
	lines    [7]unsafe.Pointer // the line of each row of taps, at the first tile's first column
	pixel    int               // bytes between columns of taps, or between the pixels of a line
	tileStep int               // bytes between the first columns of tiles
	lastStep int               // channels from the last chunk but one to the last

	srcAt, chunkAt uintptr // of the assembly

	blocks int // number of steps of sixteen values, which come first

	lens unsafe.Pointer // lengths of groups, for weights of a few bits

	// With vnni, the weights of the panel after this one, to be fetched early;
	// addresses, for they may be the end of the array.
	next, nextEnd uintptr

	order [16]int32 // of dwords that undoes packing in four lanes

	// With AMX only, whose assembly asks for the layout.
	rows   int       // pixels of a tile
	config [64]uint8 // of its tiles

	// The tiles from spot first on read a copy of the end of the input.
	tail  *tail
	first int
}

const (
	modeBytes = iota
	modeInt32
	modeFloat
)

// newArgs fills in what never changes.
func newArgs(p *Params) (a tileArgs) {
	for j := range a.zero {
		a.zero[j], a.flo[j], a.fhi[j] = int16(p.DstZero), p.FMin, p.FMax
	}
	for j := range a.lo {
		a.lo[j], a.hi[j] = p.Min, p.Max
	}
	a.lane = [8]int32{0, 4, 1, 5, 2, 6, 3, 7}
	a.order = [16]int32{0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}
	return a
}

// aim sets the form of the output.
func (a *tileArgs) aim(o *output) {
	switch {
	case o.i32 != nil:
		a.mode, a.elem = modeInt32, 4
	case o.f32 != nil:
		a.mode, a.elem = modeFloat, 4
	default:
		a.mode, a.elem = modeBytes, 1
	}
}

// at is the address of an element of the destination.
func (o *output) at(i int) unsafe.Pointer {
	switch {
	case o.i32 != nil:
		return unsafe.Pointer(&o.i32[i])
	case o.f32 != nil:
		return unsafe.Pointer(&o.f32[i])
	}
	return unsafe.Pointer(&o.u8[i])
}

// What AVX2 kernels need of eight channels besides their weights comes before
// these, as a header: numbers of groups or steps, the first channel of the
// output, the bias and the scale.
const (
	headCounts  = 0
	headChannel = 16
	headBias    = 32
	headScale   = 64
	headSize    = 96
)

func putHeader(head []byte, counts [groupSteps]int32, channel int, bias []int32, scale []float32) {
	order := binary.LittleEndian
	for i, n := range counts {
		order.PutUint32(head[headCounts+4*i:], uint32(n))
	}
	order.PutUint32(head[headChannel:], uint32(channel))
	for i := range 8 {
		order.PutUint32(head[headBias+4*i:], uint32(bias[i]))
		order.PutUint32(head[headScale+4*i:], math.Float32bits(scale[i]))
	}
}
