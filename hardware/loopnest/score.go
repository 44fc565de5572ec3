package loopnest

import "github.com/drawknife/drawknife/hardware"

// tally is a part of a mapping's cost: flows between levels are independent of
// each other, and each depends on the order of loops at one level alone. So
// costs are added up from parts, one for each order of each level, and all
// combinations of orders are compared by adding a few numbers.
type tally struct {
	energy          float64
	in, out, serial [maxLevels]float64
}

func (v *tally) add(w *tally, levels int) {
	v.energy += w.energy
	for l := range levels {
		v.in[l] += w.in[l]
		v.out[l] += w.out[l]
		v.serial[l] += w.serial[l]
	}
}

// score is what a search compares: the objective, then what breaks ties.
type score struct{ first, second float64 }

func (s score) less(o score) bool {
	return s.first < o.first || s.first == o.first && s.second < o.second
}

// scorer finds the best orders of loops for a tiling.
type scorer struct {
	e         *Evaluator
	objective hardware.Objective
	mappings  int64 // compared so far

	list      [maxLevels][maxOrders]order
	number    [maxLevels]int
	parts     [maxLevels][maxOrders]tally
	firsts    [maxLevels]float64
	instances [maxLevels]float64
	compute   float64
	fill      float64
	best      score
	pick      [maxLevels]int
	chosen    [maxLevels]int
}

// score compares all orders of t's loops and leaves the best ones in t.
func (s *scorer) score(t *tiling) score {
	levels := len(s.e.m.stores)
	var base tally
	base.energy = s.e.macs * s.e.m.mac
	s.prepare(t)
	for l := range levels {
		mask := uint8(0)
		for d, n := range t.trips[l] {
			if n > 1 {
				mask |= 1 << d
			}
		}
		s.number[l] = 1
		if fixed := &s.e.m.stores[l].order; fixed.n > 0 {
			s.list[l][0].only(mask, fixed)
		} else if l < levels-1 { // the order of the innermost level moves nothing
			s.number[l] = orders(mask, &s.list[l])
		} else {
			s.list[l][0].fill(mask, 0, -1)
		}
		s.use(t, l, 0)
		for k := range s.number[l] {
			s.parts[l][k] = tally{}
		}
	}
	for o := range hardware.Operand(hardware.NumOperands) {
		holders := s.e.m.holders[o]
		for i, parent := range holders {
			child := levels
			if i+1 < len(holders) {
				child = holders[i+1]
			}
			l := -1
			if child < levels {
				l = t.reuse(o, child).level
			}
			if l < 0 {
				s.charge(t, o, parent, child, &base)
				continue
			}
			for k := range s.number[l] {
				s.use(t, l, k)
				s.charge(t, o, parent, child, &s.parts[l][k])
			}
		}
	}
	s.best = score{-1, 0}
	s.combine(0, levels, &base)
	for l := range levels {
		s.use(t, l, s.chosen[l])
	}
	return s.best
}

func (s *scorer) use(t *tiling, l, k int) {
	t.order[l], t.ordered[l] = s.list[l][k].dims, s.list[l][k].n
}

// prepare computes what does not depend on orders.
func (s *scorer) prepare(t *tiling) {
	e := s.e
	s.compute, s.fill = e.steps(t), e.m.arch.Overheads.LayerCycles
	if e.m.arch.Overheads.Fill {
		s.fill += e.fill(t)
	}
	instances := 1.0
	for l := range e.m.stores {
		s.instances[l] = instances
		for d, n := range t.spread[l] {
			if e.full[d] > 1 {
				instances *= float64(n)
			}
		}
	}
	if e.m.arch.Overheads.ReadFirst {
		return // firsts stay zero
	}
	for _, l := range e.m.holders[hardware.Outputs] {
		s.firsts[l] = e.firsts(t, l)
	}
}

// charge adds the cost of the flow between two levels, as evaluate books it.
func (s *scorer) charge(t *tiling, o hardware.Operand, parent, child int, v *tally) {
	e := s.e
	f := e.flow(t, o, parent, child)
	up := &e.m.stores[parent]
	received := f.received
	if o == hardware.Outputs {
		first := 0.0
		if child < len(e.m.stores) {
			first = s.firsts[child]
		} else if !e.m.arch.Overheads.ReadFirst {
			first = e.firsts(t, child)
		}
		down := max(0, f.received-first)
		reads := max(0, f.sent-s.firsts[parent])
		received += down
		v.energy += f.sent*up.write[o] + reads*up.read[o]
		v.in[parent] += f.sent
		v.out[parent] += reads
		if child < len(e.m.stores) {
			low := &e.m.stores[child]
			v.energy += f.received*low.drain[o] + down*low.fill[o]
			v.out[child] += f.received
			v.in[child] += down
			v.serial[child] += down/low.writeBW + f.received/low.readBW
		}
	} else {
		v.energy += f.sent * up.read[o]
		v.out[parent] += f.sent
		if child < len(e.m.stores) {
			low := &e.m.stores[child]
			v.energy += f.received * low.fill[o]
			v.in[child] += f.received
			v.serial[child] += f.received / low.writeBW
		}
	}
	for l := parent; l < child; l++ {
		v.energy += received * e.m.stores[l].wire
	}
}

// combine tries every combination of orders from level l inwards.
func (s *scorer) combine(l, levels int, sum *tally) {
	if l == levels {
		s.mappings++
		if v := s.value(sum); s.best.first < 0 || v.less(s.best) {
			s.best, s.chosen = v, s.pick
		}
		return
	}
	for k := range s.number[l] {
		s.pick[l] = k
		next := *sum
		next.add(&s.parts[l][k], levels)
		s.combine(l+1, levels, &next)
	}
}

// value is latency and energy of a complete sum.
func (s *scorer) value(v *tally) score {
	cycles, serial := s.compute, 0.0
	for l := range s.e.m.stores {
		st := &s.e.m.stores[l]
		if st.single {
			serial += v.serial[l] / s.instances[l]
			continue
		}
		cycles = max(cycles, max(v.out[l]/st.readBW, v.in[l]/st.writeBW)/s.instances[l])
	}
	cycles += serial + s.fill
	energy := v.energy + s.e.m.leakage(cycles)
	return objectiveOf(s.objective, cycles, energy)
}

func objectiveOf(o hardware.Objective, cycles, energy float64) score {
	switch o {
	case hardware.Energy:
		return score{energy, cycles}
	case hardware.EDP:
		return score{energy * cycles, cycles}
	}
	return score{cycles, energy}
}
