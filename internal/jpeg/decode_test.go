package jpeg

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Beside the standard library's decoder, given the same interpolation and
// colours, only the rounding of the transform differs.
func TestAgainstStandardLibrary(t *testing.T) {
	files := samples(t)
	for _, q := range []int{30, 75, 95} {
		files["encoded"+string(rune('a'+q))] = encoded(t, 61, 45, q)
	}
	compared := 0
	for name, raw := range files {
		m, err := stdjpeg.Decode(bytes.NewReader(raw))
		if err != nil {
			continue // fewer kinds of files are read there
		}
		p, err := decode(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var want []uint8
		switch m := m.(type) {
		case *image.Gray:
			for y := range p.h {
				want = append(want, m.Pix[y*m.Stride:][:p.w]...)
			}
		case *image.YCbCr:
			want = make([]uint8, 3*p.w*p.h)
			ConvertYCbCr(m, want)
		default:
			continue // other conversions of colour there
		}
		compared++
		worst, sum := 0.0, 0.0
		for i, v := range p.pix {
			d := math.Abs(float64(v) - float64(want[i]))
			worst, sum = max(worst, d), sum+d
		}
		if mean := sum / float64(len(want)); worst > 3 || mean > 0.25 {
			t.Errorf("%s: worst difference %v, mean %.3f", name, worst, mean)
		}
	}
	if compared < 12 {
		t.Errorf("only %d files compared", compared)
	}
}

// encoded is a photograph-like picture in the standard library's encoding,
// which is 4:2:0.
func encoded(tb testing.TB, w, h, quality int) []byte {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	rng := rand.New(rand.NewPCG(1, 2))
	for y := range h {
		for x := range w {
			n := uint8(rng.UintN(16))
			m.SetRGBA(x, y, color.RGBA{uint8(x*200/w) + n, uint8(y*200/h) + n, uint8((x+y)*200/(w+h)) + n, 255})
		}
	}
	var out bytes.Buffer
	if err := stdjpeg.Encode(&out, m, &stdjpeg.Options{Quality: quality}); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// segment is a marker with a length and content.
func segment(marker byte, content ...byte) []byte {
	n := len(content) + 2
	return append([]byte{0xff, marker, byte(n >> 8), byte(n)}, content...)
}

// file joins segments to a file.
func file(parts ...[]byte) []byte {
	return slices.Concat([]byte{0xff, 0xd8}, slices.Concat(parts...), []byte{0xff, 0xd9})
}

// What is wrong with a file is said.
func TestErrors(t *testing.T) {
	frame := func(kind byte, bits, h, w byte, comps ...byte) []byte {
		return segment(kind, append([]byte{bits, 0, h, 0, w, byte(len(comps) / 3)}, comps...)...)
	}
	var (
		quant = segment(markDQT, make([]byte, 65)...)
		gray  = frame(markSOF0, 8, 8, 8, 1, 0x11, 0)
		prog  = frame(markSOF2, 8, 8, 8, 1, 0x11, 0)
		dc    = segment(markDHT, append([]byte{0, 1}, make([]byte, 16)...)...)       // code 0: no bits
		ac    = segment(markDHT, append([]byte{0x10, 1}, make([]byte, 16)...)...)    // code 0: end
		wide  = segment(markDHT, append([]byte{0x10, 0, 4}, make([]byte, 18)...)...) // all of 2 bits
		scan  = segment(markSOS, 1, 1, 0, 0, 63, 0)
		body  = []byte{0x3f}
	)
	if p, err := decode(file(quant, gray, dc, ac, scan, body)); err != nil || p.c != 1 || p.pix[63] != 128 {
		t.Fatalf("a good file: %v, %v", p, err)
	}
	if _, err := decode(file(quant, gray, dc, wide, scan, body)); err != nil {
		t.Fatalf("a full table: %v", err)
	}
	band := func(s, e, hl byte) []byte { return segment(markSOS, 1, 1, 0, s, e, hl) }
	for _, c := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"nothing", nil, "start-of-image"},
		{"PNG", []byte("\x89PNG\r\n"), "start-of-image"},
		{"no frame", file(), "no frame header"},
		{"12 bits", file(frame(markSOF1, 12, 8, 8, 1, 0x11, 0)), "12 bits"},
		{"arithmetic", file(frame(0xc9, 8, 8, 8, 1, 0x11, 0)), "arithmetic"},
		{"lossless", file(frame(0xc3, 8, 8, 8, 1, 0x11, 0)), "lossless"},
		{"two components", file(frame(markSOF0, 8, 8, 8, 1, 0x11, 0, 2, 0x11, 0)), "2 components"},
		{"same component", file(frame(markSOF0, 8, 8, 8, 1, 0x11, 0, 1, 0x11, 0, 3, 0x11, 0)), "two components"},
		{"no width", file(frame(markSOF0, 8, 8, 0, 1, 0x11, 0)), "0x8"},
		{"no height", file(frame(markSOF0, 8, 0, 8, 1, 0x11, 0)), "height"},
		{"factor 5", file(frame(markSOF0, 8, 8, 8, 1, 0x51, 0)), "sampling factors 5x1"},
		{"factors 3 and 2", file(frame(markSOF0, 8, 8, 8, 1, 0x31, 0, 2, 0x21, 0, 3, 0x11, 0)), "sampling factors 2x1"},
		{"two frames", file(gray, gray), "second frame"},
		{"short frame", file(segment(markSOF0, 8, 0, 8, 0, 8, 3, 1, 0x11, 0)), "frame header"},
		{"short segment", file([]byte{0xff, markDQT, 0, 1}), "segment of 1"},
		{"second picture", file([]byte{0xff, markSOI}), "second start"},
		{"short table", file(segment(markDQT, 0, 1, 2)), "quantization table"},
		{"table 5", file(segment(markDQT, make([]byte, 65)...), segment(markDQT, 5)), "table 5"},
		{"interval", file(segment(markDRI, 1)), "restart interval"},
		{"too many codes", file(segment(markDHT, append([]byte{0, 3}, make([]byte, 18)...)...)), "more codes"},
		{"large DC", file(segment(markDHT, append(append([]byte{0, 1}, make([]byte, 15)...), 16)...)), "16 bits"},
		{"scan first", file(scan), "before the frame"},
		{"no quantization", file(gray, dc, ac, scan, body), "quantization table 0 is missing"},
		{"no Huffman table", file(quant, gray, dc, scan, body), "Huffman table is missing"},
		{"unknown component", file(quant, gray, dc, ac, segment(markSOS, 1, 2, 0, 0, 63, 0)), "frame lacks"},
		{"no scan", file(quant, gray), "no data for component 1"},
		{"two scans", file(quant, gray, dc, ac, scan, body, scan, body), "second scan"},
		{"no code", file(quant, gray, dc, ac, scan, []byte{0x7f, 0xff, 0}), "impossible"},
		{"early end", file(quant, frame(markSOF0, 8, 8, 80, 1, 0x11, 0), dc, ac, scan, []byte{0}), "too early, with marker 0xd9"},
		{"no restart", file(quant, frame(markSOF0, 8, 8, 32, 1, 0x11, 0), segment(markDRI, 0, 2), dc, ac, scan, []byte{0x0f, 0xff, 0xd1}), "instead of restart marker 0xd0"},
		{"band", file(quant, prog, dc, ac, band(0, 63, 0)), "coefficients 0 to 63"},
		{"bits", file(quant, prog, dc, ac, band(0, 0, 0x20)), "bits 2 to 0"},
		{"order", file(quant, prog, dc, ac, band(1, 63, 0x10)), "out of order"},
		{"twice", file(quant, prog, dc, ac, band(0, 0, 0), body, band(0, 0, 0)), "out of order"},
		{"no DC", file(quant, prog, dc, ac, band(1, 63, 0), body), "no data for component 1"},
	} {
		if _, err := decode(c.raw); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// A small file cannot ask for much memory, and alloc's word is final.
func TestSize(t *testing.T) {
	bomb := file(segment(markSOF2, 8, 0xff, 0xff, 0xff, 0xff, 3, 1, 0x44, 0, 2, 0x11, 0, 3, 0x11, 0))
	err := Decode(bomb, func(h, w, c int) ([]uint8, error) {
		t.Errorf("alloc(%d, %d, %d)", h, w, c)
		return nil, errors.New("no")
	})
	if !errors.Is(err, errTruncated) {
		t.Error(err)
	}
	raw := samples(t)["420.jpg"]
	no := errors.New("no")
	if err := Decode(raw, func(h, w, c int) ([]uint8, error) { return nil, no }); err != no {
		t.Error(err)
	}
	if err := Decode(raw, func(h, w, c int) ([]uint8, error) { return make([]uint8, 5), nil }); err == nil {
		t.Error("5 bytes are enough")
	}
}

// The transform is within one level of the cosine sum.
func TestTransform(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for trial := range 200 {
		var b [64]int32
		last := 0
		for k := range 64 {
			if rng.IntN(64) <= trial%64 {
				b[zigzag[k]] = int32(rng.IntN(401)-200) / int32(1+k/4)
				last = k
			}
		}
		want := cosineSum(&b)
		c := component{stride: 1, plane: make([]uint8, 64)}
		c.transform(&b, last, 0, 0)
		for i, v := range c.plane {
			if math.Abs(float64(v)-want[i]) > 1 {
				t.Fatalf("trial %d, sample %d: %d, want %.2f", trial, i, v, want[i])
			}
		}
		if b != [64]int32{} {
			t.Fatal("the block is not cleared")
		}
	}
}

// cosineSum is the inverse transform by its definition (T.81, A.3.3).
func cosineSum(b *[64]int32) (out [64]float64) {
	basis := func(x, u int) float64 {
		if u == 0 {
			return math.Sqrt(1.0 / 8)
		}
		return math.Cos(float64((2*x+1)*u)*math.Pi/16) / 2
	}
	for y := range 8 {
		for x := range 8 {
			sum := 128.0
			for v := range 8 {
				for u := range 8 {
					sum += basis(x, u) * basis(y, v) * float64(b[8*v+u])
				}
			}
			out[8*y+x] = min(max(sum, 0), 255)
		}
	}
	return out
}

// The triangle filter on planes whose result is known.
func TestUpsampler(t *testing.T) {
	p := plane{[]uint8{0, 16, 32, 64, 100, 100, 100, 100}, 4, 4, 2}
	narrow := plane{[]uint8{10, 20, 30, 40}, 2, 2, 2}
	for _, c := range []struct {
		name   string
		plane  plane
		hx, vx int
		rows   [][]uint8
	}{
		{"both", p, 2, 2, [][]uint8{
			{0, 4, 12, 20, 28, 40, 56, 64},           // far row = near row above the first
			{25, 28, 34, 40, 46, 55, 67, 73},         // 3/4 of the first row and 1/4 of the second
			{75, 76, 78, 80, 82, 85, 89, 91},         // 1/4 and 3/4
			{100, 100, 100, 100, 100, 100, 100, 100}, // below the last
		}},
		{"across", p, 2, 1, [][]uint8{{0, 4, 12, 20, 28, 40, 56, 64}}},
		{"down", p, 1, 2, [][]uint8{{0, 16, 32, 64}, {25, 37, 49, 73}, {75, 79, 83, 91}}},
		{"narrow", narrow, 2, 2, [][]uint8{{10, 10, 20, 20}, {10, 10, 20, 20}, {30, 30, 40, 40}}},
		{"four", narrow, 4, 1, [][]uint8{{10, 10, 10, 10, 20, 20, 20, 20}}},
		{"same", narrow, 1, 1, [][]uint8{{10, 20}, {30, 40}}},
	} {
		var u upsampler
		u.init(c.plane, c.hx, c.vx)
		for y, want := range c.rows {
			if got := u.at(y); !slices.Equal(got, want) {
				t.Errorf("%s: row %d: %v, want %v", c.name, y, got, want)
			}
		}
	}
}

// Both decoders on a photograph-like picture of ImageNet's usual size; here to
// RGB, in the standard library to planes of YCbCr.
func BenchmarkDecode(b *testing.B) {
	raw := encoded(b, 500, 375, 92)
	b.Run("drawknife", func(b *testing.B) {
		var pix []uint8
		b.SetBytes(3 * 500 * 375)
		for b.Loop() {
			if err := Decode(raw, func(h, w, c int) ([]uint8, error) {
				pix = sized(pix, h*w*c)
				return pix, nil
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("standard library", func(b *testing.B) {
		b.SetBytes(3 * 500 * 375)
		for b.Loop() {
			if _, err := stdjpeg.Decode(bytes.NewReader(raw)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
