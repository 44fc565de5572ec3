package sparse

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/drawknife/drawknife/internal/kernel/conv"
	"github.com/drawknife/drawknife/internal/parallel"
)

// naive is the definition: float64, no tricks. It also returns the sum of
// magnitudes of each output, to scale the tolerance.
func naive(s conv.Shape, p conv.Params, src, add []float32) (out, mag []float64) {
	s = normal(s)
	for i := range s.N * s.P * s.Q {
		n, y0, x0 := i/(s.P*s.Q), i/s.Q%s.P*s.StrideH-s.PadH, i%s.Q*s.StrideW-s.PadW
		for k := range s.K {
			sum, m := 0.0, 0.0
			acc := func(v float64) { sum += v; m += math.Abs(v) }
			if p.Bias != nil {
				acc(float64(p.Bias[k]))
			}
			for c := range s.C {
				for r := range s.R {
					for q := range s.S {
						y, x := y0+r*s.DilH, x0+q*s.DilW
						if w := p.Weights[((k*s.C+c)*s.R+r)*s.S+q]; w != 0 && y >= 0 && y < s.H && x >= 0 && x < s.W {
							acc(float64(src[((n*s.H+y)*s.W+x)*s.SrcStride+c]) * float64(w))
						}
					}
				}
			}
			if add != nil {
				acc(float64(add[i*s.AddStride+k]))
			}
			out = append(out, min(max(sum, float64(p.Min)), float64(p.Max)))
			mag = append(mag, m)
		}
	}
	return out, mag
}

func random(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = rng.Float32()*2 - 1
	}
	return v
}

// pattern is the way that zeros are spread.
type pattern int

const (
	anywhere  pattern = iota
	blocks4           // the same in each four output channels
	blocks8           // the same in each eight output channels
	twoOfFour         // two of each four inputs
	oneOfFour
)

// prune sets all but about density of the weights to zero.
func prune(rng *rand.Rand, w []float32, s conv.Shape, density float64, how pattern) {
	k, taps := s.K, s.R*s.S
	depth := len(w) / k
	for i := range k {
		row := w[i*depth : (i+1)*depth]
		for j := range row {
			switch {
			case how == blocks4 && i%4 > 0, how == blocks8 && i%8 > 0:
				if w[(i-1)*depth+j] == 0 {
					row[j] = 0
				}
			case how == twoOfFour:
				if c := j / taps; c%4 != (i+c/4)%3 && c%4 != (i+c/4)%3+1 {
					row[j] = 0
				}
			case how == oneOfFour:
				if c := j / taps; c%4 != (i+c/4)%4 {
					row[j] = 0
				}
			default:
				if rng.Float64() >= density {
					row[j] = 0
				}
			}
		}
	}
}

// problem is a shape with its operands.
type problem struct {
	conv.Shape
	conv.Params
	src, add []float32
}

func newProblem(rng *rand.Rand, s conv.Shape, density float64, how pattern) problem {
	n := normal(s)
	p := problem{Shape: s}
	p.Weights = random(rng, n.K*n.C*n.R*n.S)
	prune(rng, p.Weights, n, density, how)
	if rng.IntN(3) > 0 {
		p.Bias = random(rng, n.K)
	}
	p.Min, p.Max = negInf, posInf
	switch rng.IntN(3) {
	case 0:
		p.Min = 0
	case 1:
		p.Min, p.Max = -0.5, 0.75
	}
	p.src = random(rng, n.N*n.H*n.W*n.SrcStride)
	if rng.IntN(2) == 0 {
		p.add = random(rng, n.N*n.P*n.Q*n.AddStride)
	}
	return p
}

const canary = 12345

// ways lists the methods by which k can compute the shape.
func ways(k *kernels, s conv.Shape) []method {
	s = normal(s)
	var all []method
	for m := range methods {
		if !math.IsInf(k.time(m, s, zeros{}), 1) {
			all = append(all, m)
		}
	}
	return all
}

// run computes the problem with one set of kernels.
func (p *problem) run(k *kernels, m method, workers int) []float32 {
	pool := parallel.New(workers)
	defer pool.Close()
	n := normal(p.Shape)
	c := newWith(k, m, p.Shape, p.Params)
	dst := make([]float32, n.N*n.P*n.Q*n.DstStride)
	fill(dst, canary)
	scratch := make([]float32, c.Scratch(workers))
	fill(scratch, float32(math.NaN())) // what was there before must not matter
	c.Run(pool, dst, p.src, p.add, scratch)
	return dst
}

