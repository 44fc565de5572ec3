package vec

// Interleave writes the elements of a and b, which are as long, in turn to
// dst: a[0], b[0], a[1], b[1] and so on.
func Interleave(dst, a, b []float32) {
	n := len(a)
	b, dst = b[:n], dst[:2*n]
	done := interleaveSIMD(dst, a, b)
	if done > 0 && done < n { // the last whole vector once more, further on
		done = interleaveSIMD(dst[2*(n-8):], a[n-8:], b[n-8:]) + n - 8
	}
	for i := done; i < n; i++ {
		dst[2*i], dst[2*i+1] = a[i], b[i]
	}
}
