package hardware_test

import (
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

func extract(t testing.TB, spec string, o hardware.Options) (*graph.Graph, *hardware.Workload) {
	t.Helper()
	g, err := zoo.Build(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	w, err := hardware.FromGraph(g, o)
	if err != nil {
		t.Fatal(err)
	}
	return g, w
}

// TestTotals checks the reference totals of the networks of the literature.
func TestTotals(t *testing.T) {
	for _, c := range []struct {
		spec                string
		macs, conv, weights int64
	}{
		{"alexnet-2012", 724_406_816, 665_784_864, 60_954_656},
		{"vgg16", 15_470_264_320, 15_346_630_656, 138_344_128},
		{"resnet50", 4_089_184_256, 4_087_136_256, 25_502_912},
		{"resnet50?variant=1", 3_857_973_248, 3_855_925_248, 25_502_912},
		{"mobilenetv2", 300_774_272, 299_494_272, 3_469_760},
	} {
		if testing.Short() && c.spec == "vgg16" {
			continue
		}
		g, w := extract(t, c.spec, hardware.Options{})
		if w.MACs() != c.macs || w.Convolutions().MACs() != c.conv {
			t.Errorf("%s: %d MACs, %d of convolutions, want %d and %d", c.spec, w.MACs(), w.Convolutions().MACs(), c.macs, c.conv)
		}
		if n := w.Words(hardware.Weights); n != c.weights {
			t.Errorf("%s: %d weights, want %d", c.spec, n, c.weights)
		}
		if cost := g.Cost(); cost.MACs != w.MACs() {
			t.Errorf("%s: the graph counts %d MACs, the workload %d", c.spec, cost.MACs, w.MACs())
		}
	}
}

// TestReferenceNetworks checks the layer tables against the zoo's graphs.
func TestReferenceNetworks(t *testing.T) {
	_, got := extract(t, "alexnet-2012", hardware.Options{Batch: 4})
	want := hardware.AlexNet(4)
	got = got.Only((*hardware.Layer).HasMACs)
	macs := []int64{105_415_200, 223_948_800, 149_520_384, 112_140_288, 74_760_192, 37_748_736, 16_777_216, 4_096_000}
	if len(got.Layers) != len(want.Layers) {
		t.Fatalf("%d layers, want %d", len(got.Layers), len(want.Layers))
	}
	for i, l := range want.Layers {
		if got.Layers[i].Size != l.Size || got.Layers[i].Pad != l.Pad || got.Layers[i].Stride != l.Stride {
			t.Errorf("%s: %s, the graph has %s", l.Name, l.Shape(), got.Layers[i].Shape())
		}
		if l.MACs() != 4*macs[i] {
			t.Errorf("%s: %d MACs, want 4·%d", l.Name, l.MACs(), macs[i])
		}
	}
	if v := hardware.VGG16(1); v.MACs() != 15_470_264_320 || v.Words(hardware.Weights) != 138_344_128 {
		t.Errorf("VGG-16: %d MACs, %d weights", v.MACs(), v.Words(hardware.Weights))
	}
}

func TestFusing(t *testing.T) {
	_, fused := extract(t, "resnet18", hardware.Options{})
	_, apart := extract(t, "resnet18", hardware.Options{Unfused: true})
	if len(fused.Layers) >= len(apart.Layers) || fused.MACs() != apart.MACs() {
		t.Errorf("fused: %d layers, %d MACs; apart: %d layers, %d MACs", len(fused.Layers), fused.MACs(), len(apart.Layers), apart.MACs())
	}
	nodes := 0
	for _, l := range fused.Layers {
		nodes += len(l.Nodes)
	}
	if nodes != len(apart.Layers) {
		t.Errorf("the fused layers stand for %d nodes, there are %d", nodes, len(apart.Layers))
	}
	for _, l := range fused.Layers {
		if l.Op == "Add" || l.Op == "BatchNormalization" {
			t.Errorf("%s (%s) was not fused", l.Name, l.Op)
		}
	}
}

// TestOperators works the special cases of the nest out by hand.
func TestOperators(t *testing.T) {
	f := func(shape ...int) *tensor.Tensor { return tensor.New(tensor.Float32, shape...) }
	for _, c := range []struct {
		name  string
		build func(g *graph.Graph) *graph.Value
		size  [hardware.NumDims]int
		macs  int64
		in    int64 // words
	}{
		{"depthwise", func(g *graph.Graph) *graph.Value {
			x := g.AddInput("x", tensor.Float32, graph.Dims(2, 8, 10, 10))
			return g.Add("Conv", "c", graph.Attrs{"group": int64(8), "pads": []int64{1, 1, 1, 1}}, x, g.AddConst("w", f(8, 1, 3, 3)))
		}, [8]int{8, 2, 1, 1, 10, 10, 3, 3}, 2 * 8 * 100 * 9, 1600},
		{"dilated and strided", func(g *graph.Graph) *graph.Value {
			x := g.AddInput("x", tensor.Float32, graph.Dims(1, 4, 11, 9))
			return g.Add("Conv", "c", graph.Attrs{"strides": []int64{2, 1}, "dilations": []int64{2, 3}}, x, g.AddConst("w", f(6, 4, 3, 2)))
		}, [8]int{1, 1, 6, 4, 4, 6, 3, 2}, 6 * 4 * 4 * 6 * 3 * 2, 4 * 99},
		{"one dimension", func(g *graph.Graph) *graph.Value {
			x := g.AddInput("x", tensor.Float32, graph.Dims(1, 4, 11))
			return g.Add("Conv", "c", nil, x, g.AddConst("w", f(6, 4, 3)))
		}, [8]int{1, 1, 6, 4, 9, 1, 3, 1}, 6 * 4 * 9 * 3, 44},
		{"transposed", func(g *graph.Graph) *graph.Value {
			x := g.AddInput("x", tensor.Float32, graph.Dims(1, 4, 5, 5))
			return g.Add("ConvTranspose", "c", graph.Attrs{"strides": []int64{2, 2}}, x, g.AddConst("w", f(4, 6, 3, 3)))
		}, [8]int{1, 1, 4, 6, 5, 5, 3, 3}, 4 * 6 * 25 * 9, 6 * 11 * 11},
		{"fully connected", func(g *graph.Graph) *graph.Value {
			x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(20)})
			return g.Add("Gemm", "c", graph.Attrs{"transB": int64(1)}, x, g.AddConst("w", f(30, 20)))
		}, [8]int{1, 3, 30, 20, 1, 1, 1, 1}, 3 * 600, 60},
		{"product with weights", func(g *graph.Graph) *graph.Value {
			x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(7), graph.D(20)})
			return g.Add("MatMul", "c", nil, x, g.AddConst("w", f(20, 30)))
		}, [8]int{1, 3, 30, 20, 7, 1, 1, 1}, 3 * 7 * 600, 420},
		{"product of activations", func(g *graph.Graph) *graph.Value {
			x := g.AddInput("x", tensor.Float32, graph.Dims(2, 5, 7, 20))
			return g.Add("MatMul", "c", nil, x, g.AddInput("y", tensor.Float32, graph.Dims(2, 5, 20, 6)))
		}, [8]int{10, 1, 6, 20, 7, 1, 1, 1}, 10 * 7 * 120, 1400},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := graph.New(c.name)
			g.AddOutput(c.build(g))
			w, err := hardware.FromGraph(g, hardware.Options{Batch: 3})
			if err != nil {
				t.Fatal(err)
			}
			l := w.Layers[0]
			if l.Size != c.size || l.MACs() != c.macs || l.Words(hardware.Inputs) != c.in {
				t.Errorf("%s, %d MACs, %d inputs; want %v, %d, %d", l.Shape(), l.MACs(), l.Words(hardware.Inputs), c.size, c.macs, c.in)
			}
			if cost := g.Cost().MACs; w.Layers[0].Size[hardware.N] != 3 && cost != c.macs {
				t.Errorf("the graph counts %d MACs", cost)
			}
		})
	}
}

