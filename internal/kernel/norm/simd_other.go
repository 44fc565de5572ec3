//go:build !(amd64 || arm64) || purego

package norm

func forwardSIMD(_, _ []float32, _ *coefficients, _, _ float32, _ bool) int { return 0 }

func forwardAddSIMD(_, _, _ []float32, _ *coefficients, _, _ float32, _ bool) int { return 0 }

func backwardSIMD(_, _, _ []float32, _ *coefficients, _ bool) int { return 0 }

func backwardClampSIMD(_, _, _ []float32, _ *coefficients, _, _ float32, _ bool) int { return 0 }

func momentsSIMD(_, _, _, _ []float32, _, _, _ int) bool { return false }

func columnsSIMD(_, _, _, _, _, _, _ []float32, _, _, _ int, _, _ float32) bool { return false }

func columnsAddSIMD(_, _, _, _, _, _, _ []float32, _, _, _ int, _, _ float32) bool { return false }
