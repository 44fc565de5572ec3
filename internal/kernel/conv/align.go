package conv

import "unsafe"

// aligned returns n zeros that start on a cache line, so that no vector of
// packed weights straddles two.
func aligned(n int) []float32 {
	const line = 64
	s := make([]float32, n+line/4)
	if off := int(uintptr(unsafe.Pointer(&s[0])) % line); off != 0 {
		s = s[(line-off)/4:]
	}
	return s[:n:n]
}
