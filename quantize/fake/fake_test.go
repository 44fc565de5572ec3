package fake

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// apply runs one operator on constants.
func apply(t *testing.T, op string, attrs graph.Attrs, outputs int, in ...*tensor.Tensor) []*tensor.Tensor {
	t.Helper()
	g := graph.New("g")
	vs := make([]*graph.Value, len(in))
	for i, x := range in {
		if x != nil {
			vs[i] = g.AddConst("c", x)
		}
	}
	names := make([]string, outputs)
	for i := range names {
		names[i] = "y"
	}
	n := g.Append(g.NewNode(graph.DrawknifeDomain, op, op, vs, names, attrs))
	if err := n.InferShape(); err != nil {
		t.Fatal(err)
	}
	out, err := eval.Node(n, in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func list(x ...float32) *tensor.Tensor { return tensor.Of(x, 1, len(x)) }

func close(t *testing.T, what string, got *tensor.Tensor, want ...float64) {
	t.Helper()
	d := got.Float32s()
	if len(d) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(d), len(want))
	}
	for i, v := range d {
		if math.Abs(float64(v)-want[i]) > 2e-6*max(1, math.Abs(want[i])) {
			t.Errorf("%s: %v, want %v", what, d, want)
			return
		}
	}
}

// TestWeightRules holds every rule to the numbers of the catalogue.
func TestWeightRules(t *testing.T) {
	w := list(-1, -.5, 0, .5, 1)
	run := func(kind string, attrs graph.Attrs, in ...*tensor.Tensor) *tensor.Tensor {
		if attrs == nil {
			attrs = graph.Attrs{}
		}
		attrs["kind"] = kind
		return apply(t, QuantizeWeights, attrs, 1, in...)[0]
	}
	close(t, "dorefa, 2 bits", run("dorefa", graph.Attrs{"bits": int64(2)}, w), -1, -1./3, 1./3, 1./3, 1)
	close(t, "dorefa, 3 bits", run("dorefa", graph.Attrs{"bits": int64(3)}, w), -1, -.714286, .142857, .714286, 1)
	close(t, "sign", run("sign", graph.Attrs{"scale": float32(.25)}, w), -.25, -.25, .25, .25, .25)
	close(t, "xnor", run("xnor", nil, list(.5, -.2, .1, -.4)), .3, -.3, .3, -.3)
	close(t, "magnitude", run("magnitude", nil, list(.5, -.2, .1, -.4)), .3, -.3, .3, -.3)
	for share, want := range map[float32][]float64{0: {.5, -.2, .1, -.4}, .5: {.4, -.25, .2, -.35}, 1: {.3, -.3, .3, -.3}} {
		close(t, "magnitude, in part", run("magnitude", nil, list(.5, -.2, .1, -.4), tensor.Scalar(share)), want...)
	}
	close(t, "layer", run("layer", nil, tensor.Of([]float32{1, -1, 3, 3}, 2, 2)), 2, -2, 2, 2)
	close(t, "lab", run("lab", nil, list(.5, -.2, .1), list(1, 4, 2)), .2142857, -.2142857, .2142857)
	close(t, "lab at first", run("lab", nil, list(.5, -.2, .1), list(0, 0, 0)), .2666667, -.2666667, .2666667)
	close(t, "irnet", run("irnet", nil, list(1, 2, 3, 4)), -1, -1, 1, 1)
	close(t, "irnet, one outlier", run("irnet", nil, list(0, 0, 0, 0, 0, 0, 0, 8)), -.5, -.5, -.5, -.5, -.5, -.5, -.5, .5)
	close(t, "ternary", run("ternary", nil, list(.1, -.9, .5, -.2)), 0, -.7, .7, 0)
	for x, want := range map[float32]float32{-1: 0, -.5: .25, 0: .5, .5: .75, 1: 1, 3: 1} {
		if got := HardSigmoid(x); got != want {
			t.Errorf("hard sigmoid of %g is %g, want %g", x, got, want)
		}
	}
	sum := 0.0
	for step := range 2000 {
		for _, v := range run("stochastic", nil, list(-.6, -.6, .2, .2, .2, .2, .2, .2, .2, .2), tensor.Scalar(float32(step))).Float32s()[2:] {
			sum += float64(v) / 16000
		}
	}
	if math.Abs(sum-0.2) > 0.03 {
		t.Errorf("stochastic signs of 0.2 have the mean %g", sum)
	}
	close(t, "stochastic outside training", run("stochastic", nil, w, tensor.Scalar(float32(-1))), -1, -1, 1, 1, 1)
}

