package data

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

// noisePicture is a picture of xorshift noise with full blacks and whites.
func noisePicture(w, h, c int) *Sample {
	s := &Sample{H: h, W: w, C: c, Pix: make([]uint8, w*h*c)}
	x := uint32(0x2545F491)
	for i := range s.Pix {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		switch {
		case i%7 != 0:
			s.Pix[i] = uint8(x >> 24)
		case x>>8&1 == 1:
			s.Pix[i] = 255
		}
	}
	return s
}

// TestResizeEqualsPillow compares checksums of results with those of Pillow
// 9.4's Image.resize.
func TestResizeEqualsPillow(t *testing.T) {
	for _, c := range []struct {
		w, h, c, ow, oh int
		filter          Interpolation
		sum             string
	}{
		{50, 37, 3, 25, 18, Bilinear, "c5b9683fcf2f83dc"},
		{50, 37, 3, 25, 18, Bicubic, "851a717e0a5f45e5"},
		{50, 37, 3, 25, 18, Box, "3377a9ba73336c72"},
		{50, 37, 3, 50, 20, Bilinear, "ea1f404531da84bf"},
		{50, 37, 3, 50, 20, Bicubic, "f81b6a74c0295fe2"},
		{50, 37, 3, 50, 20, Box, "cecfd18db1d8bc94"},
		{50, 37, 3, 17, 37, Bilinear, "25f62249f605e1b0"},
		{50, 37, 3, 17, 37, Bicubic, "b11549208c10f026"},
		{50, 37, 3, 17, 37, Box, "58c36f17ff005588"},
		{50, 37, 3, 73, 91, Bilinear, "1a345457b564613d"},
		{50, 37, 3, 73, 91, Bicubic, "2bb5252d0ade38fc"},
		{50, 37, 3, 73, 91, Box, "b99ea40387b5ccf6"},
		{50, 37, 3, 64, 64, Bilinear, "bc9f114859258f53"},
		{50, 37, 3, 64, 64, Bicubic, "67448458d1ed248e"},
		{50, 37, 3, 64, 64, Box, "206afe2863516349"},
		{50, 37, 3, 1, 1, Bilinear, "14ee3032ec48026e"},
		{50, 37, 3, 1, 1, Bicubic, "14ee3032ec48026e"},
		{50, 37, 3, 1, 1, Box, "4ac5fe6b86e178f6"},
		{50, 37, 3, 31, 64, Bilinear, "d91ad9c26cc4c4f5"},
		{50, 37, 3, 31, 64, Bicubic, "2195bf2eaa9fb929"},
		{50, 37, 3, 31, 64, Box, "2006c455778dfb1b"},
		{31, 64, 3, 25, 18, Bilinear, "c0596085e8c14bb8"},
		{31, 64, 3, 25, 18, Bicubic, "f8bfb83c8e84c00e"},
		{31, 64, 3, 25, 18, Box, "f43290c55a1e2511"},
		{31, 64, 3, 50, 20, Bilinear, "c1e7f4a0a21580bd"},
		{31, 64, 3, 50, 20, Bicubic, "bd5f89629ce37de4"},
		{31, 64, 3, 50, 20, Box, "566b918ecb1e16e3"},
		{31, 64, 3, 17, 37, Bilinear, "6932322574346a20"},
		{31, 64, 3, 17, 37, Bicubic, "fdc0f8ff335aca22"},
		{31, 64, 3, 17, 37, Box, "411d03c2ca65026d"},
		{31, 64, 3, 73, 91, Bilinear, "86af3ccf3d86173d"},
		{31, 64, 3, 73, 91, Bicubic, "82fd5f022dd64533"},
		{31, 64, 3, 73, 91, Box, "653aaa75f998b133"},
		{31, 64, 3, 64, 64, Bilinear, "b46bc2ff0df39ae0"},
		{31, 64, 3, 64, 64, Bicubic, "d795e1296412b844"},
		{31, 64, 3, 64, 64, Box, "fd0d2295569e831f"},
		{31, 64, 3, 1, 1, Bilinear, "ed342c463c5ed463"},
		{31, 64, 3, 1, 1, Bicubic, "ed342c463c5ed463"},
		{31, 64, 3, 1, 1, Box, "4ac5fe6b86e178f6"},
		{31, 64, 3, 31, 64, Bilinear, "c84bafe83f24d9d0"},
		{31, 64, 3, 31, 64, Bicubic, "c84bafe83f24d9d0"},
		{31, 64, 3, 31, 64, Box, "c84bafe83f24d9d0"},
		{50, 37, 1, 25, 18, Bilinear, "f8626b65c9a4d6a9"},
		{50, 37, 1, 25, 18, Bicubic, "487e97daa832db27"},
		{50, 37, 1, 25, 18, Box, "7d9fc955d6612a52"},
		{50, 37, 1, 50, 20, Bilinear, "113e212290fdd337"},
		{50, 37, 1, 50, 20, Bicubic, "db6999e605ce5226"},
		{50, 37, 1, 50, 20, Box, "27782cab262260b1"},
		{50, 37, 1, 17, 37, Bilinear, "aae0481c37ddf778"},
		{50, 37, 1, 17, 37, Bicubic, "b84244bfa3518573"},
		{50, 37, 1, 17, 37, Box, "48c61c9a477345a8"},
		{50, 37, 1, 73, 91, Bilinear, "f1c52a68c2f96027"},
		{50, 37, 1, 73, 91, Bicubic, "cf396b790943b3da"},
		{50, 37, 1, 73, 91, Box, "7626b18c8f1a4187"},
		{50, 37, 1, 64, 64, Bilinear, "dc09d56d0d54fa19"},
		{50, 37, 1, 64, 64, Bicubic, "d5e10b966c51f196"},
		{50, 37, 1, 64, 64, Box, "b3b64df355cf7046"},
		{50, 37, 1, 1, 1, Bilinear, "620bfdaa346b088f"},
		{50, 37, 1, 1, 1, Bicubic, "620bfdaa346b088f"},
		{50, 37, 1, 1, 1, Box, "620bfdaa346b088f"},
		{50, 37, 1, 31, 64, Bilinear, "512f889706d62ba9"},
		{50, 37, 1, 31, 64, Bicubic, "4ce02b4bf13d8267"},
		{50, 37, 1, 31, 64, Box, "4458466e839b7b90"},
		{31, 64, 1, 25, 18, Bilinear, "7d099c8eee0ba627"},
		{31, 64, 1, 25, 18, Bicubic, "56764eab250d72e6"},
		{31, 64, 1, 25, 18, Box, "2118ac9a2434176b"},
		{31, 64, 1, 50, 20, Bilinear, "dd8046d23f396c1d"},
		{31, 64, 1, 50, 20, Bicubic, "072209cfa2ef633f"},
		{31, 64, 1, 50, 20, Box, "4972236d1b34f028"},
		{31, 64, 1, 17, 37, Bilinear, "24a783bad8db3451"},
		{31, 64, 1, 17, 37, Bicubic, "144c42501c71c408"},
		{31, 64, 1, 17, 37, Box, "0c71eee35cbd00e5"},
		{31, 64, 1, 73, 91, Bilinear, "6f7712854a41ab26"},
		{31, 64, 1, 73, 91, Bicubic, "c0ba46cc9bf85b5a"},
		{31, 64, 1, 73, 91, Box, "c275d96c08c77fa8"},
		{31, 64, 1, 64, 64, Bilinear, "09006c64df64f65f"},
		{31, 64, 1, 64, 64, Bicubic, "22c17bfb3d68190c"},
		{31, 64, 1, 64, 64, Box, "26f561eeb3e61017"},
		{31, 64, 1, 1, 1, Bilinear, "620bfdaa346b088f"},
		{31, 64, 1, 1, 1, Bicubic, "620bfdaa346b088f"},
		{31, 64, 1, 1, 1, Box, "620bfdaa346b088f"},
		{31, 64, 1, 31, 64, Bilinear, "75c05a8a38a200cf"},
		{31, 64, 1, 31, 64, Bicubic, "75c05a8a38a200cf"},
		{31, 64, 1, 31, 64, Box, "75c05a8a38a200cf"},
	} {
		var got Sample
		if err := ResizeImage(&got, noisePicture(c.w, c.h, c.c), c.oh, c.ow, c.filter); err != nil {
			t.Fatal(err)
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(got.Pix))[:16]; sum != c.sum {
			t.Errorf("%dx%dx%d to %dx%d, %v: checksum %s, Pillow's %s", c.w, c.h, c.c, c.ow, c.oh, c.filter, sum, c.sum)
		}
	}
}

