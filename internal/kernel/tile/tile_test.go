package tile

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
)

// TestArgsLayout guards the offsets that the assembly generator states.
func TestArgsLayout(t *testing.T) {
	var a Args
	for name, f := range map[string][2]uintptr{
		"Src": {unsafe.Offsetof(a.Src), 0}, "W": {unsafe.Offsetof(a.W), 24},
		"Bias": {unsafe.Offsetof(a.Bias), 48}, "Dst": {unsafe.Offsetof(a.Dst), 72},
		"Add": {unsafe.Offsetof(a.Add), 96}, "Zero": {unsafe.Offsetof(a.Zero), 120},
		"Base": {unsafe.Offsetof(a.Base), 144}, "Mask": {unsafe.Offsetof(a.Mask), 168},
		"Taps": {unsafe.Offsetof(a.Taps), 192}, "Run": {unsafe.Offsetof(a.Run), 216},
		"Rows": {unsafe.Offsetof(a.Rows), 224}, "DstStride": {unsafe.Offsetof(a.DstStride), 232},
		"AddStride": {unsafe.Offsetof(a.AddStride), 240}, "Min": {unsafe.Offsetof(a.Min), 248},
		"Max": {unsafe.Offsetof(a.Max), 252}, "left": {unsafe.Offsetof(a.left), 256},
		"bit": {unsafe.Offsetof(a.bit), 264}, "tap": {unsafe.Offsetof(a.tap), 272},
		"tapEnd": {unsafe.Offsetof(a.tapEnd), 280}, "at": {unsafe.Offsetof(a.at), 288},
		"zeroEnd": {unsafe.Offsetof(a.zeroEnd), 296}, "dstAt": {unsafe.Offsetof(a.dstAt), 304},
		"addAt": {unsafe.Offsetof(a.addAt), 312}, "wAt": {unsafe.Offsetof(a.wAt), 320}, "nextAt": {unsafe.Offsetof(a.nextAt), 328},
		"Next": {unsafe.Offsetof(a.Next), 336}, "Columns": {unsafe.Offsetof(a.Columns), 360}, "Ahead": {unsafe.Offsetof(a.Ahead), 368},
	} {
		if unsafe.Sizeof(uintptr(0)) == 8 && f[0] != f[1] {
			t.Errorf("%s at %d, the assembly says %d", name, f[0], f[1])
		}
	}
}

func TestColumnsCover(t *testing.T) {
	for _, s := range sets {
		for n := 1; n < 200; n++ {
			got := 0
			for _, k := range s.Columns(n) {
				if n-got <= 0 {
					t.Fatalf("%s: %d columns: more kernels than needed", s.Name, n)
				}
				got += k.Cols
				if RowStep%k.Rows != 0 || k.Rows > MaxRows || k.Cols > MaxCols {
					t.Fatalf("%s breaks the bounds", k.Name)
				}
			}
			if got < n || got-n >= s.Lanes+s.Lanes {
				t.Fatalf("%s: %d columns covered by %d", s.Name, n, got)
			}
		}
	}
}

func TestTranspose(t *testing.T) {
	for _, s := range [][2]int{{1, 1}, {8, 8}, {7, 9}, {16, 24}, {19, 33}} {
		rows, cols := s[0], s[1]
		lds, ldd := cols+3, rows+2
		src, dst := make([]float32, rows*lds), make([]float32, cols*ldd)
		for i := range src {
			src[i] = float32(i + 1)
		}
		Transpose(dst, ldd, src, lds, rows, cols)
		for c := range cols {
			for r := range ldd {
				want := float32(0)
				if r < rows {
					want = src[r*lds+c]
				}
				if dst[c*ldd+r] != want {
					t.Fatalf("%dx%d: dst[%d][%d] = %g, want %g", rows, cols, c, r, dst[c*ldd+r], want)
				}
			}
		}
	}
}

// TestDots checks each set's products of rows in place against sums in double
// precision.
func TestDots(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, s := range sets {
		if !cpu.Has(s.Level) {
			continue
		}
		for _, k := range []int{1, 7, 15, 16, 17, 32, 63, 64, 100, 513} {
			stride := k + rng.IntN(3)
			src, w := make([]float32, k), make([]float32, DotRows*stride)
			for i := range src {
				src[i] = rng.Float32() - 0.5
			}
			for i := range w {
				w[i] = rng.Float32() - 0.5
			}
			sums := [DotRows]float32{9, 9, 9, 9}
			s.Dots(&sums, src, w, stride)
			for i, got := range sums {
				want, size := 0.0, 0.0
				for j, x := range src {
					p := float64(x) * float64(w[i*stride+j])
					want, size = want+p, size+math.Abs(p)
				}
				if math.Abs(float64(got)-want) > 1e-6*size {
					t.Errorf("%s, %d elements: sum %d is %g, want %g", s.Name, k, i, got, want)
				}
			}
		}
	}
}

// TestColumns holds kernels that can leave columns out to those that they
// store, and to reading no addend beyond them.
func TestColumns(t *testing.T) {
	const run, rows = 5, 29
	for _, s := range Sets() {
		for _, k := range s.Kernels {
			if !k.Masked {
				continue
			}
			for n := k.Cols - s.Lanes + 1; n <= k.Cols; n++ {
				for _, add := range []bool{false, true} {
					fill := func(n int) []float32 {
						v := make([]float32, n)
						for i := range v {
							v[i] = float32(i%13) - 6
						}
						return v
					}
					a := Args{
						Src: fill(rows * run), W: fill(run * k.Cols), Bias: fill(k.Cols), Zero: make([]float32, run),
						Base: make([]int, rows+MaxRows), Mask: make([]uint64, rows+MaxRows), Taps: []int{0}, Run: run, Rows: rows,
						DstStride: k.Cols + 3, Min: -90, Max: 90,
					}
					for i := range rows {
						a.Base[i], a.Mask[i] = 4*i*run, 1
					}
					if add {
						// The last row ends with the slice.
						a.AddStride = n
						a.Add = fill(rows * n)
					}
					whole, part := fill(rows*a.DstStride), fill(rows*a.DstStride)
					want := fill(rows * a.DstStride)
					b := a
					b.Dst, b.Add = whole, nil
					b.Min, b.Max = -1e30, 1e30
					k.Run(&b)
					for i := range rows {
						for j := range n {
							v := whole[i*a.DstStride+j]
							if add {
								v += a.Add[i*n+j]
							}
							want[i*a.DstStride+j] = Clamp(v, a.Min, a.Max)
						}
					}
					a.Dst, a.Columns = part, n
					k.Run(&a)
					if !slices.Equal(part, want) {
						t.Fatalf("%s, %d columns, addend %v: differs", k.Name, n, add)
					}
				}
			}
		}
	}
}