// TestBalance: the signs of symmetric filters are balanced within one.
func TestBalance(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := tensor.New(tensor.Float32, 4, 9)
	for i, d := 0, tensor.Data[float32](w); i < len(d)/9; i++ {
		for k := range 4 {
			d[i*9+k] = float32(rng.NormFloat64())
			d[i*9+8-k] = -d[i*9+k]
		}
	}
	y := apply(t, QuantizeWeights, graph.Attrs{"kind": "irnet"}, 1, w)[0].Float32s()
	for i := range 4 {
		sum := float32(0)
		for _, v := range y[i*9 : i*9+9] {
			sum += v
		}
		if math.Abs(float64(sum)) > 1.01*math.Abs(float64(y[i*9])) {
			t.Errorf("filter %d sums to %g", i, sum)
		}
	}
}

// TestRoundGradient holds gradient rounding to the catalogue.
func TestRoundGradient(t *testing.T) {
	close(t, "dorefa", apply(t, "RoundGradient", graph.Attrs{"kind": "dorefa", "bits": int64(2)}, 1, list(.5, -1, .25))[0], 1./3, -1, 1./3)
	close(t, "log", apply(t, "RoundGradient", graph.Attrs{"kind": "log", "bits": int64(3)}, 1, list(3, 2.8, -.3, 0, 1, -.9))[0], 4, 2, 0, 0, 1, -1)
	close(t, "int", apply(t, "RoundGradient", graph.Attrs{"kind": "int", "bits": int64(3)}, 1, list(3, -1.2, .4))[0], 3, -1, 0)
	for x, want := range map[float32]float32{3: 4, 2.8: 2, -.3: -.25, 0: 0} {
		if got := AP2(x); got != want {
			t.Errorf("AP2(%g) = %g, want %g", x, got, want)
		}
	}
	draw := rand.New(rand.NewPCG(3, 3))
	for range 10000 {
		x := math.Float32frombits(draw.Uint32())
		if want := float32(math.Copysign(math.Exp2(math.RoundToEven(math.Log2(math.Abs(float64(x))))), float64(x))); AP2(x) != want && x == x {
			t.Errorf("AP2(%g) = %g, want %g", x, AP2(x), want)
		}
	}
	z, sum, squares := noise{on: true, seed: 5}, 0.0, 0.0
	for i := range 10000 {
		v := z.at(i)
		sum, squares = sum+v, squares+v*v
	}
	if math.Abs(sum)/10000 > 0.01 || math.Abs(squares/10000-1./12) > 0.002 {
		t.Errorf("noise has mean %g and mean square %g, want 0 and 1/12", sum/10000, squares/10000)
	}
	mean := make([]float64, 3)
	for step := range 4000 {
		for i, v := range apply(t, "RoundGradient", graph.Attrs{"kind": "dorefa", "bits": int64(2)}, 1, list(.5, -1, .25), tensor.Scalar(float32(step)))[0].Float32s() {
			mean[i] += float64(v) / 4000
		}
	}
	// The largest is clipped on one side only.
	if math.Abs(mean[0]-.5) > 0.02 || math.Abs(mean[2]-.25) > 0.02 {
		t.Errorf("with noise the mean is %v", mean)
	}
	g := make([]float32, 4000)
	rng := rand.New(rand.NewPCG(4, 4))
	for i := range g {
		g[i] = float32(rng.NormFloat64())
	}
	dot, a, b := 0.0, 0.0, 0.0
	for i, v := range apply(t, "RoundGradient", graph.Attrs{"kind": "int", "bits": int64(8)}, 1, list(g...), tensor.Scalar(float32(1)))[0].Float32s() {
		dot, a, b = dot+float64(v*g[i]), a+float64(v*v), b+float64(g[i]*g[i])
	}
	if c := dot / math.Sqrt(a*b); !(c > 0.999) {
		t.Errorf("8-bit gradient: cosine %g", c)
	}
}

