package quantize

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestClippingConstants holds the optima to the published table.
func TestClippingConstants(t *testing.T) {
	laplace := []float64{1.86282, 2.83068, 3.89723, 5.02864, 6.20477, 7.41313, 8.64562, 9.89676, 11.16269}
	gauss := []float64{1.23991, 1.71064, 2.15159, 2.55914, 2.93620, 3.28691, 3.61511, 3.92404, 4.21633}
	for i := range laplace {
		bits := float64(i + 1)
		if got := laplaceClip(bits); math.Abs(got-laplace[i]) > 1e-5 {
			t.Errorf("Laplace, %g bits: %.5f, want %.5f", bits, got, laplace[i])
		}
		if got := gaussClip(bits); math.Abs(got-gauss[i]) > 1e-5 {
			t.Errorf("Gauss, %g bits: %.5f, want %.5f", bits, got, gauss[i])
		}
	}
}

func TestShareBits(t *testing.T) {
	for _, c := range []struct{ alpha, want []float64 }{
		{[]float64{8, 1}, []float64{4.678, 2.678}},
		{[]float64{1, 2, 4, 8}, []float64{2.813, 3.4797, 4.1463, 4.813}},
	} {
		for i, m := range shareBits(c.alpha, 4) {
			if math.Abs(m-c.want[i]) > 1e-3 {
				t.Errorf("%v: channel %d gets %.4f bits, want %.4f", c.alpha, i, m, c.want[i])
			}
		}
	}
	sum := 0
	for _, b := range allocateBits([]float64{1, 1, 1, 1, 1, 30, 0.01, 0}, 4) {
		sum += b
		if b < 0 || b > 8 {
			t.Errorf("%d bits", b)
		}
	}
	if sum > 32 {
		t.Errorf("%d bits for 8 channels, want a mean of 4 at most", sum)
	}
}

// TestRestoreSpread is the catalogue's example: weights .24, .26, .74, .77 on a
// grid of 0.5.
func TestRestoreSpread(t *testing.T) {
	w, q := []float32{.24, .26, .74, .77}, []float32{0, .5, .5, 1}
	factor, shift := restoreSpread(w, q)
	if math.Abs(shift-0.0025) > 1e-6 {
		t.Errorf("shift %g, want 0.0025", shift)
	}
	want := []float64{.144956, .5025, .5025, .860044}
	for i, v := range q {
		if got := (float64(v)-0.5)*factor + 0.5 + shift; math.Abs(got-want[i]) > 1e-5 {
			t.Errorf("weight %d becomes %.6f, want %.6f", i, got, want[i])
		}
	}
}

// TestACIQRange clips a Laplace and a normal sample at the analytic points.
func TestACIQRange(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	normal, laplace := make([]float32, 200_000), make([]float32, 200_000)
	for i := range normal {
		normal[i] = float32(rng.NormFloat64())
		laplace[i] = float32(rng.ExpFloat64())
		if rng.IntN(2) == 0 {
			laplace[i] = -laplace[i]
		}
	}
	for _, c := range []struct {
		spec string
		x    []float32
		want float64
	}{
		{"aciq", normal, 2.559}, {"aciq", laplace, 5.029}, {"aciq:distribution=gauss", normal, 2.559}, {"aciq:distribution=laplace", laplace, 5.029},
	} {
		o := observer(t, c.spec)
		o.Observe(c.x)
		if lo, hi := o.Range(0, 15); math.Abs(float64(hi)-c.want) > 0.06 || math.Abs(float64(lo)+c.want) > 0.06 {
			t.Errorf("%s: [%.3f, %.3f], want ±%.3f", c.spec, lo, hi, c.want)
		}
	}
}

func TestEMAAndStd(t *testing.T) {
	o := observer(t, "ema:decay=0.5")
	o.Observe([]float32{-1, 1})
	o.Observe([]float32{-3, 2})
	if lo, hi := o.Range(0, 255); lo != -2 || hi != 1.5 {
		t.Errorf("ema: [%g, %g], want [-2, 1.5]", lo, hi)
	}
	o = observer(t, "std:n=2")
	o.Observe([]float32{1, 3, 1, 3})
	if lo, hi := o.Range(0, 255); lo != 1 || hi != 3 {
		t.Errorf("std beyond what was seen: [%g, %g]", lo, hi)
	}
	o = observer(t, "std:n=0.5")
	o.Observe([]float32{1, 3, 1, 3})
	if lo, hi := o.Range(0, 255); lo != 1.5 || hi != 2.5 {
		t.Errorf("std: [%g, %g], want [1.5, 2.5]", lo, hi)
	}
}

// TestFarFromZero quantizes filters whose mean outweighs their spread, as
// depthwise ones after folding: clipping and scaling go from the mean.
func TestFarFromZero(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	row := make([]float32, 9)
	for i := range row {
		row[i] = 1 + 0.05*float32(rng.NormFloat64())
	}
	g := aciqGrids([][]float32{row}, 4, &Options{PerChannel: true})[0]
	q := make([]float32, len(row))
	for i, v := range row {
		q[i] = g.Value(g.Quantize(v))
	}
	factor := restoreNorm(row, q)
	for i, v := range q {
		if d := math.Abs(float64(v)*factor - float64(row[i])); d > float64(g.Scale) {
			t.Errorf("weight %g becomes %g", row[i], float64(v)*factor)
		}
	}
}
