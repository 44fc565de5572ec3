package qconv

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestGroups checks that groups keep to the bounds of int16 sums and hold
// every weight once, for weights of up to nine bits.
func TestGroups(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for _, limit := range []int{0, 1, 20, 63, 127, 255} {
		for _, n := range []int{1, 2, 9, 100, 300} {
			for copies := 1; copies <= len(orders); copies++ {
				t.Run(fmt.Sprint(limit, n, copies), func(t *testing.T) {
					want := make([][stepWeights]int16, n)
					p := packer{orders: copies}
					for i := range want {
						for k := range want[i] {
							want[i][k] = int16(rng.IntN(2*limit+1) - limit)
						}
						p.add(int32(i), &want[i])
					}
					checkGroups(t, &p, want, rng.IntN(4) > 0)
				})
			}
		}
	}
}

// checkGroups forms the groups of a packer that holds the weights wanted,
// whose offsets are their indices.
func checkGroups(t *testing.T, p *packer, want [][stepWeights]int16, several bool) {
	got := make([][stepWeights]int16, len(want))
	for _, g := range p.group(several) {
		var up, down [stepWeights / 2]int
		for _, m := range g.steps[:g.n] {
			s := &p.steps[m.step]
			for i := range stepWeights {
				// The weight at place i of the memory of the step.
				v := int(s.w[i/4*4+orders[m.order][i%4]])
				up[i/2] += max(v, 0)
				down[i/2] += min(v, 0)
				got[s.offset][i] += int16(s.w[i])
			}
		}
		for i := range up {
			if up[i] > 128 || down[i] < -128 {
				t.Fatalf("a group of %d has weights of %d and %d in int16 sum %d", g.n, up[i], down[i], i)
			}
		}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("step %d: got weights %v, want %v", i, got[i], want[i])
		}
	}
}

// TestGroupsOfSmallWeights checks that steps that fit are put together.
func TestGroupsOfSmallWeights(t *testing.T) {
	p := packer{orders: 1}
	var w [stepWeights]int16
	for i := range w {
		w[i] = int16(i%3) * 7
	}
	const steps = 42
	for i := range int32(steps) {
		p.add(i, &w)
	}
	sizes := [groupSteps + 1]int{}
	for _, g := range p.group(true) {
		sizes[g.n]++
	}
	if sizes[4] != steps/4 || sizes[2] != 1 {
		t.Errorf("%d steps make %v groups of 0, 1, 2, 3, 4", steps, sizes)
	}
}
