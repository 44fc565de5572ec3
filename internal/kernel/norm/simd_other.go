//go:build !(amd64 || arm64) || purego

package norm

func forwardSIMD(_, _, _, _, _ []float32, _, _ float32) bool { return false }

func backwardSIMD(_, _, _, _, _, _ []float32) bool { return false }

func backwardClampSIMD(_, _, _, _, _, _, _, _ []float32, _, _ float32) bool { return false }

func columnsSIMD(_, _, _, _, _, _, _ []float32, _, _, _ int, _, _ float32) bool { return false }

func columnsAddSIMD(_, _, _, _, _, _, _ []float32, _, _, _ int, _, _ float32) bool { return false }
