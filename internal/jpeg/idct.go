package jpeg

// Constants of the transform, in units of 2⁻¹³: sums and differences of
// √2·cos(kπ/16).
const (
	fix0298 = 2446
	fix0390 = 3196
	fix0541 = 4433
	fix0765 = 6270
	fix0899 = 7373
	fix1175 = 9633
	fix1501 = 12299
	fix1847 = 15137
	fix1961 = 16069
	fix2053 = 16819
	fix2562 = 20995
	fix3072 = 25172

	constBits = 13
	passBits  = 2 // kept between the passes
)

// transform writes the samples of a block of coefficients to their place in
// the component's plane, and clears the block. Coefficients after last, in
// zigzag order, are zero.
func (c *component) transform(b *[64]int32, last, bx, by int) {
	stride := 8 * c.stride
	dst := c.plane[8*by*stride+8*bx:]
	if last == 0 {
		v := sample(b[0]+4, 3)
		b[0] = 0
		for y := range 8 {
			row := (*[8]uint8)(dst[y*stride:])
			*row = [8]uint8{v, v, v, v, v, v, v, v}
		}
		return
	}
	inverseColumns(b)
	inverseRows(b, dst, stride)
	*b = [64]int32{}
}

// sample scales the result of the transform down, shifts its level from around
// zero to around 128 and clamps it.
func sample(v int32, shift uint) uint8 {
	v = v>>shift + 128
	if uint32(v) > 255 {
		return uint8(^(v >> 31))
	}
	return uint8(v)
}

// inverseColumns transforms the columns of b in place, scaled by 2^passBits·√8.
func inverseColumns(b *[64]int32) {
	const round, shift = 1 << (constBits - passBits - 1), constBits - passBits
	for x := range 8 {
		c := (*[57]int32)(b[x:])
		if c[8]|c[16]|c[24]|c[32]|c[40]|c[48]|c[56] == 0 {
			v := c[0] << passBits
			c[0], c[8], c[16], c[24], c[32], c[40], c[48], c[56] = v, v, v, v, v, v, v, v
			continue
		}
		// Even part.
		z := (c[16] + c[48]) * fix0541
		t2, t3 := z-c[48]*fix1847, z+c[16]*fix0765
		t0, t1 := (c[0]+c[32])<<constBits+round, (c[0]-c[32])<<constBits+round
		e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2
		// Odd part.
		o7, o5, o3, o1 := c[56], c[40], c[24], c[8]
		z71, z53, z73, z51 := (o7+o1)*-fix0899, (o5+o3)*-fix2562, o7+o3, o5+o1
		z = (z73 + z51) * fix1175
		z73, z51 = z-z73*fix1961, z-z51*fix0390
		o7, o5 = o7*fix0298+z71+z73, o5*fix2053+z53+z51
		o3, o1 = o3*fix3072+z53+z73, o1*fix1501+z71+z51

		c[0], c[56] = (e0+o1)>>shift, (e0-o1)>>shift
		c[8], c[48] = (e1+o3)>>shift, (e1-o3)>>shift
		c[16], c[40] = (e2+o5)>>shift, (e2-o5)>>shift
		c[24], c[32] = (e3+o7)>>shift, (e3-o7)>>shift
	}
}

// inverseRows transforms the rows of b and writes the samples to dst.
func inverseRows(b *[64]int32, dst []uint8, stride int) {
	const shift = constBits + passBits + 3
	const round = 1 << (shift - 1)
	for y := range 8 {
		c := (*[8]int32)(b[8*y:])
		out := (*[8]uint8)(dst[y*stride:])
		// Even part.
		z := (c[2] + c[6]) * fix0541
		t2, t3 := z-c[6]*fix1847, z+c[2]*fix0765
		t0, t1 := (c[0]+c[4])<<constBits+round, (c[0]-c[4])<<constBits+round
		e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2
		// Odd part.
		o7, o5, o3, o1 := c[7], c[5], c[3], c[1]
		z71, z53, z73, z51 := (o7+o1)*-fix0899, (o5+o3)*-fix2562, o7+o3, o5+o1
		z = (z73 + z51) * fix1175
		z73, z51 = z-z73*fix1961, z-z51*fix0390
		o7, o5 = o7*fix0298+z71+z73, o5*fix2053+z53+z51
		o3, o1 = o3*fix3072+z53+z73, o1*fix1501+z71+z51

		out[0], out[7] = sample(e0+o1, shift), sample(e0-o1, shift)
		out[1], out[6] = sample(e1+o3, shift), sample(e1-o3, shift)
		out[2], out[5] = sample(e2+o5, shift), sample(e2-o5, shift)
		out[3], out[4] = sample(e3+o7, shift), sample(e3-o7, shift)
	}
}
