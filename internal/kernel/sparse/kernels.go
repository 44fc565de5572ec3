package sparse

import (
	"math"
	"slices"
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/tile"
)

const (
	copyPixels  = 16 // most pixels that are copied to a panel at once
	maxVecs     = 8  // vectors of the widest kernel for rows
	maxBlock    = 6  // vectors of the widest kernel for blocks
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

// inArgs describes the copy of pixels to a column of as many of a panel: channel
// c of pixel i goes to Dst[c*Ld+i].
type inArgs struct {
	Src   [copyPixels]unsafe.Pointer
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
	name  string
	level cpu.Level
	lanes int          // pixels of a vector
	vecs  [methods]int // most vectors to give a block of pixels
	// Of a panel, what stays in the first-level cache, and the non-zeros of an
	// output channel that are worth a depth.
	depthBytes, depthSteps int
	together, steps        int                                               // output channels that rows computes at once, and their steps
	scalar                 func(*stripArgs)                                  // scalarRows output channels of one pixel
	rows                   [maxVecs + 1]func(*stripArgs)                     // output channels one by one, by so many vectors of pixels
	block                  [maxBlock + 1]func(*stripArgs)                    // blockRows output channels that share their inputs
	lanesRun               [len(laneWindows)][lanePixels + 1]func(*laneArgs) // for each window, tiles of so many pixels; nil if there are none
	rates                  *rates                                            // of the cost model
	copyIn                 copier[inArgs]                                    // of lanes pixels
	// The quickest first, which leaves channels over to the next.
	copyOut []copier[outArgs]
}

// in copies k.lanes pixels into a panel.
func (k *kernels) in(a *inArgs) {
	first, chans := 0, a.Chans
	if k.copyIn.run != nil {
		first = chans / k.copyIn.chans * k.copyIn.chans
	}
	if first > 0 {
		a.Chans = first
		k.copyIn.run(a)
		a.Chans = chans
	}
	if first < chans {
		portableIn(a, k.lanes, first)
	}
}

// out copies sums to pixels.
func (k *kernels) out(a *outArgs) {
	first, all := 0, *a
	for _, f := range k.copyOut {
		if a.Chans = (all.Chans - first) / f.chans * f.chans; a.Chans == 0 {
			continue
		}
		a.Src, a.Dst = all.Src[first*a.Ld:], all.Dst[first:]
		if all.Add != nil {
			a.Add = all.Add[first:]
		}
		f.run(a)
		first += a.Chans
	}
	a.Src, a.Dst, a.Add, a.Chans = all.Src, all.Dst, all.Add, all.Chans
	if first < a.Chans {
		portableOut(a, first)
	}
}

// copier copies multiples of so many channels.
type copier[T any] struct {
	chans int
	run   func(*T)
}

// portable is the implementation in plain Go, the definition of the result:
// others differ from it by float32 rounding only.
var portable = kernels{
	name: "portable", level: cpu.Portable, lanes: 8, vecs: [methods]int{7, 3}, depthBytes: 24 << 10, depthSteps: 8, together: 1, steps: 1, rates: &portableRates,
	scalar: func(a *stripArgs) { portableRows(a, scalarRows, 1) },
}

func init() {
	for v := 1; v <= maxVecs; v++ {
		portable.rows[v] = func(a *stripArgs) { portableRows(a, 1, portable.lanes*v) }
	}
	for n := 1; n <= lanePixels; n++ {
		for w := range laneWindows {
			portable.lanesRun[w][n] = func(a *laneArgs) { portableLanes(a, n) }
		}
	}
	for v := 1; v <= portable.vecs[byBlocks]; v++ {
		portable.block[v] = func(a *stripArgs) { portableBlock(a, portable.lanes*v) }
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
func portableIn(a *inArgs, pixels, first int) {
	for i, p := range a.Src[:pixels] {
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
