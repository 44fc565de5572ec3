package eval_test

import (
	"encoding/binary"
	"encoding/json"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/ort"
	"github.com/drawknife/drawknife/tensor"
)

// goldenModel is an entry of models.json.
type goldenModel struct {
	File    string
	Mean    []float32
	Std     []float32
	Golden  string  `json:"golden_output"`
	Input   string  `json:"golden_input"`
	Shape   []any   `json:"input_shape"`
	MaxAbs  float64 `json:"golden_max_abs"`
	Runtime float64 `json:"golden_diff_optimised_runtime"`
}

// TestGoldenOutputs compares pretrained networks with the outputs that ONNX
// Runtime, its optimisations off, gave for the same real images.
func TestGoldenOutputs(t *testing.T) {
	dir := testdata.Dir(t)
	for _, m := range goldenModels(t, dir) {
		name := strings.TrimSuffix(filepath.Base(m.File), ".onnx")
		t.Run(name, func(t *testing.T) {
			switch {
			case !strings.HasSuffix(m.File, ".onnx"):
				t.Skip("SKIPPED: not an ONNX file")
			case testing.Short() && !strings.Contains(name, "resnet20"):
				t.Skip("SKIPPED: -short")
			}
			checkGolden(t, dir, m)
		})
	}
}

func goldenModels(t *testing.T, dir string) (models []goldenModel) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "models", "models.json"))
	if err == nil {
		err = json.Unmarshal(b, &models)
	}
	if err != nil {
		t.Fatal(err)
	}
	return models
}

// checkGolden runs the model on the first golden image.
func checkGolden(t *testing.T, dir string, m goldenModel) {
	g, err := onnx.Read(filepath.Join(dir, m.File))
	if err != nil {
		t.Fatal(err)
	}
	x := goldenInput(t, dir, m)
	got, err := eval.Run(g, map[string]*tensor.Tensor{g.Inputs[0].Name: x})
	if err != nil {
		t.Fatal(err)
	}
	y := got[g.Outputs[0].Name].Float32s()
	want := readFloats(t, filepath.Join(dir, m.Golden))[:len(y)]
	worst := 0.0
	for i := range y {
		worst = max(worst, math.Abs(float64(y[i]-want[i])))
	}
	// The reference rounds float32 sums where we (and ONNX Runtime with its
	// optimisations on: see the test below) have exact ones, which tips some
	// 8-bit values.
	tolerance := 1e-5 * m.MaxAbs
	if strings.Contains(m.File, "int8") {
		tolerance = max(1.001*m.Runtime, 0.02*m.MaxAbs)
	}
	t.Logf("largest difference %.3g, largest output %.3g", worst, m.MaxAbs)
	if !(worst <= tolerance) {
		t.Errorf("differs by %.3g from the reference, more than %.3g", worst, tolerance)
	}
}

// TestQuantizedModelsAgainstONNXRuntime compares 8-bit networks with ONNX
// Runtime's integer kernels, whose sums are exact as ours are if one asks for
// it: without x64quantprecision they saturate at 16 bits on CPUs that lack
// VNNI, and can be far off.
func TestQuantizedModelsAgainstONNXRuntime(t *testing.T) {
	dir := testdata.Dir(t)
	rt, err := ort.Open(testdata.ORT(t))
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	for _, m := range goldenModels(t, dir) {
		if !strings.Contains(m.File, "int8") {
			continue
		}
		t.Run(filepath.Base(m.File), func(t *testing.T) {
			s, err := rt.Load(filepath.Join(dir, m.File), ort.Options{Threads: 1, Config: map[string]string{"session.x64quantprecision": "1"}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			g, err := onnx.Read(filepath.Join(dir, m.File))
			if err != nil {
				t.Fatal(err)
			}
			in := map[string]*tensor.Tensor{g.Inputs[0].Name: goldenInput(t, dir, m)}
			want, err := s.Run(in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := eval.Run(g, in)
			if err != nil {
				t.Fatal(err)
			}
			y, w := got[g.Outputs[0].Name].Float32s(), want[g.Outputs[0].Name].Float32s()
			worst := 0.0
			for i := range y {
				worst = max(worst, math.Abs(float64(y[i]-w[i])))
			}
			t.Logf("largest difference %.3g, largest output %.3g", worst, m.MaxAbs)
			// MobileNets hold operators that ONNX Runtime fuses into ones
			// that round differently (QLinearAdd, QLinearGlobalAveragePool).
			tolerance := 0.0
			if strings.Contains(m.File, "mobilenet_v") && !strings.Contains(m.File, "vww") {
				tolerance = max(0.04*m.MaxAbs, m.Runtime)
			}
			if !(worst <= tolerance) {
				t.Errorf("differs by %.3g from ONNX Runtime, more than %.3g", worst, tolerance)
			}
		})
	}
}

// goldenInput is the first golden image, normalized, as [1, C, H, W].
func goldenInput(t *testing.T, dir string, m goldenModel) *tensor.Tensor {
	h, w := int(m.Shape[2].(float64)), int(m.Shape[3].(float64))
	if strings.Contains(m.File, "kws") {
		return tensor.Of(readFloats(t, filepath.Join(dir, "golden", "kws_input.f32"))[:h*w], 1, 1, h, w)
	}
	file, cifar := filepath.Join("cifar10", "test_batch.png"), strings.Contains(m.File, "cifar10")
	if !cifar {
		file = m.Input[strings.Index(m.Input, "golden/"):]
		file = filepath.FromSlash(file[:strings.Index(file, ".png")+4])
	}
	img := readPNG(t, filepath.Join(dir, file))
	x := tensor.New(tensor.Float32, 1, 3, h, w)
	data := tensor.Data[float32](x)
	for y := range h {
		for i := range w {
			r, g, b, _ := img.At(i, y).RGBA()
			rgb := [3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}
			if cifar { // stored less green
				rgb[0], rgb[2] = rgb[0]+rgb[1], rgb[2]+rgb[1]
			}
			for c, v := range rgb {
				data[(c*h+y)*w+i] = (float32(v) - m.Mean[c]) / m.Std[c]
			}
		}
	}
	return x
}

// sheets keeps decoded pictures: several models share one.
var sheets = map[string]image.Image{}

func readPNG(t *testing.T, path string) image.Image {
	t.Helper()
	if img := sheets[path]; img != nil {
		return img
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	sheets[path] = img
	return img
}

func readFloats(t *testing.T, path string) []float32 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}
