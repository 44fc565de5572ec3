package bconv

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"unsafe"
)

// TestTileArgs and TestCountArgs compare layouts with what the generators of the
// assembly take them to be.
func TestTileArgs(t *testing.T) {
	var a tileArgs
	fields := map[string]uintptr{
		"Base": unsafe.Offsetof(a.base), "Offs": unsafe.Offsetof(a.offs), "Steps": unsafe.Offsetof(a.steps),
		"Count": unsafe.Offsetof(a.count), "W": unsafe.Offsetof(a.w), "Scale": unsafe.Offsetof(a.scale),
		"Bias": unsafe.Offsetof(a.bias), "Thresholds": unsafe.Offsetof(a.thresholds), "Dst": unsafe.Offsetof(a.dst),
		"DstStride": unsafe.Offsetof(a.dstStride), "Add": unsafe.Offsetof(a.add), "AddStride": unsafe.Offsetof(a.addStride),
		"Tiles": unsafe.Offsetof(a.tiles), "Table": unsafe.Offsetof(a.table), "Mode": unsafe.Offsetof(a.mode),
		"Left": unsafe.Offsetof(a.left), "OffsAt": unsafe.Offsetof(a.offsAt), "DstAt": unsafe.Offsetof(a.dstAt),
		"AddAt": unsafe.Offsetof(a.addAt), "Shift": unsafe.Offsetof(a.shift), "Lo": unsafe.Offsetof(a.lo),
		"Hi": unsafe.Offsetof(a.hi), "Sums": unsafe.Offsetof(a.sums),
	}
	compareLayout(t, fields, "../_asm/bconv.go", "b")
}

func TestCountArgs(t *testing.T) {
	var a countArgs
	fields := map[string]uintptr{
		"Base": unsafe.Offsetof(a.base), "Offs": unsafe.Offsetof(a.offs), "StartAt": unsafe.Offsetof(a.startAt),
		"Start": unsafe.Offsetof(a.start), "Steps": unsafe.Offsetof(a.steps), "Count": unsafe.Offsetof(a.count),
		"W": unsafe.Offsetof(a.w), "Scale": unsafe.Offsetof(a.scale), "Bias": unsafe.Offsetof(a.bias),
		"Thresholds": unsafe.Offsetof(a.thresholds), "Dst": unsafe.Offsetof(a.dst), "DstStride": unsafe.Offsetof(a.dstStride),
		"Add": unsafe.Offsetof(a.add), "AddStride": unsafe.Offsetof(a.addStride), "Tiles": unsafe.Offsetof(a.tiles),
		"Mode": unsafe.Offsetof(a.mode), "Lanes": unsafe.Offsetof(a.lanes), "Lo": unsafe.Offsetof(a.lo), "Hi": unsafe.Offsetof(a.hi),
		"OffsLeft": unsafe.Offsetof(a.offsLeft), "StartLeft": unsafe.Offsetof(a.startLeft),
		"DstLeft": unsafe.Offsetof(a.dstLeft), "AddLeft": unsafe.Offsetof(a.addLeft),
		"RowStep": unsafe.Offsetof(a.rowStep), "RowWeights": unsafe.Offsetof(a.rowWeights),
		"Rows": countRows, "Plane": planeBytes,
	}
	compareLayout(t, fields, "../_asm/bcount.go", "c")
}

// compareLayout looks for constants of a prefix in a file.
func compareLayout(t *testing.T, fields map[string]uintptr, file, prefix string) {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\t`+prefix+`([A-Z]\w*) += (\d+)( +// .*)?$`).FindAllSubmatch(source, -1)
	seen := 0
	for _, f := range found {
		at, ok := fields[string(f[1])]
		if !ok {
			continue // a register or a count
		}
		seen++
		if want, err := strconv.Atoi(string(f[2])); err != nil || at != uintptr(want) {
			t.Errorf("%s is at %d, the generator takes it to be at %s", f[1], at, f[2])
		}
	}
	if seen != len(fields) {
		t.Errorf("the generator knows %d of %d fields", seen, len(fields))
	}
}
