package quantize

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// net builds a network of the zoo whose batch normalization does something.
func net(t testing.TB, spec string) *graph.Graph {
	t.Helper()
	g, err := zoo.Build(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c := g.Value("fire5.concat_out"); c != nil {
		// Untrained, the last layers nearly cancel what comes before, so that
		// little but noise is left.
		g.Outputs = []*graph.Value{c}
		g.RemoveDead()
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for _, n := range g.Nodes {
		if !n.Is("BatchNormalization") {
			continue
		}
		for i, center := range []float32{1, 0, 0, 1} {
			v := n.Inputs[i+1]
			d := tensor.New(tensor.Float32, v.Data.Shape...)
			for k, x := 0, tensor.Data[float32](d); k < len(x); k++ {
				x[k] = center + 0.3*rng.Float32()
			}
			v.SetData(d)
		}
	}
	return g
}

// noise yields batches of normal noise for g's input.
func noise(g *graph.Graph, batches, size int, seed uint64) Batches {
	s := g.Inputs[0].Shape.Ints()
	return func(yield func(*data.Batch, error) bool) {
		rng := rand.New(rand.NewPCG(seed, 9))
		for range batches {
			b := &data.Batch{N: size, C: s[1], H: s[2], W: s[3], X: make([]float32, size*s[1]*s[2]*s[3]), Y: make([]int32, size)}
			for i := range b.X {
				b.X[i] = float32(rng.NormFloat64())
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func sample(g *graph.Graph, n int, seed uint64) *tensor.Tensor {
	for b := range noise(g, 1, n, seed) {
		return tensor.Of(b.X, b.N, b.C, b.H, b.W)
	}
	return nil
}

func static(t testing.TB, g *graph.Graph, o Options) (*graph.Graph, *Report) {
	t.Helper()
	q, r, err := Static(context.Background(), g, noise(g, 2, 8, 3), o)
	if err != nil {
		t.Fatal(err)
	}
	return q, r
}

func runEngine(t testing.TB, g *graph.Graph, x *tensor.Tensor) []float32 {
	t.Helper()
	out, err := engine.NewModel(g, engine.Options{Threads: 1}).Run(context.Background(), map[string]*tensor.Tensor{g.Inputs[0].Name: x})
	if err != nil {
		t.Fatal(err)
	}
	return out[g.Outputs[0].Name].Float32s()
}

func runEval(t testing.TB, g *graph.Graph, x *tensor.Tensor) []float32 {
	t.Helper()
	out, err := eval.Run(g, map[string]*tensor.Tensor{g.Inputs[0].Name: x})
	if err != nil {
		t.Fatal(err)
	}
	return out[g.Outputs[0].Name].Float32s()
}

// distance is the largest difference and the largest element of a.
func distance(a, b []float32) (diff, top float64) {
	for i := range a {
		diff = max(diff, math.Abs(float64(a[i])-float64(b[i])))
		top = max(top, math.Abs(float64(a[i])))
	}
	return diff, top
}

var nets = map[string]string{
	"residual":  "resnet8?channels=1&size=16&classes=4&width=0.5",
	"depthwise": "mobilenetv2?channels=1&size=32&classes=4&width=0.25",
	"concat":    "squeezenet1.1?channels=1&size=32&classes=4&width=0.25",
	"plain":     "lenet5?size=16&classes=4",
}

// TestIntegersEqualTheirReading runs each quantized network on the engine's
// integer kernels and in the reference interpreter, which reads Q and DQ nodes
// literally, and compares both with the float network.
func TestIntegersEqualTheirReading(t *testing.T) {
	for name, spec := range nets {
		t.Run(name, func(t *testing.T) {
			g := net(t, spec)
			q, r := static(t, g, Defaults())
			x := sample(g, 2, 11)
			want, got, float := runEval(t, q, x), runEngine(t, q, x), runEngine(t, g, x)
			// One unit in the last place of an activation at each of a few
			// layers, after which the classifier's sum averages them.
			diff, top := distance(want, got)
			if diff > 0.02*top {
				t.Errorf("integer kernels and Q/DQ reading differ by %g of %g", diff, top)
			}
			if diff, top = distance(float, got); diff > 0.25*top {
				t.Errorf("8 bits change the outputs by %g of %g", diff, top)
			}
			if len(r.Ranges) == 0 || len(r.Layers) == 0 || r.Images != 16 {
				t.Errorf("report: %d ranges, %d layers, %d images", len(r.Ranges), len(r.Layers), r.Images)
			}
			for _, l := range r.Layers {
				if !(l.SQNR > 25) {
					t.Errorf("%s: weights at %.1f dB, want more than 25", l.Node, l.SQNR)
				}
			}
		})
	}
}

// TestEveryWeightIsOnItsGrid looks at the form of the result: int8 weights by
// channel within ±127, int32 biases at the accumulator's scale, no float
// weights left, nothing between a convolution and its activation.
func TestEveryWeightIsOnItsGrid(t *testing.T) {
	g := net(t, nets["residual"])
	before := runEngine(t, g, sample(g, 1, 2))
	q, _ := static(t, g, Defaults())
	if diff, _ := distance(before, runEngine(t, g, sample(g, 1, 2))); diff != 0 {
		t.Error("Static changed the model it was given")
	}
	convs := 0
	for _, n := range q.Nodes {
		if n.Is("BatchNormalization") {
			t.Errorf("%v is not folded", n)
		}
		if n.Is("Relu") && n.Inputs[0].Producer().Is("DequantizeLinear") {
			t.Errorf("there is a Q between %v and its convolution", n)
		}
		if !n.Is("Conv", "Gemm") {
			continue
		}
		convs++
		w, b, x := n.Inputs[1].Producer(), n.Inputs[2].Producer(), n.Inputs[0].Producer()
		if !w.Is("DequantizeLinear") || !b.Is("DequantizeLinear") || !x.Is("DequantizeLinear") {
			t.Fatalf("%v reads a float value", n)
		}
		if w.Inputs[0].Type != tensor.Int8 || b.Inputs[0].Type != tensor.Int32 || x.Inputs[0].Type != tensor.Uint8 {
			t.Errorf("%v: types %v, %v, %v", n, w.Inputs[0].Type, b.Inputs[0].Type, x.Inputs[0].Type)
		}
		if slices.Min(tensor.Data[int8](w.Inputs[0].Data)) == -128 {
			t.Errorf("%v: a weight of −128 has no opposite", n)
		}
		sw, sb, sx := w.Inputs[1].Data.Float32s(), b.Inputs[1].Data.Float32s(), x.Inputs[1].Data.Float32s()
		if len(sw) != w.Inputs[0].Data.Shape[0] || len(sb) != len(sw) {
			t.Fatalf("%v: %d scales for %v", n, len(sw), w.Inputs[0].Data.Shape)
		}
		for c := range sw {
			if sb[c] != sw[c]*sx[0] {
				t.Errorf("%v: the bias of channel %d has scale %g, want %g", n, c, sb[c], sw[c]*sx[0])
			}
		}
	}
	if convs != 8 {
		t.Errorf("%d layers in integers, want 8", convs)
	}
	for _, v := range q.Constants() {
		if v.Type == tensor.Float32 && v.Data.Len() > 64 {
			t.Errorf("float weights %q are still there", v.Name)
		}
	}
	if !slices.Equal(names(q.Inputs), names(g.Inputs)) || !slices.Equal(names(q.Outputs), names(g.Outputs)) {
		t.Errorf("the model's own names changed: %v to %v", names(q.Inputs), names(q.Outputs))
	}
}

func names(vs []*graph.Value) []string {
	var s []string
	for _, v := range vs {
		s = append(s, v.Name)
	}
	return s
}

// TestConcatShares holds all parts of a Concat, and MaxPool's two sides, to one
// grid.
func TestConcatShares(t *testing.T) {
	q, _ := static(t, net(t, nets["concat"]), Defaults())
	scale := func(v *graph.Value) string {
		for _, n := range append([]*graph.Node{v.Producer()}, uses(v)...) {
			if n.Is("QuantizeLinear", "DequantizeLinear") {
				return n.Inputs[1].Name + " " + n.Inputs[1].Data.String()
			}
		}
		return "none"
	}
	same := 0
	for _, n := range q.Nodes {
		if !n.Is("Concat", "MaxPool") {
			continue
		}
		out := n.Outputs[0].SoleUse().Inputs[1].Data.At(0)
		for _, v := range n.Inputs {
			same++
			if in := v.Producer().Inputs[1].Data.At(0); in != out {
				t.Errorf("%v: scale %g in, %g out (%s)", n, in, out, scale(v))
			}
		}
	}
	if same == 0 {
		t.Error("the network has no Concat and no MaxPool")
	}
}

func uses(v *graph.Value) []*graph.Node {
	var ns []*graph.Node
	for _, u := range v.Uses() {
		ns = append(ns, u.Node)
	}
	return ns
}

// TestBiasCorrection measures the mean error of a layer's output on the
// calibration data with and without.
func TestBiasCorrection(t *testing.T) {
	g := net(t, "lenet5?size=16&classes=4")
	g.Outputs = []*graph.Value{g.Node("conv2").Outputs[0]}
	g.RemoveDead()
	mean := func(correct bool) float64 {
		o := Defaults()
		o.PerChannel, o.BiasCorrection = false, correct
		q, _ := static(t, g, o)
		sum := 0.0
		for b := range noise(g, 2, 8, 3) {
			x := tensor.Of(b.X, b.N, b.C, b.H, b.W)
			p, y := runEngine(t, g, x), runEngine(t, q, x)
			channel := make([]float64, 16)
			for i := range p {
				channel[i/(len(p)/8/16)%16] += float64(y[i] - p[i])
			}
			for _, c := range channel {
				sum += math.Abs(c)
			}
		}
		return sum
	}
	if with, without := mean(true), mean(false); !(with < 0.9*without) {
		t.Errorf("mean error per channel is %g with correction, %g without", with, without)
	}
}

func TestEqualize(t *testing.T) {
	for name, spec := range nets {
		t.Run(name, func(t *testing.T) {
			g := net(t, spec)
			if err := Prepare(g); err != nil {
				t.Fatal(err)
			}
			x := sample(g, 2, 4)
			before := runEngine(t, g, x)
			pairs := Equalize(g)
			if err := g.Verify(); err != nil {
				t.Fatal(err)
			}
			if diff, top := distance(before, runEngine(t, g, x)); diff > 1e-4*max(top, 1) {
				t.Errorf("%d pairs equalized: outputs differ by %g of %g", pairs, diff, top)
			}
			if want := map[string]bool{"residual": true, "plain": false}[name]; want && pairs == 0 {
				t.Error("no pair was found")
			}
		})
	}
}

func TestTargets(t *testing.T) {
	g := net(t, nets["residual"])
	for _, name := range TargetNames() {
		o := Defaults()
		o.Target = name
		q, _ := static(t, g, o)
		target, err := FindTarget(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range q.Nodes {
			if n.Is("QuantizeLinear") {
				zero := n.Inputs[2].Data
				if zero.DType != target.Activations || target.SymmetricActivations && zero.At(0) != 0 {
					t.Errorf("%s: %v has zero point %v", name, n, zero)
				}
			}
			if n.Is("Conv") {
				if float := n.Inputs[2].Data != nil; float != target.FloatBias {
					t.Errorf("%s: %v has a float bias: %v", name, n, float)
				}
			}
		}
		x := sample(g, 2, 11)
		if diff, top := distance(runEval(t, q, x), runEngine(t, q, x)); diff > 0.02*top {
			t.Errorf("%s: engine and interpreter differ by %g of %g", name, diff, top)
		}
	}
}

func TestStaticErrors(t *testing.T) {
	g := net(t, nets["plain"])
	q, _ := static(t, g, Defaults())
	sick := func(yield func(*data.Batch, error) bool) {
		for b, err := range noise(g, 1, 1, 1) {
			b.X[3] = float32(math.NaN())
			yield(b, err)
		}
	}
	broken := errors.New("a broken picture")
	failing := func(yield func(*data.Batch, error) bool) { yield(nil, broken) }
	for _, c := range []struct {
		name    string
		g       *graph.Graph
		batches Batches
		change  func(*Options)
		want    string
	}{
		{"quantized already", q, noise(g, 1, 1, 1), nil, "quantized already"},
		{"no images", g, noise(g, 0, 1, 1), nil, "no calibration images"},
		{"NaN", g, sick, nil, "NaN or infinity"},
		{"data", g, failing, nil, "a broken picture"},
		{"target", g, noise(g, 1, 1, 1), func(o *Options) { o.Target = "abacus" }, `no target "abacus"`},
		{"calibrator", g, noise(g, 1, 1, 1), func(o *Options) { o.Calibrator = "guess" }, "guess"},
		{"calibrator's option", g, noise(g, 1, 1, 1), func(o *Options) { o.Calibrator = "percentile:p=12" }, "p=12"},
		{"unknown node", g, noise(g, 1, 1, 1), func(o *Options) { o.Float = []string{"conv9"} }, `"conv9"`},
		{"bad pattern", g, noise(g, 1, 1, 1), func(o *Options) { o.Float = []string{"[a"} }, `"[a"`},
		{"all float", g, noise(g, 1, 1, 1), func(o *Options) { o.Float = []string{"*"} }, "nothing in this model"},
	} {
		o := Defaults()
		if c.change != nil {
			c.change(&o)
		}
		if _, _, err := Static(context.Background(), c.g, c.batches, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Static(ctx, g, noise(g, 1, 1, 1), Defaults()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestFloatIslands keeps a layer float by request and says so.
func TestFloatIslands(t *testing.T) {
	g := net(t, nets["plain"])
	o := Defaults()
	o.Float = []string{"conv1", "fc?"}
	q, r := static(t, g, o)
	for _, n := range q.Nodes {
		float := n.In(1) != nil && n.Inputs[1].Data != nil && n.Inputs[1].Type == tensor.Float32
		if want := n.Name == "conv1" || strings.HasPrefix(n.Name, "fc"); n.Is("Conv", "Gemm") && float != want {
			t.Errorf("%v has float weights: %v", n, float)
		}
	}
	named := 0
	for _, f := range r.Float {
		if f.Reason == "kept float by request" {
			named++
		}
	}
	if named != 4 {
		t.Errorf("the report names %d of 4 layers: %v", named, r.Float)
	}
}

// TestOddBiases leaves a Gemm alone whose bias is not one number a channel.
func TestOddBiases(t *testing.T) {
	for _, shape := range [][]int{{1}, {2, 1}, {}} {
		g := graph.New("odd")
		x := g.AddInput("x", tensor.Float32, graph.Dims(2, 1, 1, 2))
		c := g.Add("Conv", "conv", nil, x, g.AddConst("cw", tensor.Of([]float32{1}, 1, 1, 1, 1)))
		f := g.Add("Flatten", "flat", nil, c)
		b := tensor.New(tensor.Float32, shape...)
		y := g.Add("Gemm", "gemm", nil, f, g.AddConst("w", tensor.Of([]float32{1, 2, 3, 4}, 2, 2)), g.AddConst("b", b))
		g.AddOutput(y)
		if err := g.InferShapes(); err != nil {
			t.Fatal(err)
		}
		q, r, err := Static(context.Background(), g, noise(g, 1, 2, 1), Defaults())
		if err != nil {
			t.Errorf("bias %v: %v", shape, err)
			continue
		}
		if q.Node("gemm").Inputs[1].Data == nil || !slices.ContainsFunc(r.Float, func(f Island) bool { return f.Node == "gemm" }) {
			t.Errorf("bias %v: gemm was quantized", shape)
		}
	}
}

// TestReduceRange checks that seven-bit weights use their range and that the
// model still computes nearly the same.
func TestReduceRange(t *testing.T) {
	g := net(t, nets["residual"])
	o := Defaults()
	o.ReduceRange = true
	q, report := static(t, g, o)
	layers := 0
	for _, n := range q.Nodes {
		if !n.Is("Conv", "Gemm") {
			continue
		}
		layers++
		w := tensor.Data[int8](n.Inputs[1].Producer().Inputs[0].Data)
		if lo, hi := slices.Min(w), slices.Max(w); lo < -63 || hi > 63 || max(-lo, hi) != 63 {
			t.Errorf("%v: weights from %d to %d, want 63 at most and at least once", n, lo, hi)
		}
	}
	if layers != 8 {
		t.Errorf("%d layers, want 8", layers)
	}
	for _, l := range report.Layers {
		if !(l.SQNR > 25) {
			t.Errorf("%s: weights at %.1f dB, want more than 25", l.Node, l.SQNR)
		}
	}
}
