//go:build !(amd64 || arm64) || purego

package vec

func unarySIMD(Func, float32, float32, []float32, []float32) bool { return false }

func unaryGradSIMD(Func, float32, float32, []float32, []float32, []float32, []float32) bool {
	return false
}

func binarySIMD(Op, []float32, []float32, []float32) bool { return false }

func binaryScalarSIMD(Op, []float32, []float32, float32, bool) bool { return false }

func addClampSIMD([]float32, []float32, []float32, float32, float32) bool { return false }

func mulAddClampSIMD([]float32, []float32, []float32, []float32, float32, float32) bool {
	return false
}

func affine2SIMD(_, _, _, _, _, _ []float32) bool { return false }

func rpreluSIMD(_, _, _, _, _ []float32) bool { return false }

func preluGradSIMD(_, _, _, _, _ []float32) bool { return false }

func axpySIMD(float32, []float32, []float32) bool { return false }

func lerpSIMD([]float32, float32, float32, []float32) bool { return false }

func reduceSIMD(Red, []float32) (float32, bool) { return 0, false }

func dotSIMD([]float32, []float32) (float32, bool) { return 0, false }

func expSumSIMD([]float32, []float32, float32) (float32, bool) { return 0, false }

func colReduceSIMD(colRed, []float32, []float32, []float32, []float32, int, int, int) bool {
	return false
}

// transposeSIMD returns how many rows and columns it has transposed.
func transposeSIMD([]float32, []float32, int, int, int, int) (rows, cols int) { return 0, 0 }

func sgdSIMD([]float32, []float32, []float32, *sgdStep) bool { return false }

func adamSIMD([]float32, []float32, []float32, []float32, *adamStep) bool { return false }

func rmsSIMD([]float32, []float32, []float32, []float32, *rmsStep) bool { return false }

func interleaveSIMD([]float32, []float32, []float32) int { return 0 }

func planesSIMD([]float32, []float32, int, int) int { return 0 }

func planesBytesSIMD(*uint8, *uint8, int, int) int { return 0 }
