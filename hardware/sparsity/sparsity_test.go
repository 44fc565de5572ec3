package sparsity

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/tensor"
)

func rng() *rand.Rand { return rand.New(rand.NewPCG(6, 9)) }

// near demands a relative difference of at most tol.
func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if math.Abs(got-want) > tol*math.Max(math.Abs(want), 1e-12) {
		t.Errorf("%s: %v, want %v within %v", what, got, want, tol)
	}
}

// shuffled is a mask with exactly nz non-zeros in n places.
func shuffled(r *rand.Rand, n, nz int) Mask {
	m := make(Mask, n)
	for i := range nz {
		m[i] = true
	}
	r.Shuffle(n, func(i, j int) { m[i], m[j] = m[j], m[i] })
	return m
}

// compare holds a distribution to samples.
func compare(t *testing.T, what string, d Dist, samples []int) {
	t.Helper()
	sum, square, empty := 0.0, 0.0, 0.0
	for _, s := range samples {
		sum += float64(s)
		square += float64(s) * float64(s)
		if s == 0 {
			empty++
		}
	}
	n := float64(len(samples))
	mean := sum / n
	near(t, what+": mean", mean, d.Mean(), 0.02)
	near(t, what+": variance", square/n-mean*mean+1, d.Variance()+1, 0.05)
	if math.Abs(empty/n-d.Empty()) > 0.01 {
		t.Errorf("%s: %v of the tiles are empty, want %v", what, empty/n, d.Empty())
	}
	total := 0.0
	for _, p := range d.P {
		total += p
	}
	near(t, what+": sum", total, 1, 1e-12)
}

func TestModelsAgainstSamples(t *testing.T) {
	r := rng()
	const rounds = 20000
	draw := func(f func() int) []int {
		s := make([]int, rounds)
		for i := range s {
			s[i] = f()
		}
		return s
	}
	pool := shuffled(r, 64, 20)
	compare(t, "uniform", Uniform{64, 20}.Tile(10), draw(func() int {
		r.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
		return pool[:10].NonZeros()
	}))
	compare(t, "binomial", Binomial(0.3).Tile(12), draw(func() int {
		n := 0
		for range 12 {
			if r.Float64() < 0.3 {
				n++
			}
		}
		return n
	}))
	compare(t, "structured", Structured{2, 4}.Tile(10), draw(func() int {
		return 4 + shuffled(r, 4, 2)[:2].NonZeros()
	}))
	for _, tile := range []int{2, 4, 6, 7, 12} {
		blocks := make(Mask, 0, 16*rounds)
		for range 4 * rounds {
			keep := r.Float64() < 0.4
			blocks = append(blocks, keep, keep, keep, keep)
		}
		counts := blocks.Counts(tile)
		compare(t, "block", Block{4, 0.4}.Tile(tile), counts[:len(counts)-1])
	}
}

// TestEmpty holds the chance of an empty tile to the closed forms.
func TestEmpty(t *testing.T) {
	choose := func(n, k int) float64 {
		c := 1.0
		for i := range k {
			c *= float64(n-i) / float64(i+1)
		}
		return c
	}
	near(t, "uniform", Uniform{30, 6}.Tile(5).Empty(), choose(25, 6)/choose(30, 6), 1e-12)
	near(t, "binomial", Binomial(0.2).Tile(5).Empty(), math.Pow(0.8, 5), 1e-12)
	if e := (Structured{2, 4}).Tile(4).Empty(); e != 0 {
		t.Errorf("a whole group of 2:4 is empty with probability %v", e)
	}
	near(t, "part of a group", Structured{1, 4}.Tile(3).Empty(), 0.25, 1e-12)
	near(t, "block", Block{8, 0.25}.Tile(16).Empty(), 0.75*0.75, 1e-12)
	near(t, "uniform tends to binomial", Uniform{1 << 30, 1 << 28}.Tile(9).Empty(), Binomial(0.25).Tile(9).Empty(), 1e-6)
}

func TestExtremes(t *testing.T) {
	for _, c := range []struct {
		model Model
		tile  int
		want  int
	}{
		{Uniform{100, 0}, 7, 0}, {Uniform{100, 100}, 7, 7}, {Uniform{100, 30}, 100, 30}, {Uniform{100, 30}, 1000, 30}, {Uniform{0, 0}, 3, 0},
		{Binomial(0), 9, 0}, {Binomial(1), 9, 9}, {Binomial(0.5), 0, 0}, {Structured{2, 4}, 12, 6}, {Structured{2, 4}, 0, 0},
		{Block{4, 1}, 6, 6}, {Block{4, 0}, 6, 0}, {Banded{5, 5, 9}, 5, 5}, {Mask{}, 4, 0}, {Mask{true, false}, 2, 1}, {UniformOf(10, 0.34), 10, 3},
	} {
		if d := c.model.Tile(c.tile); len(d.P) != 1 || d.Low != c.want {
			t.Errorf("%#v: a tile of %d has %v non-zeros, want exactly %d", c.model, c.tile, d, c.want)
		}
	}
}

