package jpeg

import "encoding/binary"

// bitReader reads the bits of entropy-coded data, the highest first, up to the
// next marker. Beyond it there are zeros; overrun tells that they were used.
type bitReader struct {
	data []byte
	pos  int    // of the next byte
	acc  uint64 // the next bits, from the top
	n    uint   // bits in acc
	fake uint   // bits in acc, the last ones, that are not in the data
}

// start begins to read at pos.
func (r *bitReader) start(data []byte, pos int) { *r = bitReader{data: data, pos: pos} }

// overrun tells whether more bits were read than there are.
func (r *bitReader) overrun() bool { return r.n < r.fake }

// fill makes sure that there are at least 56 bits.
//
// On the fast path, acc also gets the first bits of the byte after the last
// one counted; they are ored in once more, and so unchanged, with that byte.
func (r *bitReader) fill() {
	if r.pos+8 <= len(r.data) {
		v := binary.BigEndian.Uint64(r.data[r.pos:])
		if (^v-0x0101010101010101)&v&0x8080808080808080 == 0 { // no byte is 0xff
			r.acc |= v >> (r.n & 63)
			r.pos += int(63-r.n) >> 3
			r.n |= 56
			return
		}
	}
	r.fillSlow()
}

// fillSlow is fill byte by byte: 0xff 0x00 stands for 0xff, and anything else
// after 0xff is a marker.
func (r *bitReader) fillSlow() {
	for r.n <= 56 {
		next := r.pos + 1
		if r.pos >= len(r.data) {
			r.end()
			return
		}
		b := r.data[r.pos]
		if b == 0xff {
			for next < len(r.data) && r.data[next] == 0xff {
				next++
			}
			if next == len(r.data) || r.data[next] != 0 {
				r.end()
				return
			}
			next++
		}
		r.acc |= uint64(b) << (56 - r.n)
		r.n += 8
		r.pos = next
	}
}

// end fills up with zeros.
func (r *bitReader) end() {
	r.fake += 64 - r.n
	r.n = 64
}

// bit reads one bit.
func (r *bitReader) bit() bool {
	if r.n == 0 {
		r.fill()
	}
	b := r.acc >> 63
	r.acc <<= 1
	r.n--
	return b != 0
}

// receive reads s bits, at most 16, as an unsigned number.
func (r *bitReader) receive(s uint) int32 {
	if r.n < s {
		r.fill()
	}
	v := int32(r.acc >> 32 >> (32 - s))
	r.acc <<= s
	r.n -= s
	return v
}

// extend makes a value of category s out of its s bits (T.81, F.2.2.1).
func extend(v int32, s uint) int32 {
	if v>>(s-1) == 0 {
		v -= 1<<s - 1
	}
	return v
}

// lookBits is the length of the codes that one look into the table decodes.
const lookBits = 10

// huffman decodes the codes of one table.
type huffman struct {
	defined bool
	// look is indexed by the next bits. An entry holds the length of the code
	// in bits 0 to 3 and its symbol in bits 8 to 15. If the value that the
	// symbol announces also lies in those bits, it has that value in bits 16
	// to 31 and the length of both in bits 4 to 7. It is 0 if the code is
	// longer or there is none.
	look [1 << lookBits]uint32
	// limit[l] is the first 16-bit number that is too large for a code of
	// length l; offset[l] is to be added to a code for the place of its symbol.
	limit  [17]int32
	offset [17]int32
	values [256]uint8
}

// build makes the table of the codes that T.81's annex C derives from the
// number of codes of each length, 1 to 16, and the symbols in their order.
func (t *huffman) build(counts [16]uint8, values []uint8, dc bool) error {
	clear(t.look[:])
	clear(t.values[:])
	copy(t.values[:], values)
	code, k := int32(0), 0
	for l := 1; l <= 16; l++ {
		t.offset[l] = int32(k) - code
		for range counts[l-1] {
			if code >= 1<<l {
				return corrupt("a Huffman table has more codes than fit")
			}
			if dc && values[k] > 15 {
				return corrupt("a DC coefficient of %d bits", values[k])
			}
			if l <= lookBits {
				t.enter(uint32(code), uint(l), values[k])
			}
			code++
			k++
		}
		t.limit[l] = code << (16 - l)
		code <<= 1
	}
	t.defined = true
	return nil
}

// enter puts a code of l bits into the entries of all numbers that begin so.
func (t *huffman) enter(code uint32, l uint, symbol uint8) {
	s, free := uint(symbol&15), lookBits-l
	entries := t.look[code<<free:][:1<<free]
	e := uint32(l) | uint32(symbol)<<8
	for i := range entries {
		entries[i] = e
		if s > 0 && s <= free {
			v := extend(int32(i)>>(free-s), s)
			entries[i] |= uint32(l+s)<<4 | uint32(v)<<16
		}
	}
}

// symbol reads a code and returns its symbol; ok is false if there is no such
// code.
func (r *bitReader) symbol(t *huffman) (sym uint8, ok bool) {
	if r.n < 16 {
		r.fill()
	}
	if e := t.look[r.acc>>(64-lookBits)]; e != 0 {
		r.acc <<= e & 15
		r.n -= uint(e & 15)
		return uint8(e >> 8), true
	}
	return r.longSymbol(t)
}

// longSymbol reads a code that the table's entries do not hold.
func (r *bitReader) longSymbol(t *huffman) (sym uint8, ok bool) {
	next := int32(r.acc >> 48)
	for l := lookBits + 1; l <= 16; l++ {
		if next < t.limit[l] {
			r.acc <<= l
			r.n -= uint(l)
			return t.values[uint8(next>>(16-l)+t.offset[l])], true
		}
	}
	return 0, false
}
