package qvec

// AddParams describes a quantized binary operation y = a op b: the scale and
// zero point of both operands and of the result, and the clamp of the result
// (an activation). Max 0 stands for 255.
type AddParams struct {
	ScaleA, ScaleB, ScaleY float32
	ZeroA, ZeroB, ZeroY    uint8
	Min, Max               uint8
}

// MulParams describes a quantized multiplication, with the fields of AddParams.
type MulParams = AddParams

// Add writes the quantized sum of a and b to dst, which may be either:
//
//	v = (float32(a-ZeroA)*ScaleA + float32(b-ZeroB)*ScaleB) / ScaleY
//
// with each product, the sum and the quotient rounded to float32.
func Add(dst, a, b []uint8, p AddParams) {
	dst, b, p.Max = dst[:len(a)], b[:len(a)], top(p.Max)
	for i := addSIMD(dst, a, b, &p); i < len(a); i++ {
		dst[i] = addOne(a[i], b[i], &p)
	}
}

func addOne(a, b uint8, p *AddParams) uint8 {
	x := float32(float32(int32(a)-int32(p.ZeroA)) * p.ScaleA)
	y := float32(float32(int32(b)-int32(p.ZeroB)) * p.ScaleB)
	return Round(float32(x+y)/p.ScaleY, p.ZeroY, p.Min, p.Max)
}

// Mul writes the quantized product of a and b to dst, which may be either:
//
//	v = ((float32(a-ZeroA)*ScaleA) * (float32(b-ZeroB)*ScaleB)) / ScaleY
//
// with each product and the quotient rounded to float32.
func Mul(dst, a, b []uint8, p MulParams) {
	dst, b, p.Max = dst[:len(a)], b[:len(a)], top(p.Max)
	for i := mulSIMD(dst, a, b, &p); i < len(a); i++ {
		dst[i] = mulOne(a[i], b[i], &p)
	}
}

func mulOne(a, b uint8, p *MulParams) uint8 {
	x := float32(float32(int32(a)-int32(p.ZeroA)) * p.ScaleA)
	y := float32(float32(int32(b)-int32(p.ZeroB)) * p.ScaleB)
	return Round(float32(x*y)/p.ScaleY, p.ZeroY, p.Min, p.Max)
}

// MulChannels is Mul with b broadcast over pixels, as in squeeze-excite: a and
// dst hold len(a)/len(gate) pixels of one image, gate a value per channel.
func MulChannels(dst, a, gate []uint8, p MulParams) {
	c := len(gate)
	for base := 0; base+c <= len(a); base += c {
		Mul(dst[base:base+c], a[base:base+c], gate, p)
	}
}

// AddChannels is Add with b broadcast over pixels; see MulChannels.
func AddChannels(dst, a, b []uint8, p AddParams) {
	c := len(b)
	for base := 0; base+c <= len(a); base += c {
		Add(dst[base:base+c], a[base:base+c], b, p)
	}
}
