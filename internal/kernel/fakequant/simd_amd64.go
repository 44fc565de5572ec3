//go:build amd64 && !purego

package fakequant

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . fakequant -out ../fakequant/fakequant_amd64.s -stubs ../fakequant/stubs_amd64.go -pkg fakequant

func (g Grid) quantizeSIMD(y, x []float32) bool {
	if level < cpu.AVX2 || len(x) == 0 {
		return false
	}
	_ = y[len(x)-1]
	quantizeAVX2(&y[0], &x[0], len(x), g.Step, g.Offset, g.Min, g.Max)
	return true
}

// gradBlock is the number of elements whose sums are taken in float32, 32 at
// a time.
const gradBlock = 1 << 11

func (g Grid) gradSIMD(dx, dy, x []float32) (s Sums, ok bool) {
	if level < cpu.AVX2 {
		return s, false
	}
	for len(x) > 0 {
		n := min(len(x), gradBlock)
		_, _ = dx[n-1], dy[n-1]
		var sums [3 * 32]float32
		gradAVX2(&dx[0], &dy[0], &x[0], &sums[0], n, g.Step, g.Offset, g.Min, g.Max)
		for i := range 32 {
			s.Step += float64(sums[i])
			s.Above += float64(sums[32+i])
			s.Below += float64(sums[64+i])
		}
		dx, dy, x = dx[n:], dy[n:], x[n:]
	}
	return s, true
}

func signsSIMD(y, x []float32) bool {
	if level < cpu.AVX2 || len(x) == 0 {
		return false
	}
	_ = y[len(x)-1]
	signsAVX2(&y[0], &x[0], len(x))
	return true
}

func slopeSIMD(dx, dy, x []float32, e Estimator, t float32) bool {
	if level < cpu.AVX2 || len(x) == 0 {
		return false
	}
	n := len(x)
	_, _ = dx[n-1], dy[n-1]
	switch e {
	case HardTanh:
		hardTanhAVX2(&dx[0], &dy[0], &x[0], n)
	case Polynomial:
		polynomialAVX2(&dx[0], &dy[0], &x[0], n)
	case EDE:
		edeAVX2(&dx[0], &dy[0], &x[0], n, edeScale(t), -2*t)
	default:
		return false
	}
	return true
}
