//go:build amd64 && !purego

package qconv

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/kernel/qvec"
	"github.com/drawknife/drawknife/internal/parallel"
)

// TestDeep runs every shape by steps of 64 values, also those that choose would
// not run so: by Go in place of the assembly, and by AMX where there is any. The
// input ends where its memory does.
func TestDeep(t *testing.T) {
	simulated := amx
	simulated.name, simulated.simulate = "simulated amx", simulateDeep
	if !cpu.Has(cpu.AMX) {
		t.Log("this CPU has no AMX, or the kernel does not grant it: only simulated")
	}
	one, three := parallel.New(1), parallel.New(3)
	defer one.Close()
	defer three.Close()
	rng := rand.New(rand.NewPCG(7, 8))
	list := append(shapes(), deepShapes...)
	for range 30 {
		list = append(list, randomShape(rng))
	}
	for n, s := range list {
		var sets []*isa
		if cpu.Has(cpu.AMX) {
			sets = append(sets, &amx)
		}
		if len(sets) == 0 || n%4 == 0 { // slow
			sets = append(sets, &simulated)
		}
		pr := newProblem(rng, s)
		pr.p.Flip, pr.p.WeightZero = 0, nil
		pr.src = atEnd(t, pr.src)
		want := naive(pr.s, pr.p, pr.src)
		for _, i := range sets {
			c := plan(pr.s, pr.p)
			c.run = newTiled(c, i)
			for _, pool := range []*parallel.Pool{one, three} {
				pr.compare(t, c, pool, want)
			}
		}
	}
}

// deepShapes read their input in place: channels that fill no step, few and many
// pixels, and pixels that lie apart.
var deepShapes = []Shape{
	{N: 1, H: 1, W: 5, C: 3, K: 16, P: 1, Q: 5},
	{N: 1, H: 1, W: 17, C: 1, K: 16, P: 1, Q: 17},
	{N: 3, H: 7, W: 5, C: 2, K: 20, P: 7, Q: 5},
	{N: 1, H: 9, W: 9, C: 40, K: 33, P: 9, Q: 9},
	{N: 1, H: 20, W: 20, C: 24, K: 144, P: 20, Q: 20},
	{N: 1, H: 20, W: 20, C: 144, K: 24, P: 20, Q: 20},
	{N: 1, H: 13, W: 11, C: 70, K: 48, P: 13, Q: 11, SrcStride: 100, DstStride: 60},
	{N: 2, H: 20, W: 26, C: 72, K: 8, P: 20, Q: 26},
	{N: 1, H: 12, W: 150, C: 64, K: 32, R: 3, S: 3, P: 12, Q: 150, PadH: 1, PadW: 1},
	{N: 1, H: 4, W: 1, C: 1000, K: 17, P: 4, Q: 1},
}

// simulateDeep is what the assembly does, in Go.
func simulateDeep(a *tileArgs, _, vecs int, _ bool) {
	width := 16 * vecs
	spots := unsafe.Slice((*spot)(a.offs), a.tiles)
	steps := unsafe.Slice((*int32)(a.steps), a.count)
	w := unsafe.Slice((*int8)(a.w), a.count*deepStep*width)
	bias, scale := unsafe.Slice((*int32)(a.bias), width), unsafe.Slice((*float32)(a.scale), width)
	for _, s := range spots {
		for r := range a.rows {
			for k := range width {
				sum := bias[k]
				for i, at := range steps {
					x := unsafe.Slice((*uint8)(unsafe.Add(a.base, int(s.src)+r*a.pixel+int(at))), deepStep)
					for j, v := range x {
						sum += int32(v) * int32(w[i*deepStep*width+j/4*4*width+4*k+j%4])
					}
				}
				to := unsafe.Add(a.dst, (int(s.dst)+r)*a.dstStride+k*a.elem)
				v := float32(sum) * scale[k]
				switch a.mode {
				case modeInt32:
					*(*int32)(to) = sum
				case modeFloat:
					*(*float32)(to) = min(max(v, a.flo[0]), a.fhi[0])
				default:
					*(*uint8)(to) = qvec.Round(v, uint8(a.zero[0]), a.lo[0], a.hi[0])
				}
			}
		}
	}
}

// TestDeepZeros has a panel of nothing but zeros, and steps of zeros.
func TestDeepZeros(t *testing.T) {
	pool := parallel.New(1)
	defer pool.Close()
	i := amx
	if !cpu.Has(cpu.AMX) {
		i.simulate = simulateDeep
	}
	pr := newProblem(rand.New(rand.NewPCG(1, 1)), same(6, 64, 48, 3, 1, 1))
	pr.p.Flip, pr.p.WeightZero = 0, nil
	for k := range pr.p.Weights {
		if tap := k % 9; k/9/64 < 32 || tap > 5 {
			pr.p.Weights[k] = 0
		}
	}
	c := plan(pr.s, pr.p)
	run := newTiled(c, &i)
	c.run = run
	pr.compare(t, c, pool, naive(pr.s, pr.p, pr.src))
	if got := []int{run.panels[0].count, run.panels[1].count}; got[0] != 1 || got[1] != 6 {
		t.Errorf("%v steps, want 1 of zeros and 6 of 9", got)
	}
}
