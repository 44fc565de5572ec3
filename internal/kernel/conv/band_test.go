package conv

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// TestBandsHaveTheBitsOfTheWhole computes random convolutions in random bands of
// rows, each from the rows that it needs and no others.
func TestBandsHaveTheBitsOfTheWhole(t *testing.T) {
	pool := parallel.New(1)
	r := rand.New(rand.NewPCG(1, 2))
	for _, set := range tile.Sets() {
		banded := 0
		for range 300 {
			s := Shape{N: 1, H: 1 + r.IntN(20), W: 1 + r.IntN(20), C: 1 + r.IntN(40), K: 1 + r.IntN(70), R: 1 + r.IntN(5), S: 1 + r.IntN(5),
				StrideH: 1 + r.IntN(3), StrideW: 1 + r.IntN(3), DilH: 1 + r.IntN(2), DilW: 1, PadH: r.IntN(3), PadW: r.IntN(3), Groups: 1}
			if r.IntN(2) == 0 {
				s.K, s.Groups = s.C, s.C
			}
			if r.IntN(3) == 0 {
				s.R, s.S, s.PadH, s.PadW = 1, 1, 0, 0
			}
			s.P = (s.H+2*s.PadH-(s.R-1)*s.DilH-1)/s.StrideH + 1
			s.Q = (s.W+2*s.PadW-(s.S-1)*s.DilW-1)/s.StrideW + 1
			if s.P < 1 || s.Q < 1 {
				continue
			}
			s.SrcStride, s.DstStride = s.C+r.IntN(2)*3, s.K+r.IntN(2)*5
			s = s.normal()
			random := func(n int) []float32 {
				v := make([]float32, n)
				for i := range v {
					v[i] = r.Float32()*2 - 1
				}
				return v
			}
			c := newWith(set, s, Params{Weights: random(s.K * s.C / s.Groups * s.R * s.S), Bias: random(s.K), Min: -1, Max: 2})
			if !c.Bands() {
				continue
			}
			banded++
			src, scratch := random(s.H*s.W*s.SrcStride), make([]float32, c.Scratch(1))
			var add []float32
			if r.IntN(2) == 0 {
				add = random(s.P * s.Q * s.K)
			}
			want := make([]float32, s.P*s.Q*s.DstStride)
			got := make([]float32, len(want))
			c.Run(pool, want, src, add, scratch)
			for lo := 0; lo < s.P; {
				hi := min(lo+1+r.IntN(6), s.P)
				first, last := c.InputRows(lo, hi)
				from := r.IntN(first + 1)
				row := s.W * s.SrcStride
				part := slices.Clone(src[from*row : last*row])
				var more []float32
				if add != nil {
					more = slices.Clone(add[lo*s.Q*s.K : hi*s.Q*s.K])
				}
				dst := make([]float32, (hi-lo)*s.Q*s.DstStride)
				c.RunBand(dst, part, more, scratch, lo, hi, from)
				copy(got[lo*s.Q*s.DstStride:], dst)
				lo = hi
			}
			for i := range want {
				if want[i] != got[i] && i%s.DstStride < s.K {
					t.Fatalf("%s: %+v: element %d is %g in bands, %g at once", set.Name, s, i, got[i], want[i])
				}
			}
		}
		if banded < 100 {
			t.Errorf("%s: only %d convolutions in bands", set.Name, banded)
		}
	}
}
