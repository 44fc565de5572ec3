package quantize

import (
	"context"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "gptq", Family: method.Quantize, Summary: "round the weights one input after another, each time moving the rest so that the layer's output stays (optimal brain compression in a fixed order)",
		Paper: "Frantar and Alistarh, Optimal brain compression, NeurIPS; Frantar et al., GPTQ", Year: 2022,
		Needs: method.Needs{Data: true},
		Options: []method.Option{
			{Name: "damp", Default: "0.01", Help: "share of the mean curvature added to all inputs"},
			{Name: "columns", Default: "4096", Help: "least number of positions of the images that the curvature is measured on"}},
		New: func(o map[string]string) (any, error) {
			damp, err := number(o, "damp", 0, 1)
			if err != nil {
				return nil, err
			}
			columns, err := number(o, "columns", 1, 1<<24)
			return Preset(func(p *Options) { p.Rounding = &gptq{damp, int(columns)} }), err
		},
	})
}

type gptq struct {
	damp    float64
	columns int
}

func (*gptq) blocks() bool { return false }

// round minimises ‖WX − ŴX‖² for the layer's inputs X, as the layers before it
// give them, with H = 2XXᵀ: for each input in order of falling curvature it
// rounds the weights and takes e = (w − ŵ)/U_jj times row j of U off those still
// to come, U being the upper Cholesky factor of H⁻¹.
func (m *gptq) round(ctx context.Context, r *reconstruction, u *unit) error {
	l := u.layers[0]
	sim, err := r.simulated()
	if err != nil {
		return err
	}
	name := sim.Node(l.node.Name).Inputs[0].Name
	seen, err := r.observe(ctx, sim, r.quantized, name)
	if err != nil {
		return err
	}
	groups := 1
	if l.node.Is("Conv") {
		groups = l.node.Int("group", 1)
	}
	depth := len(l.w) / l.channels
	for g := range groups {
		x := l.columns(seen[name], g, groups, max(m.columns, 4*depth))
		if x == nil {
			return nil // a form of convolution that stays rounded to nearest
		}
		if err := m.solve(l, x, g*l.channels/groups, (g+1)*l.channels/groups); err != nil {
			return err
		}
	}
	return nil
}

// solve rounds the output channels from first to last of l for inputs x, one
// row for each weight of a channel.
func (m *gptq) solve(l *layer, x *mat.Dense, first, last int) error {
	depth, _ := x.Dims()
	h := mat.NewSymDense(depth, nil)
	h.SymOuterK(2, x)
	mean := 0.0
	for i := range depth {
		mean += h.At(i, i) / float64(depth)
	}
	dead := make([]bool, depth)
	order := make([]int, depth)
	for i := range depth {
		order[i] = i
		dead[i] = h.At(i, i) == 0
	}
	slices.SortStableFunc(order, func(a, b int) int { return compare(h.At(b, b), h.At(a, a)) })
	p := mat.NewSymDense(depth, nil)
	for i, a := range order {
		for j := i; j < depth; j++ {
			p.SetSym(i, j, h.At(a, order[j]))
		}
		d := p.At(i, i) + m.damp*mean
		if d <= 0 {
			d = 1
		}
		p.SetSym(i, i, d)
	}
	var chol, upper mat.Cholesky
	var inverse mat.SymDense
	var u mat.TriDense
	if !chol.Factorize(p) || chol.InverseTo(&inverse) != nil || !upper.Factorize(&inverse) {
		return fmt.Errorf("the curvature of its inputs is singular: raise damp or give more images")
	}
	upper.UTo(&u)
	w := make([]float64, depth)
	codes := make([]int, depth)
	for o := first; o < last; o++ {
		for j, d := range order {
			w[j] = float64(l.w[l.index(o, d)])
			if dead[d] {
				w[j] = 0
			}
		}
		for j, d := range order {
			grid := l.at(l.index(o, d))
			codes[d] = grid.Quantize(float32(w[j]))
			e := (w[j] - float64(grid.Value(codes[d]))) / u.At(j, j)
			if e == 0 {
				continue
			}
			for k := j + 1; k < depth; k++ {
				w[k] -= e * u.At(j, k)
			}
		}
		if l.loss(h, o, func(d int) int { return codes[d] }) < l.loss(h, o, func(d int) int { return l.codes[l.index(o, d)] }) {
			for d, q := range codes {
				l.codes[l.index(o, d)] = q
			}
		}
	}
	return nil
}

