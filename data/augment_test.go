package data

import (
	"bytes"
	"math"
	"testing"
)

func TestAugmentText(t *testing.T) {
	for _, s := range []string{"none", "crop4,flip", "rrc0.08,flip,jitter0.4,mixup0.2", "crop4,flip,cutout8"} {
		if got := augment(t, s).String(); got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
	}
	if a := augment(t, " flip , rrc"); !a.Flip || a.RandomCrop != 0.08 {
		t.Errorf("%+v", a)
	}
	for _, bad := range []string{"crop", "crop-1", "flip2", "jitter2", "rrc1.5", "mixup1e9", "mixup", "spin", ",", "cutout4.5", "jitternan"} {
		if a, err := ParseAugment(bad); err == nil {
			t.Errorf("%q passes as %v", bad, a)
		}
	}
}

// ramp is a gray picture whose pixel (y, x) is 16·y + x + 1.
func ramp(n int) *Sample {
	s := &Sample{H: n, W: n, C: 1, Pix: make([]uint8, n*n)}
	for i := range s.Pix {
		s.Pix[i] = uint8(i/n*16 + i%n + 1)
	}
	return s
}

func TestCropAndFlip(t *testing.T) {
	const n = 8
	q, err := NewPipeline(Preprocess{}, augment(t, "crop3,flip"))
	if err != nil {
		t.Fatal(err)
	}
	shifts, flips := map[[2]int]int{}, 0
	dst := make([]float32, n*n)
	for i := range 500 {
		if err := q.Train(dst, ramp(n), 5, 0, i); err != nil {
			t.Fatal(err)
		}
		dy, dx, flip, ok := undo(dst, n, 3)
		if !ok {
			t.Fatalf("picture %d is no shifted or mirrored one: %v", i, dst)
		}
		shifts[[2]int{dy, dx}]++
		if flip {
			flips++
		}
	}
	if len(shifts) != 49 {
		t.Errorf("%d of 49 shifts occur", len(shifts))
	}
	if flips < 200 || flips > 300 {
		t.Errorf("%d of 500 are mirrored", flips)
	}
}

// undo finds the shift and mirroring that give got from the ramp.
func undo(got []float32, n, pad int) (dy, dx int, flip, ok bool) {
	for dy := -pad; dy <= pad; dy++ {
		for dx := -pad; dx <= pad; dx++ {
			for _, flip := range []bool{false, true} {
				if matches(got, n, dy, dx, flip) {
					return dy, dx, flip, true
				}
			}
		}
	}
	return 0, 0, false, false
}

func matches(got []float32, n, dy, dx int, flip bool) bool {
	for y := range n {
		for x := range n {
			sy, sx := y+dy, x+dx
			if flip {
				sx = n - 1 - x + dx
			}
			want := float32(0)
			if sy >= 0 && sy < n && sx >= 0 && sx < n {
				want = float32(sy*16 + sx + 1)
			}
			if got[y*n+x] != want {
				return false
			}
		}
	}
	return true
}

// TestCropPadsBlack looks at the border of a shifted, normalised picture.
func TestCropPadsBlack(t *testing.T) {
	for _, layout := range []Layout{CHW, HWC} {
		q, err := NewPipeline(Preprocess{Mean: []float32{100}, Std: []float32{50}, Layout: layout}, augment(t, "crop2"))
		if err != nil {
			t.Fatal(err)
		}
		white := &Sample{H: 4, W: 4, C: 3, Pix: bytes.Repeat([]byte{200}, 48)}
		floats := &Sample{H: 4, W: 4, C: 3, Float: make([]float32, 48)}
		for i := range floats.Float {
			floats.Float[i] = 200
		}
		for _, s := range []*Sample{white, floats} {
			seen := map[float32]bool{}
			dst := make([]float32, 48)
			for i := range 50 {
				if err := q.Train(dst, s, 1, 0, i); err != nil {
					t.Fatal(err)
				}
				for _, v := range dst {
					seen[v] = true
				}
			}
			if len(seen) != 2 || !seen[2] || !seen[-2] {
				t.Errorf("layout %v: values %v, want 2 (the picture) and -2 (black)", layout, seen)
			}
		}
	}
}

