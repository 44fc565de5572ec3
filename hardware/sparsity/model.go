package sparsity

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/tensor"
)

// Model says how the non-zeros of a tensor are spread.
type Model interface {
	// Density is the share of elements that are not zero.
	Density() float64
	// Tile is the distribution of the non-zeros of a tile of t elements, t ≥ 0.
	Tile(t int) Dist
}

// Uniform has NonZero non-zeros anywhere in N elements, all placements being
// equally likely: the hypergeometric distribution. It fits pruned weights and
// activations behind a ReLU.
type Uniform struct{ N, NonZero int }

// UniformOf is Uniform with the given density, rounded to whole non-zeros.
func UniformOf(n int, density float64) Uniform {
	return Uniform{n, min(max(int(math.Round(float64(n)*density)), 0), n)}
}

// Density implements Model.
func (u Uniform) Density() float64 { return share(u.NonZero, u.N) }

// Tile implements Model; a tile is at most the whole tensor.
func (u Uniform) Tile(t int) Dist {
	t = min(max(t, 0), u.N)
	lo, hi := max(0, t-(u.N-u.NonZero)), min(t, u.NonZero)
	mode := int(float64(t+1) * float64(u.NonZero+1) / float64(u.N+2))
	return fromMode(lo, hi, mode, func(k int) float64 {
		return float64(u.NonZero-k) * float64(t-k) / (float64(k+1) * float64(u.N-u.NonZero-t+k+1))
	})
}

// Binomial makes every element a non-zero with the given probability,
// independently: the limit of Uniform for tiles much smaller than the tensor.
type Binomial float64

// Density implements Model.
func (b Binomial) Density() float64 { return float64(b) }

// Tile implements Model.
func (b Binomial) Tile(t int) Dist {
	p := float64(b)
	if p <= 0 || t <= 0 {
		return Certain(0)
	}
	if p >= 1 {
		return Certain(t)
	}
	return fromMode(0, t, int(float64(t+1)*p), func(k int) float64 {
		return float64(t-k) / float64(k+1) * p / (1 - p)
	})
}

// Structured keeps exactly N of every M neighbours, as 2:4 does. Tiles begin
// with a group of M.
type Structured struct{ N, M int }

// Density implements Model.
func (s Structured) Density() float64 { return share(s.N, s.M) }

// Tile implements Model.
func (s Structured) Tile(t int) Dist {
	whole, rest := max(t, 0)/s.M, max(t, 0)%s.M
	d := Uniform{s.M, s.N}.Tile(rest)
	d.Low += whole * s.N
	return d
}

// Block keeps or removes Size neighbours together, each block independently
// with probability Share of being kept. Tiles lie side by side from the
// beginning, so they may cut blocks; the distribution is over all of them.
type Block struct {
	Size  int
	Share float64
}

// Density implements Model.
func (b Block) Density() float64 { return b.Share }

// Tile implements Model.
func (b Block) Tile(t int) Dist {
	t = max(t, 0)
	if t%b.Size == 0 {
		return Binomial(b.Share).Tile(t / b.Size).scaled(b.Size)
	}
	step, one := gcd(t, b.Size), Binomial(b.Share).Tile(1)
	sum := Dist{P: make([]float64, t+1)}
	for offset := 0; offset < b.Size; offset += step {
		head := min((b.Size-offset)%b.Size, t)
		tail := (t - head) % b.Size
		d := Binomial(b.Share).Tile((t - head - tail) / b.Size).scaled(b.Size).Plus(one.scaled(head)).Plus(one.scaled(tail))
		for i, p := range d.P {
			sum.P[d.Low+i] += p * float64(step) / float64(b.Size)
		}
	}
	return sum.trim()
}

// Banded is a matrix of Rows×Cols whose non-zeros lie at most Half columns from
// its diagonal. A tile is part of a row.
type Banded struct{ Rows, Cols, Half int }

// Density implements Model.
func (b Banded) Density() float64 {
	n := 0
	for r := range b.Rows {
		n += b.inside(r, 0, b.Cols)
	}
	return float64(n) / (float64(b.Rows) * float64(b.Cols))
}

// inside counts the non-zeros of columns [from, to) in a row.
func (b Banded) inside(row, from, to int) int {
	return max(0, min(to, row+b.Half+1)-max(from, row-b.Half))
}

// Tile implements Model; the last tile of a row may be shorter.
func (b Banded) Tile(t int) Dist {
	t = min(max(t, 1), b.Cols)
	d := Dist{P: make([]float64, t+1)}
	for row := range b.Rows {
		for c := 0; c < b.Cols; c += t {
			d.P[b.inside(row, c, min(c+t, b.Cols))]++
		}
	}
	return d.normal().trim()
}

// Mask marks the non-zeros of a tensor, in its order.
type Mask []bool

// Actual is the model of a known mask: everything is counted.
type Actual = Mask

// MaskOf marks the non-zeros of a tensor of numbers.
func MaskOf(t *tensor.Tensor) (Mask, error) {
	f := t
	if t.DType != tensor.Float32 {
		var err error
		if f, err = t.Convert(tensor.Float32); err != nil {
			return nil, fmt.Errorf("sparsity: %w", err)
		}
	}
	values := f.Float32s()
	m := make(Mask, len(values))
	for i, v := range values {
		m[i] = v != 0
	}
	return m, nil
}

// NonZeros counts.
func (m Mask) NonZeros() (n int) {
	for _, x := range m {
		if x {
			n++
		}
	}
	return n
}

// Density implements Model.
func (m Mask) Density() float64 { return share(m.NonZeros(), len(m)) }

// Counts are the non-zeros of every tile of t elements; the last one may be
// shorter.
func (m Mask) Counts(t int) []int {
	t = max(t, 1)
	counts := make([]int, 0, len(m)/t+1)
	for i := 0; i < len(m); i += t {
		counts = append(counts, m[i:min(i+t, len(m))].NonZeros())
	}
	return counts
}

// Tile implements Model.
func (m Mask) Tile(t int) Dist {
	t = min(max(t, 0), len(m))
	if t == 0 {
		return Certain(0)
	}
	d := Dist{P: make([]float64, t+1)}
	for _, n := range m.Counts(t) {
		d.P[n]++
	}
	return d.normal().trim()
}

func share(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
