package tile

import "unsafe"

// Streams is the number of packed panels that [Set.Row] reads side by side.
// One row alone is a race through the weights, and memory gives one core about
// twice as much along several paths as along one.
const Streams = 4

// Row adds to the Streams*Kernels[1].Cols sums the product of one row, src,
// with the first len(src) steps of Streams panels of Kernels[1], which lie
// depth steps apart in w: sum j of panel i gets
// src[c]*w[(i*depth+c)*Cols+j] for each c in turn, as the panel's kernel adds
// it. It reports whether the set has such a kernel.
func (s *Set) Row(sums, src, w []float32, depth int) bool {
	if s.row == nil {
		return false
	}
	cols := s.Kernels[1].Cols
	_ = sums[Streams*cols-1]
	if len(src) == 0 {
		return true
	}
	_ = w[((Streams-1)*depth+len(src))*cols-1]
	s.row(unsafe.SliceData(sums), unsafe.SliceData(src), unsafe.SliceData(w), len(src), 4*cols*depth)
	return true
}

// DotRows is the number of rows that [Set.Dots] reads side by side.
const DotRows = 8

// Dots sets the DotRows sums to the products of src with as many rows of w,
// stride floats apart. The order in which the products are added depends on
// len(src) and the set alone.
func (s *Set) Dots(sums *[DotRows]float32, src, w []float32, stride int) {
	_ = w[(DotRows-1)*stride+len(src)-1]
	whole := 0
	if s.dots != nil {
		whole = len(src) / s.dotStep * s.dotStep
	}
	if whole > 0 {
		s.dots(&sums[0], unsafe.SliceData(src), unsafe.SliceData(w), whole, 4*stride)
	} else {
		*sums = [DotRows]float32{}
	}
	rest := src[whole:]
	for i := range sums {
		row := w[i*stride+whole:][:len(rest)]
		for j, x := range rest {
			sums[i] += x * row[j]
		}
	}
}

// HasDots reports whether [Set.Dots] is faster than plain Go.
func (s *Set) HasDots() bool { return s.dots != nil }
