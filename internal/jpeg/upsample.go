package jpeg

// plane is the samples of one component.
type plane struct {
	pix    []uint8
	stride int // bytes from row to row
	w, h   int // size in samples
}

// row returns the samples of row y.
func (p *plane) row(y int) []uint8 { return p.pix[y*p.stride:][:p.w] }

// upsampler gives the rows of a plane at the resolution of the picture.
//
// Where the resolution is half of the picture's, the samples stand between the
// pixels that they cover and are interpolated linearly: a pixel gets 3/4 of
// the nearer sample and 1/4 of the farther one, in each halved direction, and
// halves are rounded up and down in turn. Other ratios repeat the samples, and
// so do rows of one or two samples, as in libjpeg.
type upsampler struct {
	plane
	hx, vx           int // pixels a sample, across and down
	smoothH, smoothV bool
	out              []uint8
	sums             []int32
}

func (u *upsampler) init(p plane, hx, vx int) {
	u.plane, u.hx, u.vx = p, hx, vx
	u.smoothH = hx == 2 && vx <= 2 && p.w > 2
	u.smoothV = vx == 2 && (hx == 1 || u.smoothH)
	u.out = sized(u.out, p.w*hx)
	u.sums = sized(u.sums, p.w)
}

// at returns row y of the picture, at least as long as the picture is wide. It
// is valid until the next call.
func (u *upsampler) at(y int) []uint8 {
	near := u.row(y / u.vx)
	switch {
	case u.smoothV:
		far := y/2 - 1 + y%2*2
		u.halves(near, u.row(min(max(far, 0), u.h-1)), y%2)
	case u.smoothH:
		u.halvesAcross(near)
	case u.hx == 1:
		return near
	default:
		for i, v := range near {
			for j := range u.hx {
				u.out[i*u.hx+j] = v
			}
		}
	}
	return u.out
}

// halves interpolates between two rows, and across them unless hx is 1; odd
// is the parity of the row in the picture.
func (u *upsampler) halves(near, far []uint8, odd int) {
	if !u.smoothH {
		round := 1 + int32(odd)
		for i, v := range near {
			u.out[i] = uint8((3*int32(v) + int32(far[i]) + round) >> 2)
		}
		return
	}
	s := u.sums[:len(near)]
	far = far[:len(near)]
	for i, v := range near {
		s[i] = 3*int32(v) + int32(far[i])
	}
	last := len(s) - 1
	left, v := s[0], s[0]
	out := u.out
	for _, right := range s[1:] {
		pair := out[:2:2]
		pair[0], pair[1] = uint8((3*v+left+8)>>4), uint8((3*v+right+7)>>4)
		left, v, out = v, right, out[2:]
	}
	out[0], out[1] = uint8((3*v+left+8)>>4), uint8((4*s[last]+7)>>4)
}

// halvesAcross interpolates along one row.
func (u *upsampler) halvesAcross(s []uint8) {
	left, v := int32(s[0]), int32(s[0])
	out := u.out
	for _, r := range s[1:] {
		right := int32(r)
		pair := out[:2:2]
		pair[0], pair[1] = uint8((3*v+left+1)>>2), uint8((3*v+right+2)>>2)
		left, v, out = v, right, out[2:]
	}
	out[0], out[1] = uint8((3*v+left+1)>>2), uint8(v)
}
