package qvec

// Interleave writes the elements of a and b, which are as long, in turn to
// dst: a[0], b[0], a[1], b[1] and so on.
func Interleave(dst, a, b []uint8) {
	n := len(a)
	b, dst = b[:n], dst[:2*n]
	done := interleaveSIMD(dst, a, b)
	if left := n - done; left > 0 && done > 0 { // the last whole vector once more, further on
		done = interleaveSIMD(dst[2*(n-16):], a[n-16:], b[n-16:]) + n - 16
	}
	for i := done; i < n; i++ {
		dst[2*i], dst[2*i+1] = a[i], b[i]
	}
}
