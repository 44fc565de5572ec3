package conv

import (
	"maps"
	"slices"

	"github.com/drawknife/drawknife/internal/cpu"
)

// gradArgs describes one call of a kernel of weight gradients: sums over pairs
// of pixels, one of the input and one of the output's gradient, added to what
// Dst holds. An outer kernel of r rows adds to Dst[i*DstStride+c], i < r, the
// sum of DY[i]*X[c]; the channelwise kernels add to Dst[c] the sum of
// DY[c]*X[c], or of DY[c].
//
// The assembly knows this layout; TestGradArgsLayout guards it.
type gradArgs struct {
	X         []float32
	DY        []float32
	Pairs     []int32 // alternating byte offsets in X and DY
	Dst       []float32
	DstStride int // floats from one row to the next
	Channels  int // of the channelwise kernels and of masked outer kernels
}

// outerKernel is a tile of an outer product: rows output channels by cols
// input channels, by Channels <= cols if masked.
type outerKernel struct {
	rows, cols int
	masked     bool
	run        func(*gradArgs)
	lanes      int // of a vector of the instruction set
}

// gradSet is the kernels of one instruction set.
type gradSet struct {
	name      string
	level     cpu.Level
	outer     []outerKernel // widest first, tallest first, masked last
	depthwise func(*gradArgs)
	addRows   func(*gradArgs)
	patches   func(*patchArgs)
	lines     func(*dwGradArgs) // nil for none
}

// latency is how many multiply-adds a processor begins before it has the
// first one's result; a tile with fewer sums waits for them.
const latency = 8

// cost is how long a tile takes for a pair of pixels, in half cycles: so many
// multiply-adds and so many loads are begun in one.
func (o *outerKernel) cost(lanes int) float64 {
	vecs := (o.cols + lanes - 1) / lanes
	return float64(max(o.rows*vecs, o.rows+vecs+2, latency))
}

// cover covers a matrix of sums by the tiles that cost least, and returns
// their cost.
func (set *gradSet) cover(rows, cols int, each func(row, col, channels int, run func(*gradArgs))) float64 {
	widths := map[int][]*outerKernel{} // by columns, negative if masked
	lanes := 1
	for i := range set.outer {
		o := &set.outer[i]
		key := o.cols
		if o.masked {
			key = -key
		}
		widths[key] = append(widths[key], o)
		lanes = max(lanes, o.lanes)
	}
	// down lists for each width how best to begin a column of so many rows.
	type step struct {
		kernel *outerKernel
		cost   float64
	}
	down := map[int][]step{}
	for w, list := range widths {
		best := make([]step, rows+1)
		for n := 1; n <= rows; n++ {
			for _, o := range list {
				if o.rows > n {
					continue
				}
				if c := o.cost(lanes) + best[n-o.rows].cost; best[n].kernel == nil || c < best[n].cost {
					best[n] = step{o, c}
				}
			}
		}
		down[w] = best
	}
	across := make([]struct {
		width int
		cost  float64
	}, cols+1)
	keys := slices.Sorted(maps.Keys(down))
	for m := 1; m <= cols; m++ {
		for _, w := range keys {
			n, c := w, down[w][rows].cost
			if w < 0 {
				n = min(-w, m)
			}
			if n > m {
				continue
			}
			if c += across[m-n].cost; across[m].width == 0 || c < across[m].cost {
				across[m].width, across[m].cost = w, c
			}
		}
	}
	if each == nil {
		return across[cols].cost
	}
	for m := cols; m > 0; {
		w := across[m].width
		n := w
		if w < 0 {
			n = min(-w, m)
		}
		for left := rows; left > 0; {
			o := down[w][left].kernel
			each(rows-left, m-n, n, o.run)
			left -= o.rows
		}
		m -= n
	}
	return across[cols].cost
}

var gradSets = []gradSet{{
	name: "portable", level: cpu.Portable,
	outer:     []outerKernel{{1, 64, true, outerPortable, 64}},
	depthwise: depthwiseGradPortable,
	addRows:   addRowsPortable,
	patches:   copyPatchesPortable,
}}

// gradSetFor is the best set up to a level.
func gradSetFor(level cpu.Level) *gradSet {
	best := &gradSets[0]
	for i := range gradSets {
		if s := &gradSets[i]; s.level <= level && cpu.Has(s.level) {
			best = s
		}
	}
	return best
}

func outerPortable(a *gradArgs) {
	dst := a.Dst[:a.Channels]
	for i := 0; i < len(a.Pairs); i += 2 {
		v := a.DY[a.Pairs[i+1]/4]
		for c, x := range a.X[a.Pairs[i]/4:][:len(dst)] {
			dst[c] += v * x
		}
	}
}

func depthwiseGradPortable(a *gradArgs) {
	dst := a.Dst[:a.Channels]
	for i := 0; i < len(a.Pairs); i += 2 {
		dy := a.DY[a.Pairs[i+1]/4:][:len(dst)]
		for c, x := range a.X[a.Pairs[i]/4:][:len(dst)] {
			dst[c] += dy[c] * x
		}
	}
}

func addRowsPortable(a *gradArgs) {
	dst := a.Dst[:a.Channels]
	for i := 0; i < len(a.Pairs); i += 2 {
		for c, v := range a.DY[a.Pairs[i+1]/4:][:len(dst)] {
			dst[c] += v
		}
	}
}
