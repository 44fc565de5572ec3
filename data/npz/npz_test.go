package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/tensor"
)

// npy makes a file with any header and data.
func npy(version byte, header string, body ...byte) []byte {
	out := append([]byte(magic), version, 0)
	if version == 1 {
		out = binary.LittleEndian.AppendUint16(out, uint16(len(header)))
	} else {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(header)))
	}
	return append(append(out, header...), body...)
}

func head(descr, fortran, shape string) string {
	return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n"
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name string
		raw  []byte
		want *tensor.Tensor
	}{
		{"version 1", npy(1, head("|u1", "False", "(2, 3)"), 1, 2, 3, 4, 5, 6), tensor.Of([]uint8{1, 2, 3, 4, 5, 6}, 2, 3)},
		{"version 2", npy(2, head("<i2", "False", "(2,)"), 1, 0, 254, 255), tensor.Of([]int16{1, -2}, 2)},
		{"version 3", npy(3, head("|b1", "False", "(3,)"), 0, 1, 2), tensor.Of([]bool{false, true, true}, 3)},
		{"scalar", npy(1, head("<f4", "False", "()"), 0, 0, 128, 63), tensor.Scalar(float32(1))},
		{"big endian", npy(1, head(">f4", "False", "(1,)"), 63, 128, 0, 0), tensor.Of([]float32{1}, 1)},
		{"big endian 64", npy(1, head(">i8", "False", "(1,)"), 0, 0, 0, 0, 0, 0, 1, 2), tensor.Of([]int64{258}, 1)},
		{"half", npy(1, head("<f2", "False", "(1,)"), 0, 0x3c), tensor.Typed(tensor.Float16, []uint16{0x3c00}, 1)},
		{"Fortran", npy(1, head("|u1", "True", "(2, 3)"), 1, 4, 2, 5, 3, 6), tensor.Of([]uint8{1, 2, 3, 4, 5, 6}, 2, 3)},
		{"Fortran 3", npy(1, head("|i1", "True", "(2, 1, 2)"), 1, 3, 2, 4), tensor.Of([]int8{1, 2, 3, 4}, 2, 1, 2)},
		{"no elements", npy(1, head("<f8", "True", "(0, 5)")), tensor.Of([]float64{}, 0, 5)},
	} {
		got, err := Read(bytes.NewReader(c.raw))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		same(t, c.name, got, c.want)
	}
}

func same(t *testing.T, name string, got, want *tensor.Tensor) {
	t.Helper()
	if got.DType != want.DType || len(got.Shape) != len(want.Shape) || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%s: %v %v, want %v %v", name, got.DType, got.Any(), want.DType, want.Any())
		return
	}
	for i, d := range want.Shape {
		if got.Shape[i] != d {
			t.Errorf("%s: shape %v, want %v", name, got.Shape, want.Shape)
		}
	}
}

func TestReadErrors(t *testing.T) {
	for name, raw := range map[string][]byte{
		"empty":        nil,
		"text":         []byte("hello world"),
		"version 9":    npy(9, head("<f4", "False", "(1,)")),
		"cut header":   npy(1, head("<f4", "False", "(1,)"))[:20],
		"cut data":     npy(1, head("<f4", "False", "(2,)"), 0, 0, 0, 0),
		"object":       npy(1, head("|O", "False", "(1,)")),
		"complex":      npy(1, head("<c8", "False", "(1,)")),
		"record":       npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"),
		"no shape":     npy(1, "{'descr': '<f4', 'fortran_order': False}"),
		"huge":         npy(1, head("<f8", "False", "(4294967296, 4294967296)")),
		"huge promise": npy(1, head("<f8", "False", "(1000000000,)")),
		"long number":  npy(1, head("<f8", "False", "(99999999999999999999999,)")),
		"negative":     npy(1, head("<f8", "False", "(-1,)")),
		"many axes":    npy(1, head("|u1", "False", "("+strings.Repeat("1,", 65)+")"), 1),
		"giant header": append([]byte(magic), 2, 0, 255, 255, 255, 255),
	} {
		if got, err := Read(bytes.NewReader(raw)); err == nil {
			t.Errorf("%s: read as %v %v", name, got.DType, got.Shape)
		}
	}
}

