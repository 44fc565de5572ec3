package data

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

// IDX is the format of MNIST (Y. LeCun, C. Cortes, C. Burges): two zero bytes,
// the element type (8 is an unsigned byte), the number of dimensions, each
// dimension as a big-endian 32-bit number, the elements. Files may be gzip'd.
const (
	idxUint8 = 8
	// idxMaxBytes bounds the elements of one file (MNIST's largest has 47 MB).
	idxMaxBytes = 2 << 30
	// idxMaxSide bounds the height and width of a picture.
	idxMaxSide = 1 << 13
)

// idxFiles are MNIST's names of a split's pictures and labels.
func idxFiles(split string) (images, labels string, ok bool) {
	switch split {
	case "train":
		return "train-images-idx3-ubyte", "train-labels-idx1-ubyte", true
	case "test":
		return "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", true
	}
	return "", "", false
}

// openIDX returns the opener of a set in MNIST's form with the given classes.
func openIDX(name string, classes []string) func(dir, split string) (Dataset, error) {
	return func(dir, split string) (Dataset, error) {
		images, labels, ok := idxFiles(split)
		if !ok {
			return nil, fmt.Errorf("data: %s has no split %q; it has train and test (take train[50000:] for validation)", name, split)
		}
		ds, err := readIDXPair(os.DirFS(dir), dir, images, labels, classes)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w; `drawknife data download %s` fetches it", err, name)
		}
		return ds, err
	}
}

// readIDXPair reads pictures and labels from two files of fsys, plain or with
// the suffix .gz. dir is what messages call fsys.
func readIDXPair(fsys fs.FS, dir, images, labels string, classes []string) (Dataset, error) {
	var set pixels
	read := func(name string, fn func(r io.Reader, name string) error) error {
		f, err := fsys.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			if f, err = fsys.Open(name + ".gz"); err == nil {
				name += ".gz"
			}
		}
		if err != nil {
			return fmt.Errorf("data: %s: %w", dir, err)
		}
		defer f.Close()
		return fn(f, path.Join(dir, name))
	}
	if err := read(images, func(r io.Reader, name string) error {
		zr, err := gunzip(r)
		if err != nil {
			return fmt.Errorf("data: %s: %w", name, err)
		}
		return set.readIDXImages(zr, name)
	}); err != nil {
		return nil, err
	}
	if err := read(labels, func(r io.Reader, name string) error {
		zr, err := gunzip(r)
		if err != nil {
			return fmt.Errorf("data: %s: %w", name, err)
		}
		return set.readIDXLabels(zr, name, len(classes))
	}); err != nil {
		return nil, err
	}
	set.classes = classes
	return &set, nil
}

// gunzip reads r, decompressed if it starts like a gzip file.
func gunzip(r io.Reader) (*bufio.Reader, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	if magic, _ := br.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return br, nil
	}
	zr, err := gzip.NewReader(br)
	if err != nil {
		return nil, err
	}
	zr.Multistream(true)
	return bufio.NewReaderSize(zr, 1<<16), nil
}

// readIDXHeader reads the dimensions of an array of unsigned bytes.
func readIDXHeader(r io.Reader, name string, rank int) ([]int, error) {
	head := make([]byte, 4+4*rank)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("data: %s: IDX header: %w", name, noEOF(err))
	}
	if head[0] != 0 || head[1] != 0 {
		return nil, fmt.Errorf("data: %s: not an IDX file", name)
	}
	if head[2] != idxUint8 || int(head[3]) != rank {
		return nil, fmt.Errorf("data: %s: IDX type 0x%02x with %d dimensions, want bytes with %d", name, head[2], head[3], rank)
	}
	dims, size := make([]int, rank), 1
	for i := range dims {
		dims[i] = int(binary.BigEndian.Uint32(head[4+4*i:]))
		if dims[i] == 0 {
			return nil, fmt.Errorf("data: %s: empty data set", name)
		}
		if dims[i] > idxMaxBytes/size {
			return nil, fmt.Errorf("data: %s: IDX dimensions are too large", name)
		}
		size *= dims[i]
	}
	return dims, nil
}

