package prune

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

// images are n noisy pictures, a bright quarter being the class.
func images(t testing.TB, n, channels, size, classes, batch int) *Data {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	x, y := make([]float32, n*channels*size*size), make([]int32, n)
	for i := range n {
		y[i] = int32(i % classes)
		for p := range channels * size * size {
			v := float32(rng.NormFloat64()) * 0.5
			if r, c := p/size%size, p%size; (r*2/size*2 + c*2/size) == i%classes {
				v++
			}
			x[i*channels*size*size+p] = v
		}
	}
	ds, err := data.FromFloats(x, channels, size, size, y, []string{"a", "b", "c", "d"}[:classes])
	if err != nil {
		t.Fatal(err)
	}
	l, err := data.NewLoader(ds, data.LoaderOptions{Batch: batch, DropLast: true})
	if err != nil {
		t.Fatal(err)
	}
	return &Data{Loader: l, Images: n, Threads: 1}
}

// near reports lists that agree to 5 digits.
func near(got, want []float64) bool {
	return slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) <= 1e-5*max(1, math.Abs(b)) })
}

// pointConvs is x [1, c, 1, 1] through 1×1 convolutions with the given weights
// ([O, C] each) and ReLU between them.
func pointConvs(c int, ws ...[][]float32) *graph.Graph {
	g := graph.New("points")
	x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(c), graph.D(1), graph.D(1)})
	for i, w := range ws {
		var flat []float32
		for _, row := range w {
			flat = append(flat, row...)
		}
		name := string(rune('a' + i))
		x = g.Add("Conv", name, nil, x, g.AddConst("w"+name, tensor.Of(flat, len(w), len(w[0]), 1, 1)))
		if i < len(ws)-1 {
			x = g.Add("Relu", name+"/relu", nil, x)
		}
	}
	g.AddOutput(x)
	if err := g.InferShapes(); err != nil {
		panic(err)
	}
	return g
}

// scores rates the first group of a network.
func scores(t *testing.T, g *graph.Graph, score string, d *Data) []float64 {
	t.Helper()
	j := &job{source: g, base: g, options: Options{Score: score}, data: d}
	if err := j.rate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return j.cs[0].Score
}

// TestWeightScores rates hand-made filters. FPGM removes (.5,.6), the one that
// the others can represent; norms remove (0,0).
func TestWeightScores(t *testing.T) {
	filters := [][]float32{{0, 0}, {1, 0}, {0, 1}, {1, 1}, {.5, .6}, {3, 3}}
	next := [][]float32{{1, 2, 3, 4, 5, 6}, {0, 0, 0, 0, 0, 1}}
	g := pointConvs(2, filters, next)
	unit := func(v []float64) []float64 { // in units of the mean
		m := scales["mean"](v)
		out := make([]float64, len(v))
		for i := range v {
			out[i] = v[i] / m
		}
		return out
	}
	shifted := slices.Clone(filters)
	for i, f := range shifted {
		shifted[i] = []float32{f[0] + 7, f[1] - 2}
	}
	geometric := unit([]float64{8.4379, 7.8008, 7.6601, 6.8830, 6.3082, 17.7477})
	for _, c := range []struct {
		name string
		g    *graph.Graph
		want []float64
	}{
		{"l1", g, unit([]float64{0, 1, 1, 2, 1.1, 6})},
		{"l2", g, unit([]float64{0, 1, 1, math.Sqrt2, math.Sqrt(.61), math.Sqrt(18)})},
		{"fpgm", g, geometric},
		{"fpgm", pointConvs(2, shifted, next), geometric},
		{"fpgm:distance=l1", g, unit([]float64{11.1, 10.1, 9.9, 8.9, 8.9, 24.9})},
		{"depgraph", g, unit([]float64{1, 5, 10, 18, 25.61, 55})},
		{"depgraph:p=1", g, unit([]float64{1, 3, 4, 6, 6.1, 13})},
	} {
		got := scores(t, c.g, c.name, nil)
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-4 }) {
			t.Errorf("%s: %.5v, want %.5v", c.name, got, c.want)
		}
	}
	if a, b := scores(t, g, "random", nil), scores(t, g, "random", nil); !slices.Equal(a, b) {
		t.Errorf("the same seed drew %v and %v", a, b)
	}
	if a, b := scores(t, g, "random", nil), scores(t, g, "random:seed=2", nil); slices.Equal(a, b) {
		t.Errorf("two seeds drew the same scores %v", a)
	}
}

