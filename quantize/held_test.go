package quantize

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/ort"
	"github.com/drawknife/drawknife/tensor"
)

// TestWrongImages calibrates on pictures that do not fit the network.
func TestWrongImages(t *testing.T) {
	g := net(t, nets["residual"]) // takes 1x16x16
	for _, s := range [][3]int{{3, 16, 16}, {1, 8, 16}} {
		batches := func(yield func(*data.Batch, error) bool) {
			yield(&data.Batch{N: 2, C: s[0], H: s[1], W: s[2], X: make([]float32, 2*s[0]*s[1]*s[2])}, nil)
		}
		_, _, err := Static(t.Context(), g, batches, Defaults())
		if err == nil || !strings.Contains(err.Error(), "calibration") || strings.Contains(err.Error(), "\n") {
			t.Errorf("pictures of %v: error %v, want one line about calibration", s, err)
		}
	}
}

// saturated is a quantized network whose inputs and weights are the greatest
// there are, so that pairs of products leave the 16 bits of VPMADDUBSW.
func saturated(t *testing.T) *graph.Graph {
	t.Helper()
	const channels = 32
	g := graph.New("saturated")
	x := g.AddInput("x", tensor.Float32, graph.Dims(1, channels, 6, 6))
	for i, attrs := range []graph.Attrs{{"pads": []int64{1, 1, 1, 1}}, {"pads": []int64{1, 1, 1, 1}, "group": int64(channels)}, nil} {
		shape := []int{channels, channels, 3, 3}
		if i == 1 {
			shape[1] = 1
		}
		w := tensor.New(tensor.Float32, shape...)
		for k, d := 0, tensor.Data[float32](w); k < len(d); k++ {
			d[k] = 1
			if k/(len(d)/channels)%4 == 3 { // some channels of the other sign
				d[k] = -1
			}
		}
		x = g.Add("Relu", "", nil, g.Add("Conv", fmt.Sprintf("conv%d", i), attrs, x, g.AddConst("w", w)))
	}
	g.AddOutput(x)
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
	bright := func(yield func(*data.Batch, error) bool) {
		b := &data.Batch{N: 1, C: channels, H: 6, W: 6, X: make([]float32, channels*36)}
		for i := range b.X {
			b.X[i] = 1
		}
		yield(b, nil)
	}
	o := Defaults()
	o.Calibrator = "minmax"
	q, _, err := Static(context.Background(), g, bright, o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestSaturatedModel computes the same bits on every path, also where sums of
// two products do not fit 16 bits: it calls itself for each instruction set
// and compares with the interpreter.
func TestSaturatedModel(t *testing.T) {
	const child = "DRAWKNIFE_TEST_SATURATED"
	q := saturated(t)
	x := tensor.New(tensor.Float32, 1, 32, 6, 6)
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = 1
	}
	if to := os.Getenv(child); to != "" {
		var b bytes.Buffer
		if err := binary.Write(&b, binary.LittleEndian, runEngine(t, q, x)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	var first []byte
	for _, l := range []cpu.Level{cpu.Portable, cpu.AVX2, cpu.AVXVNNI, cpu.AVX512, cpu.VNNI, cpu.VBMI, cpu.AMX} {
		if !cpu.Has(l) {
			t.Logf("no %v here", l)
			continue
		}
		file := filepath.Join(t.TempDir(), "out")
		c := exec.Command(os.Args[0], "-test.run=^TestSaturatedModel$")
		c.Env = append(os.Environ(), child+"="+file, "DRAWKNIFE_CPU="+l.String())
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", l, err, out)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = got
			want := runEval(t, q, x)
			y := make([]float32, len(want))
			if err := binary.Read(bytes.NewReader(got), binary.LittleEndian, y); err != nil {
				t.Fatal(err)
			}
			top := 0.0
			for i := range y {
				top = max(top, float64(y[i]))
				if math.Abs(float64(y[i]-want[i])) > 0.01*max(1, math.Abs(float64(want[i]))) {
					t.Fatalf("%v: element %d is %g, the interpreter has %g", l, i, y[i], want[i])
				}
			}
			if top == 0 {
				t.Error("the outputs are all zero")
			}
		}
		if !bytes.Equal(got, first) {
			t.Errorf("%v computes other bits than %v", l, cpu.Portable)
		} else {
			t.Logf("%v: the same bits", l)
		}
	}
}

// TestExportsInORT: what is written loads in ONNX Runtime and computes the same
// there, whatever bits and grids its weights have.
func TestExportsInORT(t *testing.T) {
	lib, err := ort.Open(testdata.ORT(t))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	for _, spec := range []string{"int8", "aciq", "gptq", "log", "dfq", "mixed:share=0.5", "adaround:iterations=5", "brecq:iterations=5,fisher=true"} {
		for _, bits := range [][2]int{{8, 8}, {4, 8}, {4, 4}, {3, 6}} {
			for _, name := range []string{"residual", "plain"} {
				g := net(t, nets[name])
				o := Defaults()
				p, err := method.New[Preset](method.Quantize, spec)
				if err != nil {
					t.Fatal(err)
				}
				p(&o)
				o.WBits, o.ABits = bits[0], bits[1]
				q, _ := static(t, g, o)
				file := filepath.Join(t.TempDir(), "g.onnx")
				if err := onnx.Write(file, q); err != nil {
					t.Fatal(err)
				}
				s, err := lib.Load(file, ort.Options{Threads: 1, Config: map[string]string{"session.x64quantprecision": "1"}})
				if err != nil {
					t.Errorf("%s, %v, %s: %v", spec, bits, name, err)
					continue
				}
				x := sample(g, 16, 7)
				out, err := s.Run(map[string]*tensor.Tensor{q.Inputs[0].Name: x})
				s.Close()
				if err != nil {
					t.Errorf("%s, %v, %s: %v", spec, bits, name, err)
					continue
				}
				if diff, top := distance(runEngine(t, q, x), out[q.Outputs[0].Name].Float32s()); diff > 0.1*top {
					t.Errorf("%s, %v, %s: differs by %g of %g in ONNX Runtime", spec, bits, name, diff, top)
				}
			}
		}
	}
}

// TestImportance: weights of mean 1 that are the greater, the more the loss
// depends on an element, and a reconstruction by them that is not worse than
// nearest rounding.
func TestImportance(t *testing.T) {
	g := net(t, nets["residual"])
	if err := Prepare(g); err != nil {
		t.Fatal(err)
	}
	var v *graph.Value
	for _, n := range g.Nodes {
		if n.Is("Add") {
			v = n.Outputs[0]
		}
	}
	images := []*tensor.Tensor{sample(g, 4, 1), sample(g, 2, 2)}
	w, err := importance(t.Context(), g, v.Name, images, 1)
	if err != nil {
		t.Fatal(err)
	}
	if want := 6 * v.Shape[1].Size * v.Shape[2].Size * v.Shape[3].Size; len(w) != want {
		t.Fatalf("%d weights, want %d", len(w), want)
	}
	sum, least, most := 0.0, float32(9), float32(0)
	for _, x := range w {
		sum += float64(x)
		least, most = min(least, x), max(most, x)
	}
	if mean := sum / float64(len(w)); math.Abs(mean-1) > 1e-3 || least < 0.5 || most < 1.5 {
		t.Errorf("mean %g, from %g to %g", mean, least, most)
	}
	if _, err := method.New[Preset](method.Quantize, "brecq:fisher=maybe"); err == nil {
		t.Error("fisher=maybe: no error")
	}
}
