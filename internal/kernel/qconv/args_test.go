package qconv

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// TestTileArgs compares the layouts of tileArgs and of headers with what the generator of the
// assembly takes it to be.
func TestTileArgs(t *testing.T) {
	var a tileArgs
	fields := map[string]uintptr{
		"Base": unsafe.Offsetof(a.base), "Offs": unsafe.Offsetof(a.offs), "Steps": unsafe.Offsetof(a.steps),
		"Count": unsafe.Offsetof(a.count), "W": unsafe.Offsetof(a.w),
		"Bias": unsafe.Offsetof(a.bias), "Scale": unsafe.Offsetof(a.scale), "Dst": unsafe.Offsetof(a.dst),
		"DstStride": unsafe.Offsetof(a.dstStride), "Tiles": unsafe.Offsetof(a.tiles), "Mode": unsafe.Offsetof(a.mode),
		"Zero": unsafe.Offsetof(a.zero), "Lo": unsafe.Offsetof(a.lo), "Hi": unsafe.Offsetof(a.hi),
		"FLo": unsafe.Offsetof(a.flo), "FHi": unsafe.Offsetof(a.fhi), "Lane": unsafe.Offsetof(a.lane),
		"HeadAt": unsafe.Offsetof(a.headAt), "OffsAt": unsafe.Offsetof(a.offsAt), "DstAt": unsafe.Offsetof(a.dstAt),
		"Lines": unsafe.Offsetof(a.lines), "Pixel": unsafe.Offsetof(a.pixel), "TileStep": unsafe.Offsetof(a.tileStep),
		"Chunks": unsafe.Offsetof(a.chunks), "LastStep": unsafe.Offsetof(a.lastStep), "Elem": unsafe.Offsetof(a.elem),
		"Lens": unsafe.Offsetof(a.lens), "Next": unsafe.Offsetof(a.next), "NextEnd": unsafe.Offsetof(a.nextEnd), "Order": unsafe.Offsetof(a.order), "SrcAt": unsafe.Offsetof(a.srcAt), "ChunkAt": unsafe.Offsetof(a.chunkAt), "Left": unsafe.Offsetof(a.left),
	}
	checkARM64(t, fields, unsafe.Offsetof(a.blocks))
	source, err := os.ReadFile("../_asm/qconv.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]uintptr{
		"Counts": headCounts, "Channel": headChannel, "Bias": headBias, "Scale": headScale, "Size": headSize,
	} {
		fields["h"+name] = at
	}
	found := regexp.MustCompile(`(?m)^\t(q[A-Z]\w*|h[A-Z]\w*) += (\d+)`).FindAllSubmatch(source, -1)
	if len(found) != len(fields) {
		t.Errorf("the generator knows %d fields, this test %d", len(found), len(fields))
	}
	for _, f := range found {
		name := strings.TrimPrefix(string(f[1]), "q")
		if at, err := strconv.Atoi(string(f[2])); err != nil || uintptr(at) != fields[name] {
			t.Errorf("%s is at %d, the generator takes it to be at %s", name, fields[name], f[2])
		}
	}
}

// checkARM64 does the same for the generator of the arm64 kernels, which needs
// some of the fields and one more.
func checkARM64(t *testing.T, fields map[string]uintptr, blocks uintptr) {
	source, err := os.ReadFile("../_asm/arm64/qconv.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\tq([A-Z]\w*) += (\d+)$`).FindAllSubmatch(source, -1)
	if len(found) == 0 {
		t.Error("the generator for arm64 states no offsets")
	}
	for _, f := range found {
		want, ok := fields[string(f[1])]
		if string(f[1]) == "Blocks" {
			want, ok = blocks, true
		}
		if at, err := strconv.Atoi(string(f[2])); err != nil || !ok || uintptr(at) != want {
			t.Errorf("%s is at %d, the generator for arm64 takes it to be at %s", f[1], want, f[2])
		}
	}
}
