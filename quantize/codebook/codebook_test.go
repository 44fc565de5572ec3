package codebook

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

func TestRate(t *testing.T) {
	for _, c := range []struct {
		n, k int
		want float64
	}{{16, 4, 3.2}, {34_848, 256, 3.8858}, {37_748_736, 32, 6.39997}} {
		if got := Rate(c.n, c.k, 32); math.Abs(got-c.want) > 1e-4 {
			t.Errorf("n=%d, k=%d: %.5f, want %.5f", c.n, c.k, got, c.want)
		}
	}
}

func TestLengths(t *testing.T) {
	if got := Lengths([]int{4, 3, 2, 1}); !slices.Equal(got, []uint8{1, 2, 3, 3}) {
		t.Errorf("lengths %v, want 1, 2, 3, 3", got)
	}
	if got := Lengths([]int{0, 7}); !slices.Equal(got, []uint8{0, 1}) {
		t.Errorf("one symbol: %v", got)
	}
}

func TestCluster(t *testing.T) {
	w := []float32{0, 1, 1, -2, 0, 1, 0.5}
	book, index := Cluster(w, 4)
	for i, v := range w {
		if book[index[i]] != v {
			t.Errorf("few distinct values: %g became %g", v, book[index[i]])
		}
	}
	book, index = Cluster([]float32{.1, .11, .12, 5, 5.1, 5.2, 0}, 3)
	if len(book) != 3 || book[0] != 0 || math.Abs(float64(book[1])-.11) > 1e-6 || math.Abs(float64(book[2])-5.1) > 1e-6 || index[6] != 0 {
		t.Errorf("two clusters and a zero: %v, %v", book, index)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	normal := make([]float32, 4000)
	for i := range normal {
		normal[i] = float32(rng.NormFloat64())
	}
	last := 0.0
	for _, k := range []int{4, 16, 64} {
		book, index := Cluster(normal, k)
		if len(book) > k || !slices.IsSorted(book) {
			t.Fatalf("%d values, want %d, in order", len(book), k)
		}
		if s := sqnr(normal, book, index); s < last+6 {
			t.Errorf("%d values give %.1f dB after %.1f", k, s, last)
		} else {
			last = s
		}
	}
}

// TestGaps bridges long runs of zeros.
func TestGaps(t *testing.T) {
	index := make([]uint8, 75)
	index[0], index[40], index[74] = 3, 1, 2
	gaps, symbols := Gaps(index)
	if !slices.Equal(gaps, []uint8{0, filler, 39 - filler, filler, 33 - filler}) || !slices.Equal(symbols, []uint8{3, 1, 2}) {
		t.Errorf("gaps %v, symbols %v", gaps, symbols)
	}
}

func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, sparsity := range []float64{0, 0.5, 0.95, 1} {
		for _, k := range []int{1, 2, 16, 256} {
			w := make([]float32, 3000)
			for i := range w {
				if rng.Float64() >= sparsity {
					w[i] = float32(rng.NormFloat64())
				}
			}
			book, index := Cluster(w, k)
			stream, err := Encode(book, index)
			if err != nil {
				t.Fatal(err)
			}
			b, x, err := Decode(stream)
			if err != nil || !slices.Equal(b, book) || !slices.Equal(x, index) {
				t.Fatalf("sparsity %g, k=%d: not what it was (%v)", sparsity, k, err)
			}
			if sparsity == 0.95 && k == 16 && len(stream) > 3000*4/20 {
				t.Errorf("95 %% zeros and 16 values take %d bytes of %d", len(stream), 3000*4)
			}
		}
	}
	if _, err := Encode(nil, nil); err == nil {
		t.Error("no values: no error")
	}
}

func FuzzDecode(f *testing.F) {
	for _, w := range [][]float32{{1, 2, 3}, {0, 0, 1, 0, 5}, {0}} {
		book, index := Cluster(w, 4)
		s, err := Encode(book, index)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 4 && b[3] > 0 {
			return // more than 16 million weights
		}
		book, index, err := Decode(b)
		if err != nil {
			return
		}
		for _, i := range index {
			if int(i) >= len(book) {
				t.Fatalf("index %d of %d values", i, len(book))
			}
		}
	})
}

func TestShare(t *testing.T) {
	g, err := zoo.Build("lenet5?size=16&classes=4", 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := method.New[*Sharing](method.Quantize, "deep-compression:conv=6,fc=8")
	if err != nil {
		t.Fatal(err)
	}
	q, r, err := s.Share(g)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Layers) != 5 || r.Bytes >= r.Float/3 {
		t.Errorf("%d layers, %d bytes of %d", len(r.Layers), r.Bytes, r.Float)
	}
	x := tensor.New(tensor.Float32, 2, g.Inputs[0].Shape[1].Size, 16, 16)
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = float32(i%7) - 3
	}
	run := func(g *graph.Graph) []float32 {
		out, err := engine.NewModel(g, engine.Options{Threads: 1}).Run(context.Background(), map[string]*tensor.Tensor{g.Inputs[0].Name: x})
		if err != nil {
			t.Fatal(err)
		}
		return out[g.Outputs[0].Name].Float32s()
	}
	a, b := run(g), run(q)
	for i := range a {
		if math.Abs(float64(a[i]-b[i])) > 0.2*max(1, math.Abs(float64(a[i]))) {
			t.Errorf("output %d is %g, was %g", i, b[i], a[i])
		}
	}
	for _, spec := range []string{"deep-compression:conv=9", "deep-compression:fc=x"} {
		if _, err := method.New[*Sharing](method.Quantize, spec); err == nil {
			t.Errorf("%s: no error", spec)
		}
	}
}
