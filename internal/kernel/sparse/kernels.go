package sparse

import (
	"math"
	"slices"
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/tile"
)

const (
	lanes       = 8  // pixels of a vector
	maxVecs     = 8  // vectors of the widest kernel for rows
	wideRows    = 7  // vectors that suit maps of 7, 14, 28 and 56 pixels a side
	maxBlock    = 3  // vectors of the widest kernel for blocks
	blockRows   = 4  // output channels of a block
	groupOutput = 32 // output channels between two copies of sums to pixels
	scalarRows  = 4  // output channels that are computed at once for a single pixel
)

// stripArgs describes one call of a kernel: Strips strips of output channels
// by the pixels of a panel. A strip is a run of words of Stream:
//
//	steps
//	0
//	place of the sums in Out (bytes), bias        for each output channel
//	place of the inputs in Panel (bytes), weight  for each step and each output channel
//
// or, where the output channels share their inputs,
//
//	place of the inputs in Panel (bytes), weight of each output channel  for each step
//
// The sums run in that order. The assembly knows the layout of this struct;
// TestArgsLayout guards it.
type stripArgs struct {
	Panel    []float32
	Stream   []uint32
	Out      []float32
	Strips   int
	More     int // 1 if the sums start with what is in Out instead of the bias
	Clamp    int // 1 if the sums are complete, and to be limited to Min and Max
	Min, Max float32
}

// inArgs describes the copy of eight pixels to a column of eight of a panel:
// channel c of pixel i goes to Dst[c*Ld+i]. Chans is rounded down to what the
// implementation can do (see kernels.in).
type inArgs struct {
	Src   [lanes]unsafe.Pointer
	Dst   []float32
	Ld    int
	Chans int
}

// outArgs describes the copy of the sums to consecutive pixels:
//
//	Dst[i*DstStride+c] = clamp(Src[c*Ld+i] + Add[i*AddStride+c])
//
// where without Add there is no clamp: the sums are clamped already.
type outArgs struct {
	Src       []float32
	Ld        int
	Dst       []float32
	DstStride int
	Add       []float32
	AddStride int
	Pixels    int
	Chans     int
	Min, Max  float32

	// Of the assembly, meaningless between calls.
	srcAt, dstAt, addAt int
}

// kernels is one implementation of everything.
type kernels struct {
	name   string
	level  cpu.Level
	scalar func(*stripArgs)               // scalarRows output channels of one pixel
	rows   [maxVecs + 1]func(*stripArgs)  // output channels one by one, by so many vectors of pixels
	block  [maxBlock + 1]func(*stripArgs) // blockRows output channels that share their inputs
	square int                            // channels of which in and out want a multiple
	inOf   func(*inArgs)
	outOf  func(*outArgs)
}

// in copies eight pixels into a panel.
func (k *kernels) in(a *inArgs) {
	chans := a.Chans
	first := chans / k.square * k.square
	if first > 0 {
		a.Chans = first
		k.inOf(a)
		a.Chans = chans
	}
	if first < chans {
		portableIn(a, first)
	}
}

// out copies sums to pixels.
func (k *kernels) out(a *outArgs) {
	chans := a.Chans
	first := chans / k.square * k.square
	if first > 0 {
		a.Chans = first
		k.outOf(a)
		a.Chans = chans
	}
	if first < chans {
		portableOut(a, first)
	}
}

// portable is the implementation in plain Go, the definition of the result:
// others differ from it by float32 rounding only.
var portable = kernels{
	name: "portable", level: cpu.Portable, square: 1,
	scalar: func(a *stripArgs) { portableRows(a, scalarRows, 1) },
	inOf:   func(a *inArgs) { portableIn(a, 0) },
	outOf:  func(a *outArgs) { portableOut(a, 0) },
}

func init() {
	for v := 1; v <= maxVecs; v++ {
		portable.rows[v] = func(a *stripArgs) { portableRows(a, 1, lanes*v) }
	}
	for v := 1; v <= maxBlock; v++ {
		portable.block[v] = func(a *stripArgs) { portableBlock(a, lanes*v) }
	}
}

// sets are the implementations, slowest first.
var sets = []*kernels{&portable}

// best is the implementation to use.
func best() *kernels {
	at := portableIndex
	for i, k := range sets {
		if cpu.Has(k.level) && k.level <= cpu.Best() {
			at = i
		}
	}
	return sets[at]
}

const portableIndex = 0

// available lists the implementations that this CPU can run.
func available() []*kernels {
	return slices.DeleteFunc(slices.Clone(sets), func(k *kernels) bool { return !cpu.Has(k.level) })
}

// portableRows computes strips of rows output channels, each with inputs of
// its own, by n pixels.
func portableRows(a *stripArgs, rows, n int) {
	at := 0
	for range a.Strips {
		steps := int(a.Stream[at])
		head := a.Stream[at+2:][:2*rows]
		at += 2 + 2*rows
		for r := range rows {
			sums := a.Out[head[2*r]/4:][:n]
			if a.More == 0 {
				fill(sums, math.Float32frombits(head[2*r+1]))
			}
			for i := range steps {
				e := a.Stream[at+2*(i*rows+r):]
				addScaled(sums, a.Panel[e[0]/4:], math.Float32frombits(e[1]))
			}
			if a.Clamp != 0 {
				clamp(sums, a.Min, a.Max)
			}
		}
		at += 2 * rows * steps
	}
}

// portableBlock computes strips of blockRows output channels that share their
// inputs, by n pixels.
func portableBlock(a *stripArgs, n int) {
	const word = 1 + blockRows
	at := 0
	for range a.Strips {
		steps := int(a.Stream[at])
		head := a.Stream[at+2:][:2*blockRows]
		at += 2 + 2*blockRows
		for r := range blockRows {
			sums := a.Out[head[2*r]/4:][:n]
			if a.More == 0 {
				fill(sums, math.Float32frombits(head[2*r+1]))
			}
			for i := range steps {
				e := a.Stream[at+word*i:]
				addScaled(sums, a.Panel[e[0]/4:], math.Float32frombits(e[1+r]))
			}
			if a.Clamp != 0 {
				clamp(sums, a.Min, a.Max)
			}
		}
		at += word * steps
	}
}

func fill(v []float32, x float32) {
	for i := range v {
		v[i] = x
	}
}

func addScaled(sums, x []float32, w float32) {
	x = x[:len(sums)]
	for i := range sums {
		sums[i] += w * x[i]
	}
}

func clamp(v []float32, lo, hi float32) {
	for i := range v {
		v[i] = tile.Clamp(v[i], lo, hi)
	}
}

// portableIn copies the channels from first on.
func portableIn(a *inArgs, first int) {
	for i, p := range a.Src {
		for c, v := range unsafe.Slice((*float32)(p), a.Chans)[first:] {
			a.Dst[(first+c)*a.Ld+i] = v
		}
	}
}

// portableOut copies the channels from first on.
func portableOut(a *outArgs, first int) {
	for i := range a.Pixels {
		dst := a.Dst[i*a.DstStride:][:a.Chans]
		for c := first; c < a.Chans; c++ {
			v := a.Src[c*a.Ld+i]
			if a.Add != nil {
				v = tile.Clamp(v+a.Add[i*a.AddStride+c], a.Min, a.Max)
			}
			dst[c] = v
		}
	}
}
