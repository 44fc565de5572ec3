package loopnest

import (
	"math"
	"math/bits"

	"github.com/drawknife/drawknife/hardware"
)

// Temperatures of the annealing, in units of the logarithm of the score: at
// first a mapping half as good is often accepted, at last one in a thousand.
const (
	hot  = 0.5
	cold = 0.001
)

// walk tries tilings, from a start that fills the array, and accepts worse
// ones ever more rarely.
func (c *chain) walk(tilings int) {
	var x candidate
	if len(c.s.loops) == 0 {
		c.try(&x)
		return
	}
	x = c.start()
	c.cover(&x)
	v, ok := c.try(&x)
	for _, variant := range [...]int{0, len(c.evaluator) - 1} { // nothing passes by, or all that may
		if !ok {
			x = candidate{variant: variant}
			c.cover(&x)
			v, ok = c.try(&x)
		}
	}
	for i := range tilings {
		// The last quarter refines the best found so far.
		if i == tilings*3/4 && c.found {
			x, v, ok = c.best, c.bestScore, true
		}
		y := x
		c.move(&y)
		c.cover(&y)
		if y == x {
			continue
		}
		w, valid := c.try(&y)
		if !valid {
			if !ok && c.rng.IntN(4) == 0 {
				x = y // nothing fits yet: wander
			}
			continue
		}
		temperature := hot * math.Pow(cold/hot, float64(i)/float64(tilings))
		if !ok || c.rng.Float64() < math.Exp((v.energy()-w.energy())/temperature) {
			x, v, ok = y, w, true
		}
	}
}

// energy is annealing's word for how bad a score is. The tie breaker counts a
// little, so that plateaus have a slope.
func (s score) energy() float64 {
	return math.Log(max(s.first, 1e-300)) + 0.02*math.Log(max(s.second, 1e-300))
}

// start spreads loops over the axes until little is left to fill.
func (c *chain) start() (x candidate) {
	if n := len(c.evaluator); n > 1 {
		x.variant = c.rng.IntN(n)
	}
	for i, sl := range c.s.slots {
		if sl.axis < 0 {
			continue
		}
		left := sl.limit
		for range 3 {
			d, ok := c.loop(sl.loops)
			if !ok || c.s.slots[i].limit < 2 || x.bound[i][d] > 1 {
				continue
			}
			used := int64(1)
			for j := range c.s.slots {
				used *= x.at(j, d)
			}
			n := min(left, ceil(c.s.full[d], used))
			n = ceil(c.s.full[d], ceil(c.s.full[d], max(n, 1)))
			if n <= left && n > 1 {
				x.bound[i][d] = n
				left /= n
			}
		}
	}
	return x
}

// cover gives loops that may not run at the outermost level all of their
// iterations elsewhere, so that a walk does not depend on hitting upon it.
func (c *chain) cover(x *candidate) {
	for _, d := range c.s.loops {
		if c.s.m.stores[0].time&(1<<d) != 0 {
			continue
		}
		covered := int64(1)
		for i := range c.s.slots {
			if n := c.s.slots[i].fixed[d]; n > 0 {
				covered *= n
			} else {
				covered *= x.at(i, d)
			}
		}
		i := c.rng.IntN(len(c.s.slots))
		if covered < c.s.full[d] && c.s.slots[i].axis < 0 && c.allowed(i, d) {
			x.bound[i][d] = ceil(c.s.full[d], covered/x.at(i, d))
		}
	}
}

// loop picks one of the loops allowed.
func (c *chain) loop(allowed uint8) (hardware.Dim, bool) {
	for range 8 {
		if d := c.s.loops[c.rng.IntN(len(c.s.loops))]; allowed&(1<<d) != 0 {
			return d, true
		}
	}
	return 0, false
}

// move changes a candidate a little.
func (c *chain) move(x *candidate) {
	d := c.s.loops[c.rng.IntN(len(c.s.loops))]
	i := c.rng.IntN(len(c.s.slots))
	if n := len(c.evaluator); n > 1 && c.rng.IntN(8) == 0 { // one operand is kept or passes by
		x.variant ^= 1 << c.rng.IntN(bits.Len(uint(n-1)))
		return
	}
	switch c.rng.IntN(5) {
	case 0: // a loop changes places
		j := c.rng.IntN(len(c.s.slots))
		if c.allowed(i, d) && c.allowed(j, d) {
			x.bound[i][d], x.bound[j][d] = x.bound[j][d], x.bound[i][d]
		}
	case 1: // an axis is filled by another loop
		sl := &c.s.slots[i]
		if sl.axis >= 0 && c.allowed(i, d) {
			x.bound[i] = sizes{}
			x.bound[i][d] = c.value(d, sl.limit)
		}
	case 2: // a bound takes the next size up or down
		if c.allowed(i, d) {
			x.bound[i][d] = c.neighbour(d, x.at(i, d))
		}
	case 3: // a place of one loop goes to another
		e := c.s.loops[c.rng.IntN(len(c.s.loops))]
		if c.allowed(i, d) && c.allowed(i, e) && d != e {
			x.bound[i][d], x.bound[i][e] = 1, c.value(e, c.s.slots[i].limit)
		}
	default:
		if c.allowed(i, d) {
			x.bound[i][d] = c.value(d, c.s.slots[i].limit)
		}
	}
}

func (c *chain) allowed(slot int, d hardware.Dim) bool {
	s := &c.s.slots[slot]
	return s.loops&(1<<d) != 0 && s.fixed[d] == 0
}

// value picks a bound of a loop, 1 included, up to a limit.
func (c *chain) value(d hardware.Dim, limit int64) int64 {
	list := c.s.values[d]
	n := len(list)
	for n > 0 && list[n-1] > limit {
		n--
	}
	if i := c.rng.IntN(n + 1); i < n {
		return list[i]
	}
	return 1
}

func (c *chain) neighbour(d hardware.Dim, v int64) int64 {
	list := c.s.values[d]
	i := -1 // stands for 1
	for j, n := range list {
		if n <= v {
			i = j
		}
	}
	i += 2*c.rng.IntN(2) - 1
	if i < 0 {
		return 1
	}
	return list[min(i, len(list)-1)]
}
