package tensor

import (
	"math"
	"testing"
)

func TestConvert(t *testing.T) {
	x := Of([]float32{-1.7, 0.4, 300, float32(math.NaN()), float32(math.Inf(1))}, 5)
	for _, c := range []struct {
		to   DType
		want []float64
	}{
		{Uint8, []float64{0, 0, 255, 0, 255}},
		{Int8, []float64{-1, 0, 127, 0, 127}},
		{Int32, []float64{-1, 0, 300, 0, math.MaxInt32}},
		{Int4, []float64{-1, 0, 7, 0, 7}},
		{Uint2, []float64{0, 0, 3, 0, 3}},
		{Bool, []float64{1, 1, 1, 1, 1}},
	} {
		y, err := x.Convert(c.to)
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range c.want {
			if y.At(i) != w {
				t.Errorf("%v as %v: element %d is %g, want %g", x.At(i), c.to, i, y.At(i), w)
			}
		}
	}
	for _, bad := range []DType{String, Complex64, Complex128, Invalid, Float8E4M3FN, Float8E8M0, DType(99)} {
		if _, err := x.Convert(bad); err == nil {
			t.Errorf("conversion to %v was not refused", bad)
		}
	}
}

func TestFloat16RoundTrip(t *testing.T) {
	for h := range 1 << 16 {
		f := Float16ToFloat32(uint16(h))
		if f != f {
			continue
		}
		if back := Float32ToFloat16(f); back != uint16(h) && !(f == 0) {
			t.Fatalf("%#04x became %g, then %#04x", h, f, back)
		}
	}
	for f, want := range map[float32]uint16{65519: 0x7bff, 65520: 0x7c00, 1e-8: 0, 5.9604645e-08: 1, 0.5: 0x3800} {
		if got := Float32ToFloat16(f); got != want {
			t.Errorf("%g became %#04x, want %#04x", f, got, want)
		}
	}
}

func TestFromBytesRefuses(t *testing.T) {
	for _, c := range []struct {
		d     DType
		n     int
		shape []int
	}{
		{Float32, 3, []int{1}}, {Float32, 8, []int{-2}}, {Float32, 0, []int{1 << 40, 1 << 40}}, {Complex64, 8, []int{1}}, {String, 0, []int{0}},
	} {
		if _, err := FromBytes(c.d, make([]byte, c.n), c.shape...); err == nil {
			t.Errorf("%d bytes as %v%v were accepted", c.n, c.d, c.shape)
		}
	}
	x, err := FromBytes(Int4, []byte{0xf1, 0x08}, 3)
	if err != nil || x.At(0) != 1 || x.At(1) != -1 || x.At(2) != -8 {
		t.Errorf("int4: %v %v", x, err)
	}
}