func TestMACsInside(t *testing.T) {
	// A 3×3 filter on 4×4 with padding 1 has 10 of 12 taps inside per axis.
	if l := hardware.Conv("c", 1, 1, 2, 3, 4, 3, 1, 1); l.MACsInside() != 2*3*100 || l.MACs() != 2*3*144 {
		t.Errorf("%d of %d", l.MACsInside(), l.MACs())
	}
	if l := hardware.Conv("c", 1, 1, 2, 3, 9, 3, 2, 0); l.MACsInside() != l.MACs() {
		t.Errorf("%d of %d without padding", l.MACsInside(), l.MACs())
	}
}

func TestRealModel(t *testing.T) {
	g, err := onnx.Read(testdata.Path(t, "models", "cifar10/resnet8_int8.onnx"), onnx.Options{KeepTypes: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	w, err := hardware.FromGraph(g, hardware.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if w.MACs() != g.Cost().MACs {
		t.Errorf("%d MACs, the graph counts %d", w.MACs(), g.Cost().MACs)
	}
	for _, l := range w.Layers {
		if l.HasMACs() && (l.Bits.W != 8 || l.Bits.A != 8 || l.Density.W <= 0.5) {
			t.Errorf("%s: bits %+v, density %+v", l.Name, l.Bits, l.Density)
		}
	}
}

func TestBadWorkloads(t *testing.T) {
	if _, err := hardware.FromGraph(graph.New("empty"), hardware.Options{}); err == nil {
		t.Error("an empty graph is accepted")
	}
	g := graph.New("unknown")
	x := g.AddInput("x", tensor.Float32, graph.Shape{graph.Sym("N"), graph.D(3), graph.Sym("H"), graph.Sym("W")})
	g.AddOutput(g.Add("Conv", "c", nil, x, g.AddConst("w", tensor.New(tensor.Float32, 4, 3, 3, 3))))
	if _, err := hardware.FromGraph(g, hardware.Options{}); err == nil {
		t.Error("an unknown image size is accepted")
	}
	huge := hardware.Conv("huge", 1<<20, 1, 1<<20, 1<<20, 1<<10, 3, 1, 1)
	if huge.Check() == nil {
		t.Error("2^80 MACs are accepted")
	}
}
