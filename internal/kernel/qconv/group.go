package qconv

import "sync"

const (
	groupSteps  = 4    // most steps of a group
	groupPixels = 3    // fewest pixels for which groups are worth finding
	likelyTotal = 2150 // most a load that fits may have in all, but for rare ones
)

// packer collects the steps of a panel and forms groups of them. Its memory
// serves one panel after another.
type packer struct {
	orders  int // in the strip
	offsets []int32
	w       []int8  // [step][stepWeights]
	loads   []load  // [step][order]
	states  []uint8 // [step]
	list    []group
	dense   []int16 // weights of a panel
	bytes   []int8  // the same where they fit
	row     []int16 // those of a channel
	parts   []int16 // those of steps that had to be split
	open    queue
	heads   queue
	packed  panelData
}

// panelData is what panels consist of.
type panelData struct {
	steps   []int32   // with vnni, [panel][step]: offsets from a pixel
	weights []byte    // [panel], see packDots and packGroups
	bias    []int32   // [panel][width]
	scale   []float32 // [panel][width]
}

// packers holds packers that nobody uses.
var packers = sync.Pool{New: func() any { return new(packer) }}

// group is a set of steps summed as int16.
type group struct {
	load  load
	total int16 // of the load
	n     int16 // number of steps, 0 for what became a part of another group
	steps [groupSteps]member
}

// member is a step of a group, in one of the orders.
type member struct {
	step  int32
	order int32
}

// add takes in the steps of a panel: their weights, 32 for each, and their
// offsets. Those that multiply only by zero are left out; those that are out of
// bounds in every order become several.
func (p *packer) add(offsets []int32, w []int16) {
	p.offsets = append(p.offsets[:0], offsets...)
	p.states, p.w, p.loads = p.states[:0], p.w[:0], p.loads[:0]
	p.parts, p.list = p.parts[:0], p.list[:0]
	p.measure(w)
	for i := range offsets {
		if p.states[i]&stepZero == 0 {
			p.take(i, w[i*stepWeights:])
		}
	}
	for at := 0; at < len(p.parts); at += stepWeights {
		p.list = append(p.list, p.single(len(offsets)+at/stepWeights))
	}
}

// measure appends steps of the weights given.
func (p *packer) measure(w []int16) {
	at := len(p.states)
	n := at + len(w)/stepWeights
	p.states, p.w, p.loads = resize(p.states, n), resize(p.w, n*stepWeights), resize(p.loads, n*p.orders)
	measure(p.w[at*stepWeights:], p.loads[at*p.orders:], p.states[at:], w, p.orders)
}

// resize is s with n elements; new ones may hold anything.
func resize[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	grown := make([]T, n, n+n/2)
	copy(grown, s)
	return grown
}

// take lists step i if it is in bounds, and otherwise adds steps of which it is
// the sum.
func (p *packer) take(i int, w []int16) {
	if s := p.states[i]; s&stepWide == 0 && s >= stepFits {
		p.list = append(p.list, p.single(i))
		return
	}
	at, from := len(p.states), len(p.parts)
	for n := 2; ; n++ {
		p.states, p.parts = p.states[:at], resize(p.parts, from+n*stepWeights)
		shares(w[:stepWeights], p.parts[from:])
		p.measure(p.parts[from:])
		fit := true
		for _, s := range p.states[at:] {
			fit = fit && s&stepWide == 0 && s >= stepFits
		}
		if fit {
			for range n {
				p.offsets = append(p.offsets, p.offsets[i])
			}
			return
		}
	}
}

// single is a group of one step, in the first order that is in bounds.
func (p *packer) single(i int) group {
	g := group{n: 1}
	for order := range p.orders {
		if p.states[i]&(stepFits<<order) != 0 {
			g.load = p.loads[i*p.orders+order]
			g.total = int16(g.load.total())
			g.steps[0] = member{int32(i), int32(order)}
			break
		}
	}
	return g
}

