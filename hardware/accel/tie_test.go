package accel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// element is an entry of the matrix, computed from its definition: the product
// of one slice of each core.
func (t ttMatrix) element(cores [][]float64, row, col int) float64 {
	v := []float64{1}
	for k := range t.rows {
		i := row / span(t.rows, k+1, len(t.rows)) % t.rows[k]
		j := col / span(t.cols, k+1, len(t.cols)) % t.cols[k]
		next := make([]float64, t.ranks[k+1])
		for a, x := range v {
			for b := range next {
				next[b] += x * cores[k][((a*t.rows[k]+i)*t.cols[k]+j)*t.ranks[k+1]+b]
			}
		}
		v = next
	}
	return v[0]
}

// TestTTApply compares the products stage by stage with the full matrix.
func TestTTApply(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, tt := range []ttMatrix{
		ttUniform([]int{3}, []int{5}, 1),
		ttUniform([]int{2, 3}, []int{4, 2}, 3),
		ttUniform([]int{2, 3, 2}, []int{3, 1, 4}, 2),
		{rows: []int{3, 2, 1, 2}, cols: []int{2, 2, 3, 2}, ranks: []int{1, 2, 5, 3, 1}},
	} {
		if err := tt.check(); err != nil {
			t.Fatal(err)
		}
		cores := make([][]float64, len(tt.rows))
		total := 0
		for k := range cores {
			cores[k] = make([]float64, tt.ranks[k]*tt.rows[k]*tt.cols[k]*tt.ranks[k+1])
			for i := range cores[k] {
				cores[k][i] = r.NormFloat64()
			}
			total += len(cores[k])
		}
		if total != tt.storage() {
			t.Errorf("%v: storage %d, its cores have %d", tt, tt.storage(), total)
		}
		m, n := span(tt.rows, 0, len(tt.rows)), span(tt.cols, 0, len(tt.cols))
		x := make([]float64, n)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		y := tt.apply(cores, x)
		if len(y) != m {
			t.Fatalf("%v: %d results, want %d", tt, len(y), m)
		}
		for i := range y {
			want := 0.0
			for j := range x {
				want += tt.element(cores, i, j) * x[j]
			}
			if math.Abs(y[i]-want) > 1e-9 {
				t.Errorf("%v: row %d is %v, want %v", tt, i, y[i], want)
			}
		}
	}
}

func TestTTCounts(t *testing.T) {
	one := ttUniform([]int{30}, []int{70}, 4)
	if one.mults() != 2100 || one.storage() != 2100 || one.cycles(1) != 2*70 {
		t.Errorf("a single core: %d multiplications, %d weights, %v cycles", one.mults(), one.storage(), one.cycles(1))
	}
	fc7 := tieLayers[1].tt
	if got, want := fc7.mults(), 1024*16*(4+16*4+4); got != want { // 4·4·4 and 4·16·4 by 1024 vectors
		t.Errorf("fc7: %d multiplications, want %d", got, want)
	}
	// The first stage, of depth 4, waits for 64 blocks of 16 rows to be stored.
	if got, want := fc7.cycles(1), 64.0*16+4*1024+1024; got != want {
		t.Errorf("fc7: %v cycles, want %v", got, want)
	}
	for _, l := range tieLayers {
		if l.tt.mults() > l.tt.naiveMults() || l.tt.cycles(1) < float64(l.tt.mults())/(tiePEs*tieLanes) || l.tt.transposed(2) != 2*l.tt.transposed(1) {
			t.Errorf("%s: %d multiplications, naive %d, %v cycles", l.name, l.tt.mults(), l.tt.naiveMults(), l.tt.cycles(1))
		}
	}
	last := 0
	for rank := 1; rank <= 64; rank *= 2 {
		if n := ttUniform([]int{8, 8}, []int{8, 8}, rank).mults(); n <= last {
			t.Errorf("rank %d: %d multiplications after %d", rank, n, last)
		} else {
			last = n
		}
	}
	// At full rank two cores hold the matrix in one of them.
	full := ttUniform([]int{1, 8}, []int{1, 8}, 100)
	if full.ranks[1] != 1 || full.mults() != 64+8 {
		t.Errorf("full rank: %v, %d multiplications", full.ranks, full.mults())
	}
}

func TestFactors(t *testing.T) {
	for _, c := range []struct {
		n, d int
		want []int
	}{{1, 2, []int{1, 1}}, {4096, 6, []int{4, 4, 4, 4, 4, 4}}, {12, 2, []int{3, 4}}, {13, 3, []int{13, 1, 1}}, {25088, 2, []int{112, 224}}} {
		got := factors(c.n, c.d)
		if slices.Sort(got); span(got, 0, c.d) != c.n || !slices.Equal(got, slices.Sorted(slices.Values(c.want))) {
			t.Errorf("factors(%d, %d) = %v, want %v", c.n, c.d, got, c.want)
		}
	}
}

// TestTIEDense checks that a layer that gains nothing is run as it is.
func TestTIEDense(t *testing.T) {
	w := &hardware.Workload{Name: "w", Batch: 1, Layers: []*hardware.Layer{hardware.Conv("c", 1, 1, 16, 13, 16, 1, 1, 0)}}
	r, err := runTIE(hardware.Machine{Name: "tie", ClockMHz: tieClock, PeakMACs: tiePEs * tieLanes}, w)
	const least = 16 * 16 // blocks of 16×16 of depth 13, 16 rows to store
	if err != nil || r.Cycles > least || r.Cycles <= 0 {
		t.Fatalf("%v cycles, %v; at most %d", r.Cycles, err, least)
	}
}
