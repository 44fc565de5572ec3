package vec

import (
	"fmt"
	"math"
)

// Red names a reduction of a vector to one number.
type Red uint8

// The reductions. Those by maximum and minimum give a NaN if an element is
// one, and an infinity for an empty vector.
const (
	RedSum Red = iota
	RedSumSquares
	RedSumAbs
	RedMax
	RedMin
	RedMaxAbs
	RedProd
	numReds
)

var redNames = [numReds]string{"Sum", "SumSquares", "SumAbs", "Max", "Min", "MaxAbs", "Prod"}

// String is the name of r.
func (r Red) String() string {
	if r < numReds {
		return redNames[r]
	}
	return fmt.Sprintf("Red(%d)", uint8(r))
}

// sums tells whether r adds, so that parts are added in float64.
func (r Red) sums() bool { return r <= RedSumAbs }

// start is the value of r for an empty vector.
func (r Red) start() float32 {
	switch r {
	case RedMax:
		return float32(math.Inf(-1))
	case RedMin:
		return float32(math.Inf(1))
	case RedProd:
		return 1
	}
	return 0
}

// join reduces two partial results of a reduction that does not add.
func (r Red) join(a, b float32) float32 {
	switch r {
	case RedMin:
		return opFuncs[Min](a, b)
	case RedProd:
		return a * b
	}
	return max2(a, b)
}

// Reduce reduces x. Sums are taken in float32 over blocks of fixed size and
// in float64 over the blocks: the error is about 1e-6 of the sum of the
// magnitudes, whatever the length.
func Reduce(r Red, x []float32) float32 { return float32(reduce64(r, x)) }

func reduce64(r Red, x []float32) float64 {
	if r.sums() {
		sum := 0.0
		for ; len(x) > block; x = x[block:] {
			sum += float64(reduceBlock(r, x[:block]))
		}
		return sum + float64(reduceBlock(r, x))
	}
	return float64(reduceBlock(r, x))
}

// reduceBlock reduces one block of a sum, or any vector otherwise.
func reduceBlock(r Red, x []float32) float32 {
	if v, ok := reduceSIMD(r, x); ok {
		return v
	}
	return reduceGo(r, x)
}

func reduceGo(r Red, x []float32) float32 {
	s := 0.0
	v := r.start()
	switch r {
	case RedSum:
		for _, e := range x {
			s += float64(e)
		}
	case RedSumSquares:
		for _, e := range x {
			s += float64(e) * float64(e)
		}
	case RedSumAbs:
		for _, e := range x {
			s += math.Abs(float64(e))
		}
	case RedMaxAbs:
		for _, e := range x {
			v = max2(v, abs32(e))
		}
	default:
		for _, e := range x {
			v = r.join(v, e)
		}
	}
	if r.sums() {
		return float32(s)
	}
	return v
}

// Sum is the sum of x.
func Sum(x []float32) float32 { return Reduce(RedSum, x) }

// SumSquares is the sum of the squares of x.
func SumSquares(x []float32) float32 { return Reduce(RedSumSquares, x) }

// MaxAbs is the greatest magnitude in x.
func MaxAbs(x []float32) float32 { return Reduce(RedMaxAbs, x) }

// Dot is the inner product of x and y, with the error of Reduce.
func Dot(x, y []float32) float32 {
	y = y[:len(x)]
	sum := 0.0
	for len(x) > 0 {
		n := min(block, len(x))
		sum += float64(dotBlock(x[:n], y[:n]))
		x, y = x[n:], y[n:]
	}
	return float32(sum)
}

func dotBlock(x, y []float32) float32 {
	if v, ok := dotSIMD(x, y); ok {
		return v
	}
	s := 0.0
	for i := range x {
		s += float64(x[i]) * float64(y[i])
	}
	return float32(s)
}

// ArgMax is the index of the first greatest element of x, a NaN counting as
// greatest; -1 if x is empty.
func ArgMax(x []float32) int {
	best := -1
	for i, v := range x {
		if best < 0 || v > x[best] || (v != v && x[best] == x[best]) {
			best = i
		}
	}
	return best
}

// RowReduce reduces each row of cols elements of src to one element of dst.
func RowReduce(r Red, dst, src []float32, cols int) {
	for i := range dst {
		dst[i] = Reduce(r, src[i*cols:(i+1)*cols])
	}
}

// RowSum sums each row of cols elements.
func RowSum(dst, src []float32, cols int) { RowReduce(RedSum, dst, src, cols) }

// RowMax takes the greatest element of each row.
func RowMax(dst, src []float32, cols int) { RowReduce(RedMax, dst, src, cols) }

// RowMin takes the least element of each row.
func RowMin(dst, src []float32, cols int) { RowReduce(RedMin, dst, src, cols) }

// RowSumSquares sums the squares of each row.
func RowSumSquares(dst, src []float32, cols int) { RowReduce(RedSumSquares, dst, src, cols) }
