package qconv

// The AVX2 kernels multiply by VPMADDUBSW, which adds the products of two
// neighbouring uint8 values with int8 weights to an int16, and sum the results
// of a group of steps before they widen them. No such sum leaves an int16 if
// its positive weights sum to at most 128 and its negative ones to at least
// -128, whatever the input; the code here keeps to 127. A step that exceeds
// the bound may keep it with its four values in another order, which a strip
// of several copies provides; otherwise it is the sum of several steps.

const stepWeights = 32 // weights of a step: eight channels by four values

// orders are the orders of the four values of a step in the copies of a strip.
// Each makes other values neighbours.
var orders = [...][4]int{{0, 1, 2, 3}, {0, 2, 1, 3}, {0, 3, 1, 2}}

// load holds the sums of the positive and of the negative weights of each of
// the 16 int16 sums of a step or group, as 32 bytes of at most 128: for each
// half of the sums first the positive, then the negative ones.
type load [stepWeights / 8]uint64

const tops = 0x8080808080808080 // the top bit of each byte

// within reports whether no sum exceeds the bound.
func (l *load) within() bool { return (l[0]|l[1]|l[2]|l[3])&tops == 0 }

// fits reports whether both fit into a group. At least one must be in bounds.
func (l *load) fits(o *load) bool {
	return (l[0]+o[0])&tops == 0 && (l[1]+o[1])&tops == 0 && (l[2]+o[2])&tops == 0 && (l[3]+o[3])&tops == 0
}

// total is the sum of all bytes, at most loadTotal.
func (l *load) total() int {
	const low = 0x00ff00ff00ff00ff
	sum := uint64(0)
	for _, v := range l {
		sum += v&low + v>>8&low
	}
	return int(sum * 0x0001000100010001 >> 48)
}

const loadTotal = 128 * stepWeights

// States of a step.
const (
	stepWide = 1 << iota // some weight is no int8, or -128
	stepZero             // all weights are zero
	stepFits             // in the first order; times two, four in the others
)

// measure packs steps of 32 weights as int8, and finds for each its loads, as
// [step][order], and its state. The weights and loads of a wide step make no
// sense. It sets n states.
func measure(w []int8, loads []load, states []uint8, src []int16, orders int) {
	n := len(states)
	if n == 0 {
		return
	}
	_, _, _ = w[n*stepWeights-1], loads[n*orders-1], src[n*stepWeights-1]
	measureSteps(w, loads, states, src, orders)
}

// measurePortable defines what measure does.
func measurePortable(w []int8, loads []load, states []uint8, src []int16, orders int) {
	for i := range states {
		from := (*[stepWeights]int16)(src[i*stepWeights:])
		to := w[i*stepWeights:][:stepWeights]
		state := uint8(0)
		if *from == [stepWeights]int16{} {
			state |= stepZero
		}
		for j, v := range from {
			to[j] = int8(max(-128, min(127, v)))
			if v < -127 || v > 127 {
				state |= stepWide
			}
		}
		for order := range orders {
			l := &loads[i*orders+order]
			if *l = loadOf(to, order); l.within() {
				state |= stepFits << order
			}
		}
		states[i] = state
	}
}

// loadOf is the load of a step in one of the orders. Sums beyond the bound
// are 128 in it.
func loadOf(w []int8, order int) (l load) {
	p := &orders[order]
	for i := range stepWeights / 2 {
		quad := w[i/2*4:]
		a, b := int(quad[p[i%2*2]]), int(quad[p[i%2*2+1]])
		up, down := max(a, 0)+max(b, 0), max(-a, 0)+max(-b, 0)
		half, shift := i/8*2, i%8*8
		l[half] |= uint64(min(up, 128)) << shift
		l[half+1] |= uint64(min(down, 128)) << shift
	}
	return l
}
