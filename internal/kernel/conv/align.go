package conv

import "unsafe"

// line is the size of a cache line in floats.
const line = 16

// aligned returns n zeros that start on a cache line, so that no vector of
// packed weights straddles two.
func aligned(n int) []float32 { return onLine(make([]float32, n+line))[:n:n] }

// onLine drops up to line-1 floats, so that s starts on a cache line.
func onLine(s []float32) []float32 {
	if len(s) == 0 {
		return s
	}
	if off := int(uintptr(unsafe.Pointer(&s[0])) % (4 * line)); off != 0 {
		return s[(4*line-off)/4:]
	}
	return s
}
