//go:build !amd64 || purego

package fakequant

func (g Grid) quantizeSIMD(_, _ []float32) bool { return false }

func (g Grid) gradSIMD(_, _, _ []float32) (Sums, bool) { return Sums{}, false }

func signsSIMD(_, _ []float32) bool { return false }

func slopeSIMD(_, _, _ []float32, _ Estimator, _ float32) bool { return false }