// shares splits weights into equal parts. What rounding moves to the later
// parts of one weight, it moves to the earlier ones of its neighbour.
func shares(w, parts []int16) {
	n := len(parts) / stepWeights
	for i := range n {
		for k, v := range w {
			j := i
			if k%2 == 1 {
				j = n - 1 - i
			}
			parts[i*stepWeights+k] = int16(int(v)*(j+1)/n - int(v)*j/n)
		}
	}
}

// group divides the steps into groups, each of one step unless several are
// wanted.
func (p *packer) group(several bool) []group {
	const chunk = 256 // steps among which to search
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
	open, heads := &p.open, &p.open
	open.fill(p, list, m)
	if n != m {
		heads = &p.heads
		heads.fill(p, list, n)
	}
	for place, h := range heads.index {
		g := &list[h]
		if int(g.n) != n {
			continue // it is a part of another
		}
		if n == m {
			open.remove(place) // g itself
		}
		// Groups that are too heavy in sum cannot fit.
		for i := open.first(likelyTotal - int(g.total)); i < len(open.index); i = open.next(i + 1) {
			if order := open.fits(g, i); order >= 0 {
				g.take(&list[open.index[i]], &open.loads[i*open.orders+order], int32(order))
				open.remove(i)
				break
			}
		}
	}
}

// queue lists groups of one size by descending totals, and leaves out what has
// been removed.
type queue struct {
	index  []int32 // of the groups
	loads  []load  // of each in each order
	orders int     // of several steps there is but one
	after  []int32 // the first one from here on that is there, or a place before it
	start  [queueBuckets + 1]int32
}

// Totals are sorted into buckets; within one the order is that of the list.
const (
	bucketSize   = 32
	queueBuckets = loadTotal/bucketSize + 1
)

// bucket is that of a total; heavier ones come first.
func bucket(total int) int { return queueBuckets - 1 - total/bucketSize }

// fill lists the groups of n steps.
func (q *queue) fill(p *packer, list []group, n int) {
	q.start = [queueBuckets + 1]int32{}
	for i := range list {
		if int(list[i].n) == n {
			q.start[bucket(int(list[i].total))+1]++
		}
	}
	for b := range queueBuckets {
		q.start[b+1] += q.start[b]
	}
	count := int(q.start[queueBuckets])
	if q.orders = 1; n == 1 {
		q.orders = p.orders
	}
	q.index, q.after, q.loads = resize(q.index, count), resize(q.after, count+1), resize(q.loads, count*q.orders)
	at := q.start
	for i := range list {
		g := &list[i]
		if int(g.n) != n {
			continue
		}
		b := bucket(int(g.total))
		place := int(at[b])
		at[b]++
		q.index[place] = int32(i)
		if q.orders == 1 {
			q.loads[place] = g.load
		} else {
			copy(q.loads[place*q.orders:][:q.orders], p.loads[int(g.steps[0].step)*q.orders:])
		}
	}
	for i := range q.after {
		q.after[i] = int32(i)
	}
}

// first is the first place of those with at most about the total.
func (q *queue) first(total int) int {
	if total < 0 {
		return len(q.index)
	}
	return q.next(int(q.start[bucket(min(total, loadTotal))]))
}

// next is the first place from i on that has not been removed.
func (q *queue) next(i int) int {
	end := i
	for int(q.after[end]) != end {
		end = int(q.after[end])
	}
	for int(q.after[i]) != i {
		i, q.after[i] = int(q.after[i]), int32(end)
	}
	return end
}

func (q *queue) remove(i int) { q.after[i] = int32(i + 1) }

// fits is the order in which the one at place i fits into g's group, or -1.
func (q *queue) fits(g *group, i int) int {
	for order := range q.orders {
		if g.load.fits(&q.loads[i*q.orders+order]) {
			return order
		}
	}
	return -1
}

// take makes o a part of g. A single step may change its order; l is the load it
// has then.
func (g *group) take(o *group, l *load, order int32) {
	if o.n == 1 {
		o.steps[0].order = order
	}
	for i, v := range l {
		g.load[i] += v
	}
	copy(g.steps[g.n:], o.steps[:o.n])
	g.total += o.total
	g.n, o.n = g.n+o.n, 0
}
