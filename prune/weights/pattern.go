package weights

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Pattern is the shape that zeros must have: any; at most N of each M weights
// along the input channels (at one output channel and kernel position); or
// whole blocks of Height output channels by Width columns.
type Pattern struct {
	N, M          int
	Height, Width int
}

// ParsePattern reads unstructured, N:M, blockH (H output channels at one
// place) or blockHxW.
func ParsePattern(s string) (Pattern, error) {
	bad := func() (Pattern, error) {
		return Pattern{}, fmt.Errorf("pattern %q: there are unstructured, N:M such as 2:4, and blocks such as block4 or block1x8", s)
	}
	if s == "unstructured" || s == "" {
		return Pattern{}, nil
	}
	if n, m, ok := strings.Cut(s, ":"); ok {
		a, err := strconv.Atoi(n)
		b, err2 := strconv.Atoi(m)
		if err != nil || err2 != nil || a < 1 || b <= a || b > 64 {
			return bad()
		}
		return Pattern{N: a, M: b}, nil
	}
	if b, ok := strings.CutPrefix(s, "block"); ok {
		h, w, two := strings.Cut(b, "x")
		if !two {
			w = "1"
		}
		a, err := strconv.Atoi(h)
		c, err2 := strconv.Atoi(w)
		if err != nil || err2 != nil || a < 1 || c < 1 || a > 64 || c > 64 {
			return bad()
		}
		return Pattern{Height: a, Width: c}, nil
	}
	return bad()
}

func (p Pattern) String() string {
	switch {
	case p.M > 0:
		return fmt.Sprintf("%d:%d", p.N, p.M)
	case p.Height > 0:
		return fmt.Sprintf("block%dx%d", p.Height, p.Width)
	}
	return "unstructured"
}

// suits says why a layer cannot have the pattern, "" if it can.
func (p Pattern) suits(l *Layer, first bool) string {
	if p.M == 0 {
		return ""
	}
	switch channels := l.Cols / l.Taps; {
	case first:
		return "the first layer"
	case channels%p.M != 0:
		return fmt.Sprintf("its %d input channels are no multiple of %d", channels, p.M)
	}
	return ""
}

// units lists the sets of weights that go together: one of each by default, a
// block's. For N:M it is nil; see choose.
func (p Pattern) units(l *Layer) (of [][]int) {
	if p.Height == 0 {
		return nil
	}
	for r := 0; r < l.Rows; r += p.Height {
		for c := 0; c < l.Cols; c += p.Width {
			var u []int
			for i := r; i < min(r+p.Height, l.Rows); i++ {
				for j := c; j < min(c+p.Width, l.Cols); j++ {
					u = append(u, l.At(i, j))
				}
			}
			of = append(of, u)
		}
	}
	return of
}

// groups calls f with the places of each M weights along the input channels.
func (p Pattern) groups(l *Layer, f func(at []int)) {
	at := make([]int, p.M)
	for r := range l.Rows {
		for c := 0; c+p.M <= l.Cols/l.Taps; c += p.M {
			for k := range l.Taps {
				for i := range at {
					at[i] = l.At(r, (c+i)*l.Taps+k)
				}
				f(at)
			}
		}
	}
}

// rate turns scores of weights into scores of units: of a block the L2 norm.
func (p Pattern) rate(l *Layer, score []float64) []float64 {
	if p.Height == 0 {
		return score
	}
	units := p.units(l)
	out := make([]float64, len(units))
	for i, u := range units {
		for _, k := range u {
			out[i] += score[k] * score[k]
		}
		out[i] = math.Sqrt(out[i])
	}
	return out
}

// choose makes the mask that keeps the given number of units, those of the
// highest scores (of units); at equal scores earlier ones go first. With N:M
// score is of weights, and keep counts for nothing.
func (p Pattern) choose(l *Layer, score []float64, keep int) []float32 {
	mask := make([]float32, len(l.W))
	switch {
	case p.M > 0:
		p.groups(l, func(at []int) {
			best := slices.Clone(at)
			slices.SortStableFunc(best, func(a, b int) int { return byScore(score, b, a) })
			for _, k := range best[:p.N] {
				mask[k] = 1
			}
		})
		return mask
	case p.Height > 0:
		units := p.units(l)
		for _, i := range highest(score, keep) {
			for _, k := range units[i] {
				mask[k] = 1
			}
		}
		return mask
	}
	for _, k := range highest(score, keep) {
		mask[k] = 1
	}
	return mask
}

func byScore(score []float64, a, b int) int {
	switch {
	case score[a] < score[b]:
		return -1
	case score[a] > score[b]:
		return 1
	}
	return 0
}

// highest lists the n indices of the highest scores.
func highest(score []float64, n int) []int {
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return byScore(score, a, b) })
	return order[len(order)-min(max(n, 0), len(order)):]
}

// Verify reports where a mask breaks the pattern.
func (p Pattern) Verify(l *Layer, mask []float32) error {
	var err error
	if p.M > 0 {
		p.groups(l, func(at []int) {
			n := 0
			for _, k := range at {
				if mask[k] != 0 {
					n++
				}
			}
			if n > p.N && err == nil {
				err = fmt.Errorf("layer %q: %d of %d weights from place %d on are left", l.Name, n, p.M, at[0])
			}
		})
	}
	for _, u := range p.units(l) {
		for _, k := range u {
			if mask[k] != mask[u[0]] && err == nil {
				err = fmt.Errorf("layer %q: the block at place %d is cut", l.Name, u[0])
			}
		}
	}
	return err
}
