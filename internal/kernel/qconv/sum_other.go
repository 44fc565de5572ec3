//go:build !amd64 || purego

package qconv

// sumRows is sumRowsPortable.
func sumRows(y, bias, add []float32, rows, stride, addStride int, lo, hi float32) {
	sumRowsPortable(y, bias, add, rows, stride, addStride, lo, hi)
}
