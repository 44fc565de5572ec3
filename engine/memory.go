package engine

import (
	"cmp"
	"slices"
)

// plan gives every buffer of the arena an offset, so that buffers that live at
// the same time never overlap, and returns the arena's size. It places the
// largest first, each at the lowest gap it fits (greedy by size; Pisarchyk and
// Lee, "Efficient memory management for deep neural net inference", 2020).
func plan(steps []step) int {
	var roots []*buf
	seen := map[*buf]bool{}
	touch := func(b *buf, i int) {
		if b == nil {
			return
		}
		r, _ := b.root()
		if r.place != inArena {
			return
		}
		if !seen[r] {
			seen[r] = true
			r.first = i
			roots = append(roots, r)
		}
		r.last = i
	}
	for i, s := range steps {
		for _, b := range s.in {
			touch(b, i)
		}
		for _, b := range s.out {
			touch(b, i)
		}
		touch(s.scratch, i)
	}
	slices.SortStableFunc(roots, func(a, b *buf) int { return cmp.Compare(b.bytes, a.bytes) })
	var placed []*buf // in order of offset
	total := 0
	for _, b := range roots {
		off := 0
		for _, p := range placed {
			if p.last < b.first || b.last < p.first {
				continue
			}
			if off+b.bytes <= p.off {
				break
			}
			off = max(off, alignUp(p.off+p.bytes))
		}
		b.off = off
		total = max(total, off+b.bytes)
		i, _ := slices.BinarySearchFunc(placed, off, func(p *buf, off int) int { return cmp.Compare(p.off, off) })
		placed = slices.Insert(placed, i, b)
	}
	return alignUp(total)
}
