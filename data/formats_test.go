package data

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/drawknife/drawknife/data/npz"
	"github.com/drawknife/drawknife/tensor"
)

// write puts files into a folder.
func write(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// pngOf is a PNG of one colour.
func pngOf(t testing.TB, h, w int, r, g, b uint8) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetRGBA(x, y, color.RGBA{r, g, b, 255})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, m); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// cifarFile is n records with labels 0, 1, … and pixels that differ by record.
func cifarFile(n, labelBytes, first int) []byte {
	var out []byte
	for i := range n {
		out = append(out, bytes.Repeat([]byte{0}, labelBytes-1)...)
		out = append(out, byte((first+i)%10))
		for p := range cifarPixels {
			out = append(out, byte(p/cifarPlane*50+first+i))
		}
	}
	return out
}

func gzipped(t *testing.T, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	if _, err := zw.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type file struct {
	name string
	body []byte
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var out bytes.Buffer
	tw := tar.NewWriter(&out)
	for _, f := range files {
		if err := tw.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.body)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCIFARForms(t *testing.T) {
	dir := t.TempDir()
	bin, archive, hundred := filepath.Join(dir, "bin"), filepath.Join(dir, "archive"), filepath.Join(dir, "hundred")
	files := map[string][]byte{"test_batch.bin": cifarFile(3, 1, 50)}
	var members []file
	for i := 5; i >= 1; i-- { // the order of the archive must not matter
		name := fmt.Sprintf("data_batch_%d.bin", i)
		files[name] = cifarFile(2, 1, 2*i)
		members = append(members, file{"cifar-10-batches-bin/" + name, files[name]})
	}
	write(t, bin, files)
	write(t, archive, map[string][]byte{"cifar-10-binary.tar.gz": gzipped(t, tarOf(t, members...))})
	write(t, hundred, map[string][]byte{"cifar-100-binary/train.bin": cifarFile(4, 2, 0), "cifar-100-binary/test.bin": cifarFile(1, 2, 7)})
	for _, c := range []struct {
		spec  string
		n     int
		label int
		g     uint8
	}{
		{"cifar10:" + bin + "@train", 10, 3, 53},
		{"cifar10:" + archive + "@train", 10, 3, 53},
		{filepath.Join(archive, "cifar-10-binary.tar.gz") + "@train", 10, 3, 53},
		{bin, 3, 1, 101},
		{"cifar10:" + bin + "@train[-3:]", 3, 0, 60},
		{"cifar100:" + hundred + "@train", 4, 1, 51},
	} {
		ds, err := Open(c.spec, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		var s Sample
		if err := ds.Read(1, &s); err != nil {
			t.Fatal(err)
		}
		if ds.Len() != c.n || s.Label != c.label || s.H != 32 || s.W != 32 || s.C != 3 || s.Pix[4] != c.g {
			t.Errorf("%s: %d pictures; picture 1 has label %d, green %d", c.spec, ds.Len(), s.Label, s.Pix[4])
		}
	}
}

func TestIDXForms(t *testing.T) {
	ds := tiny(t, 6, 5, 4, 1, 3)
	var both bytes.Buffer
	if err := WriteIDX(&both, ds); err != nil {
		t.Fatal(err)
	}
	images, labels := both.Bytes()[:16+6*20], both.Bytes()[16+6*20:]
	dir := t.TempDir()
	plain, zipped := filepath.Join(dir, "plain"), filepath.Join(dir, "fashion")
	write(t, plain, map[string][]byte{"t10k-images-idx3-ubyte": images, "t10k-labels-idx1-ubyte": labels})
	write(t, zipped, map[string][]byte{"train-images-idx3-ubyte.gz": gzipped(t, images), "train-labels-idx1-ubyte.gz": gzipped(t, labels)})
	write(t, dir, map[string][]byte{"fashion-mnist-tiny.idx.gz": gzipped(t, both.Bytes()), "other.idx": both.Bytes()})
	for _, c := range []struct{ spec, class string }{
		{"mnist:" + plain, "1"},
		{"fashion-mnist:" + zipped + "@train", "Trouser"},
		{zipped + "@train", "Trouser"},
		{filepath.Join(dir, "fashion-mnist-tiny.idx.gz"), "Trouser"},
		{filepath.Join(dir, "other.idx"), "1"},
	} {
		got, err := Open(c.spec, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		same(t, c.spec, got, ds)
		if got.Classes()[1] != c.class {
			t.Errorf("%s: class 1 is %s, want %s", c.spec, got.Classes()[1], c.class)
		}
	}
	embedded, err := OpenFS(fstest.MapFS{"mnist-x.idx.gz": {Data: gzipped(t, both.Bytes())}}, "mnist-x.idx.gz")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "OpenFS", embedded, ds)
}

// same compares the pictures and labels of two data sets.
func same(t *testing.T, name string, got, want Dataset) {
	t.Helper()
	if got.Len() != want.Len() {
		t.Fatalf("%s: %d pictures, want %d", name, got.Len(), want.Len())
	}
	var a, b Sample
	for i := range got.Len() {
		if err := got.Read(i, &a); err != nil {
			t.Fatal(err)
		}
		if err := want.Read(i, &b); err != nil {
			t.Fatal(err)
		}
		if a.Label != b.Label || a.H != b.H || a.W != b.W || a.C != b.C || !bytes.Equal(a.Pix, b.Pix) || !slices.Equal(a.Float, b.Float) {
			t.Fatalf("%s: picture %d differs", name, i)
		}
	}
}

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	red, blue := pngOf(t, 3, 5, 200, 0, 0), pngOf(t, 4, 2, 0, 0, 99)
	write(t, dir, map[string][]byte{
		"byclass/val/cat/a.png": red, "byclass/val/dog/x/b.png": blue, "byclass/val/dog/notes.md": nil, "byclass/train/cat/c.png": red,
		"numbers/10/a.png": red, "numbers/9/b.png": blue,
		"ids/n00000002/a.png": red, "ids/n00000001/b.png": blue, "ids/classes.tsv": []byte("index\twnid\tnames\n0\tn00000009\tbird\n1\tn00000002\tcat\n2\tn00000001\tdog\n"),
		"table/a.png": red, "table/b.png": blue, "table/extra.png": red,
		"table/labels.csv": []byte("label,file,index\n\"a, cat\",a.png,1\ndog,b.png,0\n"),
		"words/a.png":      red, "words/b.png": blue, "words.tsv": []byte("b.png\tzebra\na.png\tant\n"),
		"named/012_n01440764.png": red, "named/003_n01440765.png": blue,
		"flat/a.png": red, "flat/b.png": blue,
		"only/train/x/a.png": red,
	})
	for _, c := range []struct {
		spec    string
		names   string
		labels  []int32
		classes string
	}{
		{"byclass", "cat/a.png dog/x/b.png", []int32{0, 1}, "cat dog"},
		{"byclass@train", "cat/c.png", []int32{0}, "cat"},
		{"numbers", "10/a.png 9/b.png", []int32{10, 9}, "0 1 2 3 4 5 6 7 8 9 10"},
		{"ids", "n00000001/b.png n00000002/a.png", []int32{2, 1}, "bird cat dog"},
		{"table", "a.png b.png", []int32{1, 0}, "dog a, cat"},
		{"table/labels.csv", "a.png b.png", []int32{1, 0}, "dog a, cat"},
		{"words", "a.png b.png", []int32{0, 1}, "ant zebra"},
		{"named", "003_n01440765.png 012_n01440764.png", []int32{3, 12}, "0 1 2 3 4 5 6 7 8 9 10 11 12"},
		{"flat", "a.png b.png", []int32{-1, -1}, ""},
		{"flat/a.png", "a.png", []int32{-1}, ""},
		{"flat@[1:]", "b.png", []int32{-1}, ""},
	} {
		ds, err := Open(filepath.Join(dir, c.spec), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		var names []string
		var s Sample
		for i := range ds.Len() {
			names = append(names, Name(ds, i))
			if err := ds.Read(i, &s); err != nil {
				t.Fatal(err)
			}
			if s.Label != int(c.labels[i]) {
				t.Errorf("%s: picture %d has label %d", c.spec, i, s.Label)
			}
			if isRed := s.Pix[0] == 200 && s.H == 3 && s.W == 5; isRed != strings.ContainsAny(filepath.Base(names[i])[:1], "ac") && c.spec != "named" {
				t.Errorf("%s: picture %d is not the one of its name", c.spec, i)
			}
		}
		if got := strings.Join(names, " "); got != c.names || !slices.Equal(Labels(ds), c.labels) {
			t.Errorf("%s: %s %v, want %s %v", c.spec, got, Labels(ds), c.names, c.labels)
		}
		if got := strings.Join(ds.Classes(), " "); got != c.classes {
			t.Errorf("%s: classes %q, want %q", c.spec, got, c.classes)
		}
	}
	for _, spec := range []string{"byclass@test2", "only", "numbers@train", "missing"} {
		if _, err := Open(filepath.Join(dir, spec), Options{}); err == nil {
			t.Errorf("%s opens", spec)
		}
	}
}

func TestTars(t *testing.T) {
	dir := t.TempDir()
	red, blue := pngOf(t, 3, 5, 200, 0, 0), pngOf(t, 4, 2, 0, 0, 99)
	write(t, dir, map[string][]byte{
		"web.tar":     tarOf(t, file{"d/a.png", red}, file{"d/a.txt", []byte("a cat")}, file{"d/a.cls", []byte("3\n")}, file{"d/b.json", []byte(`{"label": 1}`)}, file{"d/b.png", blue}),
		"s/0.tar":     tarOf(t, file{"a.png", red}, file{"a.cls", []byte("0")}),
		"s/1.tar":     tarOf(t, file{"a.png", blue}, file{"a.cls", []byte("1")}),
		"table.tar":   tarOf(t, file{"a.png", red}, file{"b.png", blue}),
		"table.tsv":   []byte("file\tindex\tlabel\nb.png\t4\tdog\na.png\t2\tcat\n"),
		"folders.tar": tarOf(t, file{"v/cat/a.png", red}, file{"v/dog/b.png", blue}),
		"half.tar":    tarOf(t, file{"a.png", red}, file{"a.cls", []byte("0")}, file{"b.png", blue}),
		"bad.tar":     tarOf(t, file{"a.png", red}, file{"a.cls", []byte("-1")}),
		"cut.tar":     tarOf(t, file{"a.png", red}, file{"b.png", make([]byte, 5000)})[:3000],
		"empty.tar":   tarOf(t),
		"zip.tar":     gzipped(t, tarOf(t, file{"a.png", red})),
		"missing.tar": tarOf(t, file{"a.png", red}),
		"missing.tsv": []byte("a.png\t0\nz.png\t1\n"),
		"broken.tar":  tarOf(t, file{"a.png", red}, file{"b.png", blue[:40]}),
	})
	for _, c := range []struct {
		spec   string
		labels []int32
	}{
		{"web.tar", []int32{3, 1}},
		{"s", []int32{0, 1}},
		{"s/*.tar", []int32{0, 1}},
		{"table.tar", []int32{2, 4}},
		{"folders.tar", []int32{0, 1}},
		{"table.tar@[1:2]", []int32{4}},
	} {
		ds, err := Open(filepath.Join(dir, c.spec), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		if got := Labels(ds); !slices.Equal(got, c.labels) {
			t.Errorf("%s: labels %v, want %v", c.spec, got, c.labels)
		}
		var s Sample
		if err := ds.Read(ds.Len()-1, &s); err != nil || s.H != 4 || s.W != 2 || s.Pix[2] != 99 {
			t.Errorf("%s: the last picture is %dx%d, %v", c.spec, s.H, s.W, err)
		}
	}
	for spec, want := range map[string]string{
		"half.tar": "b.png has no label", "bad.tar": "out of range", "cut.tar": "cut.tar", "empty.tar": "empty data set",
		"zip.tar": "gunzip", "missing.tar": "z.png", "web.tar@train": "no split",
	} {
		if _, err := Open(filepath.Join(dir, spec), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", spec, err, want)
		}
	}
	ds, err := Open(filepath.Join(dir, "broken.tar"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Check(context.Background(), ds)
	if err != nil || r.Broken != 1 || !strings.Contains(r.Errors[0], "b.png") || r.Unlabelled != 2 {
		t.Errorf("check of a broken tar: %+v, %v", r, err)
	}
}

func TestArrays(t *testing.T) {
	dir := t.TempDir()
	save := func(name string, arrays ...npz.Array) string {
		p := filepath.Join(dir, name)
		if err := npz.WriteFile(p, arrays...); err != nil {
			t.Fatal(err)
		}
		return p
	}
	seq := func(n int) []uint8 {
		v := make([]uint8, n)
		for i := range v {
			v[i] = uint8(i)
		}
		return v
	}
	y := npz.Array{Name: "y", Tensor: tensor.Of([]int64{1, 0}, 2)}
	for _, c := range []struct {
		path    string
		h, w, c int
		second  float32 // value 1 of picture 1 as [C, H, W] or [H, W, C]
	}{
		{save("last.npz", npz.Array{Name: "x", Tensor: tensor.Of(seq(2*4*5*3), 2, 4, 5, 3)}, y), 4, 5, 3, 61},
		{save("first.npz", npz.Array{Name: "images", Tensor: tensor.Of(seq(2*3*4*5), 2, 3, 4, 5)}, y), 4, 5, 3, 80},
		{save("gray.npz", npz.Array{Name: "x_test", Tensor: tensor.Of(seq(2*4*5), 2, 4, 5)}, npz.Array{Name: "y_test", Tensor: tensor.Of([]uint8{1, 0}, 2, 1)}), 4, 5, 1, 21},
		{save("float.npz", npz.Array{Name: "x", Tensor: tensor.Of([]float64{0, 1, 2, 3, 4, 5, 6, 7}, 2, 2, 1, 2)}, y), 1, 2, 2, 5},
	} {
		ds, err := Open(c.path, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		var s Sample
		if err := ds.Read(1, &s); err != nil {
			t.Fatal(err)
		}
		v := float32(0)
		if s.Float != nil {
			v = s.Float[1]
		} else {
			v = float32(s.Pix[1])
		}
		if ds.Len() != 2 || !slices.Equal(Labels(ds), []int32{1, 0}) || s.H != c.h || s.W != c.w || s.C != c.c || v != c.second {
			t.Errorf("%s: %d pictures %v of %dx%dx%d, second value %v", c.path, ds.Len(), Labels(ds), s.H, s.W, s.C, v)
		}
	}
	bare := save("bare.npy", npz.Array{Tensor: tensor.Of(seq(8), 2, 2, 2)})
	if ds, err := Open(bare, Options{}); err != nil || ds.Label(0) != -1 {
		t.Errorf("bare array: %v", err)
	}
	for name, arrays := range map[string][]npz.Array{
		"nox.npz":   {y},
		"short.npz": {{Name: "x", Tensor: tensor.Of(seq(12), 3, 2, 2)}, y},
		"half.npz":  {{Name: "x", Tensor: tensor.Of(seq(8), 2, 2, 2)}, {Name: "y", Tensor: tensor.Of([]float32{0.5, 1}, 2)}},
		"five.npz":  {{Name: "x", Tensor: tensor.Of(seq(2), 2, 1, 1, 1, 1)}},
		"empty.npz": {{Name: "x", Tensor: tensor.Of([]uint8{}, 0, 2, 2)}},
	} {
		if _, err := Open(save(name, arrays...), Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	label10 := cifarFile(2, 1, 0)
	label10[3073] = 10
	var idx bytes.Buffer
	if err := WriteIDX(&idx, tiny(t, 3, 2, 2, 1, 3)); err != nil {
		t.Fatal(err)
	}
	huge := append([]byte{0, 0, 8, 3}, bytes.Repeat([]byte{0x7f, 0xff, 0xff, 0xff}, 3)...)
	write(t, dir, map[string][]byte{
		"label/test_batch.bin": label10,
		"cut/test_batch.bin":   cifarFile(2, 1, 0)[:5000],
		"empty/test_batch.bin": nil,
		"sheet/test_batch.png": pngOf(t, 10, 10, 1, 2, 3),
		"sheet/labels.bin":     make([]byte, 60000),
		"few/test_batch.png":   pngOf(t, 10, 10, 1, 2, 3),
		"few/labels.bin":       make([]byte, 10),
		"cut.idx":              idx.Bytes()[:20],
		"huge.idx":             huge,
		"type.idx":             append([]byte{0, 0, 13, 3}, idx.Bytes()[4:]...),
		"text.idx":             []byte("hello, this is not an array"),
		"tiny.idx":             {0, 0},
		"none/readme.md":       nil,
		"what.xyz":             nil,
	})
	for spec, want := range map[string]string{
		"label": "record 1: label 10", "cut": "record 1: has 1927 of 3073 bytes", "empty": "empty file",
		"sheet": "10x10", "few": "10 bytes", "cut.idx": "record 1 of 3", "huge.idx": "too large", "type.idx": "0x0d",
		"text.idx": "not an IDX", "tiny.idx": "header", "none": "empty data set", "what.xyz": "what.xyz",
		"nothing": "neither", "label@train[": "split", "label@val": "no split",
	} {
		if _, err := Open(filepath.Join(dir, spec), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", spec, err, want)
		}
	}
	if _, err := Open("", Options{}); err == nil {
		t.Error("an empty spec opens")
	}
	t.Setenv("DRAWKNIFE_DATA", dir)
	if _, err := Open("cifar10:"+dir, Options{}); err == nil || !strings.Contains(err.Error(), "data download cifar10") {
		t.Errorf("a missing data set: %v", err)
	}
}