// A crop that is computed alone equals the same part of the whole result.
func TestResizePart(t *testing.T) {
	for _, c := range []int{1, 3} {
		src := noisePicture(61, 47, c)
		for _, full := range [][2]int{{30, 40}, {47, 33}, {90, 61}, {80, 100}} {
			var whole Sample
			if err := ResizeImage(&whole, src, full[0], full[1], Bicubic); err != nil {
				t.Fatal(err)
			}
			y, x, h, w := 5, 7, full[0]-9, full[1]-11
			var r resampler
			part := r.resize(src.view(), full, Bicubic, y, x, h, w, 0)
			for i := range h {
				for j := range w * c {
					if got, want := part.pix[i*part.stride+j], whole.Pix[(y+i)*whole.W*c+x*c+j]; got != want {
						t.Fatalf("%v, channels %d: row %d, byte %d: %d, want %d", full, c, i, j, got, want)
					}
				}
			}
		}
	}
}

func TestResizeErrors(t *testing.T) {
	var dst Sample
	src := noisePicture(4, 4, 3)
	if ResizeImage(&dst, src, 0, 3, Bilinear) == nil || ResizeImage(&dst, src, 3, MaxSide+1, Bilinear) == nil {
		t.Error("a size out of range passes")
	}
	if ResizeImage(&dst, &Sample{H: 1, W: 1, C: 1, Float: []float32{1}}, 2, 2, Bilinear) == nil {
		t.Error("a picture of numbers passes")
	}
}

// BenchmarkResize is the usual step before an ImageNet network.
func BenchmarkResize(b *testing.B) {
	src := noisePicture(500, 375, 3)
	for _, filter := range []Interpolation{Bilinear, Bicubic} {
		b.Run(filter.String()+"/500x375to256", func(b *testing.B) {
			var r resampler
			for b.Loop() {
				r.resize(src.view(), [2]int{256, 341}, filter, 0, 0, 256, 341, 0)
			}
		})
	}
	b.Run("imagenet/500x375to224", func(b *testing.B) {
		p, _ := Preset("imagenet")
		q, err := NewPipeline(p.ForInput(3, 224, 224), Augment{})
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]float32, 3*224*224)
		b.ReportAllocs()
		for b.Loop() {
			if err := q.Apply(dst, src); err != nil {
				b.Fatal(err)
			}
		}
	})
}
