package jpeg

// zigzag gives the row-major place in a block of each coefficient in the order
// of the file (T.81, figure A.6).
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// scan is the header of a scan: which coefficients of which components.
type scan struct {
	comps      [4]*component
	n          int
	start, end int // band of coefficients, in zigzag order
	high, low  int // progressive: the bit known before (0: none) and after
}

// readScan reads a scan header and the entropy-coded data that follow it.
func (d *decoder) readScan(seg []byte) error {
	if d.comps == nil {
		return corrupt("a scan before the frame header")
	}
	if d.scans++; d.scans > maxScans {
		return corrupt("more than %d scans", maxScans)
	}
	var s scan
	if err := d.scanHeader(seg, &s); err != nil {
		return err
	}
	if d.progressive {
		if err := s.checkBand(); err != nil {
			return err
		}
	} else {
		s.start, s.end, s.high, s.low = 0, 63, 0, 0
	}
	if err := d.scanTables(&s); err != nil {
		return err
	}
	return d.scanUnits(&s)
}

func (d *decoder) scanHeader(seg []byte, s *scan) error {
	if len(seg) < 1 || len(seg) != 4+2*int(seg[0]) {
		return corrupt("a scan header of %d bytes", len(seg))
	}
	s.n = int(seg[0])
	if s.n < 1 || s.n > len(d.comps) {
		return corrupt("a scan of %d components", s.n)
	}
	for i := range s.n {
		id, tables := seg[1+2*i], seg[2+2*i]
		for j := range d.comps {
			if d.comps[j].id == id {
				s.comps[i] = &d.comps[j]
			}
		}
		c := s.comps[i]
		if c == nil {
			return corrupt("a scan of component %d, which the frame lacks", id)
		}
		for j := range i {
			if s.comps[j] == c {
				return corrupt("a scan with component %d twice", id)
			}
		}
		if tables>>4 > 3 || tables&15 > 3 {
			return corrupt("a scan with Huffman tables %d and %d", tables>>4, tables&15)
		}
		c.dc, c.ac = &d.huff[0][tables>>4], &d.huff[1][tables&15]
		c.mcuW, c.mcuH = c.h, c.v
	}
	if s.n == 1 {
		s.comps[0].mcuW, s.comps[0].mcuH = 1, 1
	}
	seg = seg[1+2*s.n:]
	s.start, s.end, s.high, s.low = int(seg[0]), int(seg[1]), int(seg[2]>>4), int(seg[2]&15)
	return nil
}

// checkBand checks a progressive scan by T.81's G.1.1.1 and notes what it adds.
func (s *scan) checkBand() error {
	switch {
	case s.start > s.end || s.end > 63, s.start == 0 && s.end != 0, s.start > 0 && s.n > 1:
		return corrupt("a scan of coefficients %d to %d of %d components", s.start, s.end, s.n)
	case s.low > 13, s.high != 0 && s.high != s.low+1:
		return corrupt("a scan of bits %d to %d", s.high, s.low)
	}
	known := int8(s.high)
	if s.high == 0 {
		known = -1
	}
	for _, c := range s.comps[:s.n] {
		for k := s.start; k <= s.end; k++ {
			if c.precision[k] != known {
				return corrupt("coefficient %d of component %d is refined out of order", k, c.id)
			}
			c.precision[k] = int8(s.low)
		}
	}
	return nil
}

// scanTables checks that the tables that a scan needs are there.
func (d *decoder) scanTables(s *scan) error {
	needDC, needAC := s.start == 0 && s.high == 0, s.end > 0
	for _, c := range s.comps[:s.n] {
		if needDC && !c.dc.defined || needAC && !c.ac.defined {
			return corrupt("a Huffman table is missing")
		}
		if !c.latched {
			if !d.hasQuant[c.selector] {
				return corrupt("quantization table %d is missing", c.selector)
			}
			c.quant, c.latched = d.quant[c.selector], true
		}
		if !d.progressive {
			if c.complete {
				return corrupt("a second scan of component %d", c.id)
			}
			c.complete = true
		}
	}
	return nil
}

