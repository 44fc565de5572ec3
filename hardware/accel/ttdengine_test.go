package accel

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
	"gonum.org/v1/gonum/mat"
)

func randomMatrix(r *rand.Rand, m, n int) *mat.Dense {
	a := mat.NewDense(m, n, nil)
	for i := range m {
		for j := range n {
			a.Set(i, j, r.NormFloat64())
		}
	}
	return a
}

// TestGramSVD compares truncated reconstructions with those of an exact SVD.
func TestGramSVD(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	lowRank := mat.NewDense(40, 9, nil)
	lowRank.Mul(randomMatrix(r, 40, 3), randomMatrix(r, 3, 9))
	identity := mat.NewDense(12, 6, nil)
	for i := range 6 {
		identity.Set(i, i, 2)
	}
	for name, a := range map[string]*mat.Dense{
		"random": randomMatrix(r, 200, 24), "square": randomMatrix(r, 16, 16), "one column": randomMatrix(r, 10, 1),
		"low rank": lowRank, "equal values": identity, "zero": mat.NewDense(5, 3, nil),
	} {
		m, n := a.Dims()
		var exact mat.SVD
		if !exact.Factorize(a, mat.SVDThin) {
			t.Fatal(name)
		}
		sigma := exact.Values(nil)
		for rank := 1; rank <= n; rank++ {
			u, s, v, err := gramSVD(a, rank)
			if err != nil {
				t.Fatalf("%s, rank %d: %v", name, rank, err)
			}
			tail := 0.0
			for _, x := range sigma[rank:] {
				tail += x * x
			}
			var us, back mat.Dense
			us.Mul(u, mat.NewDiagDense(len(s), s))
			back.Mul(&us, v.T())
			back.Sub(a, &back)
			got, want := mat.Norm(&back, 2), math.Sqrt(tail)
			if math.Abs(got-want) > 1e-3*want+1e-6*mat.Norm(a, 2) {
				t.Errorf("%s %d×%d, rank %d: error %v, the best is %v", name, m, n, rank, got, want)
			}
			for i, x := range s {
				if math.Abs(x-sigma[i]) > 1e-6*sigma[0] {
					t.Errorf("%s: singular value %d is %v, want %v", name, i, x, sigma[i])
				}
			}
		}
	}
	for _, c := range []struct{ m, n, rank int }{{3, 5, 1}, {5, 3, 0}, {5, 3, 4}} {
		if _, _, _, err := gramSVD(mat.NewDense(c.m, c.n, nil), c.rank); err == nil {
			t.Errorf("rank %d of %d×%d was accepted", c.rank, c.m, c.n)
		}
	}
	nan := randomMatrix(r, 6, 4)
	nan.Set(2, 2, math.NaN())
	if _, s, _, err := gramSVD(nan, 2); err == nil && !math.IsNaN(s[0]) {
		t.Errorf("a matrix with NaN has singular values %v", s)
	}
}

func TestTTDCost(t *testing.T) {
	if got, want := gramCost(100, 10, 4), (svdCost{2*100*100 + (4.0/3+9)*1000 + 2*100*10*4, 2000 + 440}); math.Abs(got.flops-want.flops) > 1e-9 || got.words != want.words {
		t.Errorf("100×10 of rank 4 costs %v, want %v", got, want)
	}
	if gramCost(10, 100, 4) != gramCost(100, 10, 4) || jacobiCost(7, 30) != jacobiCost(30, 7) {
		t.Error("a wide matrix costs other than a tall one")
	}
	if got := ttdCost(ttUniform([]int{30}, []int{40}, 4), gramCost); got != (svdCost{}) {
		t.Errorf("a single core costs %v", got)
	}
	for _, l := range tieLayers {
		flops, words := ttdGains(l.tt)
		if flops < 1 || words < 2 {
			t.Errorf("%s: Jacobi takes %v times the operations and %v times the words", l.name, flops, words)
		}
	}
}

// TestTTDecompose checks that a train is found again, that full ranks lose
// nothing and that the error falls with the rank.
func TestTTDecompose(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	rows, cols := []int{2, 3, 2}, []int{3, 2, 4}
	train := ttUniform(rows, cols, 2)
	cores := make([][]float64, 3)
	for k := range cores {
		cores[k] = make([]float64, train.ranks[k]*train.rows[k]*train.cols[k]*train.ranks[k+1])
		for i := range cores[k] {
			cores[k][i] = r.NormFloat64()
		}
	}
	known, noise := make([]float64, train.dense()), make([]float64, train.dense())
	n := span(cols, 0, 3)
	for i := range known {
		known[i], noise[i] = train.element(cores, i/n, i%n), r.NormFloat64()
	}
	if e, err := ttError(train, known); err != nil || e > 1e-6 {
		t.Errorf("a train of its own ranks comes back with an error of %v, %v", e, err)
	}
	last := 1.0
	for _, rank := range []int{1, 2, 4, 8, 100} {
		e, err := ttError(ttUniform(rows, cols, rank), noise)
		if err != nil || e > last {
			t.Errorf("rank %d: error %v after %v, %v", rank, e, last, err)
		}
		last = e
	}
	if last > 1e-6 {
		t.Errorf("full ranks: error %v", last)
	}
	if _, err := ttDecompose(&train, known[1:]); err == nil {
		t.Error("a matrix of another size was decomposed")
	}
}

// TestTTDWeights checks that real weights are decomposed.
func TestTTDWeights(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	l := hardware.Conv("c", 1, 1, 16, 8, 8, 3, 1, 1)
	l.Weight = randomWeights(r, 0.5, 16, 8, 3, 3)
	c, err := ttdLayer(l)
	if err != nil || !strings.Contains(c.Mapping, "relative error 0.") {
		t.Errorf("mapping %q, %v", c.Mapping, err)
	}
}
