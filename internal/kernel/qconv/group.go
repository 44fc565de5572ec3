package qconv

import "slices"

// The AVX2 kernels multiply by VPMADDUBSW, which adds the products of two
// neighbouring uint8 values with int8 weights to an int16, and sum the results
// of a group of steps before they widen them. No such sum leaves an int16 if
// its positive weights sum to at most 128 and its negative ones to at least
// -128, whatever the input; the code here keeps to 127. A step that exceeds
// the bound may keep it with its four values in another order, which a strip
// of several copies provides; otherwise it is the sum of several steps.

const (
	groupSteps  = 4    // most steps of a group
	stepWeights = 32   // weights of a step: eight channels by four values
	groupPixels = 3    // fewest pixels for which groups are worth finding
	likelyTotal = 2150 // most a load that fits may have in all, but for rare ones
)

// orders are the orders of the four values of a step in the copies of a strip.
// Each makes other values neighbours.
var orders = [...][4]int{{0, 1, 2, 3}, {0, 2, 1, 3}, {0, 3, 1, 2}}

// load holds the sums of the positive and of the negative weights of each of
// the 16 int16 sums of a step or group, as 32 bytes below 128.
type load [stepWeights / 8]uint64

const tops = 0x8080808080808080 // the top bit of each byte

// fits reports whether both fit into a group. At least one must be in bounds.
func (l *load) fits(o *load) bool {
	return (l[0]+o[0])&tops == 0 && (l[1]+o[1])&tops == 0 && (l[2]+o[2])&tops == 0 && (l[3]+o[3])&tops == 0
}

// total is the sum of all bytes.
func (l *load) total() int {
	const low = 0x00ff00ff00ff00ff
	sum := uint64(0)
	for _, v := range l {
		sum += v&low + v>>8&low
	}
	return int(sum * 0x0001000100010001 >> 48)
}

// loadOf is the load of a step in one of the orders. Sums beyond the bound
// are 128 in it.
func loadOf(w *[stepWeights]int16, order int) (l load, fits bool) {
	p := &orders[order]
	over := 0
	for half := range 2 {
		up, down := uint64(0), uint64(0)
		for i := 12; i >= 0; i -= 4 { // four channels of two int16 sums
			q := (*[4]int16)(w[16*half+i:])
			for j := 2; j >= 0; j -= 2 {
				a, b := int(q[p[j]&3]), int(q[p[j+1]&3])
				u := max(a, 0) + max(b, 0)
				d := u - a - b
				over |= u | d
				up, down = up<<8|uint64(min(u, 128)), down<<8|uint64(min(d, 128))
			}
		}
		l[half], l[2+half] = up, down
	}
	return l, over < 128
}

// packer collects the steps of a panel and forms groups of them.
type packer struct {
	orders int // in the strip
	steps  []packedStep
	loads  []load // [step][order]
	list   []group
	dense  []int16 // weights of a panel
	sorts  [2][]entry
}

type packedStep struct {
	offset int32
	w      [stepWeights]int8
}

// group is a set of steps summed as int16.
type group struct {
	load  load
	total int // of the load
	n     int // number of steps, 0 for what became a part of another group
	steps [groupSteps]member
}

// member is a step of a group, in one of the orders.
type member struct {
	step  int32
	order int32
}

func (p *packer) reset() { p.steps, p.loads, p.list = p.steps[:0], p.loads[:0], p.list[:0] }

// add adds the steps for some weights of four values at an offset.
func (p *packer) add(offset int32, w *[stepWeights]int16) {
	if *w == [stepWeights]int16{} {
		return
	}
	if p.append(offset, w) {
		return
	}
	var parts [8][stepWeights]int16 // enough for weights of nine bits
	for n := 2; ; n++ {
		shares(w, parts[:n])
		at, fit := len(p.steps), true
		for i := 0; i < n && fit; i++ {
			fit = p.append(offset, &parts[i])
		}
		if fit {
			return
		}
		p.steps, p.loads = p.steps[:at], p.loads[:at*p.orders]
	}
}

