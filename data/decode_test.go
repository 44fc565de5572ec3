package data

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/image/bmp"
)

// gradient paints a smooth picture.
func gradient(m interface {
	image.Image
	Set(x, y int, c color.Color)
}) {
	b := m.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			m.Set(x, y, color.RGBA{uint8(20 + 7*x), uint8(200 - 11*y), uint8(40 + 5*x + 5*y), 255})
		}
	}
}

func TestDecodeLossless(t *testing.T) {
	rect := image.Rect(0, 0, 13, 9)
	rgba, nrgba, gray, wide := image.NewRGBA(rect), image.NewNRGBA(rect), image.NewGray(rect), image.NewRGBA64(rect)
	gradient(rgba)
	gradient(nrgba)
	gradient(gray)
	gradient(wide)
	nrgba.Pix[3] = 7 // alpha is dropped, not multiplied
	paletted := image.NewPaletted(rect, color.Palette{color.RGBA{1, 2, 3, 255}, color.RGBA{200, 100, 50, 255}})
	paletted.Pix[5] = 1
	gray16 := image.NewGray16(rect)
	gray16.SetGray16(2, 1, color.Gray16{0xab12})
	var want Sample
	FromImage(rgba, &want)
	if want.Pix[0] != 20 || want.Pix[3*(13*2+3)] != 41 || want.Pix[3*(13*2+3)+1] != 178 {
		t.Fatalf("pixels %v", want.Pix[:12])
	}
	encode := func(m image.Image, bitmap bool) []byte {
		var out bytes.Buffer
		err := png.Encode(&out, m)
		if bitmap {
			out.Reset()
			err = bmp.Encode(&out, m)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name, raw := range map[string][]byte{
		"RGB": encode(rgba, false), "alpha": encode(nrgba, false), "16 bits": encode(wide, false), "bmp": encode(rgba, true),
	} {
		var s Sample
		if err := Decode(raw, &s); err != nil {
			t.Fatal(err)
		}
		if s.H != 9 || s.W != 13 || s.C != 3 || s.Label != -1 || !slices.Equal(s.Pix, want.Pix) {
			t.Errorf("%s: %dx%dx%d, pixels differ", name, s.H, s.W, s.C)
		}
	}
	var s Sample
	if err := Decode(encode(gray, false), &s); err != nil || s.C != 1 || !slices.Equal(s.Pix, gray.Pix) {
		t.Errorf("gray: %d channels, %v", s.C, err)
	}
	if err := Decode(encode(gray16, false), &s); err != nil || s.C != 1 || s.Pix[13+2] != 0xab {
		t.Errorf("16-bit gray: %d channels, %v", s.C, err)
	}
	var out bytes.Buffer
	if err := gif.Encode(&out, paletted, nil); err != nil {
		t.Fatal(err)
	}
	if err := Decode(out.Bytes(), &s); err != nil || s.C != 3 || s.Pix[0] != 1 || s.Pix[15] != 200 || s.Pix[17] != 50 {
		t.Errorf("palette: %v, %v", s.Pix[:18], err)
	}
}

// Chroma of half resolution is interpolated: a smooth picture comes back
// smoothly.
func TestDecodeSubsampledJPEG(t *testing.T) {
	for _, size := range [][2]int{{16, 16}, {17, 15}, {31, 9}, {3, 5}, {1, 1}} {
		m := image.NewRGBA(image.Rect(0, 0, size[0], size[1]))
		gradient(m)
		var out bytes.Buffer
		if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: 100}); err != nil { // 4:2:0
			t.Fatal(err)
		}
		var s Sample
		if err := Decode(out.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for y := range size[1] {
			for x := range size[0] {
				c := m.RGBAAt(x, y)
				for k, v := range []uint8{c.R, c.G, c.B} {
					worst = max(worst, math.Abs(float64(v)-float64(s.Pix[(y*size[0]+x)*3+k])))
				}
			}
		}
		if worst > 8 {
			t.Errorf("%dx%d: worst difference %v", size[0], size[1], worst)
		}
	}
}

// Planes of YCbCr, as lossy WebP has them, wherever they begin.
func TestFromYCbCr(t *testing.T) {
	m := image.NewYCbCr(image.Rect(0, 0, 6, 4), image.YCbCrSubsampleRatio444)
	for i := range m.Y {
		m.Y[i], m.Cb[i], m.Cr[i] = uint8(40+i*7), uint8(100+i*2), uint8(150-i*3)
	}
	for _, r := range []image.Rectangle{m.Rect, image.Rect(3, 1, 6, 4)} {
		sub := m.SubImage(r).(*image.YCbCr)
		var s Sample
		FromImage(sub, &s)
		if s.H != r.Dy() || s.W != r.Dx() || s.C != 3 {
			t.Fatalf("%v: %dx%dx%d", r, s.H, s.W, s.C)
		}
		for i := range s.H * s.W {
			c := sub.YCbCrAt(r.Min.X+i%s.W, r.Min.Y+i/s.W)
			red, green, blue := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
			for k, v := range []uint8{red, green, blue} {
				if d := int(v) - int(s.Pix[3*i+k]); d < -1 || d > 1 {
					t.Errorf("%v: pixel %d, channel %d: %d, want %d", r, i, k, s.Pix[3*i+k], v)
				}
			}
		}
	}
}

// A lossless WebP of one pixel.
func TestDecodeWebP(t *testing.T) {
	raw, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
	if err != nil {
		t.Fatal(err)
	}
	var s Sample
	if err := Decode(raw, &s); err != nil || s.H != 1 || s.W != 1 || s.C != 3 {
		t.Errorf("%dx%dx%d, %v", s.H, s.W, s.C, err)
	}
}

func TestDecodeBad(t *testing.T) {
	var s Sample
	good := pngOf(t, 4, 4, 1, 2, 3)
	bomb := slices.Clone(good)
	copy(bomb[16:], []byte{0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff})
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		t.Fatal(err)
	}
	large := bytes.Clone(photo.Bytes())
	frame := bytes.Index(large, []byte{0xff, 0xc0, 0, 11, 8})
	copy(large[frame+5:], []byte{0x7f, 0xff, 0x7f, 0xff})
	// So many bytes could hold all those pixels, but they are more than allowed.
	padded := append(bytes.Clone(large[:frame+13]), make([]byte, 5<<20)...)
	for name, raw := range map[string][]byte{
		"empty": nil, "text": []byte("no picture"), "cut": good[:50], "bomb": bomb,
		"cut JPEG": photo.Bytes()[:photo.Len()-2], "JPEG bomb": large, "large JPEG": padded,
	} {
		if err := Decode(raw, &s); err == nil {
			t.Errorf("%s decodes", name)
		}
	}
	p := filepath.Join(t.TempDir(), "x.png")
	if err := os.WriteFile(p, good, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := DecodeFile(p, &s); err != nil || s.H != 4 {
		t.Error(err)
	}
	if err := DecodeFile(p+"x", &s); err == nil {
		t.Error("a missing file decodes")
	}
}

// BenchmarkDecode reads a photograph of ImageNet's usual size.
func BenchmarkDecode(b *testing.B) {
	m := image.NewRGBA(image.Rect(0, 0, 500, 375))
	src := noisePicture(500, 375, 1)
	for i, v := range src.Pix {
		x, y := i%500, i/500
		m.SetRGBA(x, y, color.RGBA{uint8(x/2) + v/16, uint8(y/2) + v/16, uint8((x+y)/4) + v/16, 255})
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: 92}); err != nil {
		b.Fatal(err)
	}
	var s Sample
	for b.Loop() {
		if err := Decode(out.Bytes(), &s); err != nil {
			b.Fatal(err)
		}
	}
}
