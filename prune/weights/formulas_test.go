package weights

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func near(a, b []float64, tolerance float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Abs(x-y) <= tolerance*max(1, math.Abs(y)) })
}

// TestPatterns masks by hand.
func TestPatterns(t *testing.T) {
	w := []float32{0.1, -0.5, 0.3, 0.2}
	for _, c := range []struct {
		pattern string
		l       *Layer
		keep    int
		want    []float32
	}{
		{"2:4", &Layer{W: w, Rows: 1, Cols: 4, Taps: 1}, 0, []float32{0, 1, 1, 0}},
		{"1:4", &Layer{W: w, Rows: 1, Cols: 4, Taps: 1}, 0, []float32{0, 1, 0, 0}},
		{"1:2", &Layer{W: w, Rows: 1, Cols: 4, Taps: 2}, 0, []float32{0, 1, 1, 0}}, // two taps of two channels
		{"1:2", &Layer{W: w, Rows: 2, Cols: 2, Taps: 1, kind: colMajor}, 0, []float32{0, 1, 1, 0}},
		{"unstructured", &Layer{W: w, Rows: 2, Cols: 2, Taps: 1}, 3, []float32{0, 1, 1, 1}},
		{"block2", &Layer{W: w, Rows: 2, Cols: 2, Taps: 1}, 1, []float32{0, 1, 0, 1}},
		{"block1x2", &Layer{W: w, Rows: 2, Cols: 2, Taps: 1}, 1, []float32{1, 1, 0, 0}},
		{"block2x2", &Layer{W: w, Rows: 2, Cols: 2, Taps: 1}, 1, []float32{1, 1, 1, 1}},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		got := p.choose(c.l, p.rate(c.l, magnitudes(c.l.W)), c.keep)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: mask %v, want %v", c.pattern, got, c.want)
		}
		if err := p.Verify(c.l, got); err != nil {
			t.Error(err)
		}
	}
	p, _ := ParsePattern("2:4")
	if p.Verify(&Layer{W: w, Rows: 1, Cols: 4, Taps: 1}, []float32{1, 1, 1, 0}) == nil {
		t.Error("three of four weights pass for 2:4")
	}
	for _, bad := range []string{"4:2", "0:4", "2:", "block", "block0", "block4x", "2:4:8", "rows", "1:999"} {
		if p, err := ParsePattern(bad); err == nil {
			t.Errorf("%q was read as %v", bad, p)
		}
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"", "unstructured", "2:4", "block4", "block1x8"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePattern(s)
		if err != nil {
			return
		}
		if q, err := ParsePattern(p.String()); err != nil || q != p {
			t.Errorf("%q became %v, which reads as %v, %v", s, p, q, err)
		}
	})
}

func inverse(h []float64, n int) []float64 { return spdInverse(h, n, 0) }

// TestSurgeon holds OBS to the examples of its definition.
func TestSurgeon(t *testing.T) {
	h := []float64{6, -2, 0, -2, 2, 0, 0, 0, 1}
	s := newSurgeon([]float64{2, 3, 4}, inverse(h, 3))
	if got := []float64{s.cost(0), s.cost(1), s.cost(2)}; !near(got, []float64{8, 6, 8}, 1e-9) {
		t.Errorf("costs %v, want 8, 6, 8", got)
	}
	if q := s.cheapest(nil); q != 1 {
		t.Errorf("weight %d goes, want 1", q)
	}
	s.remove(1)
	if !near(s.w, []float64{1, 0, 4}, 1e-9) {
		t.Errorf("weights %v, want 1, 0, 4", s.w)
	}
	if got := saliency([]float32{2, 3, 4}, []float64{6, 2, 1}); !near(got, []float64{12, 9, 8}, 1e-9) {
		t.Errorf("OBD's saliencies %v, want 12, 9, 8", got)
	}
	s = newSurgeon([]float64{1, .6}, inverse([]float64{2, 1, 1, 2}, 2))
	if got := []float64{s.cost(0), s.cost(1)}; !near(got, []float64{.75, .27}, 1e-9) {
		t.Errorf("costs %v, want 0.75, 0.27", got)
	}
	s.remove(1)
	if !near(s.w, []float64{1.3, 0}, 1e-9) {
		t.Errorf("weights %v, want 1.3, 0", s.w)
	}
	s = newSurgeon([]float64{1, 1, 1}, inverse([]float64{4, 2, 0, 2, 3, 1, 0, 1, 2}, 3))
	s.remove(1)
	if want := []float64{.25, 0, 0, 0, 0, 0, 0, 0, .5}; !near(s.inv, want, 1e-9) {
		t.Errorf("the inverse without index 1 is %v, want %v", s.inv, want)
	}
}

