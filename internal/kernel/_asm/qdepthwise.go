package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// dwtile emits a depthwise convolution of r x s taps: all channels, eight to 64
// at a time, of tiles of pixels adjacent output pixels, stride columns
// apart.
//
// Two taps are interleaved as pairs of int16 for VPMADDWD: the same column of
// two lines, and, of an odd last line, neighbouring columns. Each interleaved
// column serves all pixels of the tile that meet it.
type dwtile struct {
	dwshape
	vex bool // AVX-VNNI, for CPUs without AVX-512
}

// dwshape is a kernel size, a stride, and how many pixels and channels at a time.
type dwshape struct{ r, s, stride, pixels, channels int }

func (d dwtile) name() string {
	isa := "AVX2"
	switch {
	case d.vex:
		isa = "AVXVNNI"
	case d.quad():
		isa = "VNNI"
	}
	return fmt.Sprintf("dwtile%s%dx%ds%dp%d", isa, d.r, d.s, d.stride, d.pixels) + d.suffix()
}

// vectors is the number of pairs of taps, or of quads.
func (d dwtile) vectors() int {
	if d.quad() {
		return (d.r + 3) / 4 * d.s
	}
	return d.r/2*d.s + d.r%2*(d.s+1)/2
}

func (d dwtile) emit() {
	name := d.name()
	TEXT(name, NOSPLIT, "func(a *byte)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes tiles of %d pixels, all channels; a is a *tileArgs.", name, d.pixels))
	a := Load(Param("a"), GP64())
	lines := make([]GPVirtual, d.r)
	for i := range lines {
		lines[i] = GP64()
	}
	columns := d.columns(a)
	w, t := GP64(), GP64()
	MOVQ(U32(0), Mem{Base: a, Disp: qSrcAt})
	MOVQ(Mem{Base: a, Disp: qDst}, t)
	MOVQ(t, Mem{Base: a, Disp: qDstAt})
	Label(name + "_tile")
	for i, l := range lines {
		MOVQ(Mem{Base: a, Disp: qLines + 8*i}, l)
		ADDQ(Mem{Base: a, Disp: qSrcAt}, l)
	}
	MOVQ(Mem{Base: a, Disp: qTileStep}, t)
	ADDQ(t, Mem{Base: a, Disp: qSrcAt})
	MOVQ(Mem{Base: a, Disp: qDstAt}, t)
	MOVQ(t, Mem{Base: a, Disp: qChunkAt})
	MOVQ(Mem{Base: a, Disp: qW}, w)
	MOVQ(Mem{Base: a, Disp: qChunks}, t)
	MOVQ(t, Mem{Base: a, Disp: qLeft})

	Label(name + "_chunk")
	dst, stride := GP64(), GP64()
	load := func() {
		MOVQ(Mem{Base: a, Disp: qChunkAt}, dst)
		MOVQ(Mem{Base: a, Disp: qDstStride}, stride)
	}
	switch {
	case d.quad():
		d.sumQuad(lines, columns, w)
		load()
		d.storeQuad(name, a, dst, stride, w)
	case d.wide():
		d.sumWide(lines, columns, w)
		load()
		d.storeWide(name, a, dst, stride, Mem{Base: w, Disp: 64*d.vectors() + 64})
	default:
		d.sum(lines, columns, w)
		load()
		qtile{rows: d.pixels, vecs: 1}.storeAs(name, 0, 8, a, dst, stride, Mem{Base: w, Disp: 32*d.vectors() + 32})
	}
	ADDQ(U32(uint32(4*d.channels*(d.vectors()+2))), w)

	// The last chunk may overlap the one before.
	MOVQ(U32(uint32(d.channels)), t)
	DECQ(Mem{Base: a, Disp: qLeft})
	JEQ(LabelRef(name + "_row"))
	CMPQ(Mem{Base: a, Disp: qLeft}, Imm(1))
	CMOVQEQ(Mem{Base: a, Disp: qLastStep}, t)
	for _, l := range lines {
		ADDQ(t, l)
	}
	IMULQ(Mem{Base: a, Disp: qElem}, t)
	ADDQ(t, Mem{Base: a, Disp: qChunkAt})
	JMP(LabelRef(name + "_chunk"))

	Label(name + "_row")
	IMUL3Q(U32(uint32(d.pixels)), stride, stride)
	ADDQ(stride, Mem{Base: a, Disp: qDstAt})
	DECQ(Mem{Base: a, Disp: qTiles})
	JNE(LabelRef(name + "_tile"))
	VZEROUPPER()
	RET()
}

