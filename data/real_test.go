package data

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
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

func TestRealTars(t *testing.T) {
	for _, c := range []struct {
		file            string
		n, classes      int
		name            string
		label, distinct int
	}{
		{"eval.tar", 987, 1000, "0000.jpg", 261, 490},
		{"calib.tar", 250, 1000, "000_n01440764.jpg", 0, 250},
	} {
		ds, err := Open(testdata.Path(t, "imagenet", c.file), Options{})
		if err != nil {
			t.Fatal(err)
		}
		distinct := map[int32]bool{}
		for _, l := range Labels(ds) {
			distinct[l] = true
		}
		if ds.Len() != c.n || len(ds.Classes()) != c.classes || Name(ds, 0) != c.name || ds.Label(0) != c.label {
			t.Errorf("%s: %d pictures, %d classes; the first is %s, %d", c.file, ds.Len(), len(ds.Classes()), Name(ds, 0), ds.Label(0))
		}
		if d := len(distinct); d < c.distinct-5 || d > c.distinct+5 {
			t.Errorf("%s: %d classes occur", c.file, d)
		}
		var s Sample
		for _, i := range []int{0, c.n - 1} {
			if err := ds.Read(i, &s); err != nil {
				t.Fatal(err)
			}
			if s.H != 256 || s.W != 256 || s.C != 3 || s.Label != ds.Label(i) {
				t.Errorf("%s: picture %d is %dx%dx%d with label %d", c.file, i, s.H, s.W, s.C, s.Label)
			}
		}
	}
}

// The first eight pictures of eval.tar, cropped and resized by a Preprocess,
// are the ones prepared by Pillow, bit for bit.
func TestRealPreprocessing(t *testing.T) {
	ds, err := Open(testdata.Path(t, "imagenet", "eval.tar"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{128, 224, 227} {
		var golden, s Sample
		if err := DecodeFile(testdata.Path(t, "golden", fmt.Sprintf("imagenet_%d.png", size)), &golden); err != nil {
			t.Fatal(err)
		}
		q, err := NewPipeline(Preprocess{Layout: HWC}.ForInput(3, size, size), Augment{})
		if err != nil {
			t.Fatal(err)
		}
		out := make([]float32, 3*size*size)
		for i := range 8 {
			if err := ds.Read(i, &s); err != nil {
				t.Fatal(err)
			}
			if err := q.Apply(out, &s); err != nil {
				t.Fatal(err)
			}
			for y := range size {
				row := golden.Pix[y*golden.W*3+i*size*3:][:3*size]
				for k, v := range row {
					if got := out[y*size*3+k]; got != float32(v) {
						t.Fatalf("%d pixels: picture %d, row %d, byte %d: %v, want %d", size, i, y, k, got, v)
					}
				}
			}
		}
	}
}

// Fashion-MNIST as Debian packages it has the content that its authors
// published, and is recognised.
func TestRealFashionMNIST(t *testing.T) {
	info, _ := Find("fashion-mnist")
	dir := Dir("fashion-mnist")
	if !exists(dir) {
		t.Skipf("SKIPPED: no Fashion-MNIST in %s; install Debian's dataset-fashion-mnist or run drawknife data download fashion-mnist", dir)
	}
	for _, a := range info.Assets {
		if err := a.verify(filepath.Join(dir, a.Name)); err != nil {
			t.Error(err)
		}
	}
	for split, n := range map[string]int{"train": info.Train, "test": info.Test} {
		if testing.Short() && split == "train" {
			continue
		}
		ds, err := Open("fashion-mnist@"+split, Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Check(context.Background(), ds)
		if err != nil {
			t.Fatal(err)
		}
		if r.N != n || r.Known != "fashion-mnist@"+split || r.Gray != n || r.Count[9] != n/10 || len(r.Mean) != 1 {
			t.Errorf("%s: %+v", split, r)
		}
	}
}
