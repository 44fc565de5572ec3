package conv

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/kernel/tile"
)

// pixel is a position in the output.
type pixel struct{ n, d, p, q int }

func (s *Shape) pixelAt(i int) pixel {
	q, i := i%s.Q, i/s.Q
	p, i := i%s.P, i/s.P
	return pixel{i / s.OD, i % s.OD, p, q}
}

// next moves to the next pixel in memory order.
func (x *pixel) next(s *Shape) {
	if x.q++; x.q < s.Q {
		return
	}
	x.q = 0
	if x.p++; x.p < s.P {
		return
	}
	x.p = 0
	if x.d++; x.d < s.OD {
		return
	}
	x.d = 0
	x.n++
}

// fill lists offset and mask of rows pixels from first on, and pads the list
// with rows that read nothing but zeros. The image starts shift floats before src.
func (d *dense) fill(w *denseWorker, first, rows int, patches, src []float32, shift int) {
	x := d.pixelAt(first)
	edges := 0
	step := 4 * d.SrcStride
	stride := d.StrideW * step
	for i := 0; i < rows; {
		// One row of the output, or what of it is in the block.
		n := min(rows-i, d.Q-x.q)
		z, y := x.d*d.StrideD-d.PadD, x.p*d.StrideH-d.PadH
		at := (((x.n*d.D+z)*d.H+y)*d.W+x.q*d.StrideW-d.PadW)*step - 4*shift
		outer := d.dmask[x.d] & d.hmask[x.p]
		base, mask := w.base[i:i+n], w.mask[i:i+n]
		if d.mode == byRow {
			for j, edge := range d.wmask[x.q : x.q+n] {
				base[j], mask[j] = at, outer
				if edge != 0 {
					slot := patches[edges/d.slots*d.plane+edges%d.slots*d.run:]
					d.patch(slot, src, at/4, (x.q+j)*d.StrideW-d.PadW, outer)
					// From src to the patch, in bytes: the kernel adds it to src.
					base[j] = int(uintptr(unsafe.Pointer(&slot[0])) - uintptr(unsafe.Pointer(&src[0])))
					edges++
				}
				at += stride
			}
			i += n
			x.q += n - 1
			x.next(&d.Shape)
			continue
		}
		for j, m := range d.wmask[x.q : x.q+n] {
			base[j] = at
			mask[j] = m & outer
			at += stride
		}
		i += n
		x.q += n - 1
		x.next(&d.Shape)
	}
	pad(w, rows)
}

// patch copies the kernel rows of one pixel that the mask allows: at is their
// start in src, which lies x pixels into a row of the image.
func (d *dense) patch(slot, src []float32, at, x int, mask uint64) {
	left := max(0, -x) * d.C
	right := min(d.S, d.W-x) * d.C
	pitch := d.DilH * d.W * d.C
	for r := range d.R {
		if mask>>r&1 == 0 {
			continue
		}
		row := slot[r*pitch:][:d.run]
		if left >= right {
			clear(row)
			continue
		}
		clear(row[:left])
		copy(row[left:right], src[at+r*pitch+left:])
		clear(row[right:])
	}
}

// pad completes a list of rows to a number every kernel divides, from wherever
// it starts.
func pad(w *denseWorker, rows int) {
	end := min((rows+tile.MaxRows+tile.RowStep-1)/tile.RowStep*tile.RowStep, len(w.base))
	clear(w.base[rows:end])
	clear(w.mask[rows:end])
}

// gather copies the patches of the pixels, kernel element by kernel element,
// each with the channels of one group.
func (d *dense) gather(w *denseWorker, patches, src []float32, first, rows, channel int) {
	x := d.pixelAt(first)
	cg := d.C / d.Groups
	for i := range rows {
		w.base[i], w.mask[i] = 4*i*d.run, 1
		patch := patches[i*d.run : (i+1)*d.run]
		for t := range d.T {
			z := x.d*d.StrideD - d.PadD + t*d.DilD
			for r := range d.R {
				y := x.p*d.StrideH - d.PadH + r*d.DilH
				line := patch[:d.S*cg]
				patch = patch[d.S*cg:]
				if z < 0 || z >= d.D || y < 0 || y >= d.H {
					clear(line)
					continue
				}
				d.gatherLine(line, src, ((x.n*d.D+z)*d.H+y)*d.W, x.q*d.StrideW-d.PadW, channel, cg)
			}
		}
		x.next(&d.Shape)
	}
	pad(w, rows)
}

// gatherLine copies one line of a patch, from column x on of the image row
// whose first pixel is row.
func (d *dense) gatherLine(line, src []float32, row, x, channel, cg int) {
	if d.DilW == 1 && x >= 0 && x+d.S <= d.W && cg == d.SrcStride {
		copy(line, src[(row+x)*cg:])
		return
	}
	for s := range d.S {
		cell := line[s*cg : (s+1)*cg]
		if at := x + s*d.DilW; at >= 0 && at < d.W {
			copy(cell, src[(row+at)*d.SrcStride+channel:])
		} else {
			clear(cell)
		}
	}
}

// place puts the pixels of the output on a coarse grid of a larger one.
type place struct {
	d, h, w                int // the larger output
	stepD, stepH, stepW    int
	firstD, firstH, firstW int
}

// at is the number of the output pixel that x is placed on.
func (g *place) at(x pixel) int {
	return ((x.n*g.d+x.d*g.stepD+g.firstD)*g.h+x.p*g.stepH+g.firstH)*g.w + x.q*g.stepW + g.firstW
}
