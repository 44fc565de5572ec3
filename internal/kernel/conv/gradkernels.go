package conv

import "github.com/drawknife/drawknife/internal/cpu"

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
}

// gradSet is the kernels of one instruction set.
type gradSet struct {
	name      string
	level     cpu.Level
	outer     []outerKernel // widest first, tallest first, masked last
	depthwise func(*gradArgs)
	addRows   func(*gradArgs)
}

var gradSets = []gradSet{{
	name: "portable", level: cpu.Portable,
	outer:     []outerKernel{{1, 64, true, outerPortable}},
	depthwise: depthwiseGradPortable,
	addRows:   addRowsPortable,
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
