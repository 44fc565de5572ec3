package ort

import (
	"bytes"
	"encoding/binary"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
)

func load(t testing.TB) *Runtime {
	t.Helper()
	r, err := Open(testdata.ORT(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// addModel computes z = x + y for inputs of type d and any length.
func addModel(t testing.TB, op string, d tensor.DType) []byte {
	t.Helper()
	g := graph.New("add")
	n := graph.Shape{graph.Sym("N")}
	x, y := g.AddInput("x", d, n), g.AddInput("y", d, n)
	z := g.Append(g.NewNode("", op, "add", []*graph.Value{x, y}, []string{"z"}, nil)).Outputs[0]
	z.Type, z.Shape = d, n
	g.AddOutput(z)
	model, err := onnx.Encode(g)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// identity passes a tensor of type d on.
func identity(t testing.TB, d tensor.DType) []byte {
	t.Helper()
	g := graph.New("identity")
	x := g.AddInput("x", d, graph.Shape{graph.Sym("N"), graph.D(2)})
	y := g.Append(g.NewNode("", "Identity", "id", []*graph.Value{x}, []string{"y"}, nil)).Outputs[0]
	y.Type, y.Shape = d, x.Shape
	g.AddOutput(y)
	model, err := onnx.Encode(g)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

func TestSession(t *testing.T) {
	r := load(t)
	if !strings.Contains(r.Version(), ".") {
		t.Errorf("version %q", r.Version())
	}
	s, err := r.LoadBytes(addModel(t, "Add", tensor.Float32), Options{Threads: 1, Optimize: Basic,
		Config: map[string]string{"session.intra_op.allow_spinning": "0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in := s.Inputs()
	if len(in) != 2 || in[0].Name != "x" || in[0].DType != tensor.Float32 || in[0].Shape[0] != -1 || in[0].Symbols[0] != "N" {
		t.Errorf("inputs %+v", in)
	}
	if out := s.Outputs(); len(out) != 1 || out[0].Name != "z" {
		t.Errorf("outputs %+v", out)
	}
	out, err := s.Run(map[string]*tensor.Tensor{"x": tensor.Of([]float32{1, 2}, 2), "y": tensor.Of([]float32{10, 20}, 2)})
	if err != nil {
		t.Fatal(err)
	}
	if want := tensor.Of([]float32{11, 22}, 2); !out["z"].Equal(want) {
		t.Errorf("got %v, want %v", out["z"].Any(), want.Any())
	}
}

func TestElementTypes(t *testing.T) {
	r := load(t)
	for _, x := range []*tensor.Tensor{
		tensor.Of([]float32{1.5, -2}, 1, 2), tensor.Of([]float64{1.5, -2}, 1, 2),
		tensor.Of([]int8{1, -2}, 1, 2), tensor.Of([]uint8{1, 255}, 1, 2),
		tensor.Of([]int16{1, -2}, 1, 2), tensor.Of([]uint16{1, 65535}, 1, 2),
		tensor.Of([]int32{1, -2}, 1, 2), tensor.Of([]uint32{1, 1 << 31}, 1, 2),
		tensor.Of([]int64{1, -1 << 40}, 1, 2), tensor.Of([]uint64{1, 1 << 63}, 1, 2),
		tensor.Of([]bool{true, false, false, true}, 2, 2),
		tensor.Of([]string{"drawknife", "", "é", "x"}, 2, 2),
		tensor.Typed(tensor.Float16, []uint16{0x3c00, 0xc000}, 1, 2),
		tensor.Typed(tensor.BFloat16, []uint16{0x3f80, 0xc000}, 1, 2),
		tensor.New(tensor.Float32, 0, 2),
	} {
		s, err := r.LoadBytes(identity(t, x.DType), Options{Threads: 1})
		if err != nil {
			t.Errorf("%v: %v", x.DType, err)
			continue
		}
		out, err := s.Run(map[string]*tensor.Tensor{"x": x}, "y")
		if err != nil {
			t.Errorf("%v: %v", x.DType, err)
		} else if !out["y"].Equal(x) {
			t.Errorf("%v: %v became %v", x.DType, x.Any(), out["y"].Any())
		}
		s.Close()
	}
}

func TestBoundSeesNewElements(t *testing.T) {
	r := load(t)
	s, err := r.LoadBytes(addModel(t, "Mul", tensor.Float32), Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x, y := tensor.Of([]float32{1, 2}, 2), tensor.Of([]float32{3, 4}, 2)
	b, err := s.Bind(map[string]*tensor.Tensor{"x": x, "y": y})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for k := range 3 {
		tensor.Data[float32](x)[0] = float32(k)
		runtime.GC()
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		out, err := b.Outputs()
		if err != nil {
			t.Fatal(err)
		}
		if got := out["z"].Float32s(); got[0] != float32(3*k) || got[1] != 8 {
			t.Errorf("run %d: %v", k, got)
		}
	}
	b.Close()
	if err := b.Run(); err == nil {
		t.Error("a closed Bound ran")
	}
}

func TestConcurrentRuns(t *testing.T) {
	r := load(t)
	s, err := r.LoadBytes(addModel(t, "Sub", tensor.Float32), Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			for range 50 {
				v := float32(k)
				out, err := s.Run(map[string]*tensor.Tensor{"x": tensor.Of([]float32{v}, 1), "y": tensor.Of([]float32{1}, 1)})
				if err != nil || out["z"].Float32s()[0] != v-1 {
					t.Errorf("%v: %v", v, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestErrors(t *testing.T) {
	r := load(t)
	s, err := r.LoadBytes(addModel(t, "Add", tensor.Float32), Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	one := tensor.Of([]float32{1}, 1)
	long := tensor.Of([]float32{1, 2, 3}, 3)
	run := func(in map[string]*tensor.Tensor, outputs ...string) error {
		_, err := s.Run(in, outputs...)
		return err
	}
	loadBytes := func(model []byte, o Options) error {
		_, err := r.LoadBytes(model, o)
		return err
	}
	_, missing := r.Load(filepath.Join(t.TempDir(), "none.onnx"), Options{})
	_, noLibrary := Open(filepath.Join(t.TempDir(), "none.so"))
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"missing file", missing, "none.onnx"},
		{"missing library", noLibrary, "none.so"},
		{"empty model", loadBytes(nil, Options{}), "empty"},
		{"damaged model", loadBytes([]byte("no model"), Options{}), "ONNX Runtime:"},
		{"negative threads", loadBytes([]byte{1}, Options{Threads: -1}), "-1 threads"},
		{"unknown level", loadBytes([]byte{1}, Options{Optimize: 9}), "level"},
		{"missing input", run(map[string]*tensor.Tensor{"x": one}), `input "y" is missing`},
		{"unknown input", run(map[string]*tensor.Tensor{"x": one, "y": one, "q": one}), `no input "q"`},
		{"unknown output", run(map[string]*tensor.Tensor{"x": one, "y": one}, "q"), `no output "q"`},
		{"wrong type", run(map[string]*tensor.Tensor{"x": one, "y": tensor.Of([]int64{1}, 1)}), "data type"},
		{"wrong rank", run(map[string]*tensor.Tensor{"x": one, "y": tensor.Scalar[float32](1)}), "rank"},
		{"shapes that do not go together", run(map[string]*tensor.Tensor{"x": tensor.Of([]float32{1, 2}, 2), "y": long}), "ONNX Runtime:"},
	} {
		if c.err == nil || !strings.Contains(strings.ToLower(c.err.Error()), strings.ToLower(c.want)) {
			t.Errorf("%s: error %v, want one that says %q", c.name, c.err, c.want)
		}
	}
	s.Close()
	s.Close()
	if err := run(map[string]*tensor.Tensor{"x": one, "y": one}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a closed session: %v", err)
	}
}

// TestGolden compares pretrained models with recorded outputs, which ONNX
// Runtime computed without optimizations.
func TestGolden(t *testing.T) {
	dir := testdata.Dir(t)
	r := load(t)
	for _, c := range []struct {
		model, image string
		mean, std    float32
		size         int
		tolerance    float64
	}{
		{"imagenet/mobilenet_v1_0.25_128", "imagenet_128.png", 127.5, 127.5, 128, 1e-4},
		{"imagenet/mobilenet_v1_0.25_128_int8", "imagenet_128.png", 128, 128, 128, 1e-4},
		{"tiny/vww_mobilenet_v1_0.25_96", "vww_96.png", 0, 255, 96, 1e-4},
		{"tiny/kws_dscnn", "", 0, 1, 0, 1e-4},
	} {
		t.Run(c.model, func(t *testing.T) {
			s, err := r.Load(filepath.Join(dir, "models", c.model+".onnx"), Options{Threads: 1, Optimize: None})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			x := tensor.Of(floats(t, filepath.Join(dir, "golden", "kws_input.f32")), 8, 1, 49, 10)
			if c.image != "" {
				x = images(t, filepath.Join(dir, "golden", c.image), c.size, c.mean, c.std)
			}
			out, err := s.Run(map[string]*tensor.Tensor{"input": x}, "logits")
			if err != nil {
				t.Fatal(err)
			}
			want := floats(t, filepath.Join(dir, "golden", filepath.Base(c.model)+".f32"))
			got := out["logits"].Float32s()
			if len(got) != len(want) {
				t.Fatalf("%d outputs, want %d", len(got), len(want))
			}
			for i := range want {
				if d := math.Abs(float64(got[i] - want[i])); !(d <= c.tolerance) {
					t.Fatalf("output %d: %v, want %v", i, got[i], want[i])
				}
			}
		})
	}
}

func floats(t *testing.T, path string) []float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]float32, len(b)/4)
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, list); err != nil {
		t.Fatal(err)
	}
	return list
}

// images cuts a sheet of square pictures side by side into a batch.
func images(t *testing.T, path string, size int, mean, std float32) *tensor.Tensor {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	n := img.Bounds().Dx() / size
	x := tensor.New(tensor.Float32, n, 3, size, size)
	d := tensor.Data[float32](x)
	for i := range n {
		for row := range size {
			for col := range size {
				r, g, b, _ := img.At(i*size+col, row).RGBA()
				for c, v := range []uint32{r, g, b} {
					d[((i*3+c)*size+row)*size+col] = (float32(v>>8) - mean) / std
				}
			}
		}
	}
	return x
}

func TestLevelString(t *testing.T) {
	for level, want := range map[Level]string{All: "all", None: "none", Basic: "basic", Extended: "extended", 9: "level(9)"} {
		if got := level.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
