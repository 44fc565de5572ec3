package onnx

import (
	stdbytes "bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func write1(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// files lists a folder.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestGzip(t *testing.T) {
	var b stdbytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(relu()); err != nil {
		t.Fatal(err)
	}
	z.Close()
	path := filepath.Join(t.TempDir(), "m.onnx.gz")
	write1(t, path, b.Bytes())
	g, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	sameGraph(t, mustDecode(t, relu()), g)
	if _, err := Decode(b.Bytes()[:b.Len()-6]); err == nil || !strings.Contains(err.Error(), "gzip") {
		t.Errorf("a truncated gzip file: %v", err)
	}
}

func TestGzipBomb(t *testing.T) {
	var b stdbytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	if _, err := gunzip(b.Bytes(), 1<<20-1); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("error %v", err)
	}
	if out, err := gunzip(b.Bytes(), 1<<20); err != nil || len(out) != 1<<20 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// external makes a model whose weight w (3 floats) lies in another file.
func external(entries ...string) []byte {
	parts := []part{num(1, 3), num(2, 1), str(8, "w"), num(14, 1)}
	for i := 0; i < len(entries); i += 2 {
		parts = append(parts, sub(13, str(1, entries[i]), str(2, entries[i+1])))
	}
	return model(8, 13, value(11, "x", 3), value(12, "y", 3), sub(5, parts...), node("Add", "add", []string{"x", "w"}, []string{"y"}))
}

func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "model")
	if err := os.MkdirAll(filepath.Join(inside, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	weights := append([]byte("12345678"), f32(1, 2, 3).Bytes()...)
	write1(t, filepath.Join(inside, "w.bin"), weights)
	write1(t, filepath.Join(inside, "sub", "w.bin"), weights)
	write1(t, filepath.Join(dir, "secret.bin"), weights)
	if err := os.Symlink(filepath.Join(dir, "secret.bin"), filepath.Join(inside, "link.bin")); err != nil {
		t.Logf("no symbolic links here: %v", err)
	}
	path := filepath.Join(inside, "m.onnx")
	for _, c := range []struct {
		name    string
		entries []string
		want    string // in the error; "" for none
	}{
		{"in the folder", []string{"location", "w.bin", "offset", "8", "length", "12"}, ""},
		{"below it", []string{"location", "sub/w.bin", "offset", "8"}, ""},
		{"missing", []string{"location", "gone.bin"}, "must lie beside the model"},
		{"beyond the end", []string{"location", "w.bin", "offset", "12"}, "beyond its end"},
		{"negative offset", []string{"location", "w.bin", "offset", "-1"}, "beyond its end"},
		{"huge offset", []string{"location", "w.bin", "offset", "9223372036854775807"}, "beyond its end"},
		{"bad number", []string{"location", "w.bin", "offset", "eight"}, "offset"},
		{"wrong length", []string{"location", "w.bin", "length", "8"}, "the tensor needs 12"},
		{"outside", []string{"location", "../secret.bin"}, "outside the model's folder"},
		{"absolute", []string{"location", filepath.Join(dir, "secret.bin")}, "outside the model's folder"},
		{"by a link", []string{"location", "link.bin", "offset", "8"}, "external data"},
		{"a folder", []string{"location", "sub"}, "not a regular file"},
		{"nowhere", nil, "external data"},
	} {
		write1(t, path, external(c.entries...))
		g, err := Read(path)
		switch {
		case c.want == "":
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else if !g.Constants()[0].Data.Equal(f32(1, 2, 3)) {
				t.Errorf("%s: read %v", c.name, g.Constants()[0].Data.Any())
			}
		case err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: error %v, want one that says %q", c.name, err, c.want)
		}
	}
}

func TestExternalDataMayNotBeReadAgainAndAgain(t *testing.T) {
	dir := t.TempDir()
	write1(t, filepath.Join(dir, "w.bin"), make([]byte, 1000))
	var parts []part
	for i := range 3 {
		parts = append(parts, sub(5, num(1, 125), num(2, 1), str(8, string(rune('a'+i))), num(14, 1),
			sub(13, str(1, "location"), str(2, "w.bin")), sub(13, str(1, "offset"), str(2, string(rune('0'+i))))))
	}
	if _, err := Decode(model(8, 13, parts...), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("error %v", err)
	}
}

// wide is a model with one large and one small constant.
func wide(t *testing.T) *graph.Graph {
	g := graph.New("wide")
	x := g.AddInput("x", tensor.Float32, graph.Dims(1, 3))
	w, b := g.AddConst("w", noise(3, 1000)), g.AddConst("b", f32(1))
	y := g.Add("Add", "add", nil, g.Add("MatMul", "mm", nil, x, w), b)
	g.AddOutput(y)
	return g
}

func TestWriteExternal(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wide.onnx")
	g := wide(t)
	if err := Write(path, g, WriteOptions{External: true}); err != nil {
		t.Fatal(err)
	}
	list := files(t, dir)
	if len(list) != 2 || !strings.HasPrefix(list[0], "wide.") || !strings.HasSuffix(list[0], ".data") {
		t.Fatalf("files %v", list)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1000 {
		t.Errorf("the model itself: %v, %v", info.Size(), err)
	}
	h, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Value("w").Data.Equal(g.Value("w").Data) || !h.Value("b").Data.Equal(g.Value("b").Data) {
		t.Error("the weights differ")
	}
	if err := Write(path, h, WriteOptions{External: true}); err != nil || len(files(t, dir)) != 2 {
		t.Errorf("the same weights went to another file: %v %v", files(t, dir), err)
	}
}

func TestWriteReplacesOnlyWhenComplete(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	write1(t, path, []byte("precious"))
	g := mustDecode(t, relu())
	g.Nodes[0].Attrs["odd"] = struct{}{}
	if err := Write(path, g); err == nil || !strings.Contains(err.Error(), `attribute "odd"`) {
		t.Errorf("error %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" || len(files(t, dir)) != 1 {
		t.Errorf("a failed write left %q and %v", b, files(t, dir))
	}
	delete(g.Nodes[0].Attrs, "odd")
	if err := Write(path, g); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || len(files(t, dir)) != 1 {
		t.Errorf("mode %v, files %v, %v", info.Mode(), files(t, dir), err)
	}
	if err := Write(filepath.Join(dir, "missing", "m.onnx"), g); err == nil {
		t.Error("wrote into a folder that does not exist")
	}
	if err := Write(dir, g); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("wrote over a folder: %v", err)
	}
	link := filepath.Join(dir, "link.onnx")
	if os.Symlink("m.onnx", link) == nil {
		if err := Write(link, g); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("the link was replaced: %v %v", info.Mode(), err)
		}
	}
}

func TestReadErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none.onnx"), dir} {
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v", err)
		}
	}
}

// TestReadViewsTheFile checks that a large weight at an odd offset is the
// file's own bytes, not a copy.
func TestReadViewsTheFile(t *testing.T) {
	for shift := range 4 {
		g := wide(t)
		g.Name = strings.Repeat("x", shift)
		data := mustEncode(t, g)
		h, err := decode(data, true, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w := h.Value("w").Data
		if !w.Equal(g.Value("w").Data) {
			t.Errorf("shift %d: wrong elements", shift)
		}
		before := w.At(0)
		for i := range data {
			data[i] ^= 0x40
		}
		if w.At(0) == before {
			t.Errorf("shift %d: the weight was copied", shift)
		}
	}
}
