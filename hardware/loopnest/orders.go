package loopnest

import "github.com/drawknife/drawknife/hardware"

// order is loops in time, outermost first.
type order struct {
	dims [numDims]hardware.Dim
	n    int
}

const maxOrders = 8

// Loops that leave one operand in place.
const (
	keepsWeights = 1<<hardware.N | 1<<hardware.P | 1<<hardware.Q
	keepsInputs  = 1 << hardware.K
	keepsOutputs = 1<<hardware.C | 1<<hardware.R | 1<<hardware.S
	windows      = 1<<hardware.P | 1<<hardware.Q | 1<<hardware.R | 1<<hardware.S
)

// orders fills list with one order of the loops in mask for every way in which
// an operand can stay in place: the loops that it does not depend on go
// innermost, all of them, since each that stayed outside would only bring it
// more often. What remains to be chosen is the loop over which inputs slide;
// if there is any, then orders without one are not better. All other orders
// move the same words as one of these or more.
func orders(mask uint8, list *[maxOrders]order) int {
	n := 0
	for _, keep := range [...]uint8{keepsWeights, keepsOutputs} {
		if mask&keep == 0 {
			continue
		}
		slide := mask & keep & windows
		if slide == 0 {
			list[n].fill(mask, keep, -1)
			n++
		}
		for d := hardware.P; d <= hardware.S; d++ {
			if slide&(1<<d) != 0 {
				list[n].fill(mask, keep, int(d))
				n++
			}
		}
	}
	if mask&keepsInputs != 0 {
		slide := mask & windows
		if slide == 0 {
			list[n].fill(mask, keepsInputs, -1)
			n++
		}
		for d := hardware.P; d <= hardware.S; d++ {
			if slide&(1<<d) != 0 {
				list[n].fill(mask, keepsInputs, int(d))
				n++
			}
		}
	}
	if n == 0 {
		list[0].fill(mask, 0, -1)
		n = 1
	}
	return n
}

// only keeps the loops of mask in a given order; those that it does not name
// go outside.
func (o *order) only(mask uint8, given *order) {
	named := uint8(0)
	for _, d := range given.dims[:given.n] {
		named |= 1 << d
	}
	o.fill(mask&^named, 0, -1)
	for _, d := range given.dims[:given.n] {
		if mask&(1<<d) != 0 {
			o.dims[o.n] = d
			o.n++
		}
	}
}

// fill writes the loops of mask from the outermost: others, the loop that
// inputs slide over if it does not keep the operand, those that keep it, and
// the sliding one if it is one of these.
func (o *order) fill(mask, keep uint8, slide int) {
	o.n = 0
	add := func(which uint8) {
		for d := range hardware.Dim(numDims) {
			if which&(1<<d) != 0 && int(d) != slide {
				o.dims[o.n] = d
				o.n++
			}
		}
	}
	add(mask &^ keep)
	inside := slide >= 0 && keep&(1<<slide) != 0
	if slide >= 0 && !inside {
		o.dims[o.n] = hardware.Dim(slide)
		o.n++
	}
	add(mask & keep)
	if inside {
		o.dims[o.n] = hardware.Dim(slide)
		o.n++
	}
}
