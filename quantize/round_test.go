package quantize

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func observer(t *testing.T, spec string) Observer {
	t.Helper()
	c, err := method.New[Calibrator](method.Calibrate, spec)
	if err != nil {
		t.Fatal(err)
	}
	return c.Observer()
}

// TestRectified holds h, its inverse and the rounding term to the catalogue.
func TestRectified(t *testing.T) {
	for i, want := range []float64{0, .043044, .22273, .5, .77727, .956956, 1} {
		if got := rectified(float64(i - 3)); math.Abs(got-want) > 1e-6 {
			t.Errorf("h(%d) = %.6f, want %.6f", i-3, got, want)
		}
	}
	for f, want := range map[float64]float64{.1: -1.609438, .25: -.887303, .5: 0, .9: 1.609438} {
		if got := unrectified(f); math.Abs(got-want) > 1e-6 {
			t.Errorf("V of %g is %.6f, want %.6f", f, got, want)
		}
	}
	v := unrectified(.25)
	for beta, want := range map[float64]float64{2: .75, 8: .996094} {
		got, slope := pressure(v, beta)
		if math.Abs(got-want) > 1e-6 {
			t.Errorf("pressure at h=.25, β=%g: %.6f, want %.6f", beta, got, want)
		}
		up, _ := pressure(v+1e-5, beta)
		down, _ := pressure(v-1e-5, beta)
		if numeric := (up - down) / 2e-5; math.Abs(numeric-slope) > 1e-4 {
			t.Errorf("β=%g: slope %g, numerically %g", beta, slope, numeric)
		}
	}
	for _, v := range []float64{-9, 9} {
		if got, slope := pressure(v, 5); got != 0 || slope != 0 {
			t.Errorf("pressure at h=%g is %g with slope %g", rectified(v), got, slope)
		}
	}
	for _, beta := range []float64{2, 3.7, 20} {
		table := newSlopes(beta)
		for v := -2.6; v < 2.6; v += 0.0137 {
			_, slope := pressure(v, beta)
			if got, want := float64(table.at(float32(v))), roundingStrength*slope; math.Abs(got-want) > 2e-6 {
				t.Errorf("β=%g, V=%g: slope %g of the table, want %g", beta, v, got, want)
			}
		}
	}
	if annealed(0.1) != 20 || annealed(1) != 2 || math.Abs(annealed(0.6)-11) > 1e-9 {
		t.Errorf("β anneals through %g, %g, %g", annealed(0.1), annealed(0.6), annealed(1))
	}
}

// TestGPTQ rounds a layer of correlated inputs: the loss falls below that of
// rounding to nearest, and for uncorrelated inputs the result is nearest.
func TestGPTQ(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	const depth, channels, n = 24, 6, 400
	g := graph.New("g")
	w := make([]float32, depth*channels)
	for i := range w {
		w[i] = float32(rng.NormFloat64())
	}
	x := g.AddInput("x", tensor.Float32, graph.Dims(1, depth))
	y := g.Add("Gemm", "fc", graph.Attrs{"transB": int64(1)}, x, g.AddConst("w", tensor.Of(w, channels, depth)))
	g.AddOutput(y)
	data := mat.NewDense(depth, n, nil)
	for c := range n {
		common := rng.NormFloat64()
		for d := range depth {
			data.Set(d, c, common+0.3*rng.NormFloat64())
		}
	}
	h := mat.NewSymDense(depth, nil)
	h.SymOuterK(2, data)
	eye := mat.NewDense(depth, depth, nil)
	for i := range depth {
		eye.Set(i, i, 1)
	}
	o := Defaults()
	o.WBits = 3
	l := newLayer(y.Producer(), Bits{3, 8})
	if err := l.fit(&o, 1); err != nil {
		t.Fatal(err)
	}
	total := func() (sum float64) {
		for c := range channels {
			sum += l.loss(h, c, func(d int) int { return l.codes[l.index(c, d)] })
		}
		return sum
	}
	l.round()
	nearest, before := append([]int(nil), l.codes...), total()
	m := &gptq{damp: 0.01}
	if err := m.solve(l, eye, 0, channels); err != nil {
		t.Fatal(err)
	}
	for i, c := range l.codes {
		if c != nearest[i] {
			t.Fatalf("uncorrelated inputs: weight %d became %d, nearest is %d", i, c, nearest[i])
		}
	}
	if err := m.solve(l, data, 0, channels); err != nil {
		t.Fatal(err)
	}
	if after := total(); !(after < 0.5*before) {
		t.Errorf("loss %g, to nearest %g", after, before)
	}
	for _, c := range l.codes {
		if c < -4 || c > 3 {
			t.Errorf("integer %d has more than 3 bits", c)
		}
	}
}

