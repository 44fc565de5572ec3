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
	groupSteps  = 4  // most steps of a group
	stepWeights = 32 // weights of a step: eight channels by four values
	groupPixels = 3  // fewest pixels for which groups are worth finding
)

// orders are the orders of the four values of a step in the copies of a strip.
// Each makes other values neighbours.
var orders = [...][4]int{{0, 1, 2, 3}, {0, 2, 1, 3}, {0, 3, 1, 2}}

// load holds the sums of the positive and of the negative weights of each of
// the 16 int16 sums of a step or group, as 32 bytes below 128.
type load [stepWeights / 8]uint64

const tops = 0x8080808080808080 // the top bit of each byte

// plus is the load of a group of both. At least one must be in bounds.
func (l *load) plus(o *load) (sum load, fits bool) {
	over := uint64(0)
	for i := range sum {
		sum[i] = l[i] + o[i]
		over |= sum[i]
	}
	return sum, over&tops == 0
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
	over := uint64(0)
	for half := range 2 {
		for i := range 8 { // int16 sums
			a, b := int(w[16*half+i/2*4+p[i%2*2]]), int(w[16*half+i/2*4+p[i%2*2+1]])
			up := max(a, 0) + max(b, 0)
			u, d := uint64(min(up, 128)), uint64(min(up-a-b, 128))
			over |= u | d
			l[half] |= u << (8 * i)
			l[2+half] |= d << (8 * i)
		}
	}
	return l, over < 128
}

// packer collects the steps of a panel and forms groups of them.
type packer struct {
	orders int // in the strip
	steps  []packedStep
	loads  []load // [step][order]
	list   []group
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

// join makes groups of n+m steps out of such of n and m, the heaviest that fit.
func (p *packer) join(list []group, n, m int) {
	const tries = 32
	slices.SortFunc(list, func(a, b group) int {
		if a.total != b.total {
			return b.total - a.total
		}
		return int(a.steps[0].step - b.steps[0].step)
	})
	for i := range list {
		g := &list[i]
		if g.n != n && g.n != m {
			continue
		}
		want, left := n+m-g.n, tries
		for j := i + 1; j < len(list) && left > 0; j++ {
			if list[j].n == want {
				if left--; p.absorb(g, &list[j]) {
					break
				}
			}
		}
	}
}

// absorb makes o a part of g if both fit into a group. A single step may
// change its order.
func (p *packer) absorb(g, o *group) bool {
	loads := []load{o.load}
	if o.n == 1 {
		step := int(o.steps[0].step)
		loads = p.loads[step*p.orders : (step+1)*p.orders]
	}
	for order := range loads {
		if sum, fits := g.load.plus(&loads[order]); fits {
			copy(g.steps[g.n:], o.steps[:o.n])
			if o.n == 1 {
				g.steps[g.n].order = int32(order)
			}
			g.load, g.total = sum, g.total+o.total
			g.n, o.n = g.n+o.n, 0
			return true
		}
	}
	return false
}
