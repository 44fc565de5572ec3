package onnx

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// python finds a Python interpreter that has ONNX's own package.
func python(t *testing.T) string {
	t.Helper()
	for _, p := range []string{os.Getenv("DRAWKNIFE_PYTHON"), "python3", "/usr/bin/python3"} {
		if p == "" {
			continue
		}
		if exec.Command(p, "-c", "import onnx").Run() == nil {
			return p
		}
	}
	t.Skip("SKIPPED: no Python with the package onnx here (Debian: python3-onnx; or set DRAWKNIFE_PYTHON)")
	return ""
}

const checkScript = `
import onnx, sys
for path in sys.argv[1:]:
    try:
        onnx.checker.check_model(onnx.load(path), full_check=True)
    except Exception as e:
        print(path, " ".join(str(e).split()))
`

// TestChecker lets ONNX's checker, shape inference included, look at what is
// written.
func TestChecker(t *testing.T) {
	py, dir := python(t), t.TempDir()
	args := []string{"-c", checkScript}
	add := func(name string, data []byte) {
		path := filepath.Join(dir, name+".onnx")
		write1(t, path, data)
		args = append(args, path)
	}
	for i, c := range oldForms {
		if c.name == "grid sample" {
			continue // its output's shape is not inferred here, and ONNX wants one
		}
		data, _ := c.model(t)
		g := mustDecode(t, data)
		if err := g.InferShapes(); err != nil {
			t.Fatal(err)
		}
		for _, opset := range []int64{0, 13, 17} {
			if opset == 0 || opset >= max(c.opset, c.least) {
				add(fmt.Sprintf("%d_%d", i, opset), mustEncode(t, g, WriteOptions{Opset: opset}))
			}
		}
	}
	add("if", mustEncode(t, mustDecode(t, ifModel())))
	add("functions", mustEncode(t, mustDecode(t, calls())))
	out, err := exec.Command(py, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "higher than the checker's") || strings.Contains(line, "No opset import for domain") ||
			strings.Contains(line, "No Op registered for") {
			t.Logf("this ONNX is too old to judge: %s", line)
			continue
		}
		t.Error(line)
	}
}
