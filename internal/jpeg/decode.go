package jpeg

import (
	"errors"
	"fmt"
	"sync"
)

// errTruncated says that the file ends before its picture does.
var errTruncated = errors.New("jpeg: the file is truncated")

// corrupt is the error of a file that breaks the format's rules.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("jpeg: corrupt file: "+format, args...)
}

// unsupported is the error of a file that needs a feature this package lacks.
func unsupported(format string, args ...any) error {
	return fmt.Errorf("jpeg: unsupported: "+format, args...)
}

// keepBytes is the most scratch memory that is kept for the next picture.
const keepBytes = 64 << 20

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// IsJPEG tells whether raw begins as JPEG files do.
func IsJPEG(raw []byte) bool {
	return len(raw) >= 3 && raw[0] == 0xff && raw[1] == 0xd8 && raw[2] == 0xff
}

// Decode decodes the JPEG file raw. Once it knows the size of the picture it
// calls alloc for height × width × channels bytes and writes its pixels there,
// row by row, the channels of a pixel side by side: one channel of gray, or
// red, green and blue. An error of alloc ends the decoding and is returned as
// it is; alloc is the place to bound the size of pictures. Before that, Decode
// makes sure that the file is long enough for that many pixels, and its own
// memory is in proportion to the file.
func Decode(raw []byte, alloc func(height, width, channels int) ([]uint8, error)) error {
	d := decoders.Get().(*decoder)
	defer func() {
		d.raw, d.alloc, d.pix, d.bits = nil, nil, nil, bitReader{}
		if cap(d.planes)+2*cap(d.coefs) <= keepBytes {
			decoders.Put(d)
		}
	}()
	d.reset(raw, alloc)
	if err := d.readSegments(); err != nil {
		return err
	}
	if d.progressive {
		d.reconstruct()
	}
	d.convert()
	return nil
}

// decoder holds one picture while it is read, and memory for the next one.
type decoder struct {
	raw   []byte
	pos   int // of the next byte of raw
	alloc func(height, width, channels int) ([]uint8, error)
	pix   []uint8 // the result

	w, h        int
	progressive bool
	comps       []component // none before the frame header
	store       [4]component
	maxH, maxV  int // largest sampling factors
	mcuW, mcuH  int // size of the picture in minimum coded units

	quant    [4][64]int32 // in zigzag order
	hasQuant [4]bool
	huff     [2][4]huffman // DC, AC
	restart  int           // units between restart markers; 0: none
	scans    int

	jfif, adobe    bool
	adobeTransform uint8

	bits   bitReader
	eobRun int32 // blocks that have no more coefficients in this band
	block  [64]int32
	planes []uint8 // memory of all components' samples
	coefs  []int16 // memory of all components' coefficients
	rows   [4]upsampler
}

// component is one colour component of the picture.
type component struct {
	id         uint8
	h, v       int // sampling factors
	selector   uint8
	w, rows    int // size in samples
	bw, bh     int // size in blocks, without padding to whole units
	stride     int // blocks in a row of the memory
	plane      []uint8
	coefs      []int16 // progressive: 64 a block, in zigzag order
	quant      [64]int32
	latched    bool // quant is set
	pred       int32
	dc, ac     *huffman
	complete   bool     // sequential: its scan was read
	precision  [64]int8 // progressive: the lowest bit known of each coefficient; −1: none
	mcuW, mcuH int      // blocks in a unit of the current scan
}

func (d *decoder) reset(raw []byte, alloc func(height, width, channels int) ([]uint8, error)) {
	d.raw, d.pos, d.alloc = raw, 0, alloc
	d.comps = nil
	d.hasQuant = [4]bool{}
	for i := range d.huff {
		for j := range d.huff[i] {
			d.huff[i][j].defined = false
		}
	}
	d.restart, d.scans = 0, 0
	d.jfif, d.adobe = false, false
	d.block = [64]int32{}
}

// setSize lays out the components of a frame and gets memory for them.
func (d *decoder) setSize() error {
	d.maxH, d.maxV = 1, 1
	for i := range d.comps {
		d.maxH, d.maxV = max(d.maxH, d.comps[i].h), max(d.maxV, d.comps[i].v)
	}
	d.mcuW, d.mcuH = ceilDiv(d.w, 8*d.maxH), ceilDiv(d.h, 8*d.maxV)
	used, stored := 0, 0
	for i := range d.comps {
		c := &d.comps[i]
		if d.maxH%c.h != 0 || d.maxV%c.v != 0 {
			return unsupported("sampling factors %dx%d beside %dx%d", c.h, c.v, d.maxH, d.maxV)
		}
		c.w, c.rows = ceilDiv(d.w*c.h, d.maxH), ceilDiv(d.h*c.v, d.maxV)
		c.bw, c.bh = ceilDiv(c.w, 8), ceilDiv(c.rows, 8)
		c.stride = d.mcuW * c.h
		used += c.bw * c.bh
		stored += c.stride * d.mcuH * c.v
	}
	// A block takes at least one bit for its DC coefficient, and in a
	// sequential file another to say that there is nothing else.
	perByte := 4
	if d.progressive {
		perByte = 8
	}
	if used/perByte > len(d.raw)-d.pos {
		return errTruncated
	}
	channels := 3
	if len(d.comps) == 1 {
		channels = 1
	}
	var err error
	if d.pix, err = d.alloc(d.h, d.w, channels); err != nil {
		return err
	}
	if len(d.pix) != d.h*d.w*channels {
		return fmt.Errorf("jpeg: %d bytes of memory for %dx%dx%d", len(d.pix), d.h, d.w, channels)
	}
	d.planes = sized(d.planes, 64*stored)
	if d.progressive {
		d.coefs = sized(d.coefs, 64*stored)
		clear(d.coefs)
	}
	at := 0
	for i := range d.comps {
		c := &d.comps[i]
		next := at + 64*c.stride*d.mcuH*c.v
		c.plane, c.coefs = d.planes[at:next], nil
		if d.progressive {
			c.coefs = d.coefs[at:next]
		}
		at = next
	}
	return nil
}

// sized returns a slice of n elements, in s if they fit.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