// scanUnits reads the minimum coded units of a scan. Those of a single
// component are blocks, without the padding to whole units of the frame.
func (d *decoder) scanUnits(s *scan) error {
	w, h := d.mcuW, d.mcuH
	if s.n == 1 {
		w, h = s.comps[0].bw, s.comps[0].bh
	}
	d.bits.start(d.raw, d.pos)
	d.beginInterval(s)
	left, marker := d.restart, uint8(0)
	for y := range h {
		for x := range w {
			if d.restart > 0 {
				if left == 0 {
					if err := d.readRestart(markRST0 + marker); err != nil {
						return err
					}
					d.beginInterval(s)
					left, marker = d.restart, (marker+1)&7
				}
				left--
			}
			err := d.readUnit(s, x, y)
			if d.bits.overrun() {
				return d.overrun()
			}
			if err != nil {
				return err
			}
		}
	}
	d.pos = d.bits.pos
	return nil
}

// overrun is the error of a scan whose data end too early.
func (d *decoder) overrun() error {
	d.pos = d.bits.pos
	m, err := d.nextMarker()
	if err != nil {
		return err
	}
	return corrupt("the data of a scan end too early, with marker 0x%02x", m)
}

func (d *decoder) beginInterval(s *scan) {
	d.eobRun = 0
	for _, c := range s.comps[:s.n] {
		c.pred = 0
	}
}

// readRestart moves past a restart marker, which must come next.
func (d *decoder) readRestart(want uint8) error {
	d.pos = d.bits.pos
	m, err := d.nextMarker()
	if err != nil {
		return err
	}
	if m != want {
		return corrupt("marker 0x%02x instead of restart marker 0x%02x", m, want)
	}
	d.bits.start(d.raw, d.pos)
	return nil
}

// readUnit reads the blocks of a unit.
func (d *decoder) readUnit(s *scan, x, y int) error {
	for _, c := range s.comps[:s.n] {
		for v := range c.mcuH {
			for h := range c.mcuW {
				bx, by := x*c.mcuW+h, y*c.mcuH+v
				if d.progressive {
					b := (*[64]int16)(c.coefs[64*(by*c.stride+bx):])
					if err := d.readProgressive(s, c, b); err != nil {
						return err
					}
					continue
				}
				last, ok := d.bits.readBlock(c, &d.block)
				if !ok {
					return badCode()
				}
				c.transform(&d.block, last, bx, by)
			}
		}
	}
	return nil
}

func badCode() error { return corrupt("an impossible Huffman code or run of zeros") }

// readBlock reads a block of a sequential scan and multiplies it by the
// quantization table. The block must be zero; it is left in row-major order.
// last is the last coefficient that was stored, in zigzag order.
func (r *bitReader) readBlock(c *component, block *[64]int32) (last int, ok bool) {
	s, ok := r.symbol(c.dc)
	if !ok {
		return 0, false
	}
	if s > 0 {
		c.pred += extend(r.receive(uint(s)), uint(s))
	}
	block[0] = c.pred * c.quant[0]
	ac := c.ac
	for k := 1; k < 64; k++ {
		if r.n < 32 {
			r.fill()
		}
		e := ac.look[r.acc>>(64-lookBits)]
		if total := e >> 4 & 15; total != 0 { // code and value at once
			k += int(e >> 12 & 15)
			if k > 63 {
				return 0, false
			}
			r.acc <<= total
			r.n -= uint(total)
			block[zigzag[k]&63] = int32(e) >> 16 * c.quant[k]
			last = k
			continue
		}
		sym, ok := r.symbol(ac)
		if !ok {
			return 0, false
		}
		size := uint(sym & 15)
		if size == 0 {
			if sym != 0xf0 {
				break // end of block
			}
			k += 15
			continue
		}
		if k += int(sym >> 4); k > 63 {
			return 0, false
		}
		block[zigzag[k]&63] = extend(r.receive(size), size) * c.quant[k]
		last = k
	}
	return last, true
}
