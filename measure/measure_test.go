package measure

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// brightness is a network that tells dark pictures of 2x2 pixels (class 0)
// from bright ones (class 1), by batches of the given size (0: any).
func brightness(t testing.TB, batch int) *graph.Graph {
	t.Helper()
	n := graph.Sym("N")
	if batch > 0 {
		n = graph.D(batch)
	}
	g := graph.New("brightness")
	x := g.AddInput("x", tensor.Float32, graph.Shape{n, graph.D(1), graph.D(2), graph.D(2)})
	f := g.Add("Flatten", "flat", nil, x)
	w := g.AddConst("w", tensor.Of([]float32{-1, 1, -1, 1, -1, 1, -1, 1}, 4, 2))
	g.AddOutput(g.Add("Gemm", "fc", nil, f, w, g.AddConst("b", tensor.Of([]float32{1, -1}, 2))))
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	return g
}

func pictures(t testing.TB, labels ...int32) data.Dataset {
	t.Helper()
	pix := make([]uint8, 4*len(labels))
	for i := range pix {
		if i/4%2 == 1 { // every other picture is bright
			pix[i] = 255
		}
	}
	ds, err := data.FromPixels(pix, 2, 2, 1, labels, strings.Split("abcdefgh", ""))
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func unit(t testing.TB) data.Preprocess {
	t.Helper()
	p, err := data.ParsePreprocess("unit")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestAccuracy counts by hand: dark, bright, dark, … against the labels.
func TestAccuracy(t *testing.T) {
	for _, c := range []struct {
		name   string
		batch  int // of the model; 0 is any
		o      Options
		labels []int32
		n      int
		top1   float64
	}{
		{"all right", 0, Options{}, []int32{0, 1, 0, 1}, 4, 100},
		{"one wrong", 0, Options{Batch: 3}, []int32{0, 1, 0, 0}, 4, 75},
		{"one unlabelled", 0, Options{}, []int32{0, 1, -1, 1, 1}, 4, 75},
		{"a fixed batch that is not full", 4, Options{Threads: 1}, []int32{0, 1, 0, 1, 1}, 5, 80},
	} {
		seen := 0
		c.o.Progress = func(n int) { seen = n }
		acc, rate, err := Accuracy(context.Background(), brightness(t, c.batch), pictures(t, c.labels...), unit(t), c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if acc.N() != c.n || acc.Top1() != c.top1 || !(rate > 0) || seen != len(c.labels) {
			t.Errorf("%s: top-1 %.1f of %d images, want %.1f of %d; %.0f images/s, %d seen", c.name, acc.Top1(), acc.N(), c.top1, c.n, rate, seen)
		}
	}
}

func TestAccuracyErrors(t *testing.T) {
	broken := brightness(t, 0)
	w := tensor.New(tensor.Float32, 4, 2)
	for i, d := 0, tensor.Data[float32](w); i < len(d); i++ {
		d[i] = float32(math.Inf(1))
	}
	broken.Value("w").SetData(w)
	two := brightness(t, 0)
	two.AddInput("y", tensor.Float32, graph.Dims(1))
	for _, c := range []struct {
		name   string
		g      *graph.Graph
		o      Options
		labels []int32
		want   string
	}{
		{"label", brightness(t, 0), Options{}, []int32{0, 7}, "label 7"},
		{"infinite", broken, Options{}, []int32{0, 1}, "NaN or infinite"},
		{"two inputs", two, Options{}, []int32{0, 1}, "2 inputs"},
		{"another batch", brightness(t, 4), Options{Batch: 8}, []int32{0, 1}, "fixed batch 4"},
	} {
		if _, _, err := Accuracy(context.Background(), c.g, pictures(t, c.labels...), unit(t), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Accuracy(ctx, brightness(t, 0), pictures(t, 0, 1), unit(t), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestMetrics(t *testing.T) {
	g, err := zoo.Build("lenet5", 1)
	if err != nil {
		t.Fatal(err)
	}
	var m, a Metrics
	if err := m.Cost(g); err != nil {
		t.Fatal(err)
	}
	b, err := onnx.Encode(g)
	if err != nil {
		t.Fatal(err)
	}
	if m.Params != 61_706 || m.MACs != 416_520 || m.WeightBytes != 4*61_706 || m.FileBytes != int64(len(b)) {
		t.Errorf("LeNet-5: %+v, a file of %d bytes", m, len(b))
	}
	if err := Latencies(context.Background(), 1, brightness(t, 0), brightness(t, 2), &m, &a); err != nil {
		t.Fatal(err)
	}
	for _, ms := range []float64{m.MedianMs, m.MedianMs1, a.MedianMs, a.MedianMs1} {
		if !(ms > 0) {
			t.Errorf("latencies %+v and %+v", m, a)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Latencies(ctx, 1, g, g, &m, &a); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