// check compares with the definition, and that nothing between the wanted
// channels was touched. The tolerance is 2e-6 of the sum of magnitudes.
func (p *problem) check(t *testing.T, dst []float32) {
	t.Helper()
	n := normal(p.Shape)
	want, mag := naive(p.Shape, p.Params, p.src, p.add)
	for i := range n.N * n.P * n.Q {
		for k, got := range dst[i*n.DstStride : (i+1)*n.DstStride] {
			if k >= n.K {
				if got != canary {
					t.Fatalf("pixel %d: channel %d past the end was written: %g", i, k, got)
				}
				continue
			}
			if w := want[i*n.K+k]; !(math.Abs(float64(got)-w) <= 2e-6*mag[i*n.K+k]) {
				t.Fatalf("pixel %d channel %d = %g, want %g", i, k, got, w)
			}
		}
	}
}

// cases are shapes that each exercise something.
var cases = map[string]conv.Shape{
	"1x1":           {N: 1, H: 5, W: 7, C: 10, K: 16, P: 5, Q: 7},
	"1x1 batch":     {N: 3, H: 7, W: 7, C: 24, K: 40, P: 7, Q: 7},
	"1x1 deep":      {N: 1, H: 6, W: 9, C: 600, K: 20, P: 6, Q: 9},
	"1x1 and one":   {N: 1, H: 7, W: 7, C: 320, K: 68, P: 7, Q: 7},
	"1x1 and two":   {N: 2, H: 5, W: 5, C: 96, K: 50, P: 5, Q: 5, SrcStride: 100, DstStride: 60, AddStride: 52},
	"1x1 direct":    {N: 2, H: 5, W: 7, C: 64, K: 40, P: 5, Q: 7},
	"1x1 in wider":  {N: 1, H: 9, W: 5, C: 50, K: 23, P: 9, Q: 5, SrcStride: 80, DstStride: 48, AddStride: 30},
	"one pixel":     {N: 1, H: 1, W: 1, C: 40, K: 70, P: 1, Q: 1},
	"one of 3x3":    {N: 1, H: 2, W: 3, C: 5, K: 7, R: 3, S: 3, P: 1, Q: 1, PadH: 1, PadW: 1},
	"few pixels":    {N: 5, H: 1, W: 1, C: 40, K: 21, P: 1, Q: 1},
	"1x1 stride":    {N: 2, H: 8, W: 9, C: 8, K: 24, P: 4, Q: 5, StrideH: 2, StrideW: 2},
	"1x1 pad":       {N: 1, H: 4, W: 5, C: 8, K: 8, P: 6, Q: 7, PadH: 1, PadW: 1},
	"3x3 7 wide":    {N: 2, H: 7, W: 7, C: 16, K: 32, R: 3, S: 3, P: 7, Q: 7, PadH: 1, PadW: 1},
	"3x3 14 wide":   {N: 1, H: 14, W: 14, C: 9, K: 17, R: 3, S: 3, P: 14, Q: 14, PadH: 1, PadW: 1},
	"3x3 28 wide":   {N: 1, H: 5, W: 28, C: 8, K: 8, R: 3, S: 3, P: 5, Q: 28, PadH: 1, PadW: 1},
	"3x3 56 wide":   {N: 1, H: 3, W: 56, C: 8, K: 8, R: 3, S: 3, P: 3, Q: 56, PadH: 1, PadW: 1},
	"3x3 130 wide":  {N: 2, H: 3, W: 130, C: 8, K: 8, R: 3, S: 3, P: 3, Q: 130, PadH: 1, PadW: 1},
	"3x3/2":         {N: 2, H: 9, W: 10, C: 8, K: 10, R: 3, S: 3, P: 5, Q: 5, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1},
	"dilated":       {N: 1, H: 9, W: 10, C: 5, K: 12, R: 3, S: 3, P: 9, Q: 10, DilH: 2, DilW: 3, PadH: 2, PadW: 3},
	"left only":     {N: 1, H: 9, W: 10, C: 6, K: 8, R: 2, S: 5, P: 8, Q: 8, PadW: 2},
	"right only":    {N: 1, H: 8, W: 8, C: 6, K: 8, R: 2, S: 2, P: 8, Q: 8},
	"top only":      {N: 1, H: 8, W: 8, C: 6, K: 8, R: 2, S: 2, P: 8, Q: 7, PadH: 1},
	"negative pad":  {N: 1, H: 9, W: 10, C: 6, K: 8, R: 3, S: 3, P: 5, Q: 6, PadH: -2, PadW: -1},
	"wide pad":      {N: 1, H: 3, W: 2, C: 6, K: 8, R: 3, S: 3, P: 9, Q: 8, PadH: 4, PadW: 4},
	"very wide pad": {N: 1, H: 3, W: 2, C: 6, K: 8, R: 3, S: 3, P: 9, Q: 23, PadH: 4, PadW: 11},
	"past the end":  {N: 1, H: 4, W: 4, C: 6, K: 8, R: 3, S: 3, P: 6, Q: 6},
	"strides":       {N: 2, H: 6, W: 7, C: 12, K: 30, R: 3, S: 3, P: 6, Q: 7, PadH: 1, PadW: 1, SrcStride: 17, DstStride: 37, AddStride: 33},
	"1-d":           {N: 2, W: 50, C: 8, K: 16, S: 9, Q: 50, PadW: 4},
	"1-d stride":    {N: 2, W: 50, C: 8, K: 16, S: 9, Q: 25, StrideW: 2, PadW: 4},
}

