package qvec

// magic is 1.5 * 2^23: adding it to a float32 of magnitude below 2^22 leaves
// no bits for a fraction, so the addition rounds half to even.
const magic = 1.5 * (1 << 23)

// Round is the one rounding rule: v clamped to [lo-zero, hi-zero], rounded
// half to even, plus zero. A NaN gives lo.
func Round(v float32, zero, lo, hi uint8) uint8 {
	l, h := float32(int32(lo)-int32(zero)), float32(int32(hi)-int32(zero))
	if !(v > l) {
		v = l
	}
	if v > h {
		v = h
	}
	return uint8(int32(float32(v+magic)-magic) + int32(zero))
}

// top is the upper clamp a zero value leaves open.
func top(hi uint8) uint8 {
	if hi == 0 {
		return 255
	}
	return hi
}
