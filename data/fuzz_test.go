package data

import (
	"bytes"
	"image"
	"image/jpeg"
	"strings"
	"testing"
)

// use reads what a fuzzed file gave.
func use(t *testing.T, ds Dataset) {
	if ds.Len() == 0 {
		t.Fatal("an empty data set was accepted")
	}
	var s Sample
	for _, i := range []int{0, ds.Len() - 1} {
		if err := ds.Read(i, &s); err != nil {
			continue
		}
		if len(s.Pix) != s.H*s.W*s.C || s.Label < -1 || s.Label >= max(len(ds.Classes()), 0) {
			t.Fatalf("picture %d: %d bytes, %dx%dx%d, label %d", i, len(s.Pix), s.H, s.W, s.C, s.Label)
		}
	}
}

func FuzzIDX(f *testing.F) {
	var out bytes.Buffer
	if err := WriteIDX(&out, tiny(f, 3, 4, 5, 1, 3)); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add([]byte{0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9, 0, 0, 8, 1, 0, 0, 0, 1, 255})
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if ds, err := readIDXSingle(bytes.NewReader(raw), "fuzz"); err == nil {
			use(t, ds)
		}
	})
}

func FuzzCIFAR(f *testing.F) {
	f.Add(cifarFile(2, 1, 3), true)
	f.Add(cifarFile(1, 2, 3), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, raw []byte, ten bool) {
		form := &cifar100Form
		if ten {
			form = &cifar10Form
		}
		var b cifarBuilder
		if err := b.add(form, "fuzz", bytes.NewReader(raw)); err == nil {
			ds, err := b.dataset(form)
			if err != nil {
				t.Fatal(err)
			}
			use(t, ds)
		}
	})
}

func FuzzTar(f *testing.F) {
	f.Add(tarOf(f, file{"a.png", pngOf(f, 2, 2, 1, 2, 3)}, file{"a.cls", []byte("3")}, file{"a.json", []byte(`{"label":1}`)}))
	f.Add(tarOf(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ix, err := readTarIndex(bytes.NewReader(raw), "fuzz")
		if err != nil {
			return
		}
		for i, m := range ix.members {
			if m.offset < 0 || m.size < 0 || m.offset+m.size > int64(len(raw)) {
				t.Fatalf("%s: %d bytes at %d of %d", ix.names[i], m.size, m.offset, len(raw))
			}
		}
	})
}

func FuzzLabels(f *testing.F) {
	f.Add("file\tindex\tlabel\na.jpg\t3\tcat\nb.jpg\t0\tdog\n", false)
	f.Add("label,file,index\n\"a, b\",x.png,7\n", true)
	f.Add("a.png\tdog\nb.png\tcat\n", false)
	f.Fuzz(func(t *testing.T, text string, csv bool) {
		name := "labels.tsv"
		if csv {
			name = "labels.csv"
		}
		table, err := readLabelTable(strings.NewReader(text), name)
		if err == nil {
			for _, file := range table.order {
				if k, ok := table.find(file); !ok || k < 0 || k >= maxClasses {
					t.Fatalf("%q: class %d, %v", file, k, ok)
				}
			}
		}
		if classes, err := readClassTable(strings.NewReader(text), name); err == nil && len(classes.names) == 0 {
			t.Fatal("no classes")
		}
		if k, err := parseLabel([]byte(text)); err == nil && (k < 0 || k >= maxClasses) {
			t.Fatalf("label %d", k)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(pngOf(f, 3, 4, 1, 2, 3))
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, image.NewRGBA(image.Rect(0, 0, 5, 3)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(photo.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s Sample
		if err := Decode(raw, &s); err == nil && (len(s.Pix) != s.H*s.W*s.C || len(s.Pix) == 0) {
			t.Fatalf("%d bytes for %dx%dx%d", len(s.Pix), s.H, s.W, s.C)
		}
	})
}

// What parses is written back as something that parses to the same.
func FuzzSpecs(f *testing.F) {
	f.Add("imagenet crop=224 size=128x96", "crop4,flip,cutout8", "train[:45000]")
	f.Add("mean=1,2,3 std=4 color=bgr layout=nhwc", "rrc,jitter0.4,mixup1", "[10%:-5:3]")
	f.Fuzz(func(t *testing.T, pre, aug, split string) {
		if p, err := ParsePreprocess(pre); err == nil {
			if q, err := ParsePreprocess(p.String()); err != nil || q.String() != p.String() {
				t.Fatalf("%q: %v becomes %v, %v", pre, p, q, err)
			}
		}
		if a, err := ParseAugment(aug); err == nil {
			if b, err := ParseAugment(a.String()); err != nil || a != b {
				t.Fatalf("%q: %v becomes %v, %v", aug, a, b, err)
			}
		}
		if _, part, err := parseSplit(split); err == nil {
			if ds, err := part.of(tiny(t, 7, 1, 1, 1, 7)); err == nil && (ds.Len() < 1 || ds.Len() > 7) {
				t.Fatalf("%q: %d pictures", split, ds.Len())
			}
		}
	})
}