func TestBNScale(t *testing.T) {
	g := build(t, small)
	gamma := g.Node("bn1").Inputs[1]
	d := gamma.Data.Clone()
	x := tensor.Data[float32](d)
	for i := range x {
		x[i] = float32(i+1) / 4
	}
	x[2] = -9
	gamma.SetData(d)
	p, _, err := To(g, "bn", map[string]int{"conv1": len(x) / 2})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Node("bn1").Inputs[1].Data.Float32s(); !slices.Contains(got, -9) || slices.Contains(got, 0.25) {
		t.Errorf("scales left: %v; want the largest by magnitude", got)
	}
	if _, _, err := Channels(pointConvs(1, [][]float32{{1}, {2}}, [][]float32{{1, 1}}), Options{Score: "bn", Ratio: 0.5}); !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "batch normalization") {
		t.Errorf("without batch normalization: %v", err)
	}
}

// TestClusterExact merges duplicated channels: the network computes the same.
func TestClusterExact(t *testing.T) {
	g := build(t, small)
	randomNorm(g)
	conv, bn := g.Node("layer2.0.conv1"), g.Node("layer2.0.bn1")
	const twins = 6
	copyRows := func(v *graph.Value) {
		d := v.Data.Clone()
		x := tensor.Data[float32](d)
		per := len(x) / d.Shape[0]
		for i := range twins {
			copy(x[(10+i)*per:][:per], x[i*per:][:per])
		}
		v.SetData(d)
	}
	copyRows(conv.Inputs[1])
	for _, v := range bn.Inputs[1:] {
		copyRows(v)
	}
	before := run(t, g)
	name := "layer2.0.conv1"
	p, _, err := To(g, "cluster", map[string]int{name: conv.Inputs[1].Data.Shape[0] - twins})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range run(t, p) {
		if math.Abs(float64(v-before[i])) > 1e-4*max(1, math.Abs(float64(before[i]))) {
			t.Fatalf("output %d became %g, was %g: twins were not merged exactly", i, v, before[i])
		}
	}
	// Plain removal of the same number is not exact.
	q, _, err := To(g, "l1", map[string]int{name: conv.Inputs[1].Data.Shape[0] - twins})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(run(t, q), before) {
		t.Error("removal by l1 changed nothing: the test proves nothing")
	}
}

