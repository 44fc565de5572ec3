package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/drawknife/drawknife/internal/parallel"
)

func random(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = rng.Float32()*2 - 1
	}
	return v
}

// naive returns alpha*op(A)*op(B) and the sums of magnitudes.
func naive(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int) (out, mag []float64) {
	out, mag = make([]float64, m*n), make([]float64, m*n)
	for i := range m {
		for j := range n {
			for l := range k {
				x, y := i*lda+l, l*ldb+j
				if transA {
					x = l*lda + i
				}
				if transB {
					y = j*ldb + l
				}
				v := float64(a[x]) * float64(b[y])
				out[i*n+j] += v
				mag[i*n+j] += math.Abs(v)
			}
		}
	}
	return out, mag
}

func TestSGEMM(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sizes := [][3]int{{1, 1, 1}, {1, 10, 64}, {1, 1000, 100}, {6, 16, 8}, {7, 17, 9}, {64, 64, 64}, {100, 33, 1100}, {25, 130, 513}, {3, 5, 0}, {300, 20, 40}, {800, 9, 7}}
	pools := []*parallel.Pool{parallel.New(1), parallel.New(3)}
	for _, s := range sizes {
		for v := range 4 {
			m, n, k := s[0], s[1], s[2]
			transA, transB := v&1 == 1, v&2 == 2
			t.Run(fmt.Sprintf("%dx%dx%d %v %v", m, n, k, transA, transB), func(t *testing.T) {
				lda, ldb, ldc := k+rng.IntN(3), n+rng.IntN(3), n+rng.IntN(3)
				if transA {
					lda = m + rng.IntN(3)
				}
				if transB {
					ldb = k + rng.IntN(3)
				}
				a, b := random(rng, max(m, k)*max(lda, 1)), random(rng, max(n, k)*max(ldb, 1))
				c0 := random(rng, m*ldc)
				want, mag := naive(transA, transB, m, n, k, a, lda, b, ldb)
				for _, f := range [][2]float32{{1, 0}, {1, 1}, {-0.5, 0.25}, {0, 2}} {
					alpha, beta := f[0], f[1]
					var first []float32
					for _, p := range pools {
						c := slices.Clone(c0)
						SGEMM(p, transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
						check(t, m, n, ldc, c, c0, func(i, j int) (float64, float64) {
							d := float64(beta) * float64(c0[i*ldc+j])
							return float64(alpha)*want[i*n+j] + d, mag[i*n+j] + math.Abs(d)
						})
						if first == nil {
							first = c
						} else if !slices.Equal(first, c) {
							t.Fatal("three workers give other bits than one")
						}
					}
				}
			})
		}
	}
}

// check compares the m x n matrix c with want, which returns value and
// magnitude, and what lies between its rows with before.
func check(t *testing.T, m, n, ldc int, c, before []float32, want func(i, j int) (v, mag float64)) {
	t.Helper()
	for i := range m {
		for j := range ldc {
			got := c[i*ldc+j]
			if j >= n {
				if got != before[i*ldc+j] {
					t.Fatalf("wrote past the end of row %d", i)
				}
				continue
			}
			if w, mag := want(i, j); !(math.Abs(float64(got)-w) <= 4e-6*mag+1e-12) {
				t.Fatalf("c[%d][%d] = %g, want %g", i, j, got, w)
			}
		}
	}
}

func TestBetaZeroDoesNotRead(t *testing.T) {
	p := parallel.New(1)
	c := []float32{float32(math.NaN()), float32(math.NaN())}
	SGEMM(p, false, false, 1, 2, 1, 1, []float32{2}, 1, []float32{3, 4}, 2, 0, c, 2)
	if c[0] != 6 || c[1] != 8 {
		t.Fatalf("got %v", c)
	}
	c[0], c[1] = float32(math.NaN()), float32(math.NaN())
	SGEMM(p, false, false, 1, 2, 0, 1, nil, 1, nil, 2, 0, c, 2)
	if c[0] != 0 || c[1] != 0 {
		t.Fatalf("empty sum: got %v", c)
	}
}

func TestPacked(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	p := parallel.New(2)
	defer p.Close()
	for _, s := range [][3]int{{1, 10, 64}, {1, 1000, 1300}, {2, 7, 5}, {130, 40, 600}, {1, 3, 0}} {
		m, n, k := s[0], s[1], s[2]
		for _, trans := range []bool{false, true} {
			ldb := n
			if trans {
				ldb = k
			}
			a, b, bias := random(rng, m*(k+1)), random(rng, k*n), random(rng, n)
			want, mag := naive(false, trans, m, n, k, a, k+1, b, ldb)
			packed := PackB(trans, k, n, b, ldb)
			c, before := make([]float32, m*(n+2)), make([]float32, m*(n+2))
			packed.Mul(p, m, a, k+1, bias, -1, 2, c, n+2)
			check(t, m, n, n+2, c, before, func(i, j int) (float64, float64) {
				b := float64(bias[j])
				return min(max(want[i*n+j]+b, -1), 2), mag[i*n+j] + math.Abs(b)
			})
			packed.Mul(p, m, a, k+1, nil, negInf, posInf, c, n+2)
			check(t, m, n, n+2, c, before, func(i, j int) (float64, float64) { return want[i*n+j], mag[i*n+j] })
		}
	}
}

// TestRowAloneIsTheSame checks that one row by itself, which has kernels of its
// own, has the bits it has among others.
func TestRowAloneIsTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	p := parallel.New(2)
	defer p.Close()
	for _, n := range []int{16, 64, 128, 200, 1000} {
		const m, k = 2, 700
		a, b, bias := random(rng, m*k), random(rng, k*n), random(rng, n)
		packed := PackB(false, k, n, b, n)
		both, alone := make([]float32, m*n), make([]float32, n)
		packed.Mul(p, m, a, k, bias, -1, 2, both, n)
		packed.Mul(p, 1, a, k, bias, -1, 2, alone, n)
		if !slices.Equal(alone, both[:n]) {
			t.Errorf("%d columns: a row alone differs from the same row among others", n)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	rng := rand.New(rand.NewPCG(3, 4))
	p := parallel.New(2)
	defer p.Close()
	a, b, c := random(rng, 64*64), random(rng, 64*64), make([]float32, 64*64)
	if got := testing.AllocsPerRun(20, func() { SGEMM(p, true, true, 64, 64, 64, 1, a, 64, b, 64, 1, c, 64) }); got >= 1 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkSGEMM(b *testing.B) {
	p := parallel.New(1)
	for _, s := range [][3]int{{256, 256, 256}, {512, 512, 512}, {1024, 1024, 1024}, {1008, 1008, 1008}, {128, 512, 1024}, {1, 1000, 2048}} {
		for v := range 4 {
			m, n, k := s[0], s[1], s[2]
			transA, transB := v&1 == 1, v&2 == 2
			b.Run(fmt.Sprintf("%dx%dx%d_%v_%v", m, n, k, transA, transB), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 2))
				x, y, z := random(rng, m*k), random(rng, k*n), make([]float32, m*n)
				lda, ldb := k, n
				if transA {
					lda = m
				}
				if transB {
					ldb = k
				}
				measure(b, 2*float64(m*n*k), func() { SGEMM(p, transA, transB, m, n, k, 1, x, lda, y, ldb, 0, z, n) })
			})
		}
	}
}