// TestColumns compares the sampled inputs of a convolution with its output.
func TestColumns(t *testing.T) {
	for _, attrs := range []graph.Attrs{
		{"pads": []int64{1, 0, 2, 1}, "strides": []int64{2, 1}},
		{"auto_pad": "SAME_UPPER", "strides": []int64{2, 2}},
		{"auto_pad": "SAME_LOWER", "dilations": []int64{1, 2}},
		{"auto_pad": "VALID", "group": int64(2)},
	} {
		rng := rand.New(rand.NewPCG(4, 4))
		random := func(shape ...int) *tensor.Tensor {
			x := tensor.New(tensor.Float32, shape...)
			for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
				d[i] = float32(rng.NormFloat64())
			}
			return x
		}
		g := graph.New("g")
		x := g.AddInput("x", tensor.Float32, graph.Dims(2, 4, 7, 6))
		group := 1
		if v, ok := attrs["group"]; ok {
			group = int(v.(int64))
		}
		w := random(6, 4/group, 3, 2)
		y := g.Add("Conv", "conv", attrs, x, g.AddConst("w", w))
		g.AddOutput(y)
		if err := g.InferShapes(); err != nil {
			t.Fatal(err)
		}
		in := random(2, 4, 7, 6)
		out := runEval(t, g, in)
		l := newLayer(y.Producer(), Bits{8, 8})
		per := 6 / group
		positions := y.Shape[2].Size * y.Shape[3].Size
		for k := range group {
			m := l.columns([]*tensor.Tensor{in}, k, group, 1<<20)
			depth, cols := m.Dims()
			if cols != 2*positions {
				t.Fatalf("%v: %d columns, want %d", attrs, cols, 2*positions)
			}
			for o := range per {
				for c := range cols {
					sum := 0.0
					for d := range depth {
						sum += m.At(d, c) * float64(l.w[l.index(k*per+o, d)])
					}
					if want := out[(c/positions*6+k*per+o)*positions+c%positions]; math.Abs(sum-float64(want)) > 1e-4 {
						t.Fatalf("%v: output %d of channel %d is %g, want %g", attrs, c, o, sum, want)
					}
				}
			}
		}
	}
}

// TestColumnsMeetThePicture samples few positions of images whose pixels are
// their own columns' numbers: all of them must be met.
func TestColumnsMeetThePicture(t *testing.T) {
	const size, images = 16, 32
	x := tensor.New(tensor.Float32, images, 1, size, size)
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = float32(i % size)
	}
	g := graph.New("g")
	y := g.Add("Conv", "conv", nil, g.AddInput("x", tensor.Float32, graph.Dims(images, 1, size, size)), g.AddConst("w", tensor.New(tensor.Float32, 1, 1, 1, 1)))
	m := newLayer(y.Producer(), Bits{8, 8}).columns([]*tensor.Tensor{x}, 0, 1, 128)
	met := map[float64]bool{}
	_, cols := m.Dims()
	for c := range cols {
		met[m.At(0, c)] = true
	}
	if len(met) != size || cols > 140 {
		t.Errorf("%d positions meet %d of %d columns", cols, len(met), size)
	}
}