// TestSurgeonProperties, for random problems min ‖wX − ŵX‖²: OBS costs no more
// than OBD; after the removal of all but S the weights are the least-squares
// solution on S, in whatever order; the costs add up to the error.
func TestSurgeonProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	const n, samples = 8, 20
	for range 10 {
		x := make([]float64, n*samples)
		for i := range x {
			x[i] = rng.NormFloat64()
		}
		h := make([]float64, n*n)
		for i := range n {
			for j := range n {
				for k := range samples {
					h[i*n+j] += 2 * x[i*samples+k] * x[j*samples+k]
				}
			}
		}
		w := make([]float64, n)
		for i := range w {
			w[i] = rng.NormFloat64()
		}
		inv := inverse(h, n)
		s := newSurgeon(slices.Clone(w), slices.Clone(inv))
		for q := range n {
			if obd := h[q*n+q] * w[q] * w[q] / 2; s.cost(q) > obd*(1+1e-9) {
				t.Fatalf("weight %d: OBS says %g, OBD %g", q, s.cost(q), obd)
			}
		}
		sum := 0.0
		for range 5 {
			q := s.cheapest(nil)
			sum += s.cost(q)
			s.remove(q)
		}
		keep, gone := make([]bool, n), []int(nil)
		for i, g := range s.gone {
			keep[i] = !g
			if g {
				gone = append(gone, i)
			}
		}
		fit := fitted(w, h, keep)
		if !near(s.w, fit, 1e-4) {
			t.Fatalf("weights %v, least squares on the same ones %v", s.w, fit)
		}
		both := newSurgeon(slices.Clone(w), slices.Clone(inv))
		if cost := both.joint(gone); !near(both.w, s.w, 1e-6) || math.Abs(cost-sum) > 1e-6*max(1, sum) {
			t.Fatalf("together: weights %v and cost %g, one by one %v and %g", both.w, cost, s.w, sum)
		}
		e := 0.0
		for k := range samples {
			d := 0.0
			for i := range n {
				d += (w[i] - s.w[i]) * x[i*samples+k]
			}
			e += d * d
		}
		if math.Abs(e-sum) > 1e-6*max(1, e) {
			t.Fatalf("the costs add up to %g, the error is %g", sum, e)
		}
	}
}

func TestFisherInverse(t *testing.T) {
	got := fisherInverse([][]float32{{1, 0}, {1, 1}}, 1)
	if !near(got, []float64{6.0 / 11, -2.0 / 11, -2.0 / 11, 8.0 / 11}, 1e-9) {
		t.Errorf("inverse %v, want 1/11·[6 −2; −2 8]", got)
	}
}

