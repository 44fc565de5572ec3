package tile

// Transpose writes the rows x cols matrix src to dst, cols x rows. lds and ldd
// are the distances between rows.
func Transpose(dst []float32, ldd int, src []float32, lds, rows, cols int) {
	// Squares of eight, so that every cache line is used whole while it is
	// near.
	for i := 0; i < rows; i += 8 {
		n := min(8, rows-i)
		for j := 0; j < cols; j += 8 {
			m := min(8, cols-j)
			if n == 8 && m == 8 && transpose8 != nil {
				transpose8(&dst[j*ldd+i], ldd, &src[i*lds+j], lds)
				continue
			}
			for r := range n {
				for c, v := range src[(i+r)*lds+j:][:m] {
					dst[(j+c)*ldd+i+r] = v
				}
			}
		}
	}
}

// transpose8 transposes an 8 x 8 square; nil if this CPU has no fast way. It
// moves data only, so it need not follow the level that cpu.Best allows.
var transpose8 func(dst *float32, ldd int, src *float32, lds int)