func TestCases(t *testing.T) {
	for name, s := range cases {
		for _, k := range available() {
			for _, m := range ways(k, s) {
				for how := anywhere; how <= oneOfFour; how++ {
					t.Run(fmt.Sprintf("%s/%s/%v/%d", name, k.name, m, how), func(t *testing.T) {
						p := newProblem(rand.New(rand.NewPCG(1, 2)), s, 0.3, how)
						got := p.run(k, m, 1)
						p.check(t, got)
						if !slices.Equal(got, p.run(k, m, 3)) {
							t.Fatal("three workers give other bits than one")
						}
					})
				}
			}
		}
	}
}

// TestBands computes images in bands of rows, from sources that begin with the
// first row that is needed, and expects the bits of a whole run.
func TestBands(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for name, s := range cases {
		s.N, s.DstStride, s.AddStride = 1, 0, 0
		for _, k := range available() {
			for _, m := range ways(k, s) {
				p := newProblem(rng, s, 0.3, anywhere)
				n := normal(s)
				want := p.run(k, m, 1)
				c := newWith(k, m, s, p.Params)
				if !c.Bands() {
					continue
				}
				got, scratch := make([]float32, len(want)), make([]float32, c.Scratch(1))
				fill(scratch, float32(math.NaN()))
				for lo := 0; lo < n.P; {
					hi := min(n.P, lo+1+rng.IntN(3))
					first, last := c.InputRows(lo, hi)
					var add []float32
					if p.add != nil {
						add = p.add[lo*n.Q*n.K:]
					}
					c.RunBand(got[lo*n.Q*n.K:], p.src[first*n.W*n.SrcStride:last*n.W*n.SrcStride], add, scratch, lo, hi, first)
					lo = hi
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s, %s, %v: other bits in bands", name, k.name, m)
				}
			}
		}
	}
}

// TestRandom does the same as TestCases over random shapes.
func TestRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 300 {
		s := randomShape(rng)
		p := newProblem(rng, s, []float64{0, 0.05, 0.3, 1}[rng.IntN(4)], pattern(rng.IntN(5)))
		for _, k := range available() {
			for _, m := range ways(k, s) {
				if !t.Run(fmt.Sprintf("%d/%s/%v", i, k.name, m), func(t *testing.T) { p.check(t, p.run(k, m, 1+i%3)) }) {
					t.Fatalf("%+v", s)
				}
			}
		}
	}
}

func randomShape(rng *rand.Rand) conv.Shape {
	pick := func(v ...int) int { return v[rng.IntN(len(v))] }
	s := conv.Shape{N: pick(1, 1, 2, 5), H: 1 + rng.IntN(14), W: 1 + rng.IntN(pick(14, 40)), R: 1, S: 1}
	if rng.IntN(3) > 0 {
		s.R, s.S = 1+rng.IntN(4), 1+rng.IntN(4)
	}
	s.StrideH, s.StrideW = pick(1, 1, 2, 3), pick(1, 1, 2, 3)
	s.DilH, s.DilW = pick(1, 1, 2), pick(1, 1, 2)
	s.PadH, s.PadW = pick(0, 1, 1, 2, -1), pick(0, 1, 1, 2, -1)
	s.P, s.Q = 1+rng.IntN(9), 1+rng.IntN(pick(14, 70))
	s.C, s.K = 1+rng.IntN(20), 1+rng.IntN(50)
	if rng.IntN(2) == 0 {
		s.C, s.K = 4*s.C, (s.K+15)/16*16
	}
	if rng.IntN(3) == 0 {
		s.SrcStride, s.DstStride, s.AddStride = s.C+rng.IntN(5), s.K+rng.IntN(5), s.K+rng.IntN(5)
	}
	return s
}

