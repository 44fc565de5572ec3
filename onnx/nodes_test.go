package onnx

import (
	"os"
	"path/filepath"
	"testing"
)

// nodeTests returns ONNX's own backend tests of single operators.
func nodeTests(tb testing.TB) []string {
	dir := os.Getenv("DRAWKNIFE_ONNX_TESTS")
	if dir == "" {
		dir = "/usr/share/libonnx-testdata/data"
	}
	list, _ := filepath.Glob(filepath.Join(dir, "node", "*", "model.onnx"))
	if len(list) == 0 {
		tb.Skip("SKIPPED: no ONNX backend tests here (install Debian's libonnx-testdata, or set DRAWKNIFE_ONNX_TESTS to the folder that holds node/)")
	}
	return list
}

func TestRoundTripOfNodeTests(t *testing.T) {
	for _, path := range nodeTests(t) {
		name := filepath.Base(filepath.Dir(path))
		t.Run(name, func(t *testing.T) { roundTrip(t, path) })
	}
}