func TestRange(t *testing.T) {
	attrs := graph.Attrs{"kind": "range", "qmin": int64(0), "qmax": int64(255)}
	x := list(-1, 0, .5, 3, 4)
	close(t, "range", apply(t, FakeQuantize, attrs, 1, x, tensor.Of([]float32{-1, 3}, 2))[0], -64*4./255, 0, 32*4./255, 191*4./255, 191*4./255)
	close(t, "no range yet", apply(t, FakeQuantize, attrs, 1, x, tensor.Of([]float32{0, 0}, 2))[0], -1, 0, .5, 3, 4)
	out := apply(t, FakeQuantize+"Grad", attrs, 2, list(1, 1, 1, 1, 1), x, tensor.Of([]float32{-1, 3}, 2))
	close(t, "gradient", out[0], 1, 1, 1, 0, 0) // the exact zero moves the upper end below 3
	close(t, "gradient of the range", out[1], 0, -1)
	peak := apply(t, FakeQuantize, graph.Attrs{"kind": "peak", "qmin": int64(-127), "qmax": int64(127)}, 1, tensor.Of([]float32{1.27, -.014, 0, 127}, 2, 2))[0]
	close(t, "peak", peak, 1.27, -.01, 0, 127)
	// Octo's range clipping: 0.95 of the greatest magnitude, no gradient beyond.
	attrs = graph.Attrs{"kind": "peak", "clip": float32(0.95), "qmin": int64(-127), "qmax": int64(127)}
	x = tensor.Of([]float32{-2, -1.95, 0, 3.9, 4}, 1, 5)
	clipped := apply(t, FakeQuantize, attrs, 1, x)[0].Float32s()
	if clipped[3] != clipped[4] || math.Abs(float64(clipped[4])-3.8) > 1e-5 || clipped[0] == clipped[1] {
		t.Errorf("clipped to %v, want 3.8 at the end", clipped)
	}
	close(t, "gradient of what is clipped", apply(t, FakeQuantize+"Grad", attrs, 1, tensor.Of([]float32{1, 1, 1, 1, 1}, 1, 5), x)[0], 1, 1, 1, 0, 0)
}