func TestCutout(t *testing.T) {
	const n = 10
	q, err := NewPipeline(Preprocess{}, augment(t, "cutout4"))
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]float32, n*n)
	full := 0
	for i := range 200 {
		if err := q.Train(dst, ramp(n), 5, 0, i); err != nil {
			t.Fatal(err)
		}
		zeros, y0, x0, y1, x1 := 0, n, n, 0, 0
		for p, v := range dst {
			if v == 0 {
				zeros++
				y0, x0, y1, x1 = min(y0, p/n), min(x0, p%n), max(y1, p/n+1), max(x1, p%n+1)
			}
		}
		if zeros == 0 || zeros != (y1-y0)*(x1-x0) || y1-y0 > 4 || x1-x0 > 4 {
			t.Fatalf("%d zeros in rows %d…%d, columns %d…%d", zeros, y0, y1, x0, x1)
		}
		if zeros == 16 {
			full++
		}
	}
	if full < 50 {
		t.Errorf("only %d of 200 squares are whole", full)
	}
}

func TestJitter(t *testing.T) {
	q, err := NewPipeline(Preprocess{}, augment(t, "jitter0.5"))
	if err != nil {
		t.Fatal(err)
	}
	// One flat colour: contrast does nothing, brightness scales the luma, and
	// saturation keeps it.
	s := &Sample{H: 2, W: 2, C: 3}
	for range 4 {
		s.Pix = append(s.Pix, 100, 80, 60)
	}
	luma := 0.299*100 + 0.587*80 + 0.114*60
	dst := make([]float32, 12)
	low, high := math.Inf(1), math.Inf(-1)
	for i := range 300 {
		if err := q.Train(dst, s, 5, 0, i); err != nil {
			t.Fatal(err)
		}
		l := 0.299*float64(dst[0]) + 0.587*float64(dst[4]) + 0.114*float64(dst[8])
		low, high = min(low, l/luma), max(high, l/luma)
		if dst[0] < dst[4] || dst[4] < dst[8] {
			t.Fatalf("colours change their order: %v", dst)
		}
	}
	if low < 0.48 || low > 0.6 || high > 1.52 || high < 1.4 {
		t.Errorf("brightness changes by %.2f … %.2f", low, high)
	}
}

func TestRandomResizedCrop(t *testing.T) {
	q, err := NewPipeline(preset(t, "resize=14 crop=12"), augment(t, "rrc0.2"))
	if err != nil {
		t.Fatal(err)
	}
	// A horizontal ramp: the first and last column tell what was cut out.
	s := &Sample{H: 40, W: 60, C: 1, Pix: make([]uint8, 2400)}
	for i := range s.Pix {
		s.Pix[i] = uint8(4 * (i % 60))
	}
	dst := make([]float32, 144)
	narrow, wide := math.Inf(1), 0.0
	for i := range 300 {
		if err := q.Train(dst, s, 5, 0, i); err != nil {
			t.Fatal(err)
		}
		width := float64(dst[11]-dst[0]) / 4 * 12 / 11
		narrow, wide = min(narrow, width), max(wide, width)
	}
	if narrow < 15 || narrow > 30 || wide < 45 || wide > 61 {
		t.Errorf("widths from %.1f to %.1f of 60", narrow, wide)
	}
}

func TestMixupShare(t *testing.T) {
	sum, n := 0.0, 2000
	for i := range n {
		l := float64(mixupShare(0.2, 1, 0, i))
		if !(l >= 0 && l <= 1) {
			t.Fatalf("λ = %v", l)
		}
		sum += (l - 0.5) * (l - 0.5)
	}
	if v, want := sum/float64(n), 1/(4*(2*0.2+1)); math.Abs(v-want) > 0.02 { // variance of Beta(α, α)
		t.Errorf("variance %.3f, want %.3f", v, want)
	}
}
