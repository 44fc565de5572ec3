package drawknife

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// floors says on which floor of the house each package lives. A package may
// import those on lower floors, and packages of its own family.
var floors = map[string]int{
	"tensor": 0, "internal/cpu": 0, "internal/parallel": 0, "internal/kernel": 0, "internal/atomicfile": 0, "internal/jpeg": 0, "internal/testdata": 0,
	"graph": 1, "hardware/sparsity": 1,
	"rewrite": 2, "eval": 2, "onnx": 2, "autodiff": 2, "ort": 2,
	"engine": 3, "data": 3, "zoo": 3, "method": 3, "hardware": 3,
	"train": 4, "measure": 4, "hardware/host": 4,
	"prune": 5, "quantize": 5,
	"compress": 6,
	"report":   7, "internal/demo": 7,
	"cmd/drawknife": 8, "internal/docgen": 8,
}

func floorOf(pkg string) (family string, floor int, ok bool) {
	for p := pkg; p != ""; {
		if f, ok := floors[p]; ok {
			return p, f, true
		}
		i := strings.LastIndexByte(p, '/')
		if i < 0 {
			break
		}
		p = p[:i]
	}
	return "", 0, false
}

// TestImportsGoDown holds the house to docs/architecture.md.
func TestImportsGoDown(t *testing.T) {
	const module = "github.com/drawknife/drawknife"
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if name == "" || strings.HasPrefix(name, "out/") {
			continue
		}
		seen++
		family, floor, ok := floorOf(name)
		if !ok {
			t.Errorf("package %s has no floor: add it to the list here and to docs/architecture.md", name)
			continue
		}
		for _, imp := range p.Imports {
			other, ok := strings.CutPrefix(imp, module+"/")
			if !ok {
				continue
			}
			otherFamily, otherFloor, ok := floorOf(other)
			if ok && otherFamily != family && otherFloor >= floor && !(floor == 0 && otherFloor == 0) {
				t.Errorf("%s (floor %d) imports %s (floor %d)", name, floor, other, otherFloor)
			}
		}
	}
	if seen < 15 {
		t.Fatalf("go list named only %d packages", seen)
	}
}

// TestPage holds the table of docs/architecture.md to the list above.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]int{}
	row := regexp.MustCompile(`(?m)^\| ([0-9]) \| ([^|]*) \|`)
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		for _, name := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(m[2], -1) {
			written[strings.TrimSuffix(name[1], "/…")], _ = strconv.Atoi(m[1])
		}
	}
	if !maps.Equal(written, floors) {
		t.Errorf("docs/architecture.md has the floors\n%v\nthis test has\n%v", written, floors)
	}
}
