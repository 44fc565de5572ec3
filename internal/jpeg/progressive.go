package jpeg

// readProgressive reads what a scan says of one block (T.81, annex G).
func (d *decoder) readProgressive(s *scan, c *component, b *[64]int16) error {
	ok := true
	switch {
	case s.start == 0 && s.high == 0:
		ok = d.bits.firstDC(s, c, b)
	case s.start == 0:
		if d.bits.bit() {
			b[0] |= 1 << s.low
		}
	case s.high == 0:
		ok = d.firstAC(s, c.ac, b)
	default:
		ok = d.refineAC(s, c.ac, b)
	}
	if !ok {
		return badCode()
	}
	return nil
}

func (r *bitReader) firstDC(s *scan, c *component, b *[64]int16) bool {
	size, ok := r.symbol(c.dc)
	if !ok {
		return false
	}
	if size > 0 {
		c.pred += extend(r.receive(uint(size)), uint(size))
	}
	b[0] = int16(c.pred << s.low)
	return true
}

// firstAC reads the upper bits of a band of coefficients.
func (d *decoder) firstAC(s *scan, t *huffman, b *[64]int16) bool {
	if d.eobRun > 0 {
		d.eobRun--
		return true
	}
	r := &d.bits
	for k := s.start; k <= s.end; k++ {
		sym, ok := r.symbol(t)
		if !ok {
			return false
		}
		run, size := int(sym>>4), uint(sym&15)
		switch {
		case size > 0:
			if k += run; k > s.end {
				return false
			}
			b[k&63] = int16(extend(r.receive(size), size) << s.low)
		case run == 15:
			k += 15
		default:
			d.eobRun = 1<<run - 1 + r.receive(uint(run))
			return true
		}
	}
	return true
}

// refineAC reads one more bit of the coefficients of a band: of those that
// are not zero their next bit, of the others whether they become ±1.
func (d *decoder) refineAC(s *scan, t *huffman, b *[64]int16) bool {
	r := &d.bits
	one := int16(1) << s.low
	k := s.start
	for d.eobRun == 0 && k <= s.end {
		sym, ok := r.symbol(t)
		if !ok {
			return false
		}
		run, fresh := int(sym>>4), int16(0)
		switch sym & 15 {
		case 0:
			if run < 15 {
				d.eobRun = 1<<run + r.receive(uint(run))
				continue
			}
		case 1:
			fresh = -one
			if r.bit() {
				fresh = one
			}
		default:
			return false
		}
		if k = r.refine(b, k, s.end, run, one); k > s.end {
			return fresh == 0
		}
		b[k&63] = fresh
		k++
	}
	if d.eobRun > 0 {
		d.eobRun--
		r.refine(b, k, s.end, 64, one)
	}
	return true
}

// refine reads the next bit of each coefficient from k on that is not zero, as
// far as the zero after zeros others, whose place it returns, or to the end.
func (r *bitReader) refine(b *[64]int16, k, end, zeros int, one int16) int {
	for ; k <= end; k++ {
		v := b[k&63]
		if v == 0 {
			if zeros == 0 {
				break
			}
			zeros--
			continue
		}
		if r.bit() && v&one == 0 {
			if v > 0 {
				v += one
			} else {
				v -= one
			}
			b[k&63] = v
		}
	}
	return k
}

// reconstruct transforms all blocks of a progressive picture.
func (d *decoder) reconstruct() {
	for i := range d.comps {
		c := &d.comps[i]
		for y := range c.bh {
			for x := range c.bw {
				coefs := (*[64]int16)(c.coefs[64*(y*c.stride+x):])
				last := 0
				for k, v := range coefs {
					if v != 0 {
						d.block[zigzag[k]&63] = int32(v) * c.quant[k]
						last = k
					}
				}
				c.transform(&d.block, last, x, y)
			}
		}
	}
}
