// Package tile holds the float32 micro-kernels under convolution and matrix
// product: a block of rows (output pixels) by columns (output channels) whose
// sums stay in registers while the depth streams by.
//
// It is an indirect GEMM (Dukhan, "The Indirect Convolution Algorithm", 2019)
// with a smaller indirection table: a row is known by one byte offset, a
// depth step ("tap") by another, and a bit mask per row says which taps fall
// on padding and read zeros. Nothing but the weights is ever packed.
package tile

//go:generate go -C ../_asm run . tile -out ../tile/tile_amd64.s -pkg tile

import "github.com/drawknife/drawknife/internal/cpu"

// MaxTaps is the largest number of taps of one call: a mask has a bit a tap.
const MaxTaps = 64

// Args describes one call: rows Base[0:Rows] by the columns of one kernel.
// Row i, column j becomes
//
//	clamp(Bias[j] + sum over taps t, steps c < Run of x(i, t)[c]*W[(t*Run+c)*Cols+j] + Add[i*AddStride+j])
//
// where x(i, t) starts Base[i]+Taps[t] bytes after Src when bit t of Mask[i]
// is set and is Zero otherwise. The sum runs in the order of taps and steps,
// each step one fused multiply-add in the assembly versions, so an output has
// the same bits whatever kernel and whatever place in a tile computes it.
//
// Base and Mask must hold a multiple of the kernel's rows: entries past Rows
// must be readable (mask 0 is), their results are dropped. A nil Mask has all
// bits set. The assembly knows
// this layout; TestArgsLayout guards it.
type Args struct {
	Src       []float32
	W         []float32 // [tap][step][column]
	Bias      []float32 // one a column
	Dst       []float32
	Add       []float32 // nil for none; may be Dst itself
	Zero      []float32 // Run zeros
	Base      []int     // bytes
	Mask      []uint64
	Taps      []int // bytes
	Run       int   // steps of a tap
	Rows      int   // rows to compute
	DstStride int   // floats from one row to the next
	AddStride int
	Min, Max  float32

	// Of the assembly, meaningless between calls.
	left, bit, tap, tapEnd, at, zeroEnd, dstAt, addAt, wAt, nextAt int

	// Next is what a later call reads, fetched meanwhile: the weights of the
	// next columns. Nil is nothing. Memory gives one core about twice as much
	// along two paths as along one.
	Next []float32

	// Columns is how many columns to store, all but some of the last vector, for
	// a kernel that is Masked; zero is all. Add is not read beyond them.
	Columns int

	// Ahead is a hint, of which the kernels of amd64 take note: fetch the rows of
	// Dst and Add while their sums form, since no cache holds them.
	Ahead bool
}

// Kernel is one implementation of a tile size.
type Kernel struct {
	Name       string
	Rows, Cols int
	Run        func(*Args)
	Masked     bool // heeds Args.Columns
}

// Takes reports whether the kernel stores n columns and no more.
func (k *Kernel) Takes(n int) bool { return n == k.Cols || k.Masked }

// Set is the kernels of one instruction set. Kernels[v-1] is v vectors of
// Lanes columns wide; every set has the first.
type Set struct {
	Name    string
	Level   cpu.Level
	Lanes   int
	Kernels []Kernel

	row     func(sums, src, w *float32, k, stride int)
	dots    func(sums, src, w *float32, k, stride int) // k a positive multiple of dotStep
	dotStep int
}

// Portable is the set in plain Go, the definition of the result: others differ
// from it by float32 rounding only (each of its products is rounded).
var Portable = &Set{
	Name: "portable", Level: cpu.Portable, Lanes: 4,
	Kernels: []Kernel{{"portable 2x4", 2, 4, portable2x4, false}},
}

var sets = []*Set{Portable}

// Sets lists the sets that this CPU can run, slowest first.
func Sets() []*Set {
	var out []*Set
	for _, s := range sets {
		if cpu.Has(s.Level) {
			out = append(out, s)
		}
	}
	return out
}

// Best is the set to use: the highest whose level cpu.Best allows.
func Best() *Set {
	best := Portable
	for _, s := range sets {
		if cpu.Has(s.Level) && s.Level <= cpu.Best() && s.Level >= best.Level {
			best = s
		}
	}
	return best
}

// Columns splits n columns into kernels of the set, widest use of registers
// first: full two-vector tiles, with one of three or one vectors where that
// covers n with less waste.
func (s *Set) Columns(n int) []*Kernel {
	var out []*Kernel
	units := (n + s.Lanes - 1) / s.Lanes
	if len(s.Kernels) == 1 {
		for range units {
			out = append(out, &s.Kernels[0])
		}
		return out
	}
	odd := units%2 == 1
	if odd && units >= 3 {
		units -= 3
	}
	for ; units >= 2; units -= 2 {
		out = append(out, &s.Kernels[1])
	}
	switch {
	case units == 1:
		out = append(out, &s.Kernels[0])
	case odd:
		out = append(out, &s.Kernels[2])
	}
	return out
}

// MaxCols is the widest kernel's number of columns, MaxRows the tallest's
// number of rows, over all sets.
const (
	MaxRows = 12
	MaxCols = 48
)

// RowStep is a number of rows that every kernel of every set divides.
const RowStep = 24
