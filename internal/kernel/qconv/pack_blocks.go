package qconv

import "slices"

// The kernels of arm64 read sixteen values of a pixel at once and make int8 of
// them by inverting the top bits; the bias makes up for the 128 that this
// takes off.

const (
	blockQuads = 4   // groups of four values of a block
	blockLimit = 127 // greatest magnitude of a weight: two products by -128 then fit an int16
)

// packBlocks lays out the blocks of sixteen values of a panel and then steps
// of four that fill none: the offsets of all of them, and for each four values
// [channel][4] int8. Weights beyond the limit are the sum of those of several
// steps.
func (t *tiled) packBlocks(p *panel, dense []int16, runs []int32, quads int) {
	width := p.vecs * t.isa.lanes
	for i, w := range dense {
		t.bias[p.at+i/4%width] += 128 * int32(w)
	}
	per := 4 * width
	for i := range len(runs) {
		for q := 0; q+blockQuads <= quads; q += blockQuads {
			block := dense[(i*quads+q)*per:][:blockQuads*per]
			for usedQuads(block, per) > 1 {
				p.blocks++
				t.take(block, runs[i]+int32(4*q))
			}
		}
	}
	for i := range len(runs) * quads {
		for quad := dense[i*per : (i+1)*per]; slices.ContainsFunc(quad, nonzero); {
			p.count++
			t.take(quad, runs[i/quads]+int32(i%quads*4))
		}
	}
}

// usedQuads counts the groups of four values that have weights.
func usedQuads(block []int16, per int) int {
	n := 0
	for q := range slices.Chunk(block, per) {
		if slices.ContainsFunc(q, nonzero) {
			n++
		}
	}
	return n
}

// take appends a step with as much of the weights as it can hold, and leaves
// the rest.
func (t *tiled) take(w []int16, offset int32) {
	t.steps = append(t.steps, offset)
	for k, v := range w {
		part := max(-blockLimit, min(blockLimit, v))
		t.weights = append(t.weights, byte(part))
		w[k] -= part
	}
}
