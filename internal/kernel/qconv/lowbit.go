package qconv

import "unsafe"

// Weights of a few bits allow the AVX2 kernels long groups of int16 sums: with
// four bits some twenty to forty steps, where eight bits allow two. The kernels
// for them keep both the int16 and the int32 sums of a tile in registers, and
// hardly ever widen. Where all weights fit four bits, two of them take a byte of
// memory; a panel is unpacked to scratch memory once for each block.
//
// VNNI multiplies bytes whatever they hold. Where weights meet a few pixels,
// reading them takes the time, and those of four or two bits stay so in memory
// until they are multiplied.

const (
	smallWeight = 15 // largest magnitude of weights for which long groups are tried
	longGroup   = 8  // average number of steps of a group that makes them worthwhile
)

// small reports whether the weights may allow long groups.
func (c *Conv) small(lanes int) bool {
	s := &c.shape
	if s.K/s.Groups < lanes || pixels(s) < groupPixels {
		return false
	}
	return c.within(-smallWeight, smallWeight)
}

// nibble reports whether the weights fit four bits.
func (c *Conv) nibble() bool { return c.fit(4) }

// few returns the kernels for layers whose weights meet so few pixels that
// reading them takes the time, nil if there are none or this is no such layer.
func (c *Conv) few(i *isa) *isa {
	s := &c.shape
	if pixels(s) > fewPixels || !pointwise(s) || s.Groups > 1 || s.K < i.lanes || s.C > fewInputs {
		return nil
	}
	for _, f := range i.few {
		if f != nil && pixels(s) <= f.rows && (f.bits == 8 || c.fit(f.bits)) {
			return f
		}
	}
	return nil
}

const (
	fewPixels = 4
	// fewInputs keeps sums in an int32 that are greater by a power of two: each
	// product of a value and a weight moved to the top of its byte is at most
	// 255*128.
	fewInputs = 1 << 16
)

// shared lists the offsets of the steps, which all panels share.
func (t *tiled) shared(groups int) []int32 {
	runs, length := t.g.runOffsets(t.c.shape.C / groups)
	list := make([]int32, 0, len(runs)*(length+3)/4)
	for _, run := range runs {
		for i := 0; i < length; i += 4 {
			list = append(list, run+int32(i))
		}
	}
	return list
}

// packLong lays out the weights of a panel, [step][channel][4], and the lengths
// of its groups in the place of steps.
func (t *tiled) packLong(p *panel, dense []int16) {
	var up, down [stepWeights / 2]int // of each int16 sum
	limit, length := t.c.groupLimit(), int32(0)
	for at := 0; at < len(dense); at += stepWeights {
		w := dense[at : at+stepWeights]
		fits := true
		for i := range up {
			a, b := int(w[2*i]), int(w[2*i+1])
			up[i] += max(a, 0) + max(b, 0)
			down[i] -= min(a, 0) + min(b, 0)
			fits = fits && up[i] <= limit && down[i] <= limit
		}
		if !fits {
			t.steps = append(t.steps, length)
			length = 0
			for i := range up {
				a, b := int(w[2*i]), int(w[2*i+1])
				up[i], down[i] = max(a, 0)+max(b, 0), -min(a, 0)-min(b, 0)
			}
		}
		length++
		t.appendSmall(w)
	}
	t.steps = append(t.steps, length)
	p.count = len(t.steps) - p.step
}

// groupLimit is what the positive and the negative weights of an int16 sum may
// come to each.
func (c *Conv) groupLimit() int { return 32767 / int(c.p.SrcMax) }

// appendSmall appends the weights of a step.
func (t *tiled) appendSmall(w []int16) {
	for i := 0; i < len(w); i++ {
		if t.nibbles {
			t.weights = append(t.weights, byte(w[i]+8)|byte(w[i+1]+8)<<4)
			i++
		} else {
			t.weights = append(t.weights, byte(w[i]))
		}
	}
}

// averageGroup is the average number of steps of a group.
func (t *tiled) averageGroup() int { return len(t.offsets) * len(t.panels) / len(t.steps) }

// smallBytes is the room for the weights of a panel, unpacked.
func (t *tiled) smallBytes() int {
	if !t.nibbles {
		return 0
	}
	return len(t.offsets) * stepWeights
}

// aimSmall points a at the weights of a panel, which it unpacks if need be.
func (t *tiled) aimSmall(a *tileArgs, p *panel, room []byte) {
	a.steps, a.lens, a.count = unsafe.Pointer(&t.offsets[0]), unsafe.Pointer(&t.steps[p.step]), p.count
	if t.nibbles {
		t.isa.unpack(&room[0], &t.weights[p.w], len(t.offsets))
		a.w = unsafe.Pointer(&room[0])
	}
}