func TestBanded(t *testing.T) {
	b := Banded{Rows: 4, Cols: 4, Half: 1}
	near(t, "density", b.Density(), 10.0/16, 1e-12)
	// Rows 1100, 1110, 0111, 0011 in halves: 2 0 2 1 1 2 0 2.
	d := b.Tile(2)
	for k, want := range []float64{0.25, 0.25, 0.5} {
		near(t, "half a row", d.At(k), want, 1e-12)
	}
}

func TestDensities(t *testing.T) {
	for want, m := range map[float64]Model{0.25: Uniform{8, 2}, 0.3: Binomial(0.3), 0.5: Structured{2, 4}, 0.4: Block{4, 0.4}, 0.75: Mask{true, true, true, false}} {
		near(t, "density", m.Density(), want, 1e-12)
		near(t, "mean of a whole tile", m.Tile(4).Mean(), 4*want, 1e-9)
	}
}

// TestSlowest compares the expected maximum with drawing it.
func TestSlowest(t *testing.T) {
	r := rng()
	pick := func(d Dist) int {
		u := r.Float64()
		for i, p := range d.P {
			if u -= p; u < 0 {
				return d.Low + i
			}
		}
		return d.High()
	}
	cases := map[string][]Workers{
		"16 alike":       {{Binomial(0.3).Tile(64), 1, 16}},
		"sums of steps":  {{Uniform{4096, 900}.Tile(144).Ceil(16), 5, 16}},
		"two kinds":      {{Binomial(0.5).Tile(8), 3, 4}, {Binomial(0.5).Tile(8), 2, 12}},
		"nobody":         {{Binomial(0.5).Tile(8), 3, 0}},
		"one and nobody": {{Binomial(0.5).Tile(8), 3, 1}, {Certain(90), 2, 0}},
	}
	for name, groups := range cases {
		const rounds = 4000
		sum := 0.0
		for range rounds {
			slowest := 0
			for _, g := range groups {
				for range g.Count {
					work := 0
					for range g.Steps {
						work += pick(g.Work)
					}
					slowest = max(slowest, work)
				}
			}
			sum += float64(slowest)
		}
		near(t, name, Slowest(groups...), sum/rounds, 0.01)
	}
}

// TestSlowestNormal compares the normal approximation with exact sums where
// both can be had.
func TestSlowestNormal(t *testing.T) {
	for _, count := range []int{1, 2, 16, 192} {
		g := []Workers{{Binomial(0.3).Tile(100), 40, count}, {Binomial(0.3).Tile(100), 39, 3}}
		near(t, "normal", slowestNormal(g), slowestExact(g), 1e-3)
	}
	wide := Workers{Binomial(0.5).Tile(1 << 20), 1 << 20, 16}
	if got, mean := Slowest(wide), math.Exp2(39); got < mean || got > mean*1.0001 {
		t.Errorf("the slowest of sums with mean %v takes %v", mean, got)
	}
}

func TestCeilAndTimes(t *testing.T) {
	d := Dist{3, []float64{0.1, 0.2, 0.3, 0.4}} // 3 4 5 6
	c := d.Ceil(4)
	near(t, "one step", c.At(1), 0.3, 1e-12)
	near(t, "two steps", c.At(2), 0.7, 1e-12)
	for _, n := range []int{0, 1, 2, 7} {
		near(t, "mean of sums", d.Times(n).Mean(), float64(n)*d.Mean(), 1e-12)
		near(t, "variance of sums", d.Times(n).Variance()+1, float64(n)*d.Variance()+1, 1e-12)
	}
}

