//go:build !purego

package qconv

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
)

// sumRows is sumRowsPortable.
func sumRows(y, bias, add []float32, rows, stride, addStride int, lo, hi float32) {
	if !cpu.Has(cpu.AVX512) || rows == 0 || len(bias) == 0 {
		sumRowsPortable(y, bias, add, rows, stride, addStride, lo, hi)
		return
	}
	_ = y[(rows-1)*stride+len(bias)-1]
	if add != nil {
		_ = add[(rows-1)*addStride+len(bias)-1]
	}
	sumRowsAVX512(&y[0], &bias[0], unsafe.SliceData(add), rows, len(bias), 4*stride, 4*addStride, lo, hi)
}

// sumRowsAVX512 does so; steps are in bytes, add may be nil.
//
//go:noescape
func sumRowsAVX512(y, bias, add *float32, rows, n, step, addStep int, lo, hi float32)