func arrays() []Array {
	return []Array{
		{"x", tensor.Of([]float32{1, -2.5, float32(math.Inf(1)), 4, 5, 6}, 2, 3)},
		{"y", tensor.Of([]int64{7, -8}, 2)},
		{"b", tensor.Of([]bool{true, false}, 2, 1)},
		{"h", tensor.Typed(tensor.Float16, []uint16{1, 2, 3}, 3)},
		{"s", tensor.Scalar(uint16(9))},
		{"a/b", tensor.Of([]float64{}, 0)},
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "all.npz")
	if err := WriteFile(p, arrays()...); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(p)
	if err != nil || len(got) != len(arrays()) {
		t.Fatalf("%d arrays, %v", len(got), err)
	}
	for i, a := range arrays() {
		if got[i].Name != a.Name {
			t.Errorf("array %d is %q", i, got[i].Name)
		}
		same(t, a.Name, got[i].Tensor, a.Tensor)
	}
	one := filepath.Join(dir, "one.npy")
	if err := WriteFile(one, arrays()[0]); err != nil {
		t.Fatal(err)
	}
	if got, err = ReadFile(one); err != nil || len(got) != 1 || got[0].Name != "" {
		t.Fatalf("%v, %v", got, err)
	}
	same(t, "one", got[0].Tensor, arrays()[0].Tensor)
	if err := WriteFile(one, arrays()...); err == nil {
		t.Error("many arrays fit one .npy file")
	}
	if err := WriteFile(filepath.Join(dir, "b.npy"), Array{"", tensor.New(tensor.BFloat16, 2)}); err == nil {
		t.Error("NumPy has bfloat16")
	}
	if err := WriteFile(filepath.Join(dir, "no", "x.npy"), arrays()[0]); err == nil {
		t.Error("a file in a folder that is not there")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%d files are left, want 2", len(left))
	}
	if _, err := ReadFile(filepath.Join(dir, "none.npz")); err == nil {
		t.Error("a missing file is read")
	}
}

// Compressed members, as numpy.savez_compressed writes them, and bad ones.
func TestArchives(t *testing.T) {
	zipped := func(method uint16, names ...string) []byte {
		var out bytes.Buffer
		zw := zip.NewWriter(&out)
		for _, n := range names {
			w, err := zw.CreateHeader(&zip.FileHeader{Name: n, Method: method})
			if err != nil {
				t.Fatal(err)
			}
			if err := Write(w, tensor.Of(make([]int32, 500), 500)); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(n, "long") {
				w.Write([]byte("more"))
			}
		}
		if err := zw.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	read := func(raw []byte) ([]Array, error) { return ReadArchive(bytes.NewReader(raw), int64(len(raw))) }
	if got, err := read(zipped(zip.Deflate, "a.npy", "readme.txt")); err != nil || len(got) != 1 || got[0].Tensor.Len() != 500 {
		t.Errorf("compressed: %v", err)
	}
	flipped := zipped(zip.Store, "a.npy")
	flipped[300] ^= 1
	for name, raw := range map[string][]byte{
		"twice": zipped(zip.Store, "a.npy", "a.npy"), "after the data": zipped(zip.Store, "long.npy"),
		"bit flip": flipped, "text": []byte("PK no"),
	} {
		if _, err := read(raw); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, a := range arrays() {
		var out bytes.Buffer
		if err := Write(&out, a.Tensor); err != nil {
			f.Fatal(err)
		}
		f.Add(out.Bytes())
	}
	f.Add(npy(1, head(">f4", "True", "(2, 2)"), make([]byte, 16)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := Read(bytes.NewReader(raw))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := Write(&out, a); err != nil {
			t.Fatal(err)
		}
		b, err := Read(&out)
		if err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Fatalf("%v %v does not survive: %v", a.DType, a.Shape, err)
		}
	})
}

func FuzzArchive(f *testing.F) {
	var out bytes.Buffer
	if err := WriteArchive(&out, arrays()); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := ReadArchive(bytes.NewReader(raw), int64(len(raw)))
		if err == nil && len(got) > maxArrays {
			t.Fatal("too many arrays")
		}
	})
}