// noEOF turns the end of a file in the wrong place into an error that says so.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (p *pixels) readIDXImages(r io.Reader, name string) error {
	dims, err := readIDXHeader(r, name, 3)
	if err != nil {
		return err
	}
	n := dims[0]
	p.h, p.w, p.c, p.source = dims[1], dims[2], 1, name
	if p.h > idxMaxSide || p.w > idxMaxSide {
		return fmt.Errorf("data: %s: pictures of %dx%d pixels", name, p.h, p.w)
	}
	if p.pix, err = readBounded(r, n*p.h*p.w); err != nil {
		return fmt.Errorf("data: %s: record %d of %d: %w", name, len(p.pix)/(p.h*p.w), n, err)
	}
	return nil
}

func (p *pixels) readIDXLabels(r io.Reader, name string, classes int) error {
	dims, err := readIDXHeader(r, name, 1)
	if err != nil {
		return err
	}
	if n := len(p.pix) / (p.h * p.w); dims[0] != n {
		return fmt.Errorf("data: %s: %d labels for the %d pictures of %s", name, dims[0], n, p.source)
	}
	raw, err := readBounded(r, dims[0])
	if err != nil {
		return fmt.Errorf("data: %s: record %d of %d: %w", name, len(raw), dims[0], err)
	}
	p.labels = make([]int32, len(raw))
	for i, l := range raw {
		p.labels[i] = int32(l)
	}
	return checkLabels(name, p.labels, classes)
}

// readBounded reads n bytes, growing as they come, so that a header that
// promises more than the file holds costs no memory.
func readBounded(r io.Reader, n int) ([]byte, error) {
	const step = 16 << 20
	buf := make([]byte, 0, min(n, step))
	for len(buf) < n {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(n, 2*cap(buf)))
			copy(grown, buf)
			buf = grown
		}
		end := min(n, cap(buf))
		k, err := io.ReadFull(r, buf[len(buf):end])
		buf = buf[:len(buf)+k]
		if err != nil {
			return buf, noEOF(err)
		}
	}
	return buf, nil
}

// WriteIDX writes the pictures of ds, which must be gray and of one size, and
// then their labels, as two IDX arrays one after the other; gzip'd it is the
// compact form of a small data set that [Open] and [OpenFS] read.
func WriteIDX(w io.Writer, ds Dataset) error {
	var s Sample
	if ds.Len() == 0 {
		return fmt.Errorf("data: empty data set")
	}
	if err := ds.Read(0, &s); err != nil {
		return err
	}
	h, wd := s.H, s.W
	bw := bufio.NewWriter(w)
	header := func(dims ...int) {
		b := []byte{0, 0, idxUint8, byte(len(dims))}
		for _, d := range dims {
			b = binary.BigEndian.AppendUint32(b, uint32(d))
		}
		bw.Write(b) // bufio keeps the error for Flush
	}
	header(ds.Len(), h, wd)
	for i := range ds.Len() {
		if err := ds.Read(i, &s); err != nil {
			return err
		}
		if s.Pix == nil || s.C != 1 || s.H != h || s.W != wd || s.Label < 0 || s.Label > 255 {
			return fmt.Errorf("data: %s: a %dx%dx%d picture with label %d does not fit IDX pictures of %dx%d", Name(ds, i), s.H, s.W, s.C, s.Label, h, wd)
		}
		bw.Write(s.Pix)
	}
	header(ds.Len())
	for i := range ds.Len() {
		bw.WriteByte(byte(ds.Label(i)))
	}
	return bw.Flush()
}

// readIDXSingle reads what WriteIDX wrote, plain or gzip'd.
func readIDXSingle(r io.Reader, name string) (Dataset, error) {
	br, err := gunzip(r)
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", name, err)
	}
	var set pixels
	if err := set.readIDXImages(br, name); err != nil {
		return nil, err
	}
	if err := set.readIDXLabels(br, name, 256); err != nil {
		return nil, err
	}
	top := int32(0)
	for _, l := range set.labels {
		top = max(top, l)
	}
	set.classes = numbered(int(top) + 1)
	return &set, nil
}

// OpenFS opens a data set in the compact form of [WriteIDX] that lies in fsys,
// such as one embedded in the program. The classes are those of the known set
// that the file's name starts with (fashion-mnist, mnist), else numbers.
func OpenFS(fsys fs.FS, name string) (Dataset, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	defer f.Close()
	ds, err := readIDXSingle(f, name)
	if err != nil {
		return nil, err
	}
	return withKnownClasses(ds.(*pixels), name), nil
}
