package vec

import "testing"

func TestInterleave(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for n := range 40 {
			a, b, dst := make([]float32, n), make([]float32, n), make([]float32, 2*n+1)
			for i := range n {
				a[i], b[i] = float32(2*i), float32(2*i+1)
			}
			dst[2*n] = 77
			Interleave(dst, a, b)
			for i, v := range dst[:2*n] {
				if v != float32(i) {
					t.Fatalf("%d: element %d is %g", n, i, v)
				}
			}
			if dst[2*n] != 77 {
				t.Fatalf("%d: wrote beyond the end", n)
			}
		}
	})
}
