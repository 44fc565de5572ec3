package bconv

import "unsafe"

// mostWords is the longest column that vector instructions count: their sums
// have 16 bits, of which a word takes a few.
const mostWords = 4096

// count computes the channels of group g of output pixel m, whose column and
// taps that count gather has left. more is scratch: a mask of the column, for
// pixels not all of whose taps count, and a sum for each channel.
func (p *portable) count(o *output, column, list, more []uint64, m, g int) {
	s := &p.c.shape
	kg := s.K / s.Groups
	mask := more[:len(column)]
	sums := unsafe.Slice((*int32)(unsafe.Pointer(&more[len(column)])), kg)
	if len(list) == taps(s) {
		mask = nil
	} else {
		clear(mask)
		for _, t := range list {
			for i := range p.words {
				mask[int(t)*p.words+i] = ^uint64(0)
			}
		}
	}
	countDifferences(sums, column, mask, p.weights[g*kg*len(column):])
	products := len(list) * s.C / s.Groups
	for i, n := range sums {
		p.c.emit(o, m, g*kg+i, products-2*int(n))
	}
}