func BenchmarkPacked(b *testing.B) {
	p := parallel.New(1)
	for _, s := range [][3]int{{1, 1000, 2048}, {1, 10, 64}, {1, 4096, 4096}, {128, 1000, 512}} {
		m, n, k := s[0], s[1], s[2]
		b.Run(fmt.Sprintf("%dx%dx%d", m, n, k), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			x, y, z := random(rng, m*k), random(rng, k*n), make([]float32, m*n)
			packed := PackB(true, k, n, y, k)
			measure(b, 2*float64(m*n*k), func() { packed.Mul(p, m, x, k, nil, negInf, posInf, z, n) })
		})
	}
}

// measure reports the rate of the fastest iteration: other processes disturb
// the average.
func measure(b *testing.B, flops float64, f func()) {
	best := time.Duration(math.MaxInt64)
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	b.ReportMetric(flops/float64(best.Nanoseconds()), "GFLOP/s")
}

// TestInPlace checks products of a row by a matrix as it lies, for any number of
// workers.
func TestInPlace(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, s := range [][2]int{{8, 1}, {9, 33}, {16, 16}, {17, 100}, {20, 64}, {23, 47}, {64, 80}, {71, 32}, {131, 300}} {
		n, k := s[0], s[1]
		w, a, bias := make([]float32, n*k), make([]float32, k), make([]float32, n)
		for _, v := range [][]float32{w, a, bias} {
			for i := range v {
				v[i] = rng.Float32() - 0.5
			}
		}
		m := NewInPlace(w, n, k)
		if m == nil {
			t.Skip("no kernel on this CPU")
		}
		var first []float32
		for _, workers := range []int{1, 3} {
			pool := parallel.New(workers)
			c := make([]float32, n)
			m.Mul(pool, a, bias, -1, 1, c)
			pool.Close()
			if first == nil {
				first = c
			}
			for j, got := range c {
				want, size := float64(bias[j]), math.Abs(float64(bias[j]))
				for i, x := range a {
					p := float64(x) * float64(w[j*k+i])
					want, size = want+p, size+math.Abs(p)
				}
				want = max(-1, min(1, want))
				if math.Abs(float64(got)-want) > 1e-6*size || got != first[j] {
					t.Errorf("%dx%d, %d workers: output %d is %g, want %g; with one %g", n, k, workers, j, got, want, first[j])
				}
			}
		}
	}
}