func TestFormats(t *testing.T) {
	mask := Mask{true, false, false, false, false, false, true, true, false, false, false, false}
	for _, c := range []struct {
		format Format
		want   int64
	}{
		{Format{Coding: Plain, Data: 8}, 96},
		{Format{Coding: Bitmask, Data: 8}, 12 + 24},
		{Format{Coding: RunLength, Data: 8, Meta: 2}, (3 + 1 + 1) * 10}, // placeholders for 4 of 5 zeros, and for the 4 at the end
		{Format{Coding: RunLength, Data: 8, Meta: 3}, 3 * 11},
		{Format{Coding: CSC, Data: 8, Meta: 2, Addr: 7, Segment: 6}, 3*10 + 3*7},
		{Format{Coding: CSC, Data: 8, Meta: 2, Addr: 7, Segment: 12}, 4*10 + 2*7},
		{Format{Coding: COO, Data: 8, Meta: 4}, 36},
		{Format{Coding: Bitmask, Data: 8, Block: 4}, 3 + 2*32},
		{Format{Coding: RunLength, Data: 4, Meta: 0}, 12 * 4}, // no run at all: every zero is a placeholder
	} {
		if err := c.format.Check(); err != nil {
			t.Error(err)
		}
		if got := c.format.BitsOf(mask); got != c.want {
			t.Errorf("%+v: %d bits, want %d", c.format, got, c.want)
		}
	}
	for _, bad := range []Format{{Coding: 9}, {Data: -1}, {Coding: RunLength, Meta: 63}, {Coding: CSC, Data: 8}} {
		if bad.Check() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

// TestExpectedBits compares expectations with random masks.
func TestExpectedBits(t *testing.T) {
	r := rng()
	const n = 1 << 17
	for _, density := range []float64{0, 0.01, 0.1, 0.5, 0.9, 1} {
		mask := shuffled(r, n, int(density*n))
		for _, f := range []Format{
			{Coding: Plain, Data: 16}, {Coding: Bitmask, Data: 16}, {Coding: RunLength, Data: 16, Meta: 5}, {Coding: RunLength, Data: 8, Meta: 2},
			{Coding: CSC, Data: 8, Meta: 4, Addr: 7, Segment: 4096}, {Coding: COO, Data: 8, Meta: 17},
		} {
			if f.Coding == CSC && density < 0.1 { // runs are cut at the ends of segments
				continue
			}
			near(t, f.Coding.String(), f.Bits(n, density)+1, float64(f.BitsOf(mask))+1, 0.01)
		}
	}
	block := Format{Coding: Bitmask, Data: 8, Block: 16}
	near(t, "blocks", block.Bits(1024, 0.25), 64+0.25*1024*8, 1e-12)
}

// TestEyerissCoding holds run-length coding to what is known of Eyeriss: a
// symbol takes 64/3 bits, and it pays below a density of 0.75.
func TestEyerissCoding(t *testing.T) {
	bits := func(d float64) float64 { return Symbols(1, d, 5) * 64 / 3 }
	near(t, "break-even", bits(0.75), 16, 1e-9)
	near(t, "dense", bits(1)/16, 4.0/3, 1e-12)
	near(t, "sparse", bits(0.14)/(0.14*64/3), 1.01, 0.003)
}

func TestMaskOf(t *testing.T) {
	for _, x := range []*tensor.Tensor{tensor.Of([]float32{0, 1, -2, 0}, 2, 2), tensor.Of([]int8{0, 1, -2, 0}, 4)} {
		m, err := MaskOf(x)
		if err != nil || !slices.Equal(m, Mask{false, true, true, false}) {
			t.Errorf("%v: %v, %v", x.DType, m, err)
		}
	}
}

func TestScheme(t *testing.T) {
	both := Scheme{Weights: Treatment{Skip: true}, Inputs: Treatment{Skip: true}}
	gate := Scheme{Inputs: Treatment{Gate: true}}
	lead := Scheme{Weights: Treatment{Skip: true}}
	for _, c := range []struct {
		name   string
		scheme Scheme
		want   Shares
	}{
		{"dense", Scheme{}, Shares{1, 1, 1, 1}},
		{"both skipped", both, Shares{0.125, 0.125, 0.125, 0.125}},
		{"inputs gated", gate, Shares{1, 0.5, 0.5, 1}},
		{"weights lead", lead, Shares{0.25, 0.25, 0.25, 0.25}},
	} {
		if got := c.scheme.Shares(0.25, 0.5); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestSparsePE compares the expected cycles of a processing element that skips
// on both sides with counting them on random masks: the same non-zeros, for
// every input those of its column of weights.
func TestSparsePE(t *testing.T) {
	r := rng()
	const in, out, pixels, dw, da = 64, 64, 256, 0.52, 0.73
	weights := shuffled(r, in*out, UniformOf(in*out, dw).NonZero) // [in][out]
	inputs := shuffled(r, in*pixels, UniformOf(in*pixels, da).NonZero)
	columns, rows := weights.Counts(out), inputs.Counts(pixels)
	cycles := 0
	for c := range in {
		cycles += columns[c] * rows[c]
	}
	both := Scheme{Weights: Treatment{Skip: true}, Inputs: Treatment{Skip: true}}
	near(t, "cycles", both.Shares(dw, da).Cycles*in*out*pixels, float64(cycles), 0.01)
}

func TestNormalMax(t *testing.T) {
	for b, want := range map[int]float64{2: 1 / math.Sqrt(math.Pi), 3: 1.5 / math.Sqrt(math.Pi), 10: 1.538752, 100: 2.507594} {
		near(t, "maximum", NormalMax(b), want, 1e-5)
	}
	if NormalMax(1) != 0 {
		t.Error("one number has the mean 0")
	}
}
