package bconv

import "unsafe"

// align drops the bytes before the first multiple of a cache line.
func align(b []byte) []byte {
	return b[-uintptr(unsafe.Pointer(unsafe.SliceData(b)))&63:]
}

// as16, as32 and as64 view scratch memory as elements, from the first byte
// that is aligned for them on.
func as16(b []byte) []uint16 { return as[uint16](b, 2) }

func as32(b []byte) []float32 { return as[float32](b, 4) }

func as64(b []byte) []uint64 { return as[uint64](b, 8) }

func as[T any](b []byte, size int) []T {
	p := unsafe.Pointer(unsafe.SliceData(b))
	skip := int(-uintptr(p) & uintptr(size-1))
	if len(b) < skip+size {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Add(p, skip)), (len(b)-skip)/size)
}