// append adds a step if it is in bounds in any order.
func (p *packer) append(offset int32, w *[stepWeights]int16) bool {
	any, at := false, len(p.loads)
	for order := range p.orders {
		l, fits := loadOf(w, order)
		p.loads = append(p.loads, l)
		any = any || fits
	}
	if !any {
		p.loads = p.loads[:at]
		return false
	}
	s := packedStep{offset: offset}
	for i, v := range w {
		s.w[i] = int8(v)
	}
	p.steps = append(p.steps, s)
	return true
}

// shares splits weights into equal parts. What rounding moves to the later
// parts of one weight, it moves to the earlier ones of its neighbour.
func shares(w *[stepWeights]int16, parts [][stepWeights]int16) {
	n := len(parts)
	for i := range parts {
		for k, v := range w {
			j := i
			if k%2 == 1 {
				j = n - 1 - i
			}
			parts[i][k] = int16(int(v)*(j+1)/n - int(v)*j/n)
		}
	}
}

// group divides the steps into groups, each of one step unless several are
// wanted.
func (p *packer) group(several bool) []group {
	const chunk = 256 // steps among which to search
	for i := range p.steps {
		g := group{n: 1}
		for order, l := range p.loads[i*p.orders : (i+1)*p.orders] {
			if over := (l[0] | l[1] | l[2] | l[3]) & tops; over == 0 {
				g.load, g.total = l, l.total()
				g.steps[0] = member{int32(i), int32(order)}
				break
			}
		}
		p.list = append(p.list, g)
	}
	for lo := 0; several && lo < len(p.list); lo += chunk {
		part := p.list[lo:min(lo+chunk, len(p.list))]
		p.join(part, 1, 1)
		p.join(part, 2, 2)
		p.join(part, 2, 1)
	}
	return p.list
}

// join makes groups of n+m steps out of such of n and m. The heaviest choose
// first, each the heaviest that fits.
func (p *packer) join(list []group, n, m int) {
	open, heads := p.sorted(0, list, m), p.sorted(1, list, n)
	for _, h := range heads {
		g := &list[h.index]
		if g.n != n {
			continue // it is a part of another
		}
		if n == m {
			open = open[1:] // g itself
		}
		// Groups that are too heavy in sum cannot fit.
		at, _ := slices.BinarySearchFunc(open, likelyTotal-g.total, func(e entry, most int) int { return most - e.total })
		for i := at; i < len(open); i++ {
			if p.absorb(g, &list[open[i].index]) {
				open = slices.Delete(open, i, i+1)
				break
			}
		}
	}
}

// entry is a group in a list sorted by descending totals.
type entry struct{ total, index int }

// sorted lists the groups of n steps, in the packer's buffer of that number.
func (p *packer) sorted(buffer int, list []group, n int) []entry {
	entries := p.sorts[buffer][:0]
	for i := range list {
		if list[i].n == n {
			entries = append(entries, entry{list[i].total, i})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.total != b.total {
			return b.total - a.total
		}
		return a.index - b.index
	})
	p.sorts[buffer] = entries
	return entries
}

// absorb makes o a part of g if both fit into a group. A single step may
// change its order.
func (p *packer) absorb(g, o *group) bool {
	if o.n > 1 {
		if !g.load.fits(&o.load) {
			return false
		}
		g.take(o, &o.load)
		return true
	}
	step := int(o.steps[0].step)
	for order := range p.orders {
		if l := &p.loads[step*p.orders+order]; g.load.fits(l) {
			o.steps[0].order = int32(order)
			g.take(o, l)
			return true
		}
	}
	return false
}

// take makes o, of the load l, a part of g.
func (g *group) take(o *group, l *load) {
	for i, v := range l {
		g.load[i] += v
	}
	copy(g.steps[g.n:], o.steps[:o.n])
	g.total += o.total
	g.n, o.n = g.n+o.n, 0
}
