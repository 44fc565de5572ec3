package eval

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
)

// window is a sliding window over up to three spatial axes; missing leading
// axes have size 1. All sizes are in elements.
type window struct {
	rank                     int // axes really there
	in, out                  [3]int
	kernel, stride, dilation [3]int
	begin, end               [3]int // padding
}

// maxExtent bounds each size of a window, so that products cannot overflow.
const maxExtent = 1 << 20

// newWindow reads strides, dilations and padding from the node for an input
// of the given spatial shape. ceil rounds output sizes up.
func newWindow(n *graph.Node, spatial, kernel []int, ceil bool) (*window, error) {
	w, err := bareWindow(n, spatial, kernel)
	if err != nil {
		return nil, err
	}
	if err := w.readPads(n); err != nil {
		return nil, err
	}
	mode := n.Str("auto_pad", "NOTSET")
	for a := 3 - w.rank; a < 3; a++ {
		reach := w.reach(a)
		switch mode {
		case "SAME_UPPER", "SAME_LOWER":
			w.out[a] = (w.in[a] + w.stride[a] - 1) / w.stride[a]
			pad := max((w.out[a]-1)*w.stride[a]+reach-w.in[a], 0)
			w.begin[a], w.end[a] = pad/2, pad-pad/2
			if mode == "SAME_LOWER" {
				w.begin[a], w.end[a] = w.end[a], w.begin[a]
			}
			continue
		case "VALID":
			w.begin[a], w.end[a] = 0, 0
		case "NOTSET", "":
		default:
			return nil, fmt.Errorf("unknown auto_pad %q", mode)
		}
		room := w.in[a] + w.begin[a] + w.end[a] - reach
		if room < 0 {
			return nil, fmt.Errorf("a window of %d does not fit %d elements padded by %d and %d", reach, w.in[a], w.begin[a], w.end[a])
		}
		w.out[a] = room/w.stride[a] + 1
		// A window that would start in the padding at the end is left out.
		if ceil && room%w.stride[a] != 0 && w.out[a]*w.stride[a] < w.in[a]+w.begin[a] {
			w.out[a]++
		}
	}
	return w, nil
}

// bareWindow checks and fills all but padding and output.
func bareWindow(n *graph.Node, spatial, kernel []int) (*window, error) {
	rank := len(spatial)
	if rank < 1 || rank > 3 {
		return nil, fmt.Errorf("%d spatial axes, want 1 to 3", rank)
	}
	w := &window{rank: rank}
	for a := range 3 {
		w.in[a], w.out[a], w.kernel[a], w.stride[a], w.dilation[a] = 1, 1, 1, 1, 1
	}
	for _, f := range []struct {
		name string
		list []int
		to   *[3]int
	}{
		{"kernel shape", kernel, &w.kernel},
		{"strides", n.Ints("strides"), &w.stride},
		{"dilations", n.Ints("dilations"), &w.dilation},
		{"spatial shape", spatial, &w.in},
	} {
		if f.list == nil {
			continue
		}
		if len(f.list) != rank {
			return nil, fmt.Errorf("%s %v for %d spatial axes", f.name, f.list, rank)
		}
		for a, v := range f.list {
			if v < 1 || v > maxExtent {
				return nil, fmt.Errorf("%s %v is out of range", f.name, f.list)
			}
			f.to[3-rank+a] = v
		}
	}
	return w, nil
}

func (w *window) readPads(n *graph.Node) error {
	pads := n.Ints("pads")
	if pads == nil {
		return nil
	}
	if len(pads) != 2*w.rank {
		return fmt.Errorf("pads %v for %d spatial axes", pads, w.rank)
	}
	for a := range w.rank {
		w.begin[3-w.rank+a], w.end[3-w.rank+a] = pads[a], pads[w.rank+a]
	}
	for _, p := range pads {
		if p < -maxExtent || p > maxExtent {
			return fmt.Errorf("pads %v are out of range", pads)
		}
	}
	return nil
}

// reach is the number of elements a window spans along an axis.
func (w *window) reach(a int) int { return (w.kernel[a]-1)*w.dilation[a] + 1 }

func volume(s [3]int) int { return s[0] * s[1] * s[2] }

// outShape is the output's spatial shape.
func (w *window) outShape() []int { return append([]int{}, w.out[3-w.rank:]...) }

// span lists the output positions o in [lo, hi) of axis a at which tap k
// reads an element inside the input: 0 ≤ o·stride - begin + k·dilation < in.
func (w *window) span(a, k int) (lo, hi int) {
	first := w.begin[a] - k*w.dilation[a] // o·stride must be at least this
	if first > 0 {
		lo = (first + w.stride[a] - 1) / w.stride[a]
	}
	last := w.in[a] - 1 + first
	if last < 0 {
		return 0, 0
	}
	hi = min(last/w.stride[a]+1, w.out[a])
	return min(lo, hi), hi
}

// taps visits every row of (output, input) positions that a tap of the kernel
// connects: n outputs from o on, one apart, and inputs from i on, stride[2]
// apart. Positions are flat within one channel.
func (w *window) taps(visit func(tap, n, o, i int)) {
	tap := 0
	for kd := range w.kernel[0] {
		d0, d1 := w.span(0, kd)
		for kh := range w.kernel[1] {
			h0, h1 := w.span(1, kh)
			for kw := range w.kernel[2] {
				w0, w1 := w.span(2, kw)
				if w1 > w0 {
					for d := d0; d < d1; d++ {
						id := d*w.stride[0] - w.begin[0] + kd*w.dilation[0]
						for h := h0; h < h1; h++ {
							ih := h*w.stride[1] - w.begin[1] + kh*w.dilation[1]
							iw := w0*w.stride[2] - w.begin[2] + kw*w.dilation[2]
							visit(tap, w1-w0, (d*w.out[1]+h)*w.out[2]+w0, (id*w.in[1]+ih)*w.in[2]+iw)
						}
					}
				}
				tap++
			}
		}
	}
}
