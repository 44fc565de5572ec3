package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/internal/parallel"
)

func TestRPRelu(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	eachLevel(t, func(t *testing.T) {
		for _, c := range []int{1, 3, 8, 16, 24, 127, 128, 300} {
			for _, rows := range []int{0, 1, 2, 9, 100} {
				x, before, slope, after := random(r, rows*c), random(r, c), random(r, c), random(r, c)
				if len(x) > 1 {
					x[0], x[1] = float32(math.NaN()), before[1%c] // and a zero
				}
				want := make([]float32, len(x))
				for i, v := range x {
					y := v - before[i%c]
					if y < 0 {
						y = float32(y * slope[i%c])
					}
					want[i] = y + after[i%c]
				}
				d := newCanary(len(x))
				RPRelu(d.x, x, before, slope, after)
				d.check(t)
				near(t, fmt.Sprint("RPRelu ", c), d.x, want, 0)
				RPRelu(x, x, before, slope, after)
				near(t, fmt.Sprint("RPRelu in place ", c), x, want, 0)
			}
		}
	})
}

func TestParallelPReluGrad(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	eachLevel(t, func(t *testing.T) {
		for _, c := range []int{1, 3, 8, 16, 67, 300, preluTile + 9} {
			for _, rows := range []int{0, 1, 2, 300, 700} {
				for _, slopes := range []int{1, c} {
					x, dy, slope := random(r, rows*c), random(r, rows*c), random(r, slopes)
					if len(x) > 0 {
						x[0] = 0
					}
					dx, sums := make([]float32, len(x)), make([]float64, slopes)
					for i, v := range x {
						dx[i] = dy[i]
						if v <= 0 {
							dx[i] = dy[i] * slope[i%c%slopes]
							sums[i%c%slopes] += float64(v) * float64(dy[i])
						}
					}
					want := make([]float32, slopes)
					for i, v := range sums {
						want[i] = float32(v)
					}
					var first []float32
					for _, workers := range []int{1, 3} {
						pool := parallel.New(workers)
						d, ds := newCanary(len(x)), newCanary(slopes)
						ParallelPReluGrad(pool, d.x, ds.x, dy, x, slope, c, make([]float64, ColScratch(rows, c)))
						pool.Close()
						d.check(t)
						ds.check(t)
						what := fmt.Sprintf("%d × %d, %d slopes", rows, c, slopes)
						near(t, what+", dx", d.x, dx, 0)
						near(t, what+", dslope", ds.x, want, 1e-5*math.Sqrt(float64(rows*c)+1))
						if first != nil && !slices.Equal(first, ds.x) {
							t.Errorf("%s: %d workers have another result than one", what, workers)
						}
						first = slices.Clone(ds.x)
					}
				}
			}
		}
	})
}