// loss is (w−ŵ)ᵀH(w−ŵ) of output channel o for the codes given.
func (l *layer) loss(h *mat.SymDense, o int, code func(d int) int) float64 {
	depth := h.SymmetricDim()
	e := mat.NewVecDense(depth, nil)
	for d := range depth {
		i := l.index(o, d)
		e.SetVec(d, float64(l.w[i])-float64(l.at(i).Value(code(d))))
	}
	return mat.Inner(e, h, e)
}

// index is the place of weight d of output channel o.
func (l *layer) index(o, d int) int {
	if l.axis == 0 {
		return o*(len(l.w)/l.channels) + d
	}
	return d*l.channels + o
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// columns samples the layer's inputs x: a matrix with one row for each weight
// of a channel of group g and one column for each of about n output positions,
// evenly spread. It is nil for convolutions that are not of images.
func (l *layer) columns(x []*tensor.Tensor, g, groups, n int) *mat.Dense {
	if !l.node.Is("Conv") {
		return sampleRows(x, l.shape[l.axis^1], n)
	}
	if len(l.shape) != 4 {
		return nil
	}
	w := newWindow(l, x[0].Shape)
	positions := 0
	for _, t := range x {
		positions += t.Shape[0] * w.oh * w.ow
	}
	step := max(1, positions/n)
	for gcd(step, w.oh*w.ow) > 1 { // else only some columns or rows of the images are met
		step++
	}
	depth := len(l.w) / l.channels
	cols := (positions + step - 1) / step
	m := mat.NewDense(depth, cols, nil)
	at, col := 0, 0
	for _, t := range x {
		data := t.Float32s()
		c, h, wd := t.Shape[1], t.Shape[2], t.Shape[3]
		per := c / groups
		for ; at < t.Shape[0]*w.oh*w.ow; at += step {
			img, oy, ox := at/(w.oh*w.ow), at/w.ow%w.oh, at%w.ow
			d := 0
			for ch := g * per; ch < (g+1)*per; ch++ {
				plane := data[(img*c+ch)*h*wd:][:h*wd]
				for ky := range l.shape[2] {
					for kx := range l.shape[3] {
						y, xx := oy*w.sh-w.top+ky*w.dh, ox*w.sw-w.left+kx*w.dw
						if y >= 0 && y < h && xx >= 0 && xx < wd {
							m.Set(d, col, float64(plane[y*wd+xx]))
						}
						d++
					}
				}
			}
			col++
		}
		at -= t.Shape[0] * w.oh * w.ow
	}
	return m
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// sampleRows takes about n rows of depth elements each as columns.
func sampleRows(x []*tensor.Tensor, depth, n int) *mat.Dense {
	rows := 0
	for _, t := range x {
		rows += t.Len() / depth
	}
	step := max(1, rows/n)
	m := mat.NewDense(depth, (rows+step-1)/step, nil)
	at, col := 0, 0
	for _, t := range x {
		data := t.Float32s()
		for ; at < len(data)/depth; at += step {
			for d, v := range data[at*depth:][:depth] {
				m.Set(d, col, float64(v))
			}
			col++
		}
		at -= len(data) / depth
	}
	return m
}

// window is the geometry of a convolution of images.
type window struct{ sh, sw, dh, dw, top, left, oh, ow int }

func newWindow(l *layer, in []int) window {
	n := l.node
	s, d, p := n.Ints("strides", 1, 1), n.Ints("dilations", 1, 1), n.Ints("pads", 0, 0, 0, 0)
	w := window{sh: s[0], sw: s[1], dh: d[0], dw: d[1], top: p[0], left: p[1]}
	size := func(in, k, stride, before, after int) int { return (in+before+after-k)/stride + 1 }
	kh, kw := (l.shape[2]-1)*w.dh+1, (l.shape[3]-1)*w.dw+1
	switch auto := n.Str("auto_pad", "NOTSET"); auto {
	case "SAME_UPPER", "SAME_LOWER":
		same := func(in, k, stride int) (out, before int) {
			out = (in + stride - 1) / stride
			total := max((out-1)*stride+k-in, 0)
			if auto == "SAME_LOWER" {
				return out, (total + 1) / 2
			}
			return out, total / 2
		}
		w.oh, w.top = same(in[2], kh, w.sh)
		w.ow, w.left = same(in[3], kw, w.sw)
	case "VALID":
		w.top, w.left = 0, 0
		w.oh, w.ow = size(in[2], kh, w.sh, 0, 0), size(in[3], kw, w.sw, 0, 0)
	default:
		w.oh, w.ow = size(in[2], kh, w.sh, p[0], p[2]), size(in[3], kw, w.sw, p[1], p[3])
	}
	return w
}
