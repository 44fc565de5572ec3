package engine_test

import (
	"context"
	"encoding/binary"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
)

// TestGoldenOutputs compares the pretrained networks with the outputs that
// ONNX Runtime gave for the same real images.
func TestGoldenOutputs(t *testing.T) {
	dir := testdata.Dir(t)
	for _, c := range []struct {
		model, name, images string
		mean, std           []float32
		tolerance           float64 // relative to the largest logit
	}{
		{"cifar10/resnet20", "resnet20", "cifar", []float32{123.675, 116.28, 103.53}, []float32{58.395, 57.12, 57.375}, 1e-5},
		{"cifar10/resnet20b", "resnet20b", "cifar", []float32{127.5}, []float32{127.5}, 1e-5},
		{"cifar10/resnet20b_thin", "resnet20b_thin", "cifar", []float32{127.5}, []float32{127.5}, 1e-5},
		{"cifar10/resnet32", "resnet32", "cifar", []float32{123.675, 116.28, 103.53}, []float32{58.395, 57.12, 57.375}, 1e-5},
		{"cifar10/resnet56", "resnet56", "cifar", []float32{123.675, 116.28, 103.53}, []float32{58.395, 57.12, 57.375}, 1e-5},
		{"cifar10/resnet8", "resnet8", "cifar", nil, nil, 1e-5},
		{"cifar10/resnet8_int8", "resnet8_int8", "cifar", nil, nil, 0.06},
		{"cifar10/resnet8_wide", "resnet8_wide", "cifar", nil, nil, 1e-5},
		{"imagenet/mobilenet_v1_0.25_128", "mobilenet_v1_0.25_128", "imagenet_128.png", []float32{127.5}, []float32{127.5}, 1e-5},
		{"imagenet/mobilenet_v1_0.25_128_int8", "mobilenet_v1_0.25_128_int8", "imagenet_128.png", []float32{128}, []float32{128}, 0.08},
		{"imagenet/mobilenet_v2_1.0_224", "mobilenet_v2_1.0_224", "imagenet_224.png", []float32{127.5}, []float32{127.5}, 1e-5},
		{"imagenet/mobilenet_v2_1.0_224_int8", "mobilenet_v2_1.0_224_int8", "imagenet_224.png", []float32{128}, []float32{128}, 0.08},
		{"imagenet/mobilenet_v3_small_1.0_224", "mobilenet_v3_small_1.0_224", "imagenet_224.png", []float32{128}, []float32{127}, 1e-5},
		{"imagenet/mobilenet_v3_small_1.0_224_int8", "mobilenet_v3_small_1.0_224_int8", "imagenet_224.png", []float32{128}, []float32{127}, 0.2},
		{"imagenet/squeezenet1.1", "squeezenet1.1", "imagenet_224.png", []float32{123.675, 116.28, 103.53}, []float32{58.395, 57.12, 57.375}, 1e-5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.images != "cifar" {
				t.Skip("SKIPPED: large model in -short mode")
			}
			g, err := onnx.Read(filepath.Join(dir, "models", c.model+".onnx"))
			if err != nil {
				t.Fatal(err)
			}
			x := goldenImages(t, dir, c.images, c.mean, c.std)
			want := floats(t, filepath.Join(dir, "golden", c.name+".f32"))
			p, err := engine.Compile(g, engine.Options{Shapes: map[string][]int{"input": x.Shape}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Run(context.Background(), map[string]*tensor.Tensor{"input": x})
			if err != nil {
				t.Fatal(err)
			}
			y := got[g.Outputs[0].Name]
			if d := worst(y, tensor.Of(want, y.Shape...)); d > c.tolerance {
				t.Errorf("differs from the reference by %.3g of the largest logit, more than %g", d, c.tolerance)
			} else {
				t.Logf("largest difference %.3g of the largest logit", d)
			}
		})
	}
}

func goldenImages(t *testing.T, dir, which string, mean, std []float32) *tensor.Tensor {
	t.Helper()
	pick := func(v []float32, c int, def float32) float32 {
		switch len(v) {
		case 0:
			return def
		case 1:
			return v[0]
		}
		return v[c]
	}
	var n, side int
	var pixel func(i, c, y, x int) float32
	if which == "cifar" {
		ds, err := data.Open("cifar10:"+filepath.Join(dir, "cifar10"), data.Options{Split: "test"})
		if err != nil {
			t.Fatal(err)
		}
		n, side = 16, 32
		samples := make([]data.Sample, n)
		for i := range samples {
			if err := ds.Read(i, &samples[i]); err != nil {
				t.Fatal(err)
			}
		}
		pixel = func(i, c, y, x int) float32 { return float32(samples[i].Pix[(y*32+x)*3+c]) }
	} else {
		f, err := os.Open(filepath.Join(dir, "golden", which))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		img, err := png.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		side = img.Bounds().Dy()
		n = img.Bounds().Dx() / side
		pixel = func(i, c, y, x int) float32 { return channel(img, i*side+x, y, c) }
	}
	x := tensor.New(tensor.Float32, n, 3, side, side)
	d := tensor.Data[float32](x)
	at := 0
	for i := range n {
		for c := range 3 {
			for y := range side {
				for w := range side {
					d[at] = (pixel(i, c, y, w) - pick(mean, c, 0)) / pick(std, c, 1)
					at++
				}
			}
		}
	}
	return x
}

func channel(img image.Image, x, y, c int) float32 {
	r, g, b, _ := img.At(x, y).RGBA()
	return float32([3]uint32{r, g, b}[c] >> 8)
}

func floats(t *testing.T, path string) []float32 {
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
