package vec

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestMoments compares tiles of channels with sums in float64, at a mean far
// from zero.
func TestMoments(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ rows, channels, first, n int }{
		{1, 1, 0, 1}, {7, 5, 1, 3}, {128, 64, 0, 64}, {129, 70, 64, 6}, {1000, 20, 3, 17},
	} {
		src := make([]float32, c.rows*c.channels)
		for i := range src {
			src[i] = 100 + float32(rng.NormFloat64())
		}
		mean, dev := make([]float64, c.n), make([]float64, c.n)
		dev[0] = 1 // what was there before does not matter
		Moments(mean, dev, src, c.rows, c.channels, c.first)
		for j := range c.n {
			m, d := 0.0, 0.0
			for i := range c.rows {
				m += float64(src[i*c.channels+c.first+j]) / float64(c.rows)
			}
			for i := range c.rows {
				v := float64(src[i*c.channels+c.first+j]) - m
				d += v * v
			}
			if math.Abs(mean[j]-m) > 1e-5*m || math.Abs(dev[j]-d) > 1e-3*d+1e-6 {
				t.Errorf("%+v: channel %d: mean %v, deviations %v, want %v, %v", c, j, mean[j], dev[j], m, d)
			}
		}
	}
}