func TestAPoZ(t *testing.T) {
	// Two images, one channel that copies the picture: {0,1,0,2}, {0,0,3,4}.
	g := graph.New("apoz")
	x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(1), graph.D(2), graph.D(2)})
	y := g.Add("Relu", "r", nil, g.Add("Conv", "a", nil, x, g.AddConst("wa", tensor.Of([]float32{1, -1, 2}, 3, 1, 1, 1))))
	g.AddOutput(g.Add("Conv", "b", nil, y, g.AddConst("wb", tensor.New(tensor.Float32, 1, 3, 1, 1))))
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	ds, err := data.FromFloats([]float32{0, 1, 0, 2, 0, 0, 3, 4}, 1, 2, 2, []int32{0, 1}, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := data.NewLoader(ds, data.LoaderOptions{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := scores(t, g, "apoz", &Data{Loader: l, Threads: 1}); !near(got, []float64{0.5, 0, 0.5}) {
		t.Errorf("1 − APoZ = %v, want 0.5, 0, 0.5", got)
	}
}

func TestRank(t *testing.T) {
	eye, board, sum := make([]float32, 16), make([]float32, 16), make([]float32, 16)
	ones := slices.Repeat([]float32{1}, 16)
	for i := range 16 {
		r, c := i/4, i%4
		if r == c {
			eye[i] = 1
		}
		board[i] = float32(1 - 2*((r+c)%2))
		sum[i] = float32((r+1)*(c-2)) + float32((2*r-1)*(c*c))
	}
	for name, c := range map[string]struct {
		x    []float32
		want int
	}{"ones": {ones, 1}, "identity": {eye, 4}, "checkerboard": {board, 1}, "two outer products": {sum, 2}, "zero": {make([]float32, 16), 0}} {
		if got := rank(c.x, 4, 4); got != c.want {
			t.Errorf("%s: rank %d, want %d", name, got, c.want)
		}
	}
}

// TestThiNetByHand is the 4×3 example: column 1 goes first, and least squares
// halves nearly the error.
func TestThiNetByHand(t *testing.T) {
	x := mat.NewDense(4, 3, []float64{1, 0, 2, 0, 1, -2, 1, 1, .5, 2, -1, 1})
	var g mat.Dense
	g.Mul(x.T(), x)
	gram := mat.NewSymDense(3, nil)
	for i := range 3 {
		for j := i; j < 3; j++ {
			gram.SetSym(i, j, g.At(i, j))
		}
	}
	if s := greedyRemoval(gram); !(s[1] < s[0] && s[1] < s[2]) {
		t.Errorf("scores %v; column 1 should go first", s)
	}
	w := leastSquares(gram, []int{0, 2})
	if !near(w, []float64{149.0 / 141, 33.0 / 47}) {
		t.Errorf("least squares gives %v, want 149/141 and 33/47", w)
	}
	y := []float64{3, -1, 2.5, 2}
	plain, fitted := 0.0, 0.0
	for i := range 4 {
		a, b := x.At(i, 0), x.At(i, 2)
		plain += (y[i] - a - b) * (y[i] - a - b)
		fitted += (y[i] - w[0]*a - w[1]*b) * (y[i] - w[0]*a - w[1]*b)
	}
	if !near([]float64{plain, fitted}, []float64{3, 2.312057}) {
		t.Errorf("errors %v and %v, want 3 and 2.312057", plain, fitted)
	}
}

// TestThiNetRedundant removes a channel that is the double of another: least
// squares gives its share to that one, and nothing is lost.
func TestThiNetRedundant(t *testing.T) {
	for _, next := range []string{"Conv", "Gemm"} {
		g := graph.New("redundant")
		x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(1), graph.D(8), graph.D(8)})
		rng := rand.New(rand.NewPCG(4, 4))
		draw := func(shape ...int) *tensor.Tensor {
			w := tensor.New(tensor.Float32, shape...)
			for i, d := 0, tensor.Data[float32](w); i < len(d); i++ {
				d[i] = float32(rng.NormFloat64())
			}
			return w
		}
		wa := draw(4, 1, 3, 3)
		d := tensor.Data[float32](wa)
		for i := range 9 {
			d[3*9+i] = 2 * d[9+i]
		}
		y := g.Add("Relu", "r", nil, g.Add("Conv", "a", graph.Attrs{"pads": []int64{1, 1, 1, 1}}, x, g.AddConst("wa", wa)))
		if next == "Conv" {
			wb := draw(3, 4, 3, 3)
			b := tensor.Data[float32](wb)
			for f := range 3 { // reads 3 in the proportions in which it reads 1
				for i := range 9 {
					b[(f*4+3)*9+i] = b[(f*4+1)*9+i] / 4
				}
			}
			g.AddOutput(g.Add("Conv", "b", graph.Attrs{"pads": []int64{1, 1, 1, 1}, "strides": []int64{2, 2}}, y, g.AddConst("wb", wb)))
		} else {
			wb := draw(4*64, 3)
			b := tensor.Data[float32](wb)
			for i := range 64 * 3 {
				b[3*64*3+i] = b[64*3+i] / 4
			}
			g.AddOutput(g.Add("Gemm", "b", nil, g.Add("Flatten", "f", nil, y), g.AddConst("wb", wb)))
		}
		if err := g.InferShapes(); err != nil {
			t.Fatal(err)
		}
		p, _, err := Apply(context.Background(), g, Options{Score: "thinet", Keep: map[string]int{"a": 3}}, images(t, 32, 1, 8, 4, 8))
		if err != nil {
			t.Fatal(err)
		}
		before := run(t, g)
		for i, v := range run(t, p) {
			if math.Abs(float64(v-before[i])) > 2e-3*max(1, math.Abs(float64(before[i]))) {
				t.Fatalf("%s: output %d became %g, was %g", next, i, v, before[i])
			}
		}
	}
}

