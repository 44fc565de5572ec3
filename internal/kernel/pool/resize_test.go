package pool

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/internal/parallel"
)

// linear makes the table of linear interpolation with half-pixel centres.
func linear(in, out int) Axis {
	a := Axis{In: in, Out: out, Taps: 2}
	for o := range out {
		x := math.Max(0, (float64(o)+0.5)*float64(in)/float64(out)-0.5)
		i := min(int(x), in-1)
		f := float32(x - float64(i))
		a.Index = append(a.Index, int32(i), int32(min(i+1, in-1)))
		a.Weight = append(a.Weight, 1-f, f)
	}
	return a
}

func TestResize(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := parallel.New(3)
	defer p.Close()
	out := linear(3, 6)
	out.Index[2*2] = -1 // one column outside
	for _, axes := range [][3]Axis{
		{Whole(1), linear(3, 6), linear(4, 7)},
		{Whole(1), linear(6, 3), Whole(5)},
		{linear(2, 4), linear(3, 3), linear(2, 5)},
		{Whole(1), Whole(2), out},
	} {
		for _, c := range []int{1, 3, 33} {
			const n = 2
			d, h, w := axes[0], axes[1], axes[2]
			src := random(r, n*d.In*h.In*w.In*c)
			want := make([]float32, n*d.Out*h.Out*w.Out*c)
			for o := range want {
				ch, x, y, z, i := o%c, o/c%w.Out, o/c/w.Out%h.Out, o/c/w.Out/h.Out%d.Out, o/c/w.Out/h.Out/d.Out
				if w.Index[x*w.Taps] < 0 {
					want[o] = 9
					continue
				}
				sum := 0.0
				for a := range d.Taps {
					for b := range h.Taps {
						for e := range w.Taps {
							zi, zw := d.tap(z, a)
							yi, yw := h.tap(y, b)
							xi, xw := w.tap(x, e)
							sum += float64(zw*yw*xw) * float64(src[(((i*d.In+zi)*h.In+yi)*w.In+xi)*c+ch])
						}
					}
				}
				want[o] = float32(sum)
			}
			dst := make([]float32, len(want))
			Resize(p, n, c, d, h, w, 9, dst, src)
			near(t, "Resize", dst, want, 1e-6)

			// The gradient is the transpose: <dy, R x> = <R' dy, x>.
			dy, dx := random(r, len(dst)), make([]float32, len(src))
			ResizeGrad(p, n, c, d, h, w, dx, dy)
			Resize(p, n, c, d, h, w, 0, dst, src)
			left, right := 0.0, 0.0
			for i := range dst {
				left += float64(dst[i]) * float64(dy[i])
			}
			for i := range src {
				right += float64(src[i]) * float64(dx[i])
			}
			if math.Abs(left-right) > 1e-4*math.Max(1, math.Abs(left)) {
				t.Errorf("<dy, R x> = %g, <R' dy, x> = %g", left, right)
			}
		}
	}
}

func TestDepthToSpace(t *testing.T) {
	p := parallel.New(3)
	defer p.Close()
	r := rand.New(rand.NewPCG(1, 2))
	const n, h, w, c, b = 2, 3, 2, 5, 2
	src := random(r, n*h*w*c*b*b)
	for _, crd := range []bool{false, true} {
		dst, back := make([]float32, len(src)), make([]float32, len(src))
		DepthToSpace(p, n, h, w, c, b, crd, dst, src)
		for o := range dst {
			ch, x, y, i := o%c, o/c%(w*b), o/c/(w*b)%(h*b), o/c/(w*b)/(h*b)
			block := y%b*b + x%b
			deep := block*c + ch
			if crd {
				deep = ch*b*b + block
			}
			if want := src[((i*h+y/b)*w+x/b)*c*b*b+deep]; dst[o] != want {
				t.Fatalf("crd %v: element %d is %g, want %g", crd, o, dst[o], want)
			}
		}
		SpaceToDepth(p, n, h, w, c, b, crd, back, dst)
		near(t, fmt.Sprint("back, crd ", crd), back, src, 0)
	}
}
