package npz

import (
	"archive/zip"
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/tensor"
)

// maxArrays bounds the number of arrays of one file.
const maxArrays = 1 << 16

// Array is a tensor with its name.
type Array struct {
	Name   string
	Tensor *tensor.Tensor
}

// ReadArchive reads every array of a .npz file of the given size, in the
// file's order.
func ReadArchive(r io.ReaderAt, size int64) ([]Array, error) {
	zr, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("npz: %w", err)
	}
	if len(zr.File) > maxArrays {
		return nil, fmt.Errorf("npz: %d members", len(zr.File))
	}
	var arrays []Array
	seen := map[string]bool{}
	for _, f := range zr.File {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok {
			continue
		}
		if seen[name] {
			return nil, fmt.Errorf("npz: two arrays are called %q", name)
		}
		seen[name] = true
		t, err := readMember(f)
		if err != nil {
			return nil, fmt.Errorf("npz: array %q: %w", name, err)
		}
		arrays = append(arrays, Array{name, t})
	}
	return arrays, nil
}

func readMember(f *zip.File) (*tensor.Tensor, error) {
	rc, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	br := bufio.NewReader(rc)
	t, err := read(br)
	if err != nil {
		return nil, err
	}
	// Reading to the end checks the sum.
	if n, err := io.Copy(io.Discard, io.LimitReader(br, 1<<20)); err != nil {
		return nil, err
	} else if n > 0 {
		return nil, fmt.Errorf("%d bytes after the data", n)
	}
	return t, nil
}

// ReadFile reads a .npz file, or a .npy file as one array called "".
func ReadFile(name string) ([]Array, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("npz: %w", err)
	}
	defer f.Close()
	head := make([]byte, len(magic))
	if n, _ := f.ReadAt(head, 0); n == len(magic) && string(head) == magic {
		t, err := Read(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return []Array{{"", t}}, nil
	}
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("npz: %w", err)
	}
	arrays, err := ReadArchive(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return arrays, nil
}

// WriteArchive writes arrays in .npz form, not compressed, as numpy.savez does.
func WriteArchive(w io.Writer, arrays []Array) error {
	zw := zip.NewWriter(w)
	for _, a := range arrays {
		member, err := zw.CreateHeader(&zip.FileHeader{Name: a.Name + ".npy", Method: zip.Store})
		if err != nil {
			return fmt.Errorf("npz: %w", err)
		}
		if err := Write(member, a.Tensor); err != nil {
			return fmt.Errorf("npz: array %q: %w", a.Name, err)
		}
	}
	if err := zw.Close(); err != nil {
		return fmt.Errorf("npz: %w", err)
	}
	return nil
}

// WriteFile writes arrays to a .npz file, or a single one to a .npy file, by
// the name's suffix. The file appears whole or not at all.
func WriteFile(name string, arrays ...Array) error {
	single := strings.EqualFold(filepath.Ext(name), ".npy")
	if single && len(arrays) != 1 {
		return fmt.Errorf("npy: %d arrays do not fit a .npy file; name it .npz", len(arrays))
	}
	err := atomicfile.Write(name, func(w io.Writer) error {
		if single {
			return Write(w, arrays[0].Tensor)
		}
		return WriteArchive(w, arrays)
	})
	if err != nil {
		return fmt.Errorf("npz: %s: %w", name, err)
	}
	return nil
}
