package qconv

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
					want, offsets := make([]int16, n*stepWeights), make([]int32, n)
					for i := range want {
						want[i] = int16(rng.IntN(2*limit+1) - limit)
					}
					for i := range offsets {
						offsets[i] = int32(i)
					}
					p := packer{orders: copies}
					p.add(offsets, want)
					checkGroups(t, &p, want, rng.IntN(4) > 0)
				})
			}
		}
	}
}

// checkGroups forms the groups of a packer that holds the weights wanted,
// whose offsets are their indices.
func checkGroups(t *testing.T, p *packer, want []int16, several bool) {
	got := make([]int16, len(want))
	for _, g := range p.group(several) {
		var up, down [stepWeights / 2]int
		for _, m := range g.steps[:g.n] {
			w := p.w[m.step*stepWeights:]
			for i := range stepWeights {
				// The weight at place i of the memory of the step.
				v := int(w[i/4*4+orders[m.order][i%4]])
				up[i/2] += max(v, 0)
				down[i/2] += min(v, 0)
				got[int(p.offsets[m.step])*stepWeights+i] += int16(w[i])
			}
		}
		for i := range up {
			if up[i] > 128 || down[i] < -128 {
				t.Fatalf("a group of %d has weights of %d and %d in int16 sum %d", g.n, up[i], down[i], i)
			}
		}
	}
	for i, w := range want {
		if got[i] != w {
			t.Fatalf("weight %d of step %d is %d, want %d", i%stepWeights, i/stepWeights, got[i], w)
		}
	}
}

// TestGroupsOfSmallWeights checks that steps that fit are put together.
func TestGroupsOfSmallWeights(t *testing.T) {
	const steps = 42
	w := make([]int16, steps*stepWeights)
	for i := range w {
		w[i] = int16(i%stepWeights%3) * 7
	}
	p := packer{orders: 1}
	p.add(make([]int32, steps), w)
	sizes := [groupSteps + 1]int{}
	for _, g := range p.group(true) {
		sizes[g.n]++
	}
	if sizes[4] != steps/4 || sizes[2] != 1 {
		t.Errorf("%d steps make %v groups of 0, 1, 2, 3, 4", steps, sizes)
	}
}

// TestMeasure holds the assembly to its portable twin.
func TestMeasure(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, limit := range []int{0, 1, 60, 127, 128, 255} {
		for copies := 1; copies <= len(orders); copies++ {
			const n = 50
			src := make([]int16, n*stepWeights)
			for i := range src {
				src[i] = int16(rng.IntN(2*limit+1) - limit)
			}
			clear(src[3*stepWeights : 4*stepWeights])
			w, wantW := make([]int8, len(src)), make([]int8, len(src))
			loads, wantLoads := make([]load, n*copies), make([]load, n*copies)
			states, wantStates := make([]uint8, n), make([]uint8, n)
			measure(w, loads, states, src, copies)
			measurePortable(wantW, wantLoads, wantStates, src, copies)
			if !slices.Equal(w, wantW) || !slices.Equal(loads, wantLoads) || !slices.Equal(states, wantStates) {
				t.Errorf("weights up to %d in %d orders: measured otherwise than by the portable code", limit, copies)
			}
		}
	}
}
