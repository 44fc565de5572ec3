package jpeg

import "bytes"

// Markers of ITU-T T.81, table B.1, and what applications added.
const (
	markSOF0 = 0xc0 // baseline
	markSOF1 = 0xc1 // extended sequential
	markSOF2 = 0xc2 // progressive
	markDHT  = 0xc4
	markJPG  = 0xc8
	markDAC  = 0xcc
	markSOFf = 0xcf
	markRST0 = 0xd0
	markRST7 = 0xd7
	markSOI  = 0xd8
	markEOI  = 0xd9
	markSOS  = 0xda
	markDQT  = 0xdb
	markDRI  = 0xdd
	markAPP0 = 0xe0 // JFIF
	markAPPe = 0xee // Adobe
	markTEM  = 0x01
)

// maxScans bounds the scans of a progressive file; encoders write about ten.
const maxScans = 256

// nextMarker moves past the next marker and returns it. Bytes before it that
// belong to nothing are skipped, as libjpeg does.
func (d *decoder) nextMarker() (uint8, error) {
	for {
		i := bytes.IndexByte(d.raw[d.pos:], 0xff)
		if i < 0 {
			return 0, errTruncated
		}
		d.pos += i
		for d.pos < len(d.raw) && d.raw[d.pos] == 0xff { // any number may fill up
			d.pos++
		}
		if d.pos == len(d.raw) {
			return 0, errTruncated
		}
		m := d.raw[d.pos]
		d.pos++
		if m != 0 {
			return m, nil
		}
	}
}

// segment returns what follows a marker that has a length.
func (d *decoder) segment() ([]byte, error) {
	rest := d.raw[d.pos:]
	if len(rest) < 2 {
		return nil, errTruncated
	}
	n := int(rest[0])<<8 | int(rest[1])
	if n < 2 {
		return nil, corrupt("a segment of %d bytes", n)
	}
	if n > len(rest) {
		return nil, errTruncated
	}
	d.pos += n
	return rest[2:n], nil
}

// readSegments reads the whole file.
func (d *decoder) readSegments() error {
	if !IsJPEG(d.raw) {
		return corrupt("no start-of-image marker at the beginning")
	}
	d.pos = 2
	for {
		m, err := d.nextMarker()
		if err != nil {
			return err
		}
		switch {
		case m == markEOI:
			return d.finish()
		case m == markSOI:
			return corrupt("a second start-of-image marker")
		case m == markTEM, m >= markRST0 && m <= markRST7:
			continue // stray ones
		}
		seg, err := d.segment()
		if err != nil {
			return err
		}
		if err := d.readSegment(m, seg); err != nil {
			return err
		}
	}
}

func (d *decoder) readSegment(m uint8, seg []byte) error {
	switch m {
	case markSOF0, markSOF1, markSOF2:
		d.progressive = m == markSOF2
		return d.readFrame(seg)
	case markDHT:
		return d.readHuffman(seg)
	case markDQT:
		return d.readQuant(seg)
	case markDRI:
		if len(seg) != 2 {
			return corrupt("a restart interval of %d bytes", len(seg))
		}
		d.restart = int(seg[0])<<8 | int(seg[1])
	case markSOS:
		return d.readScan(seg)
	case markAPP0:
		d.jfif = d.jfif || bytes.HasPrefix(seg, []byte("JFIF\x00"))
	case markAPPe:
		if len(seg) >= 12 && bytes.HasPrefix(seg, []byte("Adobe")) {
			d.adobe, d.adobeTransform = true, seg[11]
		}
	case markJPG, markDAC:
		// Marks the extensions below; alone it says nothing.
	default:
		if m >= markSOF0 && m <= markSOFf {
			return unsupported("frames of type %d (arithmetic, lossless or hierarchical coding)", m-markSOF0)
		}
	}
	return nil
}

// finish checks that all of the picture was there.
func (d *decoder) finish() error {
	if d.comps == nil {
		return corrupt("no frame header")
	}
	for i := range d.comps {
		c := &d.comps[i]
		if !c.complete && !(d.progressive && c.precision[0] >= 0) {
			return corrupt("no data for component %d", c.id)
		}
	}
	return nil
}

// readFrame reads the frame header: the picture's size and its components.
func (d *decoder) readFrame(seg []byte) error {
	if d.comps != nil {
		return corrupt("a second frame header")
	}
	if len(seg) < 6 || len(seg) != 6+3*int(seg[5]) {
		return corrupt("a frame header of %d bytes", len(seg))
	}
	d.h, d.w = int(seg[1])<<8|int(seg[2]), int(seg[3])<<8|int(seg[4])
	n := int(seg[5])
	switch {
	case seg[0] != 8:
		return unsupported("%d bits a sample", seg[0])
	case d.w == 0 || n == 0:
		return corrupt("a picture of %dx%d with %d components", d.w, d.h, n)
	case d.h == 0:
		return unsupported("a height that is given after the picture")
	case n == 2 || n > 4:
		return unsupported("%d components", n)
	}
	comps := d.store[:n]
	for i := range comps {
		s := seg[6+3*i:]
		c := component{id: s[0], h: int(s[1] >> 4), v: int(s[1] & 15), selector: s[2]}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.selector > 3 {
			return corrupt("component %d: sampling factors %dx%d, quantization table %d", c.id, c.h, c.v, c.selector)
		}
		for j := range i {
			if comps[j].id == c.id {
				return corrupt("two components %d", c.id)
			}
		}
		for k := range c.precision {
			c.precision[k] = -1
		}
		comps[i] = c
	}
	d.comps = comps
	return d.setSize()
}

// readQuant reads quantization tables.
func (d *decoder) readQuant(seg []byte) error {
	for len(seg) > 0 {
		wide, id := int(seg[0]>>4), seg[0]&15
		seg = seg[1:]
		if wide > 1 || id > 3 {
			return corrupt("quantization table %d of precision %d", id, wide)
		}
		if len(seg) < 64<<wide {
			return corrupt("a quantization table is cut short")
		}
		q := &d.quant[id]
		for k := range q {
			if wide == 0 {
				q[k] = int32(seg[k])
			} else {
				q[k] = int32(seg[2*k])<<8 | int32(seg[2*k+1])
			}
		}
		d.hasQuant[id] = true
		seg = seg[64<<wide:]
	}
	return nil
}

// readHuffman reads Huffman tables.
func (d *decoder) readHuffman(seg []byte) error {
	for len(seg) > 0 {
		if len(seg) < 17 {
			return corrupt("a Huffman table is cut short")
		}
		class, id := seg[0]>>4, seg[0]&15
		if class > 1 || id > 3 {
			return corrupt("Huffman table %d of class %d", id, class)
		}
		counts := [16]uint8(seg[1:17])
		n := 0
		for _, c := range counts {
			n += int(c)
		}
		seg = seg[17:]
		if n > 256 || n > len(seg) {
			return corrupt("a Huffman table of %d codes is cut short", n)
		}
		if err := d.huff[class][id].build(counts, seg[:n], class == 0); err != nil {
			return err
		}
		seg = seg[n:]
	}
	return nil
}
