package data

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestPreprocessText(t *testing.T) {
	all := Preprocess{
		Resize: 256, Crop: [2]int{224, 200}, Size: [2]int{128, 128}, Interpolation: Bicubic, Color: BGR,
		Mean: []float32{123.675, 116.28, 103.53}, Std: []float32{58.395}, Layout: HWC, LabelOffset: 1,
	}
	const text = "resize=256 crop=224x200 size=128 interpolation=bicubic color=bgr mean=123.675,116.28,103.53 std=58.395 layout=nhwc label_offset=1"
	if got := all.String(); got != text {
		t.Errorf("text is %q", got)
	}
	for _, p := range []Preprocess{all, {}, {Color: Gray, Std: []float32{1e-3}}} {
		back, err := ParsePreprocess(p.String())
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Errorf("%v comes back as %v, %v", p, back, err)
		}
	}
	for _, name := range PresetNames() {
		p, err := ParsePreprocess(name + " crop=9")
		want, ok := Preset(name)
		want.Crop = [2]int{9, 9}
		if err != nil || !ok || !reflect.DeepEqual(p, want) {
			t.Errorf("preset %s: %v, %v", name, p, err)
		}
	}
	for _, bad := range []string{
		"nothing", "crop=0x5", "crop=-1", "size=99999", "std=0", "mean=nan", "std=1e-45", "mean=1,2,3,4,5", "mean=1,2 std=1,2,3",
		"color=cmyk", "resize=x", "what=1", "layout=chwn", "label_offset=9999999",
	} {
		if _, err := ParsePreprocess(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestForInput(t *testing.T) {
	for _, c := range []struct {
		given   string
		c, h, w int
		want    string
	}{
		{"raw", 3, 32, 32, "size=32 color=rgb"},
		{"raw", 1, 28, 28, "size=28 color=gray"},
		{"caffe", 3, 227, 227, "resize=256 crop=227 color=bgr mean=104,117,123 std=1"},
		{"raw", 3, 224, 224, "resize=256 crop=224 color=rgb"},
		{"raw", 3, 128, 128, "resize=256 crop=224 size=128 color=rgb"},
		{"raw", 3, 96, 96, "size=96 color=rgb"},
		{"raw", 3, 299, 299, "resize=342 crop=299 color=rgb"},
		{"crop=224", 3, 128, 128, "crop=224 size=128 color=rgb"},
		{"resize=128 crop=224", 3, 128, 128, "crop=224 size=128 color=rgb"},
		{"resize=232", 3, 224, 224, "resize=232 crop=224 color=rgb"},
		{"resize=100", 3, 224, 224, "resize=100 size=224 color=rgb"},
		{"size=64", 3, 32, 32, "size=64 color=rgb"},
		{"raw", 3, 0, 0, "color=rgb"},
	} {
		if got := preset(t, c.given).ForInput(c.c, c.h, c.w).String(); got != c.want {
			t.Errorf("%q for %dx%dx%d: %q, want %q", c.given, c.c, c.h, c.w, got, c.want)
		}
	}
}

// apply prepares a picture.
func apply(t *testing.T, pre string, s *Sample) (x []float32, c, h, w int) {
	t.Helper()
	q, err := NewPipeline(preset(t, pre), Augment{})
	if err != nil {
		t.Fatal(err)
	}
	if c, h, w, err = q.Shape(s.H, s.W, s.C); err != nil {
		t.Fatal(err)
	}
	x = make([]float32, c*h*w)
	if err := q.Apply(x, s); err != nil {
		t.Fatal(err)
	}
	return x, c, h, w
}

func TestPipelineChannelsAndLayouts(t *testing.T) {
	colour := &Sample{H: 2, W: 3, C: 3, Pix: make([]uint8, 18)}
	for i := range colour.Pix {
		colour.Pix[i] = uint8(10 * i)
	}
	gray := &Sample{H: 2, W: 3, C: 1, Pix: []uint8{0, 50, 100, 150, 200, 250}}
	at := func(k, y, x int) float32 { return float32(colour.Pix[(y*3+x)*3+k]) }
	for _, c := range []struct {
		pre    string
		in     *Sample
		planes int
		want   func(k, y, x int) float32
	}{
		{"mean=1,2,3 std=2,4,8", colour, 3, func(k, y, x int) float32 { return (at(k, y, x) - float32(k+1)) / float32(int(2)<<k) }},
		{"color=bgr mean=1,2,3 std=2,4,8", colour, 3, func(k, y, x int) float32 { return (at(2-k, y, x) - float32(k+1)) / float32(int(2)<<k) }},
		{"color=rgb mean=1,2,3", gray, 3, func(k, y, x int) float32 { return float32(gray.Pix[y*3+x]) - float32(k+1) }},
		{"unit", gray, 1, func(_, y, x int) float32 { return float32(gray.Pix[y*3+x]) / 255 }},
		{"color=gray", colour, 1, func(_, y, x int) float32 {
			return float32(math.Round(0.299*float64(at(0, y, x)) + 0.587*float64(at(1, y, x)) + 0.114*float64(at(2, y, x))))
		}},
		{"crop=1x2", colour, 3, func(k, y, x int) float32 { return at(k, y, x) }}, // the margin of half a pixel is rounded to even
	} {
		for _, layout := range []string{" layout=nchw", " layout=nhwc"} {
			got, planes, h, w := apply(t, c.pre+layout, c.in)
			if planes != c.planes {
				t.Fatalf("%s: %d channels", c.pre, planes)
			}
			for k := range planes {
				for y := range h {
					for x := range w {
						i := (k*h+y)*w + x
						if layout == " layout=nhwc" {
							i = (y*w+x)*planes + k
						}
						if want := c.want(k, y, x); got[i] != want {
							t.Errorf("%s%s: channel %d, pixel %d,%d: %v, want %v", c.pre, layout, k, y, x, got[i], want)
						}
					}
				}
			}
		}
	}
}

// Pictures of numbers are prepared like the same pictures of bytes, augmented
// or not.
func TestPipelineFloats(t *testing.T) {
	bytes := noisePicture(7, 6, 3)
	numbers := &Sample{H: 6, W: 7, C: 3, Float: make([]float32, 126)}
	for p := range 42 {
		for k := range 3 {
			numbers.Float[k*42+p] = float32(bytes.Pix[3*p+k])
		}
	}
	for _, pre := range []string{"imagenet", "imagenet layout=nhwc", "caffe"} {
		q, err := NewPipeline(preset(t, pre), augment(t, "crop2,flip,cutout3"))
		if err != nil {
			t.Fatal(err)
		}
		a, b := make([]float32, 126), make([]float32, 126)
		for i := range 20 {
			if err := q.Train(a, bytes, 1, 2, i); err != nil {
				t.Fatal(err)
			}
			if err := q.Train(b, numbers, 1, 2, i); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("%s: picture %d differs", pre, i)
			}
		}
	}
	q, err := NewPipeline(preset(t, "size=3"), Augment{})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Apply(make([]float32, 27), numbers); err == nil || !strings.Contains(err.Error(), "resized") {
		t.Errorf("numbers are resized: %v", err)
	}
}

func TestPipelineGeometry(t *testing.T) {
	_, c, h, w := apply(t, "resize=10 crop=8x9 size=5x6", noisePicture(31, 20, 3))
	if c != 3 || h != 5 || w != 6 {
		t.Errorf("shape %d %d %d", c, h, w)
	}
	// Resize and crop equal the steps one by one.
	src := noisePicture(31, 20, 3)
	var full Sample
	if err := ResizeImage(&full, src, 12, 18, Bilinear); err != nil { // 31·12/20 = 18.6
		t.Fatal(err)
	}
	got, _, h, w := apply(t, "resize=12 crop=7x9 layout=nhwc", src)
	for y := range h {
		for x := range w * 3 {
			if want := full.Pix[(y+2)*18*3+4*3+x]; got[y*w*3+x] != float32(want) { // margins 2.5 and 4.5 to even
				t.Fatalf("row %d, value %d: %v, want %d", y, x, got[y*w*3+x], want)
			}
		}
	}
	q, err := NewPipeline(preset(t, "crop=9"), Augment{})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Apply(make([]float32, 243), noisePicture(8, 20, 3)); err == nil || !strings.Contains(err.Error(), "larger resize") {
		t.Errorf("a crop larger than the picture: %v", err)
	}
	if err := q.Apply(make([]float32, 5), noisePicture(9, 9, 3)); err == nil {
		t.Error("a buffer of the wrong size passes")
	}
	if err := q.Apply(make([]float32, 243), &Sample{H: 9, W: 9, C: 3, Pix: make([]uint8, 7)}); err == nil {
		t.Error("a picture that is too short passes")
	}
}

func TestPipelineAllocatesNothing(t *testing.T) {
	q, err := NewPipeline(preset(t, "imagenet resize=20 crop=16"), augment(t, "crop2,flip,cutout3,jitter0.2"))
	if err != nil {
		t.Fatal(err)
	}
	s, dst := noisePicture(40, 30, 3), make([]float32, 3*16*16)
	w := q.pool.New().(*workspace)
	if n := testing.AllocsPerRun(100, func() {
		if err := q.run(dst, s, w, w.rng); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a picture", n)
	}
}
