// Package testdata finds the optional real data and peers that tests use.
// Nothing in the repository needs them: a test that misses them skips and
// says how to get them.
package testdata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Dir returns the folder of real images and pretrained models: $DRAWKNIFE_DATA,
// or shared/data beside the repository. It skips the test if there is none.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("DRAWKNIFE_DATA")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "models", "models.json")); err != nil {
		tb.Skipf("SKIPPED: no real data here (set DRAWKNIFE_DATA to the folder that holds models/models.json): %v", err)
	}
	return dir
}

// Path joins elem to Dir and skips the test if that file does not exist.
func Path(tb testing.TB, elem ...string) string {
	tb.Helper()
	p := filepath.Join(append([]string{Dir(tb)}, elem...)...)
	if _, err := os.Stat(p); err != nil {
		tb.Skipf("SKIPPED: %v", err)
	}
	return p
}

// ORT returns the path of ONNX Runtime's shared library from $DRAWKNIFE_ORT,
// or skips the test.
func ORT(tb testing.TB) string {
	tb.Helper()
	p := os.Getenv("DRAWKNIFE_ORT")
	if p == "" {
		tb.Skip("SKIPPED: set DRAWKNIFE_ORT to libonnxruntime.so (it is in the npm package onnxruntime-node) to compare with ONNX Runtime")
	}
	return p
}