// TestNISPByHand is the example W₂ = [[1,−2,0],[.5,1,−1]], W₁ = [[1,0],[−1,2],[3,1]].
func TestNISPByHand(t *testing.T) {
	g := pointConvs(2, [][]float32{{1, 0}, {0, 1}}, [][]float32{{1, 0}, {-1, 2}, {3, 1}}, [][]float32{{1, -2, 0}, {.5, 1, -1}}, [][]float32{{1, 1}})
	d := images(t, 8, 2, 1, 1, 4)
	got, err := propagate(context.Background(), g, g.Node("d").In(0).Name, []float32{.7, .3},
		[]string{g.Node("b").Out(0).Name, g.Node("a").Out(0).Name}, d)
	if err != nil {
		t.Fatal(err)
	}
	for node, want := range map[string][]float64{"b": {.85, 1.7, .3}, "a": {3.45, 3.7}} {
		var v []float64
		for _, x := range got[g.Node(node).Out(0).Name].Float32s() {
			v = append(v, float64(x))
		}
		if !near(v, want) {
			t.Errorf("importance of %s is %v, want %v", node, v, want)
		}
	}
}

// TestNISPSilent gives a channel that nothing reads the score 0, through max
// pooling, batch normalization and residual additions.
func TestNISPSilent(t *testing.T) {
	g := build(t, small)
	gr := firstGroup(t, g, "layer2.0.conv1")
	for _, m := range gr.Consumers() {
		w, err := writable(m)
		if err != nil {
			t.Fatal(err)
		}
		each(m, 3, func(k int) { w[k] = 0 })
	}
	j := &job{source: g, base: g, options: Options{Score: "nisp"}, data: images(t, 8, 1, 16, 4, 4)}
	if err := j.rate(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range j.cs {
		for i, v := range c.Score {
			if silent := c.Name == gr.Name && i == 3; silent != (v == 0) {
				t.Errorf("channel %d of %s scores %g", i, c.Name, v)
			}
		}
	}
}

// TestTaylorOutputs compares the score of loss=outputs, for one output and
// batches of one image, with the squares of what each channel adds to it. A
// network that is sure of every image has no such score of its loss.
func TestTaylorOutputs(t *testing.T) {
	w1, w2 := [][]float32{{1, .5}, {-1, 2}, {.25, .25}}, [][]float32{{3, -1, .5}}
	g := pointConvs(2, w1, w2)
	d := images(t, 8, 2, 1, 1, 1)
	gr := firstGroup(t, g, "a")
	s := &taylor{loss: "outputs", score: map[*graph.Group][]float64{}}
	if err := s.Observe(context.Background(), g, []*graph.Group{gr}, d); err != nil {
		t.Fatal(err)
	}
	want := make([]float64, 3)
	for b, err := range d.Loader.Batches(context.Background(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		for c, w := range w1 {
			h := max(float64(w[0]*b.X[0]+w[1]*b.X[1]), 0) * float64(w2[0][c])
			want[c] += h * h / 8
		}
	}
	if !near(s.score[gr], want) {
		t.Errorf("scores %v, want %v", s.score[gr], want)
	}
	s = &taylor{loss: "labels", score: map[*graph.Group][]float64{}}
	if err := s.Observe(context.Background(), g, []*graph.Group{gr}, d); err != nil {
		t.Fatal(err)
	}
	for _, v := range s.score[gr] {
		if v != 0 {
			t.Errorf("a network with one class has the scores %v", s.score[gr])
		}
	}
	if _, err := method.New[Score](method.Prune, "taylor:loss=none"); err == nil {
		t.Error("an unknown loss is taken")
	}
}

// TestNISPScale makes a filter larger where batch normalization divides by it
// again: the network is the same, and so are its scores.
func TestNISPScale(t *testing.T) {
	score := func(factor float32) []float64 {
		g := build(t, small)
		gr := firstGroup(t, g, "layer2.0.conv1")
		for _, m := range gr.Producers() {
			w, err := writable(m)
			if err != nil {
				t.Fatal(err)
			}
			each(m, 3, func(k int) { w[k] *= factor })
			n := m.Node.Out(0).SoleUse()
			for i, f := range []float32{factor, factor * factor} {
				v := n.In(3 + i)
				v.SetData(v.Data.Clone())
				tensor.Data[float32](v.Data)[3] *= f
			}
		}
		s := &nisp{score: map[*graph.Group][]float64{}}
		if err := s.Observe(context.Background(), g, []*graph.Group{gr}, images(t, 8, 1, 16, 4, 4)); err != nil {
			t.Fatal(err)
		}
		return s.score[gr]
	}
	want := score(1)
	for i, v := range score(8) {
		if math.Abs(v-want[i]) > 1e-3*want[i] {
			t.Errorf("channel %d scores %g, %g before its filter grew", i, v, want[i])
		}
	}
}

func firstGroup(t *testing.T, g *graph.Graph, name string) *graph.Group {
	t.Helper()
	groups, err := g.Groups()
	if err != nil {
		t.Fatal(err)
	}
	for _, gr := range groups {
		if gr.Name == name {
			return gr
		}
	}
	t.Fatalf("no group %q", name)
	return nil
}

// TestTaylorByHand: w = (1,−2,3), g = (.5,.25,−.1) give Σgw = −0.3.
func TestTaylorByHand(t *testing.T) {
	m := graph.Member{Value: &graph.Value{Data: tensor.Of([]float32{1, -2, 3}, 1, 3)}, At: [][]int{{0}}}
	sum := []float64{0}
	firstOrder(m, []float32{1, -2, 3}, []float32{.5, .25, -.1}, sum)
	if !near(sum, []float64{-0.3}) {
		t.Errorf("Σgw = %v, want −0.3 (its square, the score, 0.09)", sum)
	}
}

// TestTaylorExact compares with the change of the loss when a channel with a
// small gate goes: to first order the same.
func TestTaylorSilent(t *testing.T) {
	g := build(t, small)
	gamma := g.Node("layer2.0.bn1").Inputs
	for _, v := range gamma[1:3] {
		d := v.Data.Clone()
		tensor.Data[float32](d)[5] = 0
		v.SetData(d)
	}
	j := &job{source: g, base: g, options: Options{Score: "taylor"}, data: images(t, 32, 1, 16, 4, 8)}
	if err := j.rate(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range j.cs {
		if c.Name != "layer2.0.conv1" {
			continue
		}
		if c.Score[5] != 0 || scales["mean"](c.Score) <= 0 {
			t.Errorf("a channel whose gate is shut scores %g, all: %v", c.Score[5], c.Score)
		}
	}
}

// TestEveryScore prunes with all of them, and runs the results.
func TestEveryScore(t *testing.T) {
	d := images(t, 32, 1, 16, 4, 8)
	g := build(t, small)
	randomNorm(g)
	for _, m := range method.Of(method.Prune) {
		p, r, err := Apply(context.Background(), g, Options{Score: m.Name, MACs: 0.6, RoundTo: 2}, d)
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		if float64(r.MACsAfter) > 0.6*float64(r.MACs) {
			t.Errorf("%s: %d of %d MACs are left", m.Name, r.MACsAfter, r.MACs)
		}
		for _, v := range run(t, p) {
			if math.IsNaN(float64(v)) {
				t.Errorf("%s: the pruned network gives NaN", m.Name)
				break
			}
		}
		_, _, err = Channels(g, Options{Score: m.Name, Ratio: 0.5})
		if m.Needs.Data != errors.Is(err, ErrNoData) {
			t.Errorf("%s without images: %v (needs %v)", m.Name, err, m.Needs)
		}
	}
}

// TestEveryAllocator reaches a MACs target with all of them, and never keeps
// more when the strength rises.
func TestEveryAllocator(t *testing.T) {
	d := images(t, 16, 1, 16, 4, 8)
	g := build(t, small)
	randomNorm(g)
	for _, m := range method.Of(method.Allocate) {
		last := int64(math.MaxInt64)
		for _, share := range []float64{0.8, 0.5} {
			_, r, err := Apply(context.Background(), g, Options{Allocator: m.Name, MACs: share, RoundTo: 1}, d)
			if err != nil {
				t.Errorf("%s: %v", m.Name, err)
				break
			}
			if got := float64(r.MACsAfter) / float64(r.MACs); got > share || got < share-0.15 || r.MACsAfter > last {
				t.Errorf("%s: %.3f of the MACs are left, want %.2f or a little less", m.Name, got, share)
			}
			last = r.MACsAfter
		}
	}
}

func TestAllocationFormulas(t *testing.T) {
	if got := lamp([]float64{.1, .2, .3, .4}); !near(got, []float64{.0333333, .137931, .36, 1}) {
		t.Errorf("LAMP %v", got)
	}
	shapes := [][]int{{16, 3, 3, 3}, {32, 16, 3, 3}, {64, 32, 3, 3}, {10, 64}}
	sizes := []int{432, 4608, 18432, 640}
	if got := erk(shapes, sizes, 0.1); !near(got, []float64{.566298, .114675, .054152, 1}) {
		t.Errorf("ERK %v", got)
	}
	if keep := cheapest([]Candidate{{Score: []float64{1, 1}, Cost: 9}, {Score: []float64{1, 1}, Cost: 1}}, 0.45); !slices.Equal(keep, []int{1, 2}) {
		t.Errorf("at equal scores the dear channels should go first: %v are left", keep)
	}
	if got := crossing([]float64{0, .5, 1}, []float64{0, .2, .6}, .4); math.Abs(got-.75) > 1e-12 {
		t.Errorf("a curve through 0, .2, .6 meets .4 at %g, want .75", got)
	}
}

// TestBudgets meets each kind of budget that can be counted.
func TestBudgets(t *testing.T) {
	g := build(t, small)
	for _, kind := range []string{"macs", "params", "energy"} {
		p, _ := cut(t, g, Options{Budget: kind, Share: 0.6, RoundTo: 1})
		before, err := budgets[kind](context.Background(), g)
		if err != nil {
			t.Fatal(err)
		}
		after, err := budgets[kind](context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		if left := after / before; left > 0.6 || left < 0.35 {
			t.Errorf("%s: %.3f is left, want 0.6 or a little less", kind, left)
		}
	}
	if _, _, err := Channels(g, Options{Budget: "money", Share: 0.5}); err == nil || !strings.Contains(err.Error(), "latency") {
		t.Errorf("an unknown budget: %v", err)
	}
}