// TestAddInPlace runs a residual add whose operand is the destination.
func TestAddInPlace(t *testing.T) {
	pool := parallel.New(2)
	defer pool.Close()
	for name, s := range cases {
		s.AddStride = s.DstStride
		p := newProblem(rand.New(rand.NewPCG(5, 6)), s, 0.3, anywhere)
		n := normal(s)
		p.add = random(rand.New(rand.NewPCG(7, 8)), n.N*n.P*n.Q*n.AddStride)
		for _, k := range available() {
			for _, m := range ways(k, s) {
				want := p.run(k, m, 1)
				c := newWith(k, m, p.Shape, p.Params)
				got := slices.Clone(p.add)
				c.Run(pool, got, p.src, got, make([]float32, c.Scratch(2)))
				for i := range n.N * n.P * n.Q {
					if a, b := got[i*n.DstStride:][:n.K], want[i*n.DstStride:][:n.K]; !slices.Equal(a, b) {
						t.Fatalf("%s, %s, %v: pixel %d = %v, want %v", name, k.name, m, i, a, b)
					}
				}
			}
		}
	}
}

func TestNaNPassesTheClamp(t *testing.T) {
	for _, k := range available() {
		for name, s := range map[string]conv.Shape{
			"pixels":    {N: 1, H: 4, W: 5, C: 8, K: 16, P: 4, Q: 5},
			"one pixel": {N: 1, H: 1, W: 1, C: 8, K: 16, P: 1, Q: 1},
		} {
			for _, residual := range []bool{false, true} {
				p := newProblem(rand.New(rand.NewPCG(1, 2)), s, 1, anywhere)
				p.Min, p.Max = 0, 6
				fill(p.src, float32(math.NaN()))
				p.add = nil
				if residual {
					p.add = make([]float32, s.P*s.Q*s.K)
				}
				for _, m := range ways(k, s) {
					for i, v := range p.run(k, m, 1) {
						if v == v {
							t.Fatalf("%s, %v, %s: output %d = %g, want NaN", k.name, m, name, i, v)
						}
					}
				}
			}
		}
	}
}

