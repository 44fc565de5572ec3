package bconv

import (
	"fmt"

	"github.com/drawknife/drawknife/internal/cpu"
)

// Pack writes the signs of pixels lo to hi-1 of src, of so many channels and
// stride floats apart, to those pixels of dst: bits that are 1 where a float
// is at least its channel's element of above, or zero if that is nil. A NaN is
// not.
func Pack(dst []uint64, src, above []float32, channels, stride, lo, hi int) {
	packAt(cpu.Best(), dst, src, above, channels, stride, lo, hi)
}

func packAt(level cpu.Level, dst []uint64, src, above []float32, channels, stride, lo, hi int) {
	words := Words(channels)
	if lo >= hi {
		return
	}
	if channels < 1 || above != nil && len(above) != channels || stride < channels || lo < 0 || len(dst) < hi*words || len(src) < (hi-1)*stride+channels {
		panic(fmt.Sprintf("bconv: signs of pixels %d to %d of %d channels, %d apart: %d words, %d floats", lo, hi, channels, stride, len(dst), len(src)))
	}
	dst, src = dst[lo*words:hi*words], src[lo*stride:(hi-1)*stride+channels]
	done := 0
	if hasPack(level, above != nil) && channels >= 8 {
		done = channels &^ 7
		if channels%64 != 0 {
			clear(dst)
		}
		packVector(level, dst, src, above, hi-lo, channels/8, words, stride)
	}
	if done == channels {
		return
	}
	for m := range hi - lo {
		d, s := dst[m*words:][:words], src[m*stride:][:channels]
		if done == 0 {
			clear(d)
		}
		for c := done; c < channels; c++ {
			if above == nil && s[c] >= 0 || above != nil && s[c] >= above[c] {
				d[c/64] |= 1 << (c % 64)
			}
		}
	}
}
