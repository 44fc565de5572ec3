package data

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// The binary versions of CIFAR-10 and CIFAR-100 (A. Krizhevsky, "Learning
// Multiple Layers of Features from Tiny Images", 2009): files of records, each
// one or two label bytes and then 1024 red, 1024 green and 1024 blue bytes.
const (
	cifarSide   = 32
	cifarPlane  = cifarSide * cifarSide
	cifarPixels = 3 * cifarPlane
	// cifarMaxFile bounds the size of one file; the largest real one, CIFAR-100's
	// train.bin, has 154 MB.
	cifarMaxFile = 256 << 20
)

// cifarForm is one of the two members of the family.
type cifarForm struct {
	name       string
	labelBytes int                 // before the pixels; the last one is the class
	folder     string              // inside the archive
	archive    string              // official name
	files      map[string][]string // by split
	classes    []string
}

var cifar10Form = cifarForm{
	name: "cifar10", labelBytes: 1, folder: "cifar-10-batches-bin", archive: "cifar-10-binary.tar.gz",
	files: map[string][]string{
		"train": {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
		"test":  {"test_batch.bin"},
	},
	classes: cifar10Classes,
}

var cifar100Form = cifarForm{
	name: "cifar100", labelBytes: 2, folder: "cifar-100-binary", archive: "cifar-100-binary.tar.gz",
	files:   map[string][]string{"train": {"train.bin"}, "test": {"test.bin"}},
	classes: cifar100Classes,
}

func openCIFAR10(dir, split string) (Dataset, error)  { return cifar10Form.open(dir, split) }
func openCIFAR100(dir, split string) (Dataset, error) { return cifar100Form.open(dir, split) }

// open reads one split from a folder that holds the official archive, its
// unpacked files, or (CIFAR-10) sheets of 10,000 pictures; dir may also be the
// archive itself.
func (f *cifarForm) open(dir, split string) (Dataset, error) {
	names, ok := f.files[split]
	if !ok {
		return nil, fmt.Errorf("data: %s has no split %q; it has train and test (take train[45000:] for validation)", f.name, split)
	}
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		return f.fromArchive(dir, names)
	}
	for _, d := range []string{dir, filepath.Join(dir, f.folder)} {
		if exists(filepath.Join(d, names[0])) {
			return f.fromFiles(d, names)
		}
	}
	if p := filepath.Join(dir, f.archive); exists(p) {
		return f.fromArchive(p, names)
	}
	if f.labelBytes == 1 && exists(filepath.Join(dir, sheetName(names[0]))) {
		return openSheets(dir, names)
	}
	return nil, fmt.Errorf("data: %s: no %s, %s or %s in %s; `drawknife data download %s` fetches it",
		f.name, names[0], f.archive, f.folder, dir, f.name)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func (f *cifarForm) fromFiles(dir string, names []string) (Dataset, error) {
	var set cifarBuilder
	total := int64(0)
	for _, name := range names {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil {
			total += st.Size()
		}
	}
	set.pix = make([]uint8, 0, min(total, int64(len(names))*cifarMaxFile))
	for _, name := range names {
		p := filepath.Join(dir, name)
		file, err := os.Open(p)
		if err != nil {
			return nil, fmt.Errorf("data: %s: %w", f.name, err)
		}
		err = set.add(f, p, file)
		file.Close()
		if err != nil {
			return nil, err
		}
	}
	return set.dataset(f)
}

// fromArchive reads the named files out of the official archive in one pass.
func (f *cifarForm) fromArchive(archive string, names []string) (Dataset, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", f.name, err)
	}
	defer file.Close()
	var in io.Reader = bufio.NewReaderSize(file, 1<<16)
	if magic, _ := in.(*bufio.Reader).Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		zr, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("data: %s: %w", archive, err)
		}
		defer zr.Close()
		in = zr
	}
	parts := map[string]*cifarBuilder{}
	for tr := tar.NewReader(in); len(parts) < len(names); {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("data: %s: %w", archive, err)
		}
		name := path.Base(h.Name)
		if !slices.Contains(names, name) || parts[name] != nil {
			continue
		}
		parts[name] = new(cifarBuilder)
		if err := parts[name].add(f, archive+"/"+name, tr); err != nil {
			return nil, err
		}
	}
	var set cifarBuilder // in the order of names, whatever the archive's
	for _, name := range names {
		p := parts[name]
		if p == nil {
			return nil, fmt.Errorf("data: %s: holds no %s: %w", archive, name, fs.ErrNotExist)
		}
		set.pix = append(set.pix, p.pix...)
		set.labels = append(set.labels, p.labels...)
		p.pix = nil
	}
	set.source = archive
	return set.dataset(f)
}

