package data

import (
	"context"
	"slices"
	"testing"
)

func TestSplits(t *testing.T) {
	ds := tiny(t, 10, 1, 1, 1, 10)
	for _, c := range []struct {
		split, name string
		want        []int32
	}{
		{"train", "train", []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"train[:3]", "train", []int32{0, 1, 2}},
		{"[8:]", "", []int32{8, 9}},
		{"test[90%:]", "test", []int32{9}},
		{"[-2:]", "", []int32{8, 9}},
		{"[::4]", "", []int32{0, 4, 8}},
		{"[2:100:5]", "", []int32{2, 7}},
	} {
		name, part, err := parseSplit(c.split)
		if err != nil {
			t.Fatal(err)
		}
		got, err := part.of(ds)
		if err != nil {
			t.Fatal(err)
		}
		if name != c.name || !slices.Equal(Labels(got), c.want) {
			t.Errorf("%s: %s %v", c.split, name, Labels(got))
		}
	}
	for _, bad := range []string{"", "train[", "train[1]", "[5:2]", "[101%:]", "[a:]", "[::0]", "[99999999999999999999:]", "a b"} {
		_, part, err := parseSplit(bad)
		if err == nil {
			_, err = part.of(ds)
		}
		if err == nil {
			t.Errorf("split %q passes", bad)
		}
	}
}

func TestSubsetAndMemory(t *testing.T) {
	ds := tiny(t, 10, 2, 2, 3, 10)
	sub := Subset(Subset(ds, []int{9, 5, 5, 1}), []int{3, 0})
	if got := Labels(sub); !slices.Equal(got, []int32{1, 9}) {
		t.Errorf("subset of a subset: %v", got)
	}
	if got := Labels(Spread(ds, 3)); !slices.Equal(got, []int32{0, 3, 6}) || Spread(ds, 99) != ds {
		t.Errorf("spread: %v", got)
	}
	slow := failing{ds, -1} // not in memory, as far as the package can tell
	mem, err := InMemory(context.Background(), slow, 0)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "InMemory", mem, ds)
	if again, err := InMemory(context.Background(), mem, 0); err != nil || again != mem {
		t.Error("a set in memory is copied")
	}
	if _, err := InMemory(context.Background(), slow, 100); err == nil {
		t.Error("120 bytes fit into 100")
	}
	if _, err := InMemory(context.Background(), failing{ds, 4}, 0); err == nil {
		t.Error("a broken picture passes")
	}
	a, err := Fingerprint(context.Background(), ds)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := Fingerprint(context.Background(), mem); a != b {
		t.Error("the fingerprint depends on where the pictures are")
	}
	if b, _ := Fingerprint(context.Background(), sub); a == b {
		t.Error("two sets have one fingerprint")
	}
	r, err := Check(context.Background(), ds)
	if err != nil || r.N != 10 || r.Count[3] != 1 || r.MinH != 2 || r.MaxW != 2 || len(r.Mean) != 3 || r.Fingerprint != a {
		t.Errorf("check: %+v, %v", r, err)
	}
}