func TestCompensate(t *testing.T) {
	close(t, "α·μ + δ", apply(t, Compensate, nil, 1, list(1, 2), list(3, 4), list(5, 6))[0], 16, 26)
	g := graph.New("g")
	delta, alpha, mu := g.AddConst("delta", list(1, 2)), g.AddConst("alpha", list(3, 4)), g.AddConst("mu", list(5, 6))
	n := g.Append(g.NewNode(graph.DrawknifeDomain, Compensate, "c", []*graph.Value{delta, alpha, mu}, []string{"c"}, nil))
	if err := n.InferShape(); err != nil {
		t.Fatal(err)
	}
	loss := g.Add("ReduceSum", "loss", graph.Attrs{"keepdims": int64(0)}, n.Outputs[0])
	grads, err := autodiff.Gradient(g, loss, []*graph.Value{delta, alpha, mu})
	if err != nil {
		t.Fatal(err)
	}
	g.Outputs = []*graph.Value{grads[delta], grads[alpha], grads[mu]}
	out, err := eval.Run(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	close(t, "dδ", out[grads[delta].Name], 1, 1)
	close(t, "dα", out[grads[alpha].Name], 5, 6)
	close(t, "dμ", out[grads[mu].Name], 3, 4)
}

// TestGradients differentiates each smooth rule numerically where it is exact:
// the surrogate of DoReFa's weights (rounding as the identity) and IR-Net's
// standardization.
func TestGradients(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	w, dy := make([]float32, 12), make([]float32, 12)
	for i := range w {
		w[i], dy[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	dorefaSurrogate := func(w []float64) (sum float64) {
		top := 0.0
		for _, v := range w {
			top = max(top, math.Abs(math.Tanh(v)))
		}
		for i, v := range w {
			sum += float64(dy[i]) * math.Tanh(v) / top
		}
		return sum
	}
	// IR-Net at t = 0.1: k·tanh(t·ŵ) with k = 10 is all but linear.
	irnetSurrogate := func(w []float64) (sum float64) {
		mean, square := 0.0, 0.0
		for _, v := range w {
			mean += v / 12
		}
		for _, v := range w {
			square += (v - mean) * (v - mean) / 11
		}
		for i, v := range w {
			sum += float64(dy[i]) * 10 * math.Tanh(0.1*(v-mean)/math.Sqrt(square))
		}
		return sum
	}
	for kind, f := range map[string]func([]float64) float64{"dorefa": dorefaSurrogate, "irnet": irnetSurrogate} {
		got := apply(t, QuantizeWeights+"Grad", graph.Attrs{"kind": kind, "t": float32(0.1)}, 1, list(dy...), list(w...))[0].Float32s()
		for i := range w {
			at := func(h float64) float64 {
				x := make([]float64, len(w))
				for k, v := range w {
					x[k] = float64(v)
				}
				x[i] += h
				return f(x)
			}
			if want := (at(1e-5) - at(-1e-5)) / 2e-5; math.Abs(float64(got[i])-want) > 1e-4*max(1, math.Abs(want)) {
				t.Errorf("%s: gradient %d is %g, numerically %g", kind, i, got[i], want)
			}
		}
	}
	got := apply(t, QuantizeWeights+"Grad", graph.Attrs{"kind": "xnor"}, 1, list(1, 1, 1, 1), list(.5, -.2, 2, -.3))[0]
	close(t, "xnor", got, 1, 1, .25, 1)
}

// training builds a small network with every operator, its loss and gradients.
func training(t *testing.T) (*graph.Graph, []string) {
	t.Helper()
	g := graph.New("g")
	x := g.AddInput("x", tensor.Float32, graph.Dims(2, 3, 5, 5))
	own := func(op string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
		n := g.Append(g.NewNode(graph.DrawknifeDomain, op, op, in, []string{op}, attrs))
		if err := n.InferShape(); err != nil {
			t.Fatal(err)
		}
		return n.Outputs[0]
	}
	rng := rand.New(rand.NewPCG(6, 6))
	constant := func(name string, shape ...int) *graph.Value {
		c := tensor.New(tensor.Float32, shape...)
		for i, d := 0, tensor.Data[float32](c); i < len(d); i++ {
			d[i] = float32(rng.NormFloat64())
		}
		return g.AddConst(name, c)
	}
	number := func(name string, v float32) *graph.Value { return g.AddConst(name, tensor.Scalar(v)) }
	a := own(FakeQuantize, graph.Attrs{"kind": "step", "qmin": int64(0), "qmax": int64(15)}, x, number("step", .21371), number("offset", -.3193))
	y := g.Add("Conv", "c1", graph.Attrs{"pads": []int64{1, 1, 1, 1}}, a, own(FakeQuantize, graph.Attrs{"kind": "step", "qmin": int64(-8), "qmax": int64(7)}, constant("w1", 4, 3, 3, 3), g.AddConst("steps", tensor.Of([]float32{.1, .2, .3, .4}, 4))))
	y = own(FakeQuantize, graph.Attrs{"kind": "clip", "qmin": int64(0), "qmax": int64(15)}, y, number("alpha", 1.93717))
	y = own(QuantizeGradient, graph.Attrs{"kind": "int", "bits": int64(16)}, y, number("noise", 3))
	y = own(Binarize, graph.Attrs{"estimator": "ede"}, y, constant("threshold", 4), number("t", .5))
	y = g.Add("Conv", "c2", nil, y, own(QuantizeWeights, graph.Attrs{"kind": "irnet"}, constant("w2", 2, 4, 3, 3), number("t2", .7)))
	y = own(Binarize, graph.Attrs{"estimator": "polynomial"}, y)
	loss := g.Add("ReduceSum", "loss", graph.Attrs{"keepdims": int64(0)}, g.Add("Mul", "m", nil, y, constant("direction", 2, 2, 3, 3)))
	params := []string{"w1", "step", "offset", "steps", "alpha", "noise", "threshold", "t", "w2", "t2"}
	var vs []*graph.Value
	for _, p := range params {
		vs = append(vs, g.Value(p))
	}
	grads, err := autodiff.Gradient(g, loss, vs)
	if err != nil {
		t.Fatal(err)
	}
	g.Outputs = []*graph.Value{loss}
	for i, v := range vs {
		if grads[v] == nil {
			t.Fatalf("no gradient of %s", params[i])
		}
		g.AddOutput(grads[v])
	}
	return g, params
}

// TestEngineAgrees runs loss and gradients in the engine, for any number of
// workers, and in the interpreter.
func TestEngineAgrees(t *testing.T) {
	g, params := training(t)
	x := tensor.New(tensor.Float32, 2, 3, 5, 5)
	rng := rand.New(rand.NewPCG(7, 7))
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = float32(rng.NormFloat64())
	}
	want, err := eval.Run(g, map[string]*tensor.Tensor{"x": x})
	if err != nil {
		t.Fatal(err)
	}
	for threads := range 3 {
		out, err := engine.NewModel(g, engine.Options{Threads: threads + 1}).Run(context.Background(), map[string]*tensor.Tensor{"x": x})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range g.Outputs {
			a, b := want[v.Name].Float32s(), out[v.Name].Float32s()
			name := "loss"
			if i > 0 {
				name = "gradient of " + params[i-1]
			}
			for k := range a {
				if math.Abs(float64(a[k]-b[k])) > 1e-3*max(1, math.Abs(float64(a[k]))) {
					t.Errorf("%s: element %d is %g in the engine, %g in the interpreter", name, k, b[k], a[k])
					break
				}
			}
			if name == "gradient of noise" || name == "gradient of t" || name == "gradient of t2" {
				for _, d := range b {
					if d != 0 {
						t.Errorf("%s is %v, want 0", name, b)
					}
				}
			}
		}
	}
}

func TestErrors(t *testing.T) {
	x := list(1, 2)
	for _, c := range []struct {
		op    string
		attrs graph.Attrs
		in    []*tensor.Tensor
	}{
		{FakeQuantize, graph.Attrs{"kind": "magic"}, []*tensor.Tensor{x, x}},
		{FakeQuantize, graph.Attrs{"qmin": int64(5), "qmax": int64(5)}, []*tensor.Tensor{x, list(1)}},
		{FakeQuantize, graph.Attrs{"kind": "step"}, []*tensor.Tensor{x}},
		{FakeQuantize, graph.Attrs{"kind": "step"}, []*tensor.Tensor{x, x}},
		{FakeQuantize, graph.Attrs{"kind": "range"}, []*tensor.Tensor{x, list(1)}},
		{FakeQuantize, graph.Attrs{"kind": "peak"}, []*tensor.Tensor{tensor.New(tensor.Float32, 0, 3)}},
		{Binarize + "Grad", graph.Attrs{"estimator": "magic"}, []*tensor.Tensor{x, x}},
		{Binarize, nil, []*tensor.Tensor{x, list(1, 2, 3)}},
		{QuantizeWeights, graph.Attrs{"kind": "magic"}, []*tensor.Tensor{x}},
		{QuantizeWeights, graph.Attrs{"kind": "xnor"}, []*tensor.Tensor{tensor.Of([]float32{1}, 1)}},
		{"RoundGradient", graph.Attrs{"kind": "magic"}, []*tensor.Tensor{x}},
		{"RoundGradient", graph.Attrs{"bits": int64(40)}, []*tensor.Tensor{x}},
	} {
		g := graph.New("g")
		vs := make([]*graph.Value, len(c.in))
		for i, x := range c.in {
			vs[i] = g.AddConst("c", x)
		}
		n := g.NewNode(graph.DrawknifeDomain, c.op, c.op, vs, []string{"y"}, c.attrs)
		if _, err := eval.Node(n, c.in); err == nil {
			t.Errorf("%s %v: no error", c.op, c.attrs)
		}
	}
}