// TestRestore never leaves a larger error than plain masking with least
// squares does, and finds the weights that matter.
func TestRestore(t *testing.T) {
	h := []float64{1, 0, 0, 0, 0, 100, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
	keep := []bool{true, false, true, true}
	w := []float64{3, 1, 2, 1.1} // the second is the smallest, and weighs most
	keep = append(keep[:0:0], keep...)
	for range 4 { // a fifth of three rounds down to none: take the rule at work on more weights
		h5 := make([]float64, 10*10)
		w5, k5 := make([]float64, 10), make([]bool, 10)
		for i := range 10 {
			h5[i*10+i], w5[i], k5[i] = 1, float64(10-i), i < 5
		}
		h5[7*10+7] = 1000
		restore(w5, h5, k5)
		if !k5[7] || k5[4] {
			t.Fatalf("kept %v; weight 7, which the output needs, should replace 4", k5)
		}
	}
	if got := fitted(w, h, keep); !near(got, []float64{3, 0, 2, 1.1}, 1e-4) {
		t.Errorf("with uncorrelated inputs the weights left should stay: %v", got)
	}
}

func TestSNIPByHand(t *testing.T) {
	got := sensitivities([]float32{1, -2, 3}, []float64{.5, .25, -.1}, 1.3)
	if !near(got, []float64{.5 / 1.3, .5 / 1.3, .3 / 1.3}, 1e-9) {
		t.Errorf("sensitivities %v", got)
	}
}

// TestHessianIsSymmetric compares u·Hv with v·Hu.
func TestHessianIsSymmetric(t *testing.T) {
	g := graph.New("smooth")
	rng := rand.New(rand.NewPCG(3, 3))
	weight := func(name string, shape ...int) *graph.Value {
		w := tensor.New(tensor.Float32, shape...)
		for i, d := 0, tensor.Data[float32](w); i < len(d); i++ {
			d[i] = float32(rng.NormFloat64()) / 4
		}
		return g.AddConst(name, w)
	}
	x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(1), graph.D(8), graph.D(8)})
	h := g.Add("Sigmoid", "s", nil, g.Add("Conv", "conv", nil, x, weight("w1", 3, 1, 3, 3)))
	g.AddOutput(g.Add("Gemm", "fc", nil, g.Add("Flatten", "f", nil, h), weight("w2", 108, 4)))
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	d := images(t, 16, 16)
	layers, _, err := Layers(g, nil, Pattern{})
	if err != nil {
		t.Fatal(err)
	}
	draw := func() map[string][]float64 {
		v := map[string][]float64{}
		for _, l := range layers {
			v[l.Value.Name] = make([]float64, len(l.W))
			for i := range v[l.Value.Name] {
				v[l.Value.Name][i] = rng.NormFloat64()
			}
		}
		return v
	}
	dot := func(a, b map[string][]float64) float64 {
		s := 0.0
		for name, v := range a {
			for i, x := range v {
				s += x * b[name][i]
			}
		}
		return s
	}
	u, v := draw(), draw()
	hu, err := hessianTimes(context.Background(), g, layers, u, d)
	if err != nil {
		t.Fatal(err)
	}
	hv, err := hessianTimes(context.Background(), g, layers, v, d)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := dot(u, hv), dot(v, hu); math.Abs(a-b) > 0.05*max(math.Abs(a), math.Abs(dot(u, hu))) {
		t.Errorf("u·Hv = %g, v·Hu = %g", a, b)
	}
}

// TestGSM lets q gradients through; passive weights decay as the paper's
// formula says.
func TestGSM(t *testing.T) {
	w, g := [][]float32{{1, -2}, {3, .5}}, [][]float32{{.5, .25}, {-.1, .1}}
	passive(w, g, 2)
	if !slices.Equal(g[0], []float32{.5, .25}) || !slices.Equal(g[1], []float32{0, 0}) {
		t.Errorf("gradients %v, want those of the two greatest |w·g| alone", g)
	}
	ties := [][]float32{{1, 1, 1}}
	passive([][]float32{{2, 2, 2}}, ties, 2)
	if !slices.Equal(ties[0], []float32{1, 1, 0}) {
		t.Errorf("of three equal ones %v are active, want the first two", ties[0])
	}
	r := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 40; n++ {
		list := make([]float32, n)
		for i := range list {
			list[i] = float32(r.IntN(8)) * float32(math.Exp(float64(r.IntN(9)-4)))
		}
		sorted := slices.Clone(list)
		slices.Sort(sorted)
		for q := 1; q <= n; q++ {
			if got, want := greatest(list, q), sorted[n-q]; got != want {
				t.Errorf("number %d of %v is %g, want %g", q, list, got, want)
			}
		}
	}
	weight, z := 1.0, 0.0
	for k, want := range []float64{0.999, 0.997101, 0.994394799} {
		z = 0.9*z + 0.01*weight
		weight -= 0.1 * z
		if math.Abs(weight-want) > 1e-9 {
			t.Errorf("after %d steps a passive weight is %.9f, want %.9f", k+1, weight, want)
		}
	}
}

