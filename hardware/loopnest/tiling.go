package loopnest

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/hardware"
)

const numDims = hardware.NumDims

// sizes holds a number for each loop.
type sizes [numDims]int64

// tiling is a mapping in the form that evaluation wants: how much of each loop
// is left inside the loops in time of a level (inner) and inside its loops in
// space (below, the tile of the next level). Tiles nest: each boundary cuts
// the one above it, the last piece being smaller if the size does not divide.
type tiling struct {
	inner, below [maxLevels]sizes
	// trips are the iterations in time of a full tile, spread those in space.
	trips, spread [maxLevels]sizes
	// order lists the loops that run in time at a level, outermost first.
	order   [maxLevels][numDims]hardware.Dim
	ordered [maxLevels]int
	// exact marks loops whose pieces are all equal.
	exact [numDims]bool
}

// tile is what level l works on.
func (t *tiling) tile(l int, full *sizes) *sizes {
	if l == 0 {
		return full
	}
	return &t.below[l-1]
}

// set computes a tiling from bounds in time and in space by level.
func (t *tiling) set(full *sizes, levels int) {
	size := sizes{1, 1, 1, 1, 1, 1, 1, 1}
	for l := levels - 1; l >= 0; l-- {
		for d := range size {
			t.below[l][d] = size[d]
			size[d] = min(size[d]*t.spread[l][d], full[d])
			t.inner[l][d] = size[d]
			size[d] = min(size[d]*t.trips[l][d], full[d])
		}
	}
	for d := range size {
		left, exact := full[d], true
		for l := range levels {
			in, below := t.inner[l][d], t.below[l][d]
			if t.trips[l][d] != 1 || t.spread[l][d] != 1 {
				exact = exact && left%in == 0 && in%below == 0
				t.trips[l][d], t.spread[l][d] = (left+in-1)/in, (in+below-1)/below
			}
			left = below
		}
		t.exact[d] = exact
	}
}

// from fills t with a mapping and reports what cannot be.
func (t *tiling) from(m *machine, full *sizes, mapping *Mapping) error {
	if len(mapping.Levels) != len(m.stores) {
		return fmt.Errorf("the mapping has %d levels, %s has %d", len(mapping.Levels), m.arch.Name, len(m.stores))
	}
	covered := sizes{1, 1, 1, 1, 1, 1, 1, 1}
	cover := func(l Loop) {
		covered[l.Dim] = min(covered[l.Dim]*int64(l.Bound), 1<<31)
	}
	for l := range mapping.Levels {
		p := &mapping.Levels[l]
		t.trips[l], t.spread[l] = sizes{1, 1, 1, 1, 1, 1, 1, 1}, sizes{1, 1, 1, 1, 1, 1, 1, 1}
		t.ordered[l] = 0
		for _, loop := range p.Time {
			if loop.Bound < 1 || slices.Contains(t.order[l][:t.ordered[l]], loop.Dim) {
				return fmt.Errorf("level %s: loop %v%d has no positive bound or runs twice in time", m.stores[l].name, loop.Dim, loop.Bound)
			}
			cover(loop)
			t.trips[l][loop.Dim] = int64(loop.Bound)
			t.order[l][t.ordered[l]] = loop.Dim
			t.ordered[l]++
		}
		if err := t.fromSpace(m, l, p.Space, cover); err != nil {
			return err
		}
	}
	for d := range covered {
		if covered[d] < full[d] {
			return fmt.Errorf("the bounds of loop %v multiply to %d, but its size is %d", hardware.Dim(d), covered[d], full[d])
		}
	}
	t.set(full, len(m.stores))
	return nil
}

func (t *tiling) fromSpace(m *machine, l int, loops []Spread, cover func(Loop)) error {
	used := map[int]int{}
	for _, s := range loops {
		if s.Bound < 1 || s.Axis < 0 || s.Axis >= len(m.owner) || m.owner[s.Axis] != l {
			return fmt.Errorf("level %s: loop %v%d cannot spread along an axis that does not fan out here", m.stores[l].name, s.Dim, s.Bound)
		}
		axis := &m.arch.Array.Axes[s.Axis]
		if used[s.Axis] == 0 {
			used[s.Axis] = 1
		}
		if s.Bound > axis.Size || used[s.Axis]*s.Bound > axis.Size {
			return fmt.Errorf("level %s: the loops along axis %s need more than its %d places", m.stores[l].name, axis.Name, axis.Size)
		}
		used[s.Axis] *= s.Bound
		cover(s.Loop)
		t.spread[l][s.Dim] *= int64(s.Bound)
	}
	return nil
}

// mapping is the reverse of from. Loops in space are given to the axes that
// may take them.
func (t *tiling) mapping(m *machine, axes *[maxAxes]sizes) *Mapping {
	out := &Mapping{Levels: make([]Place, len(m.stores))}
	for l := range out.Levels {
		p := &out.Levels[l]
		for _, c := range m.optional {
			if c.level == l && !m.stores[l].held[c.operand] {
				p.Bypass += c.operand.Letter()
			}
		}
		for _, d := range t.order[l][:t.ordered[l]] {
			if t.trips[l][d] > 1 {
				p.Time = append(p.Time, Loop{d, int(t.trips[l][d])})
			}
		}
		for _, axis := range m.stores[l].axes {
			for d := range hardware.Dim(numDims) {
				if n := axes[axis][d]; n > 1 {
					p.Space = append(p.Space, Spread{Loop{d, int(n)}, axis})
				}
			}
		}
	}
	return out
}

// pieces counts the pieces of a loop as boundaries are walked inwards: how
// many full ones there are, of which size, and the size of the one that is
// smaller, if any.
type pieces struct{ full, size, rest int64 }

// all cuts every piece at a boundary.
func (p *pieces) all(tile int64) {
	n := p.full * (p.size / tile)
	rest := p.size % tile // only of the single piece that is not cut yet
	if p.rest > 0 {
		n += p.rest / tile
		rest = p.rest % tile
	}
	p.full, p.size, p.rest = n, tile, rest
}

// first cuts every piece and keeps the first of the parts.
func (p *pieces) first(tile int64) {
	if p.rest >= tile {
		p.full, p.rest = p.full+1, 0
	}
	p.size = tile
}

func (p *pieces) count() int64 {
	if p.rest > 0 {
		return p.full + 1
	}
	return p.full
}
