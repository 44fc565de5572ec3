package qconv

import "slices"

// The AVX2 kernels multiply by VPMADDUBSW, which adds the products of two
// neighbouring uint8 values with int8 weights to an int16, and sum the results
// of a group of steps before they widen them. No such sum leaves an int16 if
// its positive weights sum to at most 128 and its negative ones to at least
// -128, whatever the input; the code here keeps to 127. It shares the weights
// of steps that exceed the bound between several, and finds steps that may
// form a group.

const (
	groupSteps  = 4  // most steps of a group
	stepWeights = 32 // weights of a step: eight channels by four values
	groupPixels = 3  // fewest pixels for which groups are worth finding
)

// load holds the sums of the positive and of the negative weights of each of
// the 16 int16 sums of a step or group, as 32 bytes below 128.
type load [stepWeights / 8]uint64

const tops = 0x8080808080808080 // the top bit of each byte

// plus is the load of a group of both.
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

// loadOf is the load of a step, and whether it is in bounds.
func loadOf(w *[stepWeights]int16) (l load, fits bool) {
	fits = true
	for i := 0; i < stepWeights; i += 2 {
		a, b := int(w[i]), int(w[i+1])
		up := max(a, 0) + max(b, 0)
		down := up - a - b
		fits = fits && max(up, down) < 128
		l[i/16] |= uint64(up&127) << (i / 2 % 8 * 8)
		l[2+i/16] |= uint64(down&127) << (i / 2 % 8 * 8)
	}
	return l, fits
}

// packer collects the steps of a panel and forms groups of them.
type packer struct {
	steps []packedStep
	loads []load
}

type packedStep struct {
	offset int32
	w      [stepWeights]byte // int8
}

// group is a set of steps summed as int16.
type group struct {
	load  load
	total int // of the load
	n     int // number of steps, 0 for what became a part of another group
	steps [groupSteps]int32
}

// add adds the steps for some weights of four values at an offset.
func (p *packer) add(offset int32, w *[stepWeights]int16) {
	if *w == [stepWeights]int16{} {
		return
	}
	if l, fits := loadOf(w); fits {
		p.append(offset, w, l)
		return
	}
	parts := make([][stepWeights]int16, 0, 8)
	for n := 2; ; n++ {
		parts = shares(w, parts[:n])
		if !slices.ContainsFunc(parts, func(w [stepWeights]int16) bool { _, fits := loadOf(&w); return !fits }) {
			break
		}
	}
	for i := range parts {
		l, _ := loadOf(&parts[i])
		p.append(offset, &parts[i], l)
	}
}

// shares splits weights into equal parts. What rounding moves to the later
// parts of one weight, it moves to the earlier ones of its neighbour.
func shares(w *[stepWeights]int16, parts [][stepWeights]int16) [][stepWeights]int16 {
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
	return parts
}

func (p *packer) append(offset int32, w *[stepWeights]int16, l load) {
	s := packedStep{offset: offset}
	for i, v := range w {
		s.w[i] = byte(v)
	}
	p.steps = append(p.steps, s)
	p.loads = append(p.loads, l)
}

// group divides the steps into groups, each of one step unless several are
// wanted.
func (p *packer) group(several bool) []group {
	const chunk = 256 // steps among which to search
	list := make([]group, len(p.steps))
	for i := range list {
		list[i] = group{load: p.loads[i], total: p.loads[i].total(), n: 1, steps: [groupSteps]int32{int32(i)}}
	}
	if !several {
		return list
	}
	for lo := 0; lo < len(list); lo += chunk {
		part := list[lo:min(lo+chunk, len(list))]
		join(part, 1, 1)
		join(part, 2, 2)
		join(part, 2, 1)
	}
	return list
}

// join makes groups of n+m steps out of such of n and m, the heaviest that fit.
func join(list []group, n, m int) {
	const tries = 32
	slices.SortFunc(list, func(a, b group) int {
		if a.total != b.total {
			return b.total - a.total
		}
		return int(a.steps[0] - b.steps[0])
	})
	for i := range list {
		g := &list[i]
		want := n + m - g.n
		if g.n != n && g.n != m {
			continue
		}
		left := tries
		for j := i + 1; j < len(list) && left > 0; j++ {
			o := &list[j]
			if o.n != want {
				continue
			}
			left--
			if sum, fits := g.load.plus(&o.load); fits {
				copy(g.steps[g.n:], o.steps[:o.n])
				g.load, g.total, g.n, o.n = sum, g.total+o.total, n+m, 0
				break
			}
		}
	}
}
