package vec

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/parallel"
)

func TestTranspose2D(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dims := []int{0, 1, 2, 3, 4, 7, 8, 9, 16, 23, 40, 65}
	eachLevel(t, func(t *testing.T) {
		for _, rows := range dims {
			for _, cols := range dims {
				src := random(r, rows*cols)
				want := make([]float32, len(src))
				for i := range rows {
					for j := range cols {
						want[j*rows+i] = src[i*cols+j]
					}
				}
				d := newCanary(len(src))
				Transpose2D(d.x, src, rows, cols)
				d.check(t)
				near(t, fmt.Sprint(rows, "x", cols), d.x, want, 0)
			}
		}
	})
}

func TestChannelLayouts(t *testing.T) {
	p := parallel.New(3)
	defer p.Close()
	r := rand.New(rand.NewPCG(3, 4))
	eachLevel(t, func(t *testing.T) {
		for _, c := range []int{1, 3, 8, 20, 130} {
			for _, spatial := range []int{1, 9, 49, 7000} {
				const n = 2
				src := random(r, n*c*spatial)
				bytes := make([]uint8, len(src))
				for i := range bytes {
					bytes[i] = uint8(r.Uint32())
				}
				last, first := newCanary(len(src)), newCanary(len(src))
				lastBytes, firstBytes := make([]uint8, len(src)), make([]uint8, len(src))
				ToChannelsLast(p, last.x, src, n, c, spatial)
				ToChannelsLastOf(p, lastBytes, bytes, n, c, spatial)
				last.check(t)
				for i := range src {
					k, s, im := i/spatial%c, i%spatial, i/spatial/c
					at := (im*spatial+s)*c + k
					if last.x[at] != src[i] || lastBytes[at] != bytes[i] {
						t.Fatalf("c %d spatial %d: image %d channel %d pixel %d is wrong", c, spatial, im, k, s)
					}
				}
				ToChannelsFirst(p, first.x, last.x, n, c, spatial)
				ToChannelsFirstOf(p, firstBytes, lastBytes, n, c, spatial)
				first.check(t)
				near(t, "back", first.x, src, 0)
				if string(firstBytes) != string(bytes) {
					t.Fatalf("c %d spatial %d: bytes do not come back", c, spatial)
				}
			}
		}
	})
}

func BenchmarkToChannelsLast(b *testing.B) {
	p := parallel.New(1)
	for _, s := range [][2]int{{3, 224 * 224}, {64, 56 * 56}, {512, 49}} {
		src := make([]float32, s[0]*s[1])
		dst := make([]float32, len(src))
		b.Run(fmt.Sprint(s[0], "x", s[1]), func(b *testing.B) {
			b.SetBytes(int64(4 * len(src)))
			for b.Loop() {
				ToChannelsLast(p, dst, src, 1, s[0], s[1])
			}
		})
	}
}

// TestPlanes puts the planes of images together, of any size and element.
func TestPlanes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for n := 1; n < 70; n++ {
			testPlanes[float32](t, n)
			testPlanes[int32](t, n)
			testPlanes[uint8](t, n)
			testPlanes[int8](t, n)
		}
	})
}

func testPlanes[T Element](t *testing.T, n int) {
	t.Helper()
	stride := n + 3
	src, dst := make([]T, 3*stride), make([]T, 3*n+1)
	for i := range src {
		src[i] = T(i % 128)
	}
	dst[3*n] = 77
	transposeGo(dst[:3*n], src, 3, n, 3, stride)
	for i, v := range dst[:3*n] {
		if want := src[i%3*stride+i/3]; v != want {
			t.Fatalf("%T, %d: element %d is %v, want %v", v, n, i, v, want)
		}
	}
	if dst[3*n] != 77 {
		t.Fatalf("%d: wrote beyond the end", n)
	}
}
