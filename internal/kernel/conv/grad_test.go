package conv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/drawknife/drawknife/internal/kernel/tile"
	"github.com/drawknife/drawknife/internal/parallel"
)

// gradients are the definitions: value and sum of magnitudes of each element
// of dx (strided as the input), dw and db.
type gradients struct{ dx, dw, db, dxMag, dwMag, dbMag []float64 }

func naiveGradients(s Shape, x, dy, w []float32) gradients {
	s = s.normal()
	floats := func(n int) []float64 { return make([]float64, n) }
	g := gradients{floats(len(x)), floats(len(w)), floats(s.K), floats(len(x)), floats(len(w)), floats(s.K)}
	cg, kg := s.C/s.Groups, s.K/s.Groups
	add := func(v, mag []float64, i int, d float64) { v[i] += d; mag[i] += math.Abs(d) }
	for i := range s.pixels() {
		o := s.pixelAt(i)
		for k := range s.K {
			d := float64(dy[i*s.DstStride+k])
			add(g.db, g.dbMag, k, d)
			for t := range s.T {
				for r := range s.R {
					for q := range s.S {
						z := o.d*s.StrideD - s.PadD + t*s.DilD
						y := o.p*s.StrideH - s.PadH + r*s.DilH
						u := o.q*s.StrideW - s.PadW + q*s.DilW
						if z < 0 || z >= s.D || y < 0 || y >= s.H || u < 0 || u >= s.W {
							continue
						}
						for c := range cg {
							at := (((o.n*s.D+z)*s.H+y)*s.W+u)*s.SrcStride + k/kg*cg + c
							wt := (((k*cg+c)*s.T+t)*s.R+r)*s.S + q
							add(g.dx, g.dxMag, at, d*float64(w[wt]))
							add(g.dw, g.dwMag, wt, d*float64(x[at]))
						}
					}
				}
			}
		}
	}
	return g
}

func near(t *testing.T, what string, got []float32, want, mag []float64, within float64, skip func(i int) bool) {
	t.Helper()
	for i, v := range got {
		if skip != nil && skip(i) {
			if v != canary {
				t.Fatalf("%s[%d] lies between the channels and was written", what, i)
			}
			continue
		}
		if !(math.Abs(float64(v)-want[i]) <= within*mag[i]) {
			t.Fatalf("%s[%d] = %g, want %g", what, i, v, want[i])
		}
	}
}

func checkGradients(t *testing.T, set *tile.Set, s Shape, rng *rand.Rand) {
	t.Helper()
	n := s.normal()
	x := random(rng, n.N*n.D*n.H*n.W*n.SrcStride)
	dy := random(rng, n.pixels()*n.DstStride)
	w := random(rng, n.K*(n.C/n.Groups)*n.T*n.R*n.S)
	want := naiveGradients(s, x, dy, w)
	var first [][]float32
	for _, workers := range []int{1, 3} {
		pool := parallel.New(workers)
		dx, dw, db := make([]float32, len(x)), make([]float32, len(w)), make([]float32, n.K)
		for i := range dx {
			dx[i] = canary
		}
		gi, gw := newGradInput(set, s), newGradWeight(set.Level, s)
		gi.Run(pool, dx, dy, w, nil, random(rng, gi.Scratch(workers)))
		gw.Run(pool, dw, db, x, dy, random(rng, gw.Scratch(workers)))
		only := make([]float32, len(w))
		gw.Run(pool, only, nil, x, dy, random(rng, gw.Scratch(workers)))
		if gi.Adds() {
			sum, add := slices.Clone(dx), random(rand.New(rand.NewPCG(3, 4)), len(dx))
			got := slices.Clone(add)
			gi.Run(pool, got, dy, w, got, make([]float32, gi.Scratch(workers)))
			for i := range sum {
				if sum[i] += add[i]; i%n.SrcStride < n.C && got[i] != sum[i] {
					t.Fatalf("dx[%d] is %g with an addition, want %g", i, got[i], sum[i])
				}
			}
		}
		pool.Close()
		const exact, transformed = 4e-6, 1e-5
		within := exact
		if strings.Contains(gi.Kernel(), "winograd") {
			within = transformed
		}
		near(t, "dw without bias", only, want.dw, want.dwMag, exact, nil)
		near(t, "dx", dx, want.dx, want.dxMag, within, func(i int) bool { return i%n.SrcStride >= n.C })
		near(t, "dw", dw, want.dw, want.dwMag, exact, nil)
		near(t, "db", db, want.db, want.dbMag, exact, nil)
		got := [][]float32{dx, dw, db, only}
		if first == nil {
			first = got
		}
		for i := range got {
			if !slices.Equal(got[i], first[i]) {
				t.Fatal("three workers give other bits than one")
			}
		}
	}
}