// columns returns the address of a column of a line, from registers that hold
// odd multiples of the distance of two columns.
func (d dwtile) columns(a Register) func(line GPVirtual, col int) Mem {
	n := (d.pixels-1)*d.stride + d.s
	odd := []GPVirtual{}
	for m := 1; m < n; m += 2 {
		r := GP64()
		if m == 1 {
			MOVQ(Mem{Base: a, Disp: qPixel}, r)
		} else {
			LEAQ(Mem{Base: odd[len(odd)-1], Index: odd[0], Scale: 2}, r)
		}
		odd = append(odd, r)
	}
	return func(line GPVirtual, col int) Mem {
		m := Mem{Base: line}
		if col == 0 {
			return m
		}
		scale := 1
		for col%2 == 0 && scale < 8 {
			col, scale = col/2, scale*2
		}
		m.Index, m.Scale = odd[col/2], uint8(scale)
		return m
	}
}

// sum leaves the sums of the pixels, bias included, in registers 0, 1, ….
func (d dwtile) sum(lines []GPVirtual, at func(GPVirtual, int) Mem, w GPVirtual) {
	const x, product = 15, 14
	held := d.vectors() <= 14-d.pixels-1
	weights := func(v int) Op { return Mem{Base: w, Disp: 32 * v} }
	if held {
		for v := 0; v < d.vectors(); v++ {
			VMOVDQU(Mem{Base: w, Disp: 32 * v}, ymm(d.pixels+v))
		}
		weights = func(v int) Op { return ymm(d.pixels + v) }
	}
	started := make([]bool, d.pixels)
	use := func(pixel, v int) {
		if !started[pixel] {
			started[pixel] = true
			VPMADDWD(weights(v), ymm(x), ymm(pixel))
			return
		}
		VPMADDWD(weights(v), ymm(x), ymm(product))
		VPADDD(ymm(product), ymm(pixel), ymm(pixel))
	}
	interleave := func(first, second Mem) {
		VMOVQ(first, xmm(x))
		VMOVQ(second, xmm(product))
		VPUNPCKLBW(xmm(product), xmm(x), xmm(x))
		VPMOVZXBW(xmm(x), ymm(x))
	}
	d.pairs(lines, at, interleave, use)
	VMOVDQU(Mem{Base: w, Disp: 32 * d.vectors()}, ymm(product))
	for p := 0; p < d.pixels; p++ {
		VPADDD(ymm(product), ymm(p), ymm(p))
	}
}

// pairs interleaves each two values that are multiplied together, and uses them
// for all pixels that meet them: as pair v of the taps of a pixel.
func (d dwtile) pairs(lines []GPVirtual, at func(GPVirtual, int) Mem, interleave func(first, second Mem), use func(pixel, v int)) {
	for col := 0; col < (d.pixels-1)*d.stride+d.s; col++ {
		taps := map[int]int{} // pixel: its tap at this column
		for p := 0; p < d.pixels; p++ {
			if s := col - p*d.stride; s >= 0 && s < d.s {
				taps[p] = s
			}
		}
		for pair := 0; pair < d.r/2; pair++ {
			interleave(at(lines[2*pair], col), at(lines[2*pair+1], col))
			for p := 0; p < d.pixels; p++ {
				if s, ok := taps[p]; ok {
					use(p, pair*d.s+s)
				}
			}
		}
		if d.r%2 == 0 {
			continue
		}
		even, next := false, col // the column after, where any pixel needs it
		for _, s := range taps {
			even = even || s%2 == 0
			if s%2 == 0 && s+1 < d.s {
				next = col + 1
			}
		}
		if !even {
			continue
		}
		interleave(at(lines[d.r-1], col), at(lines[d.r-1], next))
		for p := 0; p < d.pixels; p++ {
			if s, ok := taps[p]; ok && s%2 == 0 {
				use(p, d.r/2*d.s+s/2)
			}
		}
	}
}
