package jpeg

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/internal/testdata"
)

// picture is a decoded file.
type picture struct {
	h, w, c int
	pix     []uint8
}

func decode(raw []byte) (p picture, err error) {
	err = Decode(raw, func(h, w, c int) ([]uint8, error) {
		p = picture{h, w, c, make([]uint8, h*w*c)}
		return p.pix, nil
	})
	return p, err
}

// golden returns the lines of testdata/golden.txt with n fields.
func golden(t *testing.T, n int) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "golden.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[0] != "#" && len(f) == n {
			lines = append(lines, f)
		}
	}
	if len(lines) == 0 {
		t.Fatalf("no lines of %d fields in golden.txt", n)
	}
	return lines
}

// samples returns the files of testdata by name.
func samples(tb testing.TB) map[string][]byte {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "*.jpg"))
	if err != nil || len(names) == 0 {
		tb.Fatalf("no pictures in testdata: %v", err)
	}
	files := map[string][]byte{}
	for _, n := range names {
		raw, err := os.ReadFile(n)
		if err != nil {
			tb.Fatal(err)
		}
		files[filepath.Base(n)] = raw
	}
	return files
}

// Every kind of file gives the pixels that Pillow gives.
func TestGolden(t *testing.T) {
	files := samples(t)
	lines := golden(t, 5)
	if len(lines) != len(files) {
		t.Errorf("%d lines for %d files", len(lines), len(files))
	}
	for _, f := range lines {
		p, err := decode(files[f[0]])
		if err != nil {
			t.Errorf("%s: %v", f[0], err)
			continue
		}
		got := fmt.Sprintf("%d %d %d %x", p.w, p.h, p.c, sha256.Sum256(p.pix))
		if want := strings.Join(f[1:], " "); got != want {
			t.Errorf("%s: %s, want %s", f[0], got, want)
		}
	}
}

// So do all of the labelled photographs and the calibration images.
func TestRealPictures(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: decodes 1237 pictures")
	}
	for _, line := range golden(t, 3) {
		f, err := os.Open(testdata.Path(t, "imagenet", line[0]))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		sum, n := sha256.New(), 0
		for r := tar.NewReader(f); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(h.Name, ".jpg") {
				continue
			}
			raw, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			p, err := decode(raw)
			if err != nil {
				t.Fatalf("%s: %s: %v", line[0], h.Name, err)
			}
			sum.Write(p.pix)
			n++
		}
		if got := fmt.Sprintf("%d %x", n, sum.Sum(nil)); got != line[1]+" "+line[2] {
			t.Errorf("%s: %s, want %s", line[0], got, line[1:])
		}
	}
}

// A file that lacks its end is truncated, wherever it was cut.
func TestTruncated(t *testing.T) {
	for name, raw := range samples(t) {
		for n := range raw {
			if _, err := decode(raw[:n:n]); err == nil {
				t.Fatalf("%s decodes without its last %d bytes", name, len(raw)-n)
			}
		}
		if _, err := decode(raw[: len(raw)-1 : len(raw)-1]); !errors.Is(err, errTruncated) {
			t.Errorf("%s without its last byte: %v", name, err)
		}
		if _, err := decode(append(bytes.Clone(raw), "more"...)); err != nil {
			t.Errorf("%s with something behind it: %v", name, err)
		}
	}
}

// Whatever byte is damaged, there are all pixels or an error.
func TestDamaged(t *testing.T) {
	for name, raw := range samples(t) {
		for i := range raw {
			for _, b := range []byte{0, 0xff, raw[i] ^ 0x80, raw[i] + 1} {
				bad := bytes.Clone(raw)
				bad[i] = b
				p, err := decode(bad)
				if err == nil && len(p.pix) != p.h*p.w*p.c {
					t.Fatalf("%s: byte %d = %d: %d bytes for %dx%dx%d", name, i, b, len(p.pix), p.h, p.w, p.c)
				}
			}
		}
		// The pool's decoders are none the worse for it.
		if _, err := decode(raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	TestGolden(t)
}

func FuzzDecode(f *testing.F) {
	for _, raw := range samples(f) {
		f.Add(raw)
	}
	f.Add([]byte("\xff\xd8\xff\xd9"))
	errLarge := errors.New("large")
	f.Fuzz(func(t *testing.T, raw []byte) {
		size := -1
		var pix []uint8
		err := Decode(raw, func(h, w, c int) ([]uint8, error) {
			if size >= 0 || h < 1 || w < 1 || (c != 1 && c != 3) {
				t.Fatalf("%dx%dx%d", h, w, c)
			}
			size = h * w * c
			if h*w > 256*max(len(raw), 64)*16 {
				t.Fatalf("%dx%d pixels out of %d bytes", w, h, len(raw))
			}
			if h*w > 1<<20 {
				return nil, errLarge
			}
			pix = make([]uint8, size)
			return pix, nil
		})
		if err == nil && len(pix) != size {
			t.Fatalf("%d bytes of %d", len(pix), size)
		}
	})
}
