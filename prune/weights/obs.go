package weights

import (
	"context"
	"fmt"
	"strconv"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
)

func init() {
	method.Register(method.Method{
		Name: "obs", Family: method.Weights, Summary: "optimal brain surgeon: one weight after the other, the rest moved to make up for it",
		Paper: "Hassibi and Stork, Second order derivatives for network pruning: Optimal brain surgeon, NIPS", Year: 1992,
		Needs:   method.Needs{Data: true, Labels: true},
		Options: fisherOptions("256"),
		New:     func(o map[string]string) (any, error) { return newFisher(o, true) },
	})
}

// fisherOptions are those of both methods, with a block of that size.
func fisherOptions(block string) []method.Option {
	return []method.Option{{Name: "block", Default: block, Help: "weights whose Hessian is taken together"},
		{Name: "lambda", Default: "1e-5", Help: "what is added to the diagonal; the larger, the more like magnitude"}, prune.LossOption()}
}

// fisher rates weights by w_q²/(2·[F⁻¹]_qq) with the inverse of the empirical
// Fisher matrix F = λI + (1/N)·Σ g gᵀ of each block of consecutive weights,
// built by updates of rank one. What stays is then moved: OBS takes the weights
// of a block out one by one, always the cheapest left, and updates the
// inverse; WoodFisher takes those that the scores chose out together.
type fisher struct {
	block     int
	lambda    float64
	loss      string
	oneByOne  bool
	gradients map[string][][]float32 // samples
}

// fisherFloats bounds the gradients that are held: 1 GiB.
const fisherFloats = 1 << 28

func newFisher(o map[string]string, oneByOne bool) (any, error) {
	b, err := strconv.Atoi(o["block"])
	if err != nil || b < 1 || b > 4096 {
		return nil, fmt.Errorf("block %q: want a whole number from 1 to 4096", o["block"])
	}
	l, err := strconv.ParseFloat(o["lambda"], 64)
	if err != nil || !(l > 0 && l < 1e6) {
		return nil, fmt.Errorf("lambda %q: want a number above 0", o["lambda"])
	}
	if o["loss"] != "labels" && o["loss"] != "outputs" {
		return nil, fmt.Errorf("loss %q: there are labels, outputs", o["loss"])
	}
	return &fisher{block: b, lambda: l, loss: o["loss"], oneByOne: oneByOne}, nil
}

func (f *fisher) Observe(ctx context.Context, g *graph.Graph, layers []*Layer, d *prune.Data) error {
	f.gradients = map[string][][]float32{}
	total := 0
	for _, l := range layers {
		total += len(l.W)
	}
	samples := max(fisherFloats/max(total, 1), 1)
	return d.GradientsOf(ctx, f.loss, g, func(grad func(string) []float32) error {
		for _, l := range layers {
			name := l.Value.Name
			if len(f.gradients[name]) < samples {
				f.gradients[name] = append(f.gradients[name], append([]float32(nil), grad(name)...))
			}
		}
		return nil
	})
}

// blocks calls do for each block of a layer with its surgeon, in parallel.
func (f *fisher) blocks(l *Layer, do func(first int, s *surgeon)) {
	g := f.gradients[l.Value.Name]
	n := (len(l.W) + f.block - 1) / f.block
	engine.Pool(0).For(n, 1, func(_, lo, hi int) {
		for b := lo; b < hi; b++ {
			first := b * f.block
			last := min(first+f.block, len(l.W))
			w := make([]float64, last-first)
			for i := range w {
				w[i] = float64(l.W[first+i])
			}
			part := make([][]float32, len(g))
			for i := range g {
				part[i] = g[i][first:last]
			}
			do(first, newSurgeon(w, fisherInverse(part, f.lambda)))
		}
	})
}

func (f *fisher) Rate(l *Layer) ([]float64, error) {
	out := make([]float64, len(l.W))
	f.blocks(l, func(first int, s *surgeon) {
		for q := range s.w {
			out[first+q] = s.cost(q)
		}
	})
	return out, nil
}

func (f *fisher) Update(ctx context.Context, p *Pass) error {
	return p.Each(ctx, p.Layers, func(l *Layer) error {
		mask := p.Mask[l.Value.Name]
		f.blocks(l, func(first int, s *surgeon) {
			f.operate(s, mask[first:][:len(s.w)], f.oneByOne && p.Pattern == Pattern{})
			for i, v := range s.w {
				l.W[first+i] = float32(v)
			}
		})
		return nil
	})
}

// operate takes as many weights out as the mask says. One by one they need not
// be the same; the mask then becomes what was done.
func (f *fisher) operate(s *surgeon, mask []float32, oneByOne bool) {
	var out []int
	for i, m := range mask {
		if m == 0 {
			out = append(out, i)
		}
	}
	if !oneByOne {
		s.joint(out)
		return
	}
	for range out {
		s.remove(s.cheapest(nil))
	}
	for i, gone := range s.gone {
		mask[i] = 1
		if gone {
			mask[i] = 0
		}
	}
}
