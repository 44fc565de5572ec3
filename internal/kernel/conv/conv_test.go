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

// naive is the definition: float64, no tricks. It also returns the sum of
// magnitudes of each output, to scale the tolerance.
func naive(s Shape, p Params, src, add []float32) (out, mag []float64) {
	s = s.normal()
	out, mag = make([]float64, s.pixels()*s.K), make([]float64, s.pixels()*s.K)
	cg, kg := s.C/s.Groups, s.K/s.Groups
	for i := range s.pixels() {
		x := s.pixelAt(i)
		for k := range s.K {
			sum, m := 0.0, 0.0
			acc := func(v float64) { sum += v; m += math.Abs(v) }
			if p.Bias != nil {
				acc(float64(p.Bias[k]))
			}
			for c := range cg {
				for t := range s.T {
					for r := range s.R {
						for q := range s.S {
							z := x.d*s.StrideD - s.PadD + t*s.DilD
							y := x.p*s.StrideH - s.PadH + r*s.DilH
							u := x.q*s.StrideW - s.PadW + q*s.DilW
							if z < 0 || z >= s.D || y < 0 || y >= s.H || u < 0 || u >= s.W {
								continue
							}
							at := (((x.n*s.D+z)*s.H+y)*s.W+u)*s.SrcStride + k/kg*cg + c
							acc(float64(src[at]) * float64(p.Weights[(((k*cg+c)*s.T+t)*s.R+r)*s.S+q]))
						}
					}
				}
			}
			if add != nil {
				acc(float64(add[i*s.AddStride+k]))
			}
			out[i*s.K+k] = min(max(sum, float64(p.Min)), float64(p.Max))
			mag[i*s.K+k] = m
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

// problem is a shape with its operands.
type problem struct {
	Shape
	Params
	src, add []float32
}

func newProblem(rng *rand.Rand, s Shape) problem {
	n := s.normal()
	p := problem{Shape: s}
	p.Weights = random(rng, n.K*(n.C/n.Groups)*n.T*n.R*n.S)
	if rng.IntN(3) > 0 {
		p.Bias = random(rng, n.K)
	}
	p.Min, p.Max = float32(math.Inf(-1)), float32(math.Inf(1))
	switch rng.IntN(3) {
	case 0:
		p.Min = 0
	case 1:
		p.Min, p.Max = -0.5, 0.75
	}
	p.src = random(rng, n.N*n.D*n.H*n.W*n.SrcStride)
	if rng.IntN(2) == 0 {
		p.add = random(rng, n.pixels()*n.AddStride)
	}
	return p
}

// run computes the problem with one set of kernels.
func (p *problem) run(set *tile.Set, workers int) []float32 {
	pool := parallel.New(workers)
	defer pool.Close()
	n := p.normal()
	c := newWith(set, p.Shape, p.Params)
	dst := make([]float32, n.pixels()*n.DstStride)
	for i := range dst {
		dst[i] = canary
	}
	c.Run(pool, dst, p.src, p.add, make([]float32, c.Scratch(workers)))
	return dst
}

const canary = 12345

// check compares with the definition, and that nothing between the wanted
// channels was touched. The tolerance is 2e-6 of the sum of magnitudes.
func (p *problem) check(t *testing.T, dst []float32) {
	t.Helper()
	n := p.normal()
	want, mag := naive(p.Shape, p.Params, p.src, p.add)
	for i := range n.pixels() {
		for k := range n.DstStride {
			got := dst[i*n.DstStride+k]
			if k >= n.K {
				if got != canary {
					t.Fatalf("pixel %d: channel %d past the end was written: %g", i, k, got)
				}
				continue
			}
			if w := want[i*n.K+k]; !(math.Abs(float64(got)-w) <= 2e-6*mag[i*n.K+k]) {
				t.Fatalf("pixel %+v channel %d = %g, want %g", n.pixelAt(i), k, got, w)
			}
		}
	}
}

// cases are shapes that each exercise something.
var cases = map[string]Shape{
	"1x1":                 {N: 1, H: 5, W: 7, C: 10, K: 16, P: 5, Q: 7},
	"1x1 one pixel":       {N: 1, H: 1, W: 1, C: 40, K: 70, P: 1, Q: 1},
	"1x1 alone":           {N: 1, H: 1, W: 1, C: 37, K: 300, P: 1, Q: 1, SrcStride: 40, DstStride: 303},
	"1x1 stride":          {N: 2, H: 8, W: 9, C: 8, K: 24, P: 4, Q: 5, StrideH: 2, StrideW: 2},
	"3x3":                 {N: 2, H: 7, W: 6, C: 16, K: 32, R: 3, S: 3, P: 7, Q: 6, PadH: 1, PadW: 1},
	"3x3 tails":           {N: 1, H: 7, W: 6, C: 7, K: 21, R: 3, S: 3, P: 7, Q: 6, PadH: 1, PadW: 1},
	"3x3 many":            {N: 3, H: 12, W: 13, C: 9, K: 40, R: 3, S: 3, P: 12, Q: 13, PadH: 1, PadW: 1},
	"3x3/2":               {N: 2, H: 9, W: 10, C: 8, K: 10, R: 3, S: 3, P: 5, Q: 5, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1},
	"dilated":             {N: 1, H: 9, W: 10, C: 5, K: 12, R: 3, S: 3, P: 9, Q: 10, DilH: 2, DilW: 3, PadH: 2, PadW: 3},
	"odd kernel":          {N: 1, H: 9, W: 10, C: 6, K: 8, R: 2, S: 5, P: 8, Q: 6},
	"negative pad":        {N: 1, H: 9, W: 10, C: 6, K: 8, R: 3, S: 3, P: 5, Q: 6, PadH: -2, PadW: -1},
	"wide pad":            {N: 1, H: 3, W: 2, C: 6, K: 8, R: 3, S: 3, P: 9, Q: 8, PadH: 4, PadW: 4},
	"past the end":        {N: 1, H: 4, W: 4, C: 6, K: 8, R: 3, S: 3, P: 6, Q: 6},
	"stem 7x7/2":          {N: 2, H: 23, W: 21, C: 3, K: 64, R: 7, S: 7, P: 12, Q: 11, StrideH: 2, StrideW: 2, PadH: 3, PadW: 3},
	"stem 3x3/2":          {N: 1, H: 40, W: 41, C: 3, K: 32, R: 3, S: 3, P: 20, Q: 21, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1},
	"stem 5x5 gray":       {N: 2, H: 28, W: 28, C: 1, K: 6, R: 5, S: 5, P: 28, Q: 28, PadH: 2, PadW: 2},
	"stem 11x11/4":        {N: 1, H: 39, W: 39, C: 3, K: 24, R: 11, S: 11, P: 9, Q: 9, StrideH: 4, StrideW: 4, PadH: 1, PadW: 2},
	"stem spectrogram":    {N: 3, H: 49, W: 10, C: 1, K: 64, R: 10, S: 4, P: 25, Q: 5, StrideH: 2, StrideW: 2, PadH: 4, PadW: 1},
	"stem past the end":   {N: 2, H: 9, W: 10, C: 2, K: 12, R: 3, S: 3, P: 12, Q: 14, PadH: 1, PadW: 2},
	"stem above":          {N: 1, H: 3, W: 8, C: 4, K: 12, R: 3, S: 3, P: 9, Q: 8, PadH: 5, PadW: 1},
	"stem high":           {N: 1, H: 20, W: 12, C: 3, K: 33, R: 64, S: 2, P: 7, Q: 12, PadH: 30, PadW: 1, DilH: 1},
	"stem dilated rows":   {N: 2, H: 20, W: 12, C: 3, K: 20, R: 3, S: 3, P: 20, Q: 12, PadH: 2, PadW: 1, DilH: 2},
	"stem narrow":         {N: 1, H: 9, W: 2, C: 3, K: 8, R: 3, S: 3, P: 9, Q: 2, PadH: 1, PadW: 1},
	"stem dilated":        {N: 1, H: 20, W: 20, C: 3, K: 8, R: 3, S: 3, P: 16, Q: 16, DilH: 2, DilW: 2},
	"stem strided src":    {N: 1, H: 20, W: 20, C: 3, K: 8, R: 3, S: 3, P: 18, Q: 18, SrcStride: 5},
	"9x9":                 {N: 1, H: 12, W: 12, C: 6, K: 9, R: 9, S: 9, P: 12, Q: 12, PadH: 4, PadW: 4},
	"9x9 dilated":         {N: 1, H: 20, W: 20, C: 5, K: 9, R: 9, S: 9, P: 4, Q: 4, DilH: 2, DilW: 2},
	"grouped":             {N: 1, H: 6, W: 7, C: 12, K: 30, R: 3, S: 3, P: 6, Q: 7, PadH: 1, PadW: 1, Groups: 3},
	"grouped stem":        {N: 1, H: 6, W: 7, C: 6, K: 30, R: 3, S: 3, P: 6, Q: 7, PadH: 1, PadW: 1, Groups: 3},
	"tiny groups":         {N: 1, H: 6, W: 7, C: 24, K: 24, R: 3, S: 3, P: 6, Q: 7, PadH: 1, PadW: 1, Groups: 12},
	"tiny odd groups":     {N: 1, H: 6, W: 7, C: 9, K: 27, R: 3, S: 3, P: 6, Q: 7, PadH: 1, PadW: 1, Groups: 9},
	"strides":             {N: 2, H: 6, W: 7, C: 12, K: 30, R: 3, S: 3, P: 6, Q: 7, PadH: 1, PadW: 1, SrcStride: 17, DstStride: 37, AddStride: 33},
	"1-d":                 {N: 2, W: 50, C: 8, K: 16, S: 9, Q: 25, StrideW: 2, PadW: 4},
	"1-d long":            {N: 2, W: 200, C: 1, K: 16, S: 80, Q: 31, StrideW: 4},
	"3-d":                 {N: 2, D: 5, H: 6, W: 7, C: 5, K: 18, T: 3, R: 3, S: 3, OD: 5, P: 6, Q: 7, PadD: 1, PadH: 1, PadW: 1},
	"3-d stride":          {N: 1, D: 5, H: 6, W: 7, C: 6, K: 8, T: 2, R: 1, S: 3, OD: 3, P: 6, Q: 4, StrideD: 2, StrideW: 2, PadD: 1, PadW: 1},
	"3-d stem":            {N: 1, D: 5, H: 6, W: 7, C: 1, K: 8, T: 3, R: 3, S: 3, OD: 5, P: 6, Q: 7, PadD: 1, PadH: 1, PadW: 1},
	"dw 3x3":              {N: 2, H: 9, W: 10, C: 40, K: 40, R: 3, S: 3, P: 9, Q: 10, PadH: 1, PadW: 1, Groups: 40},
	"dw 3x3 odd":          {N: 1, H: 9, W: 11, C: 13, K: 13, R: 3, S: 3, P: 9, Q: 11, PadH: 1, PadW: 1, Groups: 13},
	"dw 3x3/2":            {N: 2, H: 9, W: 10, C: 24, K: 24, R: 3, S: 3, P: 5, Q: 5, StrideH: 2, StrideW: 2, PadH: 1, PadW: 1, Groups: 24},
	"dw 5x5":              {N: 1, H: 7, W: 7, C: 48, K: 48, R: 5, S: 5, P: 7, Q: 7, PadH: 2, PadW: 2, Groups: 48},
	"heavy 3x3":           {N: 2, H: 5, W: 6, C: 64, K: 80, R: 3, S: 3, P: 5, Q: 6, PadH: 1, PadW: 1},
	"heavy 1x1":           {N: 1, H: 9, W: 9, C: 160, K: 168, P: 9, Q: 9},
	"dw 5x5 wide":         {N: 1, H: 9, W: 29, C: 24, K: 24, R: 5, S: 5, P: 9, Q: 29, PadH: 2, PadW: 2, Groups: 24},
	"dw 7x7 dilated":      {N: 1, H: 17, W: 19, C: 21, K: 21, R: 7, S: 7, P: 17, Q: 19, PadH: 6, PadW: 6, DilH: 2, DilW: 2, Groups: 21},
	"dw 3x3 pairs":        {N: 2, H: 9, W: 23, C: 8, K: 8, R: 3, S: 3, P: 9, Q: 23, PadH: 1, PadW: 1, Groups: 8},
	"dw 5x5 pairs":        {N: 1, H: 9, W: 30, C: 8, K: 8, R: 5, S: 5, P: 7, Q: 30, PadH: 1, PadW: 2, DilH: 2, StrideH: 1, Groups: 8},
	"dw few pairs":        {N: 1, H: 9, W: 6, C: 8, K: 8, R: 3, S: 3, P: 7, Q: 4, Groups: 8},
	"dw 3x3 half vector":  {N: 2, H: 9, W: 14, C: 72, K: 72, R: 3, S: 3, P: 9, Q: 14, PadH: 1, PadW: 1, Groups: 72},
	"dw wide pad":         {N: 1, H: 3, W: 2, C: 6, K: 6, R: 3, S: 3, P: 9, Q: 8, PadH: 4, PadW: 4, Groups: 6},
	"dw strides":          {N: 2, H: 6, W: 7, C: 12, K: 12, R: 3, S: 3, P: 6, Q: 7, PadH: 1, PadW: 1, Groups: 12, SrcStride: 17, DstStride: 37, AddStride: 33},
	"dw multiplier 3":     {N: 2, H: 6, W: 7, C: 5, K: 15, R: 3, S: 3, P: 6, Q: 7, PadH: 1, PadW: 1, Groups: 5},
	"dw 5x5/2":            {N: 1, H: 17, W: 19, C: 27, K: 27, R: 5, S: 5, P: 9, Q: 10, PadH: 2, PadW: 2, StrideH: 2, StrideW: 2, Groups: 27},
	"dw 7x7":              {N: 1, H: 17, W: 19, C: 40, K: 40, R: 7, S: 7, P: 17, Q: 19, PadH: 3, PadW: 3, Groups: 40},
	"dw 7x7/2":            {N: 1, H: 17, W: 19, C: 16, K: 16, R: 7, S: 7, P: 9, Q: 10, PadH: 3, PadW: 3, StrideH: 2, StrideW: 2, Groups: 16},
	"dw 3x3 dilated rows": {N: 1, H: 17, W: 19, C: 16, K: 16, R: 3, S: 3, P: 17, Q: 19, PadH: 2, PadW: 1, DilH: 2, Groups: 16},
	"dw 3-d":              {N: 1, D: 4, H: 6, W: 7, C: 9, K: 9, T: 3, R: 3, S: 3, OD: 4, P: 6, Q: 7, PadD: 1, PadH: 1, PadW: 1, Groups: 9},
	"dw 1-d":              {N: 1, W: 60, C: 16, K: 16, S: 31, Q: 60, PadW: 15, Groups: 16},
}

func TestCases(t *testing.T) {
	for name, s := range cases {
		for _, set := range tile.Sets() {
			t.Run(fmt.Sprintf("%s/%s", name, set.Name), func(t *testing.T) {
				p := newProblem(rand.New(rand.NewPCG(1, 2)), s)
				got := p.run(set, 1)
				p.check(t, got)
				if !slices.Equal(got, p.run(set, 3)) {
					t.Fatal("three workers give other bits than one")
				}
			})
		}
	}
}

// TestRandom does the same over random shapes.
func TestRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 300 {
		s := randomShape(rng)
		p := newProblem(rng, s)
		for _, set := range tile.Sets() {
			if !t.Run(fmt.Sprintf("%d/%s", i, set.Name), func(t *testing.T) { p.check(t, p.run(set, 1+i%3)) }) {
				t.Fatalf("%+v", s)
			}
		}
	}
}

func randomShape(rng *rand.Rand) Shape {
	pick := func(v ...int) int { return v[rng.IntN(len(v))] }
	s := Shape{N: 1 + rng.IntN(2), H: 1 + rng.IntN(14), W: 1 + rng.IntN(14), T: 1, R: 1 + rng.IntN(4), S: 1 + rng.IntN(4)}
	if rng.IntN(8) == 0 {
		s.D, s.T = 1+rng.IntN(4), 1+rng.IntN(3)
	}
	s.StrideH, s.StrideW, s.StrideD = pick(1, 1, 2, 3), pick(1, 1, 2, 3), pick(1, 2)
	s.DilH, s.DilW, s.DilD = pick(1, 1, 2), pick(1, 1, 2), pick(1, 1, 2)
	s.PadH, s.PadW, s.PadD = pick(0, 1, 1, 2, -1), pick(0, 1, 1, 2, -1), pick(0, 1)
	s.P, s.Q, s.OD = 1+rng.IntN(9), 1+rng.IntN(14), 1+rng.IntN(2)
	switch rng.IntN(4) {
	case 0: // depthwise
		s.C = 1 + rng.IntN(40)
		s.K, s.Groups = s.C*pick(1, 1, 1, 2), s.C
	case 1: // grouped
		s.Groups = 1 + rng.IntN(3)
		s.C, s.K = s.Groups*(1+rng.IntN(9)), s.Groups*(1+rng.IntN(20))
	default:
		s.C, s.K = 1+rng.IntN(20), 1+rng.IntN(70)
	}
	n := s.normal()
	if rng.IntN(3) == 0 {
		s.SrcStride, s.DstStride, s.AddStride = n.C+rng.IntN(5), n.K+rng.IntN(5), n.K+rng.IntN(5)
	}
	return s
}

// TestAddInPlace runs a residual add whose operand is the destination.
func TestAddInPlace(t *testing.T) {
	for name, s := range cases {
		s.AddStride = s.DstStride
		for _, set := range tile.Sets() {
			p := newProblem(rand.New(rand.NewPCG(5, 6)), s)
			n := p.normal()
			p.add = random(rand.New(rand.NewPCG(7, 8)), n.pixels()*n.AddStride)
			want := p.run(set, 1)
			pool := parallel.New(2)
			c := newWith(set, p.Shape, p.Params)
			got := slices.Clone(p.add)
			c.Run(pool, got, p.src, got, make([]float32, c.Scratch(2)))
			pool.Close()
			for i := range n.pixels() {
				if a, b := got[i*n.DstStride:][:n.K], want[i*n.DstStride:][:n.K]; !slices.Equal(a, b) {
					t.Fatalf("%s, %s: pixel %d = %v, want %v", name, set.Name, i, a, b)
				}
			}
		}
	}
}

func TestNaNPassesTheClamp(t *testing.T) {
	for _, set := range tile.Sets() {
		for name, s := range map[string]Shape{
			"dense":     {N: 1, H: 1, W: 1, C: 8, K: 16, P: 1, Q: 1},
			"depthwise": {N: 1, H: 1, W: 1, C: 16, K: 16, P: 1, Q: 1, Groups: 16},
		} {
			p := newProblem(rand.New(rand.NewPCG(1, 2)), s)
			p.Min, p.Max = 0, 6
			for i := range p.src {
				p.src[i] = float32(math.NaN())
			}
			for k, v := range p.run(set, 1) {
				if v == v {
					t.Fatalf("%s, %s: channel %d = %g, want NaN", set.Name, name, k, v)
				}
			}
		}
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	pool := parallel.New(2)
	defer pool.Close()
	for _, name := range []string{"3x3 tails", "stem 7x7/2", "dw 3x3"} {
		p := newProblem(rand.New(rand.NewPCG(1, 2)), cases[name])
		n := p.normal()
		c := New(p.Shape, p.Params)
		dst, scratch := make([]float32, n.pixels()*n.DstStride), make([]float32, c.Scratch(2))
		if got := testing.AllocsPerRun(20, func() { c.Run(pool, dst, p.src, nil, scratch) }); got >= 1 {
			t.Errorf("%s: %v allocations a run", name, got)
		}
	}
}

// TestDepthwiseArgsLayout guards the offsets that the assembly generator states.
func TestDepthwiseArgsLayout(t *testing.T) {
	var a dwArgs
	for name, f := range map[string][2]uintptr{
		"Src": {unsafe.Offsetof(a.Src), 0}, "W": {unsafe.Offsetof(a.W), 24},
		"Bias": {unsafe.Offsetof(a.Bias), 48}, "Dst": {unsafe.Offsetof(a.Dst), 72},
		"Add": {unsafe.Offsetof(a.Add), 96}, "Taps": {unsafe.Offsetof(a.Taps), 120},
		"First": {unsafe.Offsetof(a.First), 144}, "Pixels": {unsafe.Offsetof(a.Pixels), 152},
		"Lines":     {unsafe.Offsetof(a.Lines), 160},
		"Channels":  {unsafe.Offsetof(a.Channels), 168},
		"Step":      {unsafe.Offsetof(a.Step), 176},
		"LineStep":  {unsafe.Offsetof(a.LineStep), 184},
		"DstStride": {unsafe.Offsetof(a.DstStride), 192},
		"DstLine":   {unsafe.Offsetof(a.DstLine), 200},
		"AddStride": {unsafe.Offsetof(a.AddStride), 208},
		"AddLine":   {unsafe.Offsetof(a.AddLine), 216},
		"Min":       {unsafe.Offsetof(a.Min), 224},
		"Max":       {unsafe.Offsetof(a.Max), 228},
		"left":      {unsafe.Offsetof(a.left), 232},
		"at":        {unsafe.Offsetof(a.at), 240},
		"dstAt":     {unsafe.Offsetof(a.dstAt), 248},
		"addAt":     {unsafe.Offsetof(a.addAt), 256},
		"linesLeft": {unsafe.Offsetof(a.linesLeft), 264},
		"lineAt":    {unsafe.Offsetof(a.lineAt), 272},
		"dstLineAt": {unsafe.Offsetof(a.dstLineAt), 280},
		"addLineAt": {unsafe.Offsetof(a.addLineAt), 288},
		"chanLeft":  {unsafe.Offsetof(a.chanLeft), 296},
	} {
		if unsafe.Sizeof(uintptr(0)) == 8 && f[0] != f[1] {
			t.Errorf("%s at %d, the assembly says %d", name, f[0], f[1])
		}
	}
}

// TestFrames holds which convolutions are framed.
func TestFrames(t *testing.T) {
	set := tile.Sets()[len(tile.Sets())-1]
	if set == tile.Portable {
		t.Skip("the portable kernels frame nothing")
	}
	for name, want := range map[string]bool{"stem spectrogram": true, "stem past the end": true, "stem above": true, "stem 5x5 gray": true, "stem dilated rows": true,
		"stem narrow": false, "stem dilated": false, "stem strided src": false, "stem 3x3/2": true, "grouped stem": false, "3x3": false, "3-d stem": false, "negative pad": false} {
		s := cases[name].normal()
		if _, is := newWith(set, s, newProblem(rand.New(rand.NewPCG(1, 2)), s).Params).impl.(*framed); is != want {
			t.Errorf("%s: framed %v, want %v", name, is, want)
		}
	}
}
