package tile

// portable2x4 is the tile in plain Go: eight named sums, which the compiler
// keeps in registers as it does not keep an array.
func portable2x4(a *Args) {
	for i := 0; i < a.Rows; i += 2 {
		b0, b1, b2, b3 := a.Bias[0], a.Bias[1], a.Bias[2], a.Bias[3]
		c00, c01, c02, c03 := b0, b1, b2, b3
		c10, c11, c12, c13 := b0, b1, b2, b3
		w := a.W
		for t := range a.Taps {
			x0, x1 := a.row(i, t), a.row(i+1, t)
			for c, v0 := range x0 {
				v1 := x1[c]
				u := w[4*c : 4*c+4 : 4*c+4]
				c00 += v0 * u[0]
				c01 += v0 * u[1]
				c02 += v0 * u[2]
				c03 += v0 * u[3]
				c10 += v1 * u[0]
				c11 += v1 * u[1]
				c12 += v1 * u[2]
				c13 += v1 * u[3]
			}
			w = w[4*a.Run:]
		}
		a.store(i, c00, c01, c02, c03)
		if i+1 < a.Rows {
			a.store(i+1, c10, c11, c12, c13)
		}
	}
}

// row is what row i reads at tap t.
func (a *Args) row(i, t int) []float32 {
	if a.Mask != nil && a.Mask[i]>>t&1 == 0 {
		return a.Zero[:a.Run]
	}
	at := (a.Base[i] + a.Taps[t]) / 4
	return a.Src[at : at+a.Run]
}

func (a *Args) store(i int, c ...float32) {
	dst := a.Dst[i*a.DstStride:]
	for j, v := range c {
		if a.Add != nil {
			v += a.Add[i*a.AddStride+j]
		}
		dst[j] = Clamp(v, a.Min, a.Max)
	}
}

// Clamp limits v to [lo, hi]. NaN stays NaN.
func Clamp(v, lo, hi float32) float32 {
	if v < lo {
		v = lo
	}
	if v > hi {
		v = hi
	}
	return v
}
