package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// externalFiles reads weights that are stored beside the model. Only files in
// the model's folder (or below) are opened.
type externalFiles struct {
	dir   string
	root  *os.Root
	files map[string]*externalFile
}

type externalFile struct {
	f      *os.File
	size   int64
	read   int64 // bytes handed out so far
	ranges map[[2]int64][]byte
}

func (x *externalFiles) close() {
	for _, f := range x.files {
		f.f.Close()
	}
	if x.root != nil {
		x.root.Close()
	}
}

// open finds a file by its location, a path relative to the model's folder.
func (x *externalFiles) open(location string) (*externalFile, error) {
	if f := x.files[location]; f != nil {
		return f, nil
	}
	if x.dir == "" {
		return nil, errors.New("the weights are stored outside the model; read it from a file, or set Options.Dir")
	}
	local := filepath.FromSlash(location)
	if !filepath.IsLocal(local) {
		return nil, fmt.Errorf("external data %q is outside the model's folder", location)
	}
	if x.root == nil {
		root, err := os.OpenRoot(x.dir)
		if err != nil {
			return nil, err
		}
		x.root = root
	}
	info, err := x.root.Stat(local)
	if err != nil {
		return nil, fmt.Errorf("external data (it must lie beside the model): %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("external data %q is not a regular file", location)
	}
	f, err := x.root.Open(local)
	if err != nil {
		return nil, fmt.Errorf("external data: %w", err)
	}
	e := &externalFile{f: f, size: info.Size(), ranges: map[[2]int64][]byte{}}
	if x.files == nil {
		x.files = map[string]*externalFile{}
	}
	x.files[location] = e
	return e, nil
}

// external returns the bytes of a tensor whose data lie in another file; want
// is their number.
func (im *importer) external(p *tensorProto, want int) ([]byte, error) {
	var location string
	offset, length := int64(0), int64(want)
	for _, e := range p.external {
		var err error
		switch e.key {
		case "location":
			location = e.value
		case "offset":
			offset, err = strconv.ParseInt(e.value, 10, 64)
		case "length":
			length, err = strconv.ParseInt(e.value, 10, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("external data: %s: %w", e.key, err)
		}
	}
	if length != int64(want) {
		return nil, fmt.Errorf("external data of %d bytes, the tensor needs %d", length, want)
	}
	f, err := im.ext.open(location)
	if err != nil {
		return nil, err
	}
	if offset < 0 || offset > f.size || length > f.size-offset {
		return nil, fmt.Errorf("external data %q: bytes %d to %d are beyond its end at %d; is the file complete?",
			location, offset, offset+length, f.size)
	}
	return f.slice(location, offset, length)
}

// slice reads a range once. Ranges that overlap may not add up to more than
// the file, so that a small model cannot make us allocate without end.
func (f *externalFile) slice(location string, offset, length int64) ([]byte, error) {
	key := [2]int64{offset, length}
	if b, ok := f.ranges[key]; ok {
		return b, nil
	}
	if f.read += length; f.read > f.size {
		return nil, fmt.Errorf("external data %q: tensors overlap", location)
	}
	b := make([]byte, length)
	if _, err := f.f.ReadAt(b, offset); err != nil {
		return nil, fmt.Errorf("external data %q: %w", location, err)
	}
	f.ranges[key] = b
	return b, nil
}