// outputError is the mean square difference of a quantized network's outputs
// from the float network's.
func outputError(t *testing.T, g *graph.Graph, change func(*Options)) float64 {
	t.Helper()
	o := Defaults()
	o.WBits, o.ABits = 3, 8
	change(&o)
	q, _, err := Static(t.Context(), g, noise(g, 4, 16, 3), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Verify(); err != nil {
		t.Fatal(err)
	}
	x := sample(g, 64, 11)
	a, b := runEngine(t, g, x), runEngine(t, q, x)
	sum := 0.0
	for i := range a {
		sum += float64(a[i]-b[i]) * float64(a[i]-b[i]) / float64(len(a))
	}
	return sum
}

// TestRoundingHelps compares every rounding with nearest on images that it has
// not seen.
func TestRoundingHelps(t *testing.T) {
	g := net(t, nets["residual"])
	nearest := outputError(t, g, func(*Options) {})
	for spec, share := range map[string]float64{"gptq": 0.7, "adaround:iterations=150": 0.95, "brecq:iterations=150": 0.8} {
		p, err := method.New[Preset](method.Quantize, spec)
		if err != nil {
			t.Fatal(err)
		}
		e := outputError(t, g, p)
		t.Logf("%s: error %.4g, nearest %.4g", spec, e, nearest)
		if !(e < share*nearest) {
			t.Errorf("%s: error %g, rounding to nearest %g", spec, e, nearest)
		}
	}
}

// observing is a Rounding that rounds nothing: it compares what a unit sees from
// what is known with what it sees from the images.
type observing struct {
	t       *testing.T
	byBlock bool
	most    int // values known at once
}

func (o *observing) blocks() bool { return o.byBlock }

func (o *observing) round(ctx context.Context, r *reconstruction, u *unit) error {
	sim, err := r.simulated()
	if err != nil {
		return err
	}
	for _, v := range []struct {
		g    *graph.Graph
		of   known
		name string
	}{{sim, r.quantized, u.inputs[0].Name}, {r.s.g, r.float, u.output.Name}} {
		got, err := r.observe(ctx, v.g, v.of, v.name)
		if err != nil {
			return err
		}
		want, err := r.observe(ctx, v.g, known{}, v.name)
		if err != nil {
			return err
		}
		if len(got[v.name]) != len(want[v.name]) {
			o.t.Fatalf("%s: %d batches, want %d", v.name, len(got[v.name]), len(want[v.name]))
		}
		// Other kernels may round another way, which now and then is another step.
		bad, all := 0, 0
		for i, x := range got[v.name] {
			for j, a := range x.Float32s() {
				if b := want[v.name][i].Float32s()[j]; math.Abs(float64(a-b)) > 1e-5*(1+math.Abs(float64(b))) {
					bad++
				}
				all++
			}
		}
		if bad > all/100 {
			o.t.Errorf("%s of %s: %d of %d elements are others than from the images", v.name, u.name(), bad, all)
		}
		o.most = max(o.most, len(v.of))
	}
	return nil
}

// TestObserveFromWhatIsKnown goes through networks by layer and by block.
func TestObserveFromWhatIsKnown(t *testing.T) {
	for _, name := range []string{"residual", "plain"} {
		for _, byBlock := range []bool{false, true} {
			o := &observing{t: t, byBlock: byBlock}
			outputError(t, net(t, nets[name]), func(p *Options) { p.Rounding = o })
			if o.most == 0 || o.most > 6 {
				t.Errorf("%s by block %v: %d values known at once", name, byBlock, o.most)
			}
		}
	}
}

// TestUnits cuts a residual network into its blocks, and into layers.
func TestUnits(t *testing.T) {
	g := net(t, nets["residual"])
	if err := Prepare(g); err != nil {
		t.Fatal(err)
	}
	target, _ := FindTarget("ort")
	p, err := choose(g, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &inserter{g: g, plan: p, of: map[*graph.Node]*layer{}}
	for _, n := range g.Nodes {
		if p.nodes[n] && hasWeights(n) {
			l := newLayer(n, Bits{8, 8})
			s.layers = append(s.layers, l)
			s.of[n] = l
		}
	}
	for blocks, want := range map[bool]int{true: 5, false: 8} {
		units := s.units(blocks)
		if len(units) != want {
			t.Errorf("blocks=%v: %d units, want %d", blocks, len(units), want)
		}
		layers := 0
		for _, u := range units {
			layers += len(u.layers)
			if len(u.inputs) != 1 {
				t.Errorf("unit %s reads %d values", u.name(), len(u.inputs))
			}
		}
		if layers != len(s.layers) {
			t.Errorf("blocks=%v: %d layers of %d", blocks, layers, len(s.layers))
		}
	}
}

// TestAbsorb moves a bias that a Relu never cuts off, which changes nothing but
// for padding.
func TestAbsorb(t *testing.T) {
	g := graph.New("g")
	x := g.AddInput("x", tensor.Float32, graph.Dims(1, 1, 2, 2))
	conv := func(name string, in *graph.Value, w, b []float32, shape ...int) *graph.Value {
		return g.Add("Conv", name, nil, in, g.AddConst(name+"_w", tensor.Of(w, shape...)), g.AddConst(name+"_b", tensor.Of(b, shape[0])))
	}
	a := conv("a", x, []float32{1, -1}, []float32{5, 0.5}, 2, 1, 1, 1)
	y := conv("b", g.Add("Relu", "relu", nil, a), []float32{2, 3}, []float32{1}, 1, 2, 1, 1)
	g.AddOutput(y)
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	in := tensor.Of([]float32{-1, 0, 1, 0.5}, 1, 1, 2, 2)
	before := runEval(t, g, in)
	known := map[string]*moments{"a": {mean: []float64{5, 0.5}, std: []float64{1, 1}}}
	if n := absorb(g, known); n != 1 {
		t.Errorf("%d channels, want 1", n)
	}
	if b := g.Node("a").Inputs[2].Data.Float32s(); b[0] != 3 || b[1] != 0.5 {
		t.Errorf("first biases %v, want 3 and 0.5", b)
	}
	if b := g.Node("b").Inputs[2].Data.Float32s(); b[0] != 5 {
		t.Errorf("second bias %v, want 5", b)
	}
	if diff, _ := distance(before, runEval(t, g, in)); diff > 1e-6 {
		t.Errorf("the function changed by %g", diff)
	}
}
