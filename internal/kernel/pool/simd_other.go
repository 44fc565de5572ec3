//go:build !(amd64 || arm64) || purego

package pool

func maxWindowsSIMD([]float32, []float32, *window, bool, *run) bool { return false }

func sumWindowsSIMD([]float32, []float32, *window, bool, float32, *run) bool { return false }

func maxIndexSIMD([]float32, []int32, []float32, *window, bool, place) bool { return false }

func addWhereSIMD([]float32, []float32, []int32, int32) bool { return false }

// hasGradWindows tells whether maxGradWindows is no slower than by indices.
func hasGradWindows() bool { return true }

func maxGradWindowsSIMD(_, _, _ []float32, _ *window, _ *run) bool { return false }