// cifarBuilder gathers records.
type cifarBuilder struct {
	pix    []uint8
	labels []int32
	source string
}

// add appends the records of one file.
func (b *cifarBuilder) add(f *cifarForm, name string, r io.Reader) error {
	record := make([]byte, f.labelBytes+cifarPixels)
	br := bufio.NewReaderSize(io.LimitReader(r, cifarMaxFile+1), 1<<18)
	for n := 0; ; n++ {
		if (n+1)*len(record) > cifarMaxFile {
			return fmt.Errorf("data: %s: more than %d MB is no file of %s", name, cifarMaxFile>>20, f.name)
		}
		got, err := io.ReadFull(br, record)
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return fmt.Errorf("data: %s: empty file", name)
			}
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("data: %s: record %d: has %d of %d bytes; the file is cut short or is not %s in binary form",
				name, n, got, len(record), f.name)
		}
		if err != nil {
			return fmt.Errorf("data: %s: record %d: %w", name, n, err)
		}
		label := int(record[f.labelBytes-1])
		if label >= len(f.classes) {
			return fmt.Errorf("data: %s: record %d: label %d is not in [0, %d)", name, n, label, len(f.classes))
		}
		b.labels = append(b.labels, int32(label))
		b.pix = appendInterleaved(b.pix, record[f.labelBytes:])
	}
	if b.source == "" {
		b.source = name
	} else {
		b.source = path.Dir(filepath.ToSlash(name))
	}
	return nil
}

// appendInterleaved appends planes (red, green, blue) as pixels.
func appendInterleaved(dst, planes []byte) []byte {
	at := len(dst)
	dst = slices.Grow(dst, cifarPixels)[:at+cifarPixels]
	out := dst[at:]
	r, g, b := planes[:cifarPlane], planes[cifarPlane:2*cifarPlane], planes[2*cifarPlane:cifarPixels]
	for i := range r {
		o := out[3*i : 3*i+3 : 3*i+3]
		o[0], o[1], o[2] = r[i], g[i], b[i]
	}
	return dst
}

func (b *cifarBuilder) dataset(f *cifarForm) (Dataset, error) {
	return &pixels{pix: b.pix, h: cifarSide, w: cifarSide, c: 3, labels: b.labels, classes: f.classes, source: b.source}, nil
}

// WriteCIFAR writes ds, whose pictures must be 32x32 in colour, in CIFAR-10's
// binary form.
func WriteCIFAR(w io.Writer, ds Dataset) error {
	bw := bufio.NewWriterSize(w, 1<<18)
	record := make([]byte, 1+cifarPixels)
	var s Sample
	for i := range ds.Len() {
		if err := ds.Read(i, &s); err != nil {
			return err
		}
		if len(s.Pix) != cifarPixels || s.H != cifarSide || s.Label < 0 || s.Label > 255 {
			return fmt.Errorf("data: %s: a %dx%dx%d picture with label %d does not fit a CIFAR record", Name(ds, i), s.H, s.W, s.C, s.Label)
		}
		record[0] = byte(s.Label)
		for p := range cifarPlane {
			record[1+p] = s.Pix[3*p]
			record[1+cifarPlane+p] = s.Pix[3*p+1]
			record[1+2*cifarPlane+p] = s.Pix[3*p+2]
		}
		if _, err := bw.Write(record); err != nil {
			return err
		}
	}
	return bw.Flush()
}

// sheetName is the sheet that holds the records of a binary file.
func sheetName(bin string) string { return strings.TrimSuffix(bin, ".bin") + ".png" }