// moreGradients are shapes that the gradients treat apart.
var moreGradients = map[string]Shape{
	"images in a chunk": {N: 9, H: 8, W: 8, C: 12, K: 16, R: 3, S: 3, P: 8, Q: 8, PadH: 1, PadW: 1},
	"slices":            {N: 3, H: 32, W: 32, C: 16, K: 10, R: 3, S: 3, P: 16, Q: 16, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2},
	"first layer":       {N: 5, H: 28, W: 28, C: 1, K: 6, R: 5, S: 5, P: 28, Q: 28, PadH: 2, PadW: 2},
	"few channels":      {N: 5, H: 14, W: 14, C: 6, K: 16, R: 5, S: 5, P: 10, Q: 10},
	"three channels":    {N: 3, H: 11, W: 9, C: 3, K: 17, R: 3, S: 3, P: 6, Q: 5, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2},
	"cropped":           {N: 2, H: 9, W: 9, C: 2, K: 8, R: 3, S: 4, P: 5, Q: 4, PadH: -1, PadW: -2},
	"squares":           {N: 3, H: 16, W: 14, C: 32, K: 48, R: 3, S: 3, P: 16, Q: 14, PadH: 1, PadW: 1},
	"squares unpadded":  {N: 4, H: 14, W: 14, C: 40, K: 32, R: 3, S: 3, P: 12, Q: 12, SrcStride: 44, DstStride: 35},
	"expand":            {N: 2, H: 9, W: 9, C: 8, K: 48, P: 9, Q: 9},
	"wide":              {N: 1, H: 3, W: 3, C: 70, K: 130, R: 1, S: 1, P: 3, Q: 3},
	"many groups":       {N: 1, H: 3, W: 3, C: 80, K: 80, R: 1, S: 1, P: 3, Q: 3, Groups: 40},
	"depthwise even":    {N: 3, H: 8, W: 8, C: 56, K: 56, R: 3, S: 3, P: 4, Q: 4, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2, Groups: 56},
	"depthwise odd":     {N: 3, H: 7, W: 5, C: 19, K: 19, R: 3, S: 3, P: 7, Q: 5, PadH: 1, PadW: 1, SrcStride: 23, DstStride: 21, Groups: 19},
	"depthwise small":   {N: 2, H: 2, W: 2, C: 33, K: 33, R: 3, S: 3, P: 2, Q: 2, PadH: 1, PadW: 1, Groups: 33},
	"depthwise dilated": {N: 2, H: 9, W: 6, C: 24, K: 24, R: 3, S: 3, P: 3, Q: 6, PadH: 2, PadW: 1, StrideH: 3, DilH: 2, Groups: 24},
	"depthwise wide":    {N: 2, H: 9, W: 9, C: 300, K: 300, R: 3, S: 3, P: 5, Q: 5, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2, Groups: 300},
}

func TestGradientCases(t *testing.T) {
	for name, s := range cases {
		for _, set := range tile.Sets() {
			t.Run(fmt.Sprintf("%s/%s", name, set.Name), func(t *testing.T) {
				checkGradients(t, set, s, rand.New(rand.NewPCG(1, 2)))
			})
		}
	}
	for name, s := range moreGradients {
		for _, set := range tile.Sets() {
			t.Run(fmt.Sprintf("%s/%s", name, set.Name), func(t *testing.T) {
				checkGradients(t, set, s, rand.New(rand.NewPCG(1, 2)))
			})
		}
	}
}

func TestGradientRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 150 {
		s := randomShape(rng)
		for _, set := range tile.Sets() {
			if !t.Run(fmt.Sprintf("%d/%s", i, set.Name), func(t *testing.T) { checkGradients(t, set, s, rng) }) {
				t.Fatalf("%+v", s)
			}
		}
	}
}

