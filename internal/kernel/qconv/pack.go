package qconv

import (
	"encoding/binary"
	"slices"
)

// pack lays out panels and their weights.
func (t *tiled) pack(groups, merge int) {
	s := &t.c.shape
	kg := s.K / groups
	runs, length := t.g.runOffsets(s.C / groups)
	for g := range groups {
		for _, p := range splitChannels(kg, t.isa.lanes, t.isa.wide) {
			p.group, p.k0 = g, p.k0+g*kg
			p.step, p.w, p.at = len(t.steps), len(t.weights), len(t.bias)
			u := unit{lo: len(t.panels), hi: len(t.panels) + 1, k0: p.k0, k1: p.k0 + p.n}
			if last := len(t.units) - 1; last >= 0 && t.units[last].k1 > p.k0 {
				t.units[last].hi, t.units[last].k1 = u.hi, u.k1
			} else {
				t.units = append(t.units, u)
			}
			t.packPanel(&p, groups, merge, runs, length)
			t.panels = append(t.panels, p)
		}
	}
}

// splitChannels cuts k channels into panels of lanes to wide*lanes. The last
// may overlap the one before rather than be partly empty.
func splitChannels(k, lanes, wide int) []panel {
	list := []panel{}
	at := 0
	for ; k-at >= lanes*wide; at += lanes * wide {
		list = append(list, panel{k0: at, n: lanes * wide, vecs: wide})
	}
	for at < k {
		vecs := (k - at + lanes - 1) / lanes
		switch {
		case k >= vecs*lanes:
			at = k - vecs*lanes
		case k > lanes:
			vecs-- // the channels left over overlap in the next round
		}
		n := min(k-at, vecs*lanes)
		list = append(list, panel{k0: at, n: n, vecs: vecs})
		at += n
	}
	return list
}

// packPanel lays out the weights of a panel. Steps that multiply only by zero
// are left out.
func (t *tiled) packPanel(p *panel, groups, merge int, runs []int32, length int) {
	quads := (length + 3) / 4
	dense := t.gather(p, groups, merge, len(runs), 4*quads)
	if t.isa.vnni {
		t.packDots(p, dense, runs, quads)
	} else {
		t.packGroups(p, dense, runs, quads)
	}
	if len(t.weights) == p.w { // nothing but zeros
		t.weights = append(t.weights, 0)
	}
	if len(t.steps) == p.step {
		t.steps = append(t.steps, 0)
	}
}

// packDots lays out steps of int32 sums: their offsets, and for each
// [channel][4] int8. Weights beyond an int8 are the sum of those of several
// steps.
func (t *tiled) packDots(p *panel, dense []int16, runs []int32, quads int) {
	per := 4 * p.vecs * t.isa.lanes
	for i := range len(runs) * quads {
		for rest := dense[i*per : (i+1)*per]; slices.ContainsFunc(rest, nonzero); {
			p.count++
			t.steps = append(t.steps, runs[i/quads]+int32(i%quads*4))
			for k, v := range rest {
				part := max(-128, min(127, v))
				t.weights = append(t.weights, byte(part))
				rest[k] -= part
			}
		}
	}
}

func nonzero(v int16) bool { return v != 0 }

// packGroups lays out groups of steps of int16 sums, larger ones first: for
// each the offsets of its steps, and for each step [channel][4] int8.
func (t *tiled) packGroups(p *panel, dense []int16, runs []int32, quads int) {
	pk := packer{}
	for i := range len(runs) * quads {
		pk.add(runs[i/quads]+int32(i%quads*4), (*[stepWeights]int16)(dense[i*stepWeights:]))
	}
	list := pk.group(pixels(&t.c.shape) >= groupPixels)
	for n := groupSteps; n >= 1; n-- {
		for i := range list {
			if list[i].n != n {
				continue
			}
			p.groups[n-1]++
			members := list[i].steps[:n]
			for _, m := range members {
				t.weights = binary.LittleEndian.AppendUint32(t.weights, uint32(pk.steps[m].offset))
			}
			for _, m := range members {
				t.weights = append(t.weights, pk.steps[m].w[:]...)
			}
		}
	}
}

// gather returns the weights of a panel as [run][quad][channel][4], with its
// bias and scale appended to those of the panels before.
func (t *tiled) gather(p *panel, groups, merge, runs, length int) []int16 {
	s := &t.c.shape
	width := p.vecs * t.isa.lanes
	w := make([]int16, runs*length*width)
	cm, cg, kg, ntaps := s.C/groups, s.C/s.Groups, s.K/s.Groups, taps(s)
	perRun := ntaps / runs
	for j := range p.n {
		k := p.k0 + j
		t.bias = append(t.bias, t.c.bias[k])
		t.scale = append(t.scale, t.c.scale[k])
		inner := k / kg % merge // the true group within the merged one
		for tap := range ntaps {
			for c := range cg {
				x := tap%perRun*cm + inner*cg + c // within the run
				at := (tap/perRun*length/4+x/4)*width*4 + j*4 + x%4
				w[at] = t.c.w[(k*cg+c)*ntaps+tap]
			}
		}
	}
	for range width - p.n {
		t.bias = append(t.bias, 0)
		t.scale = append(t.scale, 0)
	}
	return w
}