func TestHysteresis(t *testing.T) {
	mask := []float32{1, 1, 0, 0}
	hysteresis(mask, []float64{.8, 1, 1, 1.2}, 1)
	if !slices.Equal(mask, []float32{0, 1, 0, 1}) {
		t.Errorf("mask %v, want 0 1 0 1", mask)
	}
	if got := threshold([]float64{3, 1, 2}, []float32{1, 0, 1}); got != 2 {
		t.Errorf("threshold %g, want 2", got)
	}
}

func TestMovementScore(t *testing.T) {
	s := []float32{0, 0}
	moved(s, []float32{1, -1}, []float32{2, 2}, 0.5) // descent takes the first towards zero
	if s[0] != -1 || s[1] != 1 {
		t.Errorf("scores %v, want −1 and 1", s)
	}
}

// TestCosineTransform holds the DCT to hand-computed kernels.
func TestCosineTransform(t *testing.T) {
	want := []float64{.57735, .57735, .57735, .707107, 0, -.707107, .408248, -.816497, .408248}
	if got := dct(3); !near(got, want, 1e-5) {
		t.Errorf("D₃ = %v", got)
	}
	binomial := []float32{1, 2, 1, 2, 4, 2, 1, 2, 1}
	f := make([]float32, 9)
	for _, c := range []struct {
		w    []float32
		want []float64
	}{
		{binomial, []float64{5.333333, 0, -1.885618, 0, 0, 0, -1.885618, 0, .666667}},
		{[]float32{1, 0, -1, 2, 0, -2, 1, 0, -1}, []float64{0, 3.265986, 0, 0, 0, 0, 0, -1.154701, 0}},
	} {
		transform(f, c.w, 3, false)
		if !near(wide(f), c.want, 1e-5) {
			t.Errorf("transform of %v is %v", c.w, f)
		}
		back := make([]float32, 9)
		transform(back, f, 3, true)
		if !near(wide(back), wide(c.w), 1e-5) {
			t.Errorf("%v came back as %v", c.w, back)
		}
	}
	x, fx := []float32{1, 2, 3, 4, 5, 6, 7, 8, 10}, make([]float32, 9)
	transform(f, binomial, 3, false)
	transform(fx, x, 3, false)
	dot := 0.0
	for i := range f {
		dot += float64(f[i]) * float64(fx[i])
	}
	if math.Abs(dot-81) > 1e-4 {
		t.Errorf("the inner product is %g in the frequency domain, 81 in space", dot)
	}
}

func wide(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// TestCollect compares H of a convolution with padding and stride, and of a
// matrix product, with what the layers compute: ‖wX‖² = ½·wᵀHw.
func TestCollect(t *testing.T) {
	g := graph.New("inputs")
	x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(1), graph.D(8), graph.D(8)})
	rng := rand.New(rand.NewPCG(4, 4))
	draw := func(shape ...int) *tensor.Tensor {
		w := tensor.New(tensor.Float32, shape...)
		for i, d := 0, tensor.Data[float32](w); i < len(d); i++ {
			d[i] = float32(rng.NormFloat64())
		}
		return w
	}
	y := g.Add("Gemm", "fc", nil, g.Add("Flatten", "f", nil, x), g.AddConst("w", draw(64, 3)))
	g.AddOutput(y)
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	layers, _, err := Layers(g, nil, Pattern{})
	if err != nil {
		t.Fatal(err)
	}
	d := images(t, 16, 8)
	hess, err := collect(context.Background(), g, layers, func(*Layer) int { return 999 }, d)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	if err := d.Run(context.Background(), g, nil, func(_ int, v map[string]*tensor.Tensor) error {
		for i, o := range v[y.Name].Float32s() {
			if i%3 == 1 {
				want += float64(o) * float64(o)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	l := layers[0]
	h, first, n := hess[l].of(1, 0)
	got := 0.0
	for i := range n {
		for j := range n {
			got += float64(l.W[l.At(1, first+i)]) * h[i*n+j] * float64(l.W[l.At(1, first+j)]) / 2
		}
	}
	if math.Abs(got-want) > 1e-3*want {
		t.Errorf("½·wᵀHw = %g, the outputs' squares add up to %g", got, want)
	}
}
