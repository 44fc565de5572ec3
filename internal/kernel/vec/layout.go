package vec

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/parallel"
)

// Element is a type whose layout can be changed.
type Element interface {
	~float32 | ~int32 | ~uint8 | ~int8
}

// transposeTile is the side of the square blocks of a portable transposition.
const transposeTile = 16

// Transpose2D writes the transpose of src, rows by cols, to dst, cols by
// rows. They must not overlap.
func Transpose2D(dst, src []float32, rows, cols int) {
	transposeStrided(dst, src, rows, cols, rows, cols)
}

// transposeStrided transposes rows by cols elements; rows of dst and src are
// dstStride and srcStride elements apart.
func transposeStrided(dst, src []float32, rows, cols, dstStride, srcStride int) {
	if rows == 0 || cols == 0 {
		return
	}
	r8, c8 := transposeSIMD(dst, src, rows, cols, dstStride, srcStride)
	if c8 < cols {
		transposeGo(dst[c8*dstStride:], src[c8:], r8, cols-c8, dstStride, srcStride)
	}
	if r8 < rows {
		transposeGo(dst[r8:], src[r8*srcStride:], rows-r8, cols, dstStride, srcStride)
	}
}

func transposeGo[T Element](dst, src []T, rows, cols, dstStride, srcStride int) {
	switch {
	case rows == 0 || cols == 0:
		return
	case rows == 3 && dstStride == 3: // the planes of an image
		planes(dst[:3*cols], src[:2*srcStride+cols], cols, srcStride)
		return
	}
	for r := 0; r < rows; r += transposeTile {
		r1 := min(r+transposeTile, rows)
		for c := 0; c < cols; c += transposeTile {
			c1 := min(c+transposeTile, cols)
			for j := c; j < c1; j++ {
				d := dst[j*dstStride+r : j*dstStride+r1]
				at := r*srcStride + j
				for i := range d {
					d[i] = src[at]
					at += srcStride
				}
			}
		}
	}
}

// planes writes the elements of three rows of src, stride apart, in turn to dst, n
// of each.
func planes[T Element](dst, src []T, n, stride int) {
	done := planesSome(dst, src, n, stride)
	if done > 0 && done < n { // the last whole vectors once more, further on
		at := n - 16
		done = at + planesSome(dst[3*at:], src[at:], 16, stride)
	}
	a, b, c := src[:n], src[stride:][:n], src[2*stride:][:n]
	for i := done; i < n; i++ {
		p := dst[3*i : 3*i+3 : 3*i+3]
		p[0], p[1], p[2] = a[i], b[i], c[i]
	}
}

// planesSome does the first elements of planes by vectors and returns how many.
func planesSome[T Element](dst, src []T, n, stride int) int {
	switch {
	case n < 16:
		return 0
	case unsafe.Sizeof(src[0]) == 1:
		return planesBytesSIMD((*uint8)(unsafe.Pointer(&dst[0])), (*uint8)(unsafe.Pointer(&src[0])), n, stride)
	}
	if f, ok := any(src).([]float32); ok {
		return planesSIMD(any(dst).([]float32), f, n, stride)
	}
	return 0
}

// ToChannelsLast changes n images of c planes of spatial pixels (NCHW) into n
// images of spatial pixels of c channels (NHWC).
func ToChannelsLast(p *parallel.Pool, dst, src []float32, n, c, spatial int) {
	swapLayout(p, dst, src, n, c, spatial, transposeStrided)
}

// ToChannelsFirst changes n images of spatial pixels of c channels (NHWC)
// into n images of c planes (NCHW).
func ToChannelsFirst(p *parallel.Pool, dst, src []float32, n, c, spatial int) {
	swapLayout(p, dst, src, n, spatial, c, transposeStrided)
}

// ToChannelsLastOf is ToChannelsLast for any element.
func ToChannelsLastOf[T Element](p *parallel.Pool, dst, src []T, n, c, spatial int) {
	swapLayout(p, dst, src, n, c, spatial, transposeGo[T])
}

// ToChannelsFirstOf is ToChannelsFirst for any element.
func ToChannelsFirstOf[T Element](p *parallel.Pool, dst, src []T, n, c, spatial int) {
	swapLayout(p, dst, src, n, spatial, c, transposeGo[T])
}

// layoutGrain is the number of elements one call of a worker should move.
const layoutGrain = 1 << 14

// swapLayout transposes n matrices of rows by cols in parallel.
func swapLayout[T Element](p *parallel.Pool, dst, src []T, n, rows, cols int, transpose func(dst, src []T, rows, cols, dstStride, srcStride int)) {
	p.For(SwapJobs(n, rows, cols), 1, func(_, lo, hi int) {
		swapJobs(dst, src, rows, cols, lo, hi, transpose)
	})
}

// swapPart splits the longer side of a matrix in multiples of 64.
func swapPart(rows, cols int) int {
	long, short := max(rows, cols), min(rows, cols)
	return min(long, max(64, (layoutGrain/max(short, 1)+63)/64*64))
}

// SwapJobs is the number of jobs that a caller of Swap may share out among
// workers: n matrices of rows by cols.
func SwapJobs(n, rows, cols int) int {
	if n == 0 || rows*cols == 0 {
		return 0
	}
	part := swapPart(rows, cols)
	return n * ((max(rows, cols) + part - 1) / part)
}

// Swap does jobs lo to hi of SwapJobs: it transposes matrices of rows by cols.
// ToChannelsLast is that of c by spatial, ToChannelsFirst of spatial by c.
func Swap(dst, src []float32, rows, cols, lo, hi int) {
	swapJobs(dst, src, rows, cols, lo, hi, transposeStrided)
}

// SwapOf is Swap for any element.
func SwapOf[T Element](dst, src []T, rows, cols, lo, hi int) {
	swapJobs(dst, src, rows, cols, lo, hi, transposeGo[T])
}

func swapJobs[T Element](dst, src []T, rows, cols, lo, hi int, transpose func(dst, src []T, rows, cols, dstStride, srcStride int)) {
	size, long, part := rows*cols, max(rows, cols), swapPart(rows, cols)
	parts := (long + part - 1) / part
	for job := lo; job < hi; job++ {
		i, at := job/parts, job%parts*part
		k := min(part, long-at)
		d, s := dst[i*size:(i+1)*size], src[i*size:(i+1)*size]
		switch {
		case rows == 1 || cols == 1:
			copy(d[at:at+k], s[at:at+k])
		case rows >= cols:
			transpose(d[at:], s[at*cols:], k, cols, rows, cols)
		default:
			transpose(d[at*rows:], s[at:], rows, k, rows, cols)
		}
	}
}
