package data

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/internal/testdata"
)

// The CIFAR-10 sheets, rewritten in binary form, have the checksums of the
// official files.
func TestRealCIFARSheets(t *testing.T) {
	sums, err := os.ReadFile(testdata.Path(t, "cifar10", "records.sha256"))
	if err != nil {
		t.Fatal(err)
	}
	dir := testdata.Path(t, "cifar10")
	parts := map[string]string{"test_batch.bin": "test"}
	if !testing.Short() {
		for i := range 5 {
			parts[fmt.Sprintf("data_batch_%d.bin", i+1)] = fmt.Sprintf("train[%d:%d]", i*10000, (i+1)*10000)
		}
	}
	whole := map[string]Dataset{}
	for lines := bufio.NewScanner(strings.NewReader(string(sums))); lines.Scan(); {
		want, file, _ := strings.Cut(lines.Text(), "  ")
		split, ok := parts[file]
		if !ok {
			continue
		}
		name, part, err := parseSplit(split)
		if err != nil {
			t.Fatal(err)
		}
		if whole[name] == nil {
			if whole[name], err = Open("cifar10:"+dir, Options{Split: name}); err != nil {
				t.Fatal(err)
			}
		}
		ds, err := part.of(whole[name])
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if err := WriteCIFAR(h, ds); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != want {
			t.Errorf("%s: SHA-256 %s, want %s", file, got, want)
		}
	}
}
