package loopnest

import "github.com/drawknife/drawknife/hardware"

// options lists the ways of splitting every loop over the slots, or reports
// false if there are more than limit combinations.
func (s *searcher) options(limit int) bool {
	if limit < 0 {
		return false
	}
	s.tuples = nil
	total := 1
	for _, d := range s.loops {
		list, ok := s.splits(d, limit)
		if !ok || len(list) == 0 {
			return false
		}
		if total *= len(list); total > limit {
			return false
		}
		s.tuples = append(s.tuples, list)
	}
	return true
}

// splits lists the bounds of one loop by slot. Bounds that could be lower and
// still cover the same are left out. It gives up when there are too many.
func (s *searcher) splits(d hardware.Dim, limit int) (list [][]int64, ok bool) {
	tuple := make([]int64, len(s.slots))
	tried := 0
	var next func(i int) bool
	next = func(i int) bool {
		if i == len(s.slots) {
			if tried++; tried > 20*limit {
				return false
			}
			if s.tight(d, tuple) {
				list = append(list, append([]int64(nil), tuple...))
			}
			return len(list) <= limit
		}
		if fixed := s.slots[i].fixed[d]; fixed > 0 {
			tuple[i] = fixed
			return next(i + 1)
		}
		tuple[i] = 1
		if !next(i + 1) {
			return false
		}
		if s.slots[i].loops&(1<<d) == 0 {
			return true
		}
		for _, v := range s.values[d] {
			if v > s.slots[i].limit {
				break
			}
			tuple[i] = v
			if !next(i + 1) {
				return false
			}
		}
		tuple[i] = 1
		return true
	}
	return list, next(0)
}

// tight reports whether every bound of a loop is needed.
func (s *searcher) tight(d hardware.Dim, tuple []int64) bool {
	// tile[i] is the size inside slot i. Slots are sorted from the outermost
	// level inwards, time before space.
	size := int64(1)
	sizes := make([]int64, len(tuple)+1)
	for i := len(tuple) - 1; i >= 0; i-- {
		sizes[i+1] = size
		if size = min(size*tuple[i], s.full[d]); size == s.full[d] && sizes[i+1] == size && tuple[i] > 1 {
			return false
		}
	}
	sizes[0] = size
	left := s.full[d]
	for i, n := range tuple {
		left = min(left, sizes[i])
		if n > 1 && ceil(left, sizes[i+1]) < n {
			return false
		}
	}
	return true
}

// enumerate tries all combinations of splits. As long as some loops are not
// split, their tiles are as small as can be: what does not fit then never
// will.
func (c *chain) enumerate(i int, x *candidate) {
	if i == len(c.s.loops) {
		c.try(x)
		return
	}
	d := c.s.loops[i]
	for _, tuple := range c.s.tuples[i] {
		for k, n := range tuple {
			x.bound[k][d] = n
		}
		if i+1 == len(c.s.loops) || c.tile(x) {
			c.enumerate(i+1, x)
		}
	}
	for k := range c.s.slots {
		x.bound[k][d] = 1
	}
}