// TestInfinityMeetsOnlyItsWeights checks that by rows nothing but the non-zero
// weights is multiplied, so that an infinite input does not spread to outputs
// that do not use it.
func TestInfinityMeetsOnlyItsWeights(t *testing.T) {
	for _, k := range available() {
		for _, pixels := range []int{1, 20} {
			s := conv.Shape{N: 1, H: 1, W: pixels, C: 6, K: 9, P: 1, Q: pixels}
			p := problem{Shape: s, Params: conv.Params{Weights: make([]float32, 6*9), Min: negInf, Max: posInf}, src: make([]float32, 6*pixels)}
			for i := range 9 {
				p.Weights[6*i+1+i%5] = 1
			}
			for i := range pixels {
				p.src[6*i] = posInf // channel 0, which nobody uses
			}
			for i, v := range p.run(k, byRows, 1) {
				if v != 0 {
					t.Fatalf("%s, %d pixels: output %d = %g, want 0", k.name, pixels, i, v)
				}
			}
		}
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	pool := parallel.New(2)
	defer pool.Close()
	for _, name := range []string{"1x1 batch", "one pixel", "3x3 14 wide", "3x3/2"} {
		p := newProblem(rand.New(rand.NewPCG(1, 2)), cases[name], 0.3, anywhere)
		n := normal(p.Shape)
		for _, m := range ways(best(), p.Shape) {
			c := newWith(best(), m, p.Shape, p.Params)
			dst, scratch := make([]float32, n.N*n.P*n.Q*n.DstStride), make([]float32, c.Scratch(2))
			if got := testing.AllocsPerRun(20, func() { c.Run(pool, dst, p.src, p.add, scratch) }); got >= 1 {
				t.Errorf("%s, %v: %v allocations a run", name, m, got)
			}
		}
	}
}

// TestArgsLayout guards the offsets that the assembly generator states.
func TestArgsLayout(t *testing.T) {
	var (
		s stripArgs
		i inArgs
		o outArgs
		l laneArgs
	)
	for name, f := range map[string][2]uintptr{
		"strip.Panel": {unsafe.Offsetof(s.Panel), 0}, "strip.Stream": {unsafe.Offsetof(s.Stream), 24},
		"strip.Out": {unsafe.Offsetof(s.Out), 48}, "strip.Strips": {unsafe.Offsetof(s.Strips), 72},
		"strip.More": {unsafe.Offsetof(s.More), 80}, "strip.Clamp": {unsafe.Offsetof(s.Clamp), 88},
		"strip.Min": {unsafe.Offsetof(s.Min), 96}, "strip.Max": {unsafe.Offsetof(s.Max), 100},
		"in.Src": {unsafe.Offsetof(i.Src), 0}, "in.Dst": {unsafe.Offsetof(i.Dst), 128},
		"in.Ld": {unsafe.Offsetof(i.Ld), 152}, "in.Chans": {unsafe.Offsetof(i.Chans), 160},
		"out.Src": {unsafe.Offsetof(o.Src), 0}, "out.Ld": {unsafe.Offsetof(o.Ld), 24},
		"out.Dst": {unsafe.Offsetof(o.Dst), 32}, "out.DstStride": {unsafe.Offsetof(o.DstStride), 56},
		"out.Add": {unsafe.Offsetof(o.Add), 64}, "out.AddStride": {unsafe.Offsetof(o.AddStride), 88},
		"out.Pixels": {unsafe.Offsetof(o.Pixels), 96}, "out.Chans": {unsafe.Offsetof(o.Chans), 104},
		"out.Min": {unsafe.Offsetof(o.Min), 112}, "out.Max": {unsafe.Offsetof(o.Max), 116},
		"out.srcAt": {unsafe.Offsetof(o.srcAt), 120}, "out.dstAt": {unsafe.Offsetof(o.dstAt), 128},
		"out.addAt": {unsafe.Offsetof(o.addAt), 136},
		"lane.Src":  {unsafe.Offsetof(l.Src), 0}, "lane.Dst": {unsafe.Offsetof(l.Dst), 8},
		"lane.Add": {unsafe.Offsetof(l.Add), 16}, "lane.SrcStep": {unsafe.Offsetof(l.SrcStep), 24},
		"lane.DstStep": {unsafe.Offsetof(l.DstStep), 32}, "lane.AddStep": {unsafe.Offsetof(l.AddStep), 40},
		"lane.Tiles": {unsafe.Offsetof(l.Tiles), 48}, "lane.Groups": {unsafe.Offsetof(l.Groups), 56},
		"lane.Last": {unsafe.Offsetof(l.Last), 64}, "lane.At": {unsafe.Offsetof(l.At), 72},
		"lane.Index": {unsafe.Offsetof(l.Index), 80}, "lane.Weights": {unsafe.Offsetof(l.Weights), 88},
		"lane.Bias": {unsafe.Offsetof(l.Bias), 96}, "lane.Counts": {unsafe.Offsetof(l.Counts), 104},
		"lane.Clamp": {unsafe.Offsetof(l.Clamp), 112}, "lane.Min": {unsafe.Offsetof(l.Min), 120},
		"lane.Max": {unsafe.Offsetof(l.Max), 124}, "lane.biasAt": {unsafe.Offsetof(l.biasAt), 128},
		"lane.countAt": {unsafe.Offsetof(l.countAt), 136}, "lane.dstAt": {unsafe.Offsetof(l.dstAt), 144},
		"lane.addAt": {unsafe.Offsetof(l.addAt), 152}, "lane.tileDst": {unsafe.Offsetof(l.tileDst), 160},
		"lane.tileAdd": {unsafe.Offsetof(l.tileAdd), 168}, "lane.groupsLeft": {unsafe.Offsetof(l.groupsLeft), 176}, "lane.Twice": {unsafe.Offsetof(l.Twice), 184},
	} {
		if unsafe.Sizeof(uintptr(0)) == 8 && f[0] != f[1] {
			t.Errorf("%s at %d, the assembly says %d", name, f[0], f[1])
		}
	}
}
