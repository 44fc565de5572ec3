package jpeg

import "image"

// convert makes the result out of the components' planes.
func (d *decoder) convert() {
	for i := range d.comps {
		c := &d.comps[i]
		d.rows[i].init(plane{c.plane, 8 * c.stride, c.w, c.rows}, d.maxH/c.h, d.maxV/c.v)
	}
	rows := d.rows[:len(d.comps)]
	if len(rows) == 1 {
		for y := range d.h {
			copy(d.pix[y*d.w:][:d.w], rows[0].at(y))
		}
		return
	}
	ycc := d.isYCbCr()
	for y := range d.h {
		out := d.pix[3*y*d.w:][:3*d.w]
		a, b, c := rows[0].at(y), rows[1].at(y), rows[2].at(y)
		if ycc {
			rowFromYCbCr(out, a, b, c)
		} else {
			rowFromRGB(out, a, b, c)
		}
		if len(rows) == 4 {
			if ycc { // the complement of inverted inks
				invert(out)
			}
			applyBlack(out, rows[3].at(y))
		}
	}
}

// isYCbCr tells the colour space of three or four components by libjpeg's
// rules.
func (d *decoder) isYCbCr() bool {
	if len(d.comps) == 4 {
		return d.adobe && d.adobeTransform != 0
	}
	switch {
	case d.jfif:
		return true
	case d.adobe:
		return d.adobeTransform != 0
	}
	return !(d.comps[0].id == 'R' && d.comps[1].id == 'G' && d.comps[2].id == 'B')
}

// rowFromYCbCr converts a row by JFIF's matrix in 16-bit fixed point, rounded
// to nearest; out has three bytes for each pixel.
func rowFromYCbCr(out, luma, cb, cr []uint8) {
	n := len(out) / 3
	luma, cb, cr = luma[:n], cb[:n], cr[:n]
	for x, l := range luma {
		y, u, v := int32(l)<<16+1<<15, int32(cb[x])-128, int32(cr[x])-128
		rgb := out[3*x:][:3:3]
		rgb[0] = clamp16(y + 91881*v)           // 1.402
		rgb[1] = clamp16(y - 22554*u - 46802*v) // 0.344136, 0.714136
		rgb[2] = clamp16(y + 116130*u)          // 1.772
	}
}

func clamp16(v int32) uint8 {
	v >>= 16
	if uint32(v) > 255 {
		return uint8(^(v >> 31))
	}
	return uint8(v)
}

func rowFromRGB(out, r, g, b []uint8) {
	n := len(out) / 3
	r, g, b = r[:n], g[:n], b[:n]
	for x := range r {
		rgb := out[3*x:][:3:3]
		rgb[0], rgb[1], rgb[2] = r[x], g[x], b[x]
	}
}

// applyBlack multiplies a row of colours by its black. Files of four
// components hold inks inverted, 255 for none, as Adobe's programs write them:
// so cyan, magenta and yellow are red, green and blue on a white page.
func applyBlack(rgb, black []uint8) {
	for x, k := range black[:len(rgb)/3] {
		p := rgb[3*x:][:3:3]
		for i, v := range p {
			t := uint32(255-v)*uint32(k) + 128
			p[i] = k - uint8((t>>8+t)>>8)
		}
	}
}

func invert(p []uint8) {
	for i, v := range p {
		p[i] = ^v
	}
}

// ConvertYCbCr writes the pixels of m, red, green and blue side by side, to
// dst, with the chroma interpolated and the colours converted as Decode does
// it. dst has three bytes for each pixel. m must begin at the origin.
func ConvertYCbCr(m *image.YCbCr, dst []uint8) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	hx, vx := subsampling(m.SubsampleRatio)
	var cb, cr upsampler
	cb.init(plane{m.Cb, m.CStride, ceilDiv(w, hx), ceilDiv(h, vx)}, hx, vx)
	cr.init(plane{m.Cr, m.CStride, ceilDiv(w, hx), ceilDiv(h, vx)}, hx, vx)
	for y := range h {
		rowFromYCbCr(dst[3*w*y:][:3*w], m.Y[y*m.YStride:], cb.at(y), cr.at(y))
	}
}

// subsampling is how many pixels a sample of chroma covers, across and down.
func subsampling(r image.YCbCrSubsampleRatio) (h, v int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}
