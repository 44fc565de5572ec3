package quantize

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/method"
)

func TestAffine(t *testing.T) {
	g := Affine(-1, 3, 0, 255)
	if g.Zero != 64 || math.Abs(float64(g.Scale)-4.0/255) > 1e-9 {
		t.Fatalf("grid of [-1,3] is %+v", g)
	}
	for x, want := range map[float32]int{-1: 0, 0: 64, 0.5: 96, 1: 128, 3: 255, 4: 255, -9: 0} {
		if got := g.Quantize(x); got != want {
			t.Errorf("%g became %d, want %d", x, got, want)
		}
	}
	s := Grid{0.02, 0, -127, 127}
	for x, want := range map[float32]int{-2.54: -127, -0.05: -2, 0.011: 1, 1: 50} {
		if got := s.Quantize(x); got != want {
			t.Errorf("symmetric: %g became %d, want %d", x, got, want)
		}
	}
	if g := Affine(0, 0, 0, 255); g.Scale != 1 || g.Quantize(0) != g.Zero {
		t.Errorf("grid of an all-zero tensor is %+v", g)
	}
	if g := Affine(2, 3, 0, 255); g.Value(g.Quantize(0)) != 0 {
		t.Errorf("zero is not exact on the grid of [2,3]: %+v", g)
	}
}

func TestGridIsIdempotentAndClose(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		lo, hi := rng.Float32()*-10, rng.Float32()*10
		g := Affine(lo, hi, -128, 127)
		last := math.Inf(-1)
		for x := lo; x < hi; x += (hi - lo) / 57 {
			q := g.Quantize(x)
			if g.Quantize(g.Value(q)) != q {
				t.Fatalf("%+v: %g is not a fixed point", g, g.Value(q))
			}
			if e := math.Abs(float64(g.Error(x))); e > float64(g.Scale)*0.501+1e-6 {
				t.Fatalf("%+v: error %g at %g", g, e, x)
			}
			if float64(q) < last {
				t.Fatalf("%+v is not monotone at %g", g, x)
			}
			last = float64(q)
		}
	}
}

func observe(t *testing.T, spec string, x []float32) (lo, hi float32) {
	t.Helper()
	c, err := method.New[Calibrator](method.Calibrate, spec)
	if err != nil {
		t.Fatal(err)
	}
	o := c.Observer()
	for len(x) > 0 {
		n := min(len(x), 777)
		o.Observe(x[:n])
		x = x[n:]
	}
	return o.Range(0, 255)
}

// TestKLThresholds holds the thresholds to the published routine's behaviour:
// near 4 for a normal distribution, widened by an outlier but not to it, wide
// for a Laplace distribution, everything for a uniform one.
func TestKLThresholds(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	normal := make([]float32, 100_000)
	laplace := make([]float32, len(normal))
	uniform := make([]float32, len(normal))
	for i := range normal {
		normal[i] = float32(rng.NormFloat64())
		laplace[i] = float32(rng.ExpFloat64())
		if rng.IntN(2) == 0 {
			laplace[i] = -laplace[i]
		}
		uniform[i] = rng.Float32()*2 - 1
	}
	outlier := append(append([]float32{}, normal...), 50)
	for _, c := range []struct {
		name   string
		x      []float32
		lo, hi float32
	}{{"normal", normal, 3.3, 4.8}, {"outlier", outlier, 3.3, 12}, {"laplace", laplace, 6, 12}, {"uniform", uniform, 0.97, 1.01}} {
		_, hi := observe(t, "kl", c.x)
		if hi < c.lo || hi > c.hi {
			t.Errorf("%s: threshold %.3f, want %.2f to %.2f", c.name, hi, c.lo, c.hi)
		}
	}
	// Rectified data must not lose its top because most of it is zero.
	relu := make([]float32, len(normal))
	for i, v := range normal {
		relu[i] = max(v-0.8, 0)
	}
	if lo, hi := observe(t, "kl", relu); lo != 0 || hi < 2 {
		t.Errorf("rectified normal: range [%g, %g], its elements reach 3", lo, hi)
	}
}

func TestMinMaxAndPercentile(t *testing.T) {
	x := make([]float32, 100_001)
	for i := range x {
		x[i] = float32(i)/100_000*2 - 1
	}
	x[500] = 100
	if lo, hi := observe(t, "minmax", x); lo != -1 || hi != 100 {
		t.Errorf("minmax: [%g, %g]", lo, hi)
	}
	lo, hi := observe(t, "percentile:p=99", x)
	if math.Abs(float64(lo)+0.99) > 0.06 || math.Abs(float64(hi)-0.99) > 0.07 {
		t.Errorf("percentile 99: [%g, %g], want about ±0.99", lo, hi)
	}
	if lo, hi := observe(t, "mse", x); hi > 90 || lo < -1 {
		t.Errorf("mse kept the outlier: [%g, %g]", lo, hi)
	}
	if lo, hi := observe(t, "kl", make([]float32, 50)); lo != 0 || hi != 0 {
		t.Errorf("kl of zeros: [%g, %g]", lo, hi)
	}
}

// TestHistogramIsOrderFree feeds the same elements in two orders.
func TestHistogramIsOrderFree(t *testing.T) {
	x := []float32{0.1, 0.2, 0, -3, 7, 0.5, 0.25, 100, -0.01}
	var a, b histogram
	a.Observe(x)
	for i := range x {
		b.Observe(x[len(x)-1-i:][:1])
	}
	if a.reach != b.reach {
		t.Fatalf("reach %g and %g", a.reach, b.reach)
	}
	for i := range a.n {
		if a.n[i] != b.n[i] {
			t.Fatalf("bin %d holds %g and %g", i, a.n[i], b.n[i])
		}
	}
}
