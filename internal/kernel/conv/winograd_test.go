package conv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

func TestWinograd(t *testing.T) {
	if winograd8.input == nil {
		t.Skip("no transforms for this CPU")
	}
	for name, s := range map[string]Shape{
		"whole squares": {N: 1, H: 16, W: 16, C: 32, K: 64, R: 3, S: 3, P: 16, Q: 16, PadH: 1, PadW: 1},
		"edges":         {N: 2, H: 14, W: 15, C: 40, K: 40, R: 3, S: 3, P: 14, Q: 15, PadH: 1, PadW: 1},
		"no padding":    {N: 1, H: 17, W: 19, C: 32, K: 32, R: 3, S: 3, P: 15, Q: 17},
		"passes":        {N: 2, H: 28, W: 28, C: 96, K: 40, R: 3, S: 3, P: 28, Q: 28, PadH: 1, PadW: 1},
		"strides":       {N: 1, H: 16, W: 16, C: 32, K: 48, R: 3, S: 3, P: 16, Q: 16, PadH: 1, PadW: 1, SrcStride: 37, DstStride: 50, AddStride: 49},
	} {
		for _, set := range tile.Sets()[1:] {
			t.Run(fmt.Sprintf("%s/%s", name, set.Name), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				p := newProblem(rng, s)
				n := p.normal()
				p.add = random(rng, n.pixels()*n.AddStride)
				p.Winograd = true
				var first []float32
				for _, workers := range []int{1, 3} {
					c := newWith(set, p.Shape, p.Params)
					if _, ok := c.impl.(*winograd); !ok {
						t.Fatalf("the kernel is %s", c.Kernel())
					}
					got := p.run(set, workers)
					if first == nil {
						first = got
					} else if !slices.Equal(first, got) {
						t.Fatal("three workers give other bits than one")
					}
				}
				want, mag := naive(p.Shape, p.Params, p.src, p.add)
				worst := 0.0
				for i := range n.pixels() {
					for k := range n.DstStride {
						v := first[i*n.DstStride+k]
						if k >= n.K {
							if v != canary {
								t.Fatalf("pixel %d: channel %d past the end was written", i, k)
							}
							continue
						}
						worst = max(worst, math.Abs(float64(v)-want[i*n.K+k])/mag[i*n.K+k])
					}
				}
				if !(worst < 1e-5) {
					t.Fatalf("error %g of the sum of magnitudes", worst)
				}
				t.Logf("worst error %.1e of the sum of magnitudes", worst)
			})
		}
	}
}

// TestWinogradArgsLayout guards the offsets that the assembly generator states.
func TestWinogradArgsLayout(t *testing.T) {
	var a winogradArgs
	for name, f := range map[string][2]uintptr{
		"Pixels": {unsafe.Offsetof(a.Pixels), 0}, "Tmp": {unsafe.Offsetof(a.Tmp), 288},
		"Src": {unsafe.Offsetof(a.Src), 1440}, "Dst": {unsafe.Offsetof(a.Dst), 1464},
		"Bias": {unsafe.Offsetof(a.Bias), 1488}, "Add": {unsafe.Offsetof(a.Add), 1512},
		"Plane": {unsafe.Offsetof(a.Plane), 1536}, "Chans": {unsafe.Offsetof(a.Chans), 1544},
		"Rows": {unsafe.Offsetof(a.Rows), 1552}, "Cols": {unsafe.Offsetof(a.Cols), 1560},
		"Line": {unsafe.Offsetof(a.Line), 1568}, "Pixel": {unsafe.Offsetof(a.Pixel), 1576},
		"AddLine": {unsafe.Offsetof(a.AddLine), 1584}, "AddPixel": {unsafe.Offsetof(a.AddPixel), 1592},
		"Min": {unsafe.Offsetof(a.Min), 1600}, "Max": {unsafe.Offsetof(a.Max), 1604},
		"Wide": {unsafe.Offsetof(a.Wide), 1608},
	} {
		if unsafe.Sizeof(uintptr(0)) == 8 && f[0] != f[1] {
			t.Errorf("%s at %d, the assembly says %d", name, f[0], f[1])
		}
	}
}

// BenchmarkWinograd runs the layers of a ResNet-18 both ways. The rate counts
// the operations of the direct convolution.
func BenchmarkWinograd(b *testing.B) {
	pool := parallel.New(1)
	for _, l := range [][2]int{{64, 56}, {128, 28}, {256, 14}, {32, 112}} {
		ch, hw := l[0], l[1]
		for _, fast := range []bool{false, true} {
			p := newProblem(rand.New(rand.NewPCG(1, 2)), Shape{N: 1, H: hw, W: hw, C: ch, K: ch, R: 3, S: 3, P: hw, Q: hw, PadH: 1, PadW: 1})
			p.Winograd = fast
			c := New(p.Shape, p.Params)
			b.Run(fmt.Sprintf("%d_%d_%v", ch, hw, fast), func(b *testing.B) {
				n := p.normal()
				dst, scratch := make([]float32, n.pixels()*n.K), make([]float32, c.Scratch(1))
				measure(b, 2*float64(n.MACs()), func() { c.Run(pool, dst, p.src, nil, scratch) })
			})
		}
	}
}
