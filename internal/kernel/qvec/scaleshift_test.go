package qvec

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestScaleShift compares rows of every width and distance with the definition,
// and with what dequantizing and quantizing gives.
func TestScaleShift(t *testing.T) {
	paths(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(6, 6))
		for _, c := range lengths {
			for _, r := range []Rows{{1, c, c}, {3, c, c}, {2, c + 5, c + 64}, {0, c, c}} {
				const sx, zx, sy, zy = 0.03, 17, 0.05, 100
				a, b := make([]float32, c), make([]float32, c)
				for i := range a {
					a[i], b[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
				}
				scale, shift := Rescale(a, b, sx, zx, sy, zy)
				if c > 4 { // what no network should hold
					scale[1], shift[2], scale[3] = float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))
					shift[c-1] = 3e38
				}
				size := max(0, (r.N-1)*r.SrcStep+c)
				src, dst := randomBytes(rng, size), bytes.Repeat([]byte{7}, r.N*r.DstStep+c)
				lo, hi := uint8(rng.IntN(50)), uint8(200+rng.IntN(56))
				ScaleShift(dst, src, r, scale, shift, lo, hi)
				for i := range dst {
					row, j := r.N, 0
					if r.DstStep > 0 {
						row, j = i/r.DstStep, i%r.DstStep
					}
					if row >= r.N || j >= c {
						if dst[i] != 7 {
							t.Fatalf("%d channels, %+v: byte %d was written", c, r, i)
						}
						continue
					}
					q := src[row*r.SrcStep+j]
					want := round64(float32(float32(q)*scale[j])+shift[j], 0, lo, hi)
					if dst[i] != want {
						t.Fatalf("%d channels, %+v: %d·%v + %v gives %d, want %d", c, r, q, scale[j], shift[j], dst[i], want)
					}
					if c > 4 && (j < 4 || j == c-1) {
						continue
					}
					y := float64(a[j])*sx*(float64(q)-zx) + float64(b[j])
					real := min(max(math.RoundToEven(y/sy)+zy, float64(lo)), float64(hi))
					if math.Abs(real-float64(dst[i])) > 1 {
						t.Fatalf("%d channels: %v is %v on the grid, got %d", c, y, real, dst[i])
					}
				}
			}
		}
	})
}

func BenchmarkScaleShift(b *testing.B) {
	for _, c := range []int{64, 96, 160, 480, 1000} {
		b.Run(fmt.Sprint(c), func(b *testing.B) {
			const rows = 784
			scale, shift := make([]float32, c), make([]float32, c)
			src, dst := make([]uint8, rows*c), make([]uint8, rows*c)
			b.SetBytes(rows * int64(c))
			for b.Loop() {
				ScaleShift(dst, src, Rows{rows, c, c}, scale, shift, 0, 255)
			}
		})
	}
}