// TestGradArgsLayout guards the offsets that the assembly generator states.
func TestGradArgsLayout(t *testing.T) {
	var a gradArgs
	var p patchArgs
	var w dwGradArgs
	for name, f := range map[string][2]uintptr{
		"X": {unsafe.Offsetof(a.X), 0}, "DY": {unsafe.Offsetof(a.DY), 24},
		"Pairs": {unsafe.Offsetof(a.Pairs), 48}, "Dst": {unsafe.Offsetof(a.Dst), 72},
		"DstStride": {unsafe.Offsetof(a.DstStride), 96}, "Channels": {unsafe.Offsetof(a.Channels), 104},
		"Lines": {unsafe.Offsetof(w.Lines), 0}, "line Dst": {unsafe.Offsetof(w.Dst), 24}, "line Channels": {unsafe.Offsetof(w.Channels), 48},
		"Pitch": {unsafe.Offsetof(w.Pitch), 56}, "line Pixels": {unsafe.Offsetof(w.Pixels), 64}, "Right": {unsafe.Offsetof(w.Right), 72},
		"Step": {unsafe.Offsetof(w.Step), 80}, "Column": {unsafe.Offsetof(w.Column), 88}, "DYStep": {unsafe.Offsetof(w.DYStep), 96},
		"at": {unsafe.Offsetof(w.at), 104}, "line": {unsafe.Sizeof(dwGradLine{}), 32},
		"patch Src": {unsafe.Offsetof(p.Src), 0}, "patch Dst": {unsafe.Offsetof(p.Dst), 24},
		"Pixels": {unsafe.Offsetof(p.Pixels), 48}, "Rows": {unsafe.Offsetof(p.Rows), 56}, "Width": {unsafe.Offsetof(p.Width), 64},
		"SrcPixel": {unsafe.Offsetof(p.SrcPixel), 72}, "SrcRow": {unsafe.Offsetof(p.SrcRow), 80},
		"DstPixel": {unsafe.Offsetof(p.DstPixel), 88}, "DstRow": {unsafe.Offsetof(p.DstRow), 96},
	} {
		if unsafe.Sizeof(uintptr(0)) == 8 && f[0] != f[1] {
			t.Errorf("%s at %d, the assembly says %d", name, f[0], f[1])
		}
	}
}

// BenchmarkGradient runs the layers of ResNet-20 at batch 16, and a few more,
// on one core. Both gradients count as many operations as the convolution.
func BenchmarkGradient(b *testing.B) {
	layers := map[string]Shape{
		"3x3_16-16_32":   {N: 16, H: 32, W: 32, C: 16, K: 16, R: 3, S: 3, P: 32, Q: 32, PadH: 1, PadW: 1},
		"3x3_16-32_32s2": {N: 16, H: 32, W: 32, C: 16, K: 32, R: 3, S: 3, P: 16, Q: 16, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2},
		"3x3_32-32_16":   {N: 16, H: 16, W: 16, C: 32, K: 32, R: 3, S: 3, P: 16, Q: 16, PadH: 1, PadW: 1},
		"3x3_64-64_8":    {N: 16, H: 8, W: 8, C: 64, K: 64, R: 3, S: 3, P: 8, Q: 8, PadH: 1, PadW: 1},
		"3x3_3-16_32":    {N: 16, H: 32, W: 32, C: 3, K: 16, R: 3, S: 3, P: 32, Q: 32, PadH: 1, PadW: 1},
		"1x1_96-24_14":   {N: 16, H: 14, W: 14, C: 96, K: 24, P: 14, Q: 14},
		"3x3_512-512_7":  {N: 4, H: 7, W: 7, C: 512, K: 512, R: 3, S: 3, P: 7, Q: 7, PadH: 1, PadW: 1},
		"dw3x3_96_28":    {N: 4, H: 28, W: 28, C: 96, K: 96, R: 3, S: 3, P: 28, Q: 28, PadH: 1, PadW: 1, Groups: 96},
		"dw3x3_96_28s2":  {N: 4, H: 28, W: 28, C: 96, K: 96, R: 3, S: 3, P: 14, Q: 14, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2, Groups: 96},
	}
	pool := parallel.New(1)
	for name, s := range layers {
		n := s.normal()
		rng := rand.New(rand.NewPCG(1, 2))
		x, dy := random(rng, n.N*n.D*n.H*n.W*n.C), random(rng, n.pixels()*n.K)
		w := random(rng, n.K*(n.C/n.Groups)*n.T*n.R*n.S)
		dw, db, dx := make([]float32, len(w)), make([]float32, n.K), make([]float32, len(x))
		gi, gw := NewGradInput(s), NewGradWeight(s)
		si, sw := make([]float32, gi.Scratch(1)), make([]float32, gw.Scratch(1))
		b.Run(name+"/input", func(b *testing.B) {
			measure(b, 2*float64(n.MACs()), func() { gi.Run(pool, dx, dy, w, nil, si) })
		})
		b.Run(name+"/weight", func(b *testing.B) {
			measure(b, 2*float64(n.MACs()), func() { gw.Run(pool, dw, db, x, dy, sw) })
		})
	}
}

// TestGradientBySquares guards that large 3x3 convolutions take Winograd's kernels
// backwards, too.
func TestGradientBySquares(t *testing.T) {
	for _, set := range tile.Sets() {
		s := moreGradients["squares"].normal()
		if k := newGradInput(set, s).Kernel(); winogradFits(set, &s) != strings.Contains(k, "winograd") {
			t.Errorf("%s: %s", set.Name, k)
		}
	}
}
