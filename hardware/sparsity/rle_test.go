package sparsity

import (
	"slices"
	"testing"
)

func TestEncode(t *testing.T) {
	values := []int{0, 0, 0, 0, 0, 7, 8, 0, 0, 9, 0, 0, 0, 0, 0}
	code, err := Encode(values, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := []Run[int]{{3, 0}, {1, 7}, {0, 8}, {2, 9}, {3, 0}}
	if !slices.Equal(code, want) {
		t.Errorf("%v, want %v", code, want)
	}
	back, err := Decode(code, len(values))
	if err != nil || !slices.Equal(back, values) {
		t.Errorf("%v, %v", back, err)
	}
	if _, err := Encode(values, 63); err == nil {
		t.Error("runs of 63 bits are accepted")
	}
	for _, bad := range [][]Run[int]{{{20, 1}}, {{14, 1}, {0, 1}}, {{^uint64(0), 1}}} {
		if _, err := Decode(bad, len(values)); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	if _, err := Decode([]Run[int]{}, -1); err == nil {
		t.Error("a negative length is accepted")
	}
}

// FuzzRuns: what is encoded comes back, in as many symbols as Format counts;
// and no code makes Decode fail other than with an error.
func FuzzRuns(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 2}, uint8(1))
	f.Add([]byte{}, uint8(0))
	f.Add(make([]byte, 100), uint8(5))
	f.Fuzz(func(t *testing.T, values []byte, bits uint8) {
		runBits := int(bits % 8)
		code, err := Encode(values, runBits)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(code, len(values))
		if err != nil || !slices.Equal(back, values) {
			t.Fatalf("%v came back as %v, %v", values, back, err)
		}
		mask := make(Mask, len(values))
		for i, v := range values {
			mask[i] = v != 0
		}
		format := Format{Coding: RunLength, Data: 1}
		format.Meta = runBits
		if got := format.BitsOf(mask) / int64(1+runBits); got != int64(len(code)) {
			t.Fatalf("%d symbols, counted %d", len(code), got)
		}
		wild := make([]Run[byte], 0, len(values))
		for _, v := range values {
			wild = append(wild, Run[byte]{uint64(v) << (bits % 57), v})
		}
		if out, err := Decode(wild, 2*len(values)); err == nil && len(out) != 2*len(values) {
			t.Fatalf("%d values, want %d", len(out), 2*len(values))
		}
	})
}
