package prune

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "thinet", Family: method.Prune, Summary: "channels that the next layer's output misses least; the others are rescaled by least squares",
		Paper: "Luo et al., ThiNet: A filter level pruning method for deep neural network compression, ICCV", Year: 2017,
		Needs: method.Needs{Data: true},
		New: func(map[string]string) (any, error) {
			return &thinet{gram: map[string]*mat.SymDense{}, score: map[*graph.Group][]float64{}}, nil
		},
	})
}

// thinet splits the outputs of the layers that read a group into what each
// channel adds, ŷ = Σ_c x̂_c, at random places of the images, and removes
// greedily the channel that keeps ‖Σ_removed x̂_c‖² smallest. The score is the
// share of ‖ŷ‖² that is missing once the channel is gone. Then the kept
// channels' weights are scaled by ŵ = argmin ‖ŷ − X̂_S·ŵ‖². All of it is done
// on the Gram matrix X̂ᵀX̂ (C × C), whatever the number of samples.
type thinet struct {
	gram  map[string]*mat.SymDense // by group
	score map[*graph.Group][]float64
}

// placesPerImage is how many outputs are sampled of each image and layer.
const placesPerImage = 10

func (s *thinet) Observe(ctx context.Context, g *graph.Graph, groups []*graph.Group, d *Data) error {
	type reader struct {
		group *graph.Group
		layer *consumer
	}
	var readers []reader
	var fed []graph.Member
	for _, gr := range groups {
		if list, why := consumers(gr); why == "" {
			s.gram[gr.Name] = mat.NewSymDense(gr.Size, nil)
			for _, c := range list {
				readers = append(readers, reader{gr, c})
				fed = append(fed, c.input)
			}
		}
	}
	if readers == nil {
		return Unrated("no group of the model is read by plain layers alone")
	}
	rng := rand.New(rand.NewPCG(1, 1))
	err := d.Run(ctx, g, names(fed...), func(n int, v map[string]*tensor.Tensor) error {
		for _, r := range readers {
			x := v[r.layer.input.Value.Name]
			row := make([]float64, r.group.Size)
			vec := mat.NewVecDense(len(row), row)
			for image := range n {
				for range placesPerImage {
					r.layer.sample(x, image, rng, row)
					s.gram[r.group.Name].SymRankOne(s.gram[r.group.Name], 1, vec)
				}
			}
		}
		return nil
	})
	for _, gr := range groups {
		if m := s.gram[gr.Name]; m != nil {
			s.score[gr] = greedyRemoval(m)
		}
	}
	return err
}

func (s *thinet) Channels(gr *graph.Group) ([]float64, error) {
	if s.score[gr] == nil {
		_, why := consumers(gr)
		return nil, Unrated(why)
	}
	return s.score[gr], nil
}

// Reconstruct scales what reads the kept channels by least squares.
func (s *thinet) Reconstruct(gr *graph.Group, gone []int) error {
	keep := complement(gr.Size, gone)
	scale := leastSquares(s.gram[gr.Name], keep)
	for _, m := range gr.Consumers() {
		w, err := writable(m)
		if err != nil {
			return err
		}
		for k, c := range keep {
			for _, i := range m.At[c] {
				each(m, i, func(o int) { w[o] *= float32(scale[k]) })
			}
		}
		for _, c := range gone {
			for _, i := range m.At[c] {
				each(m, i, func(o int) { w[o] = 0 })
			}
		}
	}
	return nil
}

func complement(n int, gone []int) []int {
	out := make([]bool, n)
	for _, c := range gone {
		out[c] = true
	}
	var keep []int
	for c, g := range out {
		if !g {
			keep = append(keep, c)
		}
	}
	return keep
}

// greedyRemoval gives each channel the share of the energy of ŷ that is lost
// when it goes, in the greedy order; later ones score more even when the loss
// shrinks again.
func greedyRemoval(gram *mat.SymDense) []float64 {
	n := gram.SymmetricDim()
	total := 0.0
	for a := range n {
		for b := range n {
			total += gram.At(a, b)
		}
	}
	if total <= 0 {
		total = 1
	}
	cross := make([]float64, n) // Σ_{t removed} G[c, t]
	gone := make([]bool, n)
	score := make([]float64, n)
	lost, highest := 0.0, 0.0
	for step := range n {
		best, least := -1, math.Inf(1)
		for c := range n {
			if e := lost + 2*cross[c] + gram.At(c, c); !gone[c] && e < least {
				best, least = c, e
			}
		}
		gone[best], lost = true, least
		for c := range n {
			cross[c] += gram.At(c, best)
		}
		highest = max(highest, lost/total)
		score[best] = highest + 1e-9*float64(step)
	}
	return score
}

// leastSquares solves (G_SS + λI)·w = G_S·1 for the kept set S.
func leastSquares(gram *mat.SymDense, keep []int) []float64 {
	n, all := len(keep), gram.SymmetricDim()
	a, b := mat.NewSymDense(n, nil), mat.NewVecDense(n, nil)
	trace := 0.0
	for i, c := range keep {
		trace += gram.At(c, c)
		sum := 0.0
		for k := range all {
			sum += gram.At(c, k)
		}
		b.SetVec(i, sum)
		for j := i; j < n; j++ {
			a.SetSym(i, j, gram.At(c, keep[j]))
		}
	}
	ones := make([]float64, n)
	for i := range ones {
		ones[i] = 1
	}
	// A ridge towards 1, so that channels which never spoke keep their weights.
	for ridge := 1e-9 * trace / float64(max(n, 1)); ridge < 10*trace; ridge *= 100 {
		var chol mat.Cholesky
		damped, rhs := mat.NewSymDense(n, nil), mat.NewVecDense(n, nil)
		damped.CopySym(a)
		for i := range n {
			damped.SetSym(i, i, a.At(i, i)+ridge)
			rhs.SetVec(i, b.AtVec(i)+ridge)
		}
		var w mat.VecDense
		if chol.Factorize(damped) && chol.SolveVecTo(&w, rhs) == nil {
			return w.RawVector().Data
		}
	}
	return ones
}

// consumer is a layer that reads a group and whose outputs can be split into
// what the channels add.
type consumer struct {
	weight graph.Member // the layer's weights
	input  graph.Member // the activation it reads
	w      []float32
	conv   *window
	// Of a matrix product: W[f, i] lies at f·out + i·in.
	outs, out, in int
}

// window is a convolution's geometry.
type window struct {
	kernel, stride, pad, dilation [2]int
	height, width                 int // of the output
}

// consumers lists the layers that read a group, or says why they cannot be
// split.
func consumers(gr *graph.Group) (list []*consumer, why string) {
	for _, m := range gr.Consumers() {
		c := &consumer{weight: m, w: m.Value.Data.Float32s()}
		found := false
		for _, a := range gr.Activations {
			if m.Node != nil && a.Value == m.Node.In(0) {
				c.input, found = a, true
			}
		}
		s := m.Value.Data.Shape
		switch {
		case !found:
			return nil, fmt.Sprintf("what %q reads is no plain activation", m.Value.Name)
		case m.Node.Is("Conv") && m.Node.Int("group", 1) == 1 && len(s) == 4 && m.Axis == 1 && m.Node.Str("auto_pad", "NOTSET") == "NOTSET":
			shape := m.Node.Outputs[0].Shape.Ints()
			w := &window{kernel: [2]int{s[2], s[3]}, stride: pair(m.Node, "strides", 1), dilation: pair(m.Node, "dilations", 1), pad: pair(m.Node, "pads", 0),
				height: shape[2], width: shape[3]}
			if w.height < 1 || w.width < 1 {
				return nil, fmt.Sprintf("the size of what %q computes is not known", m.Node.Name)
			}
			c.conv, c.outs = w, s[0]
		case m.Node.Is("Gemm") && m.Node.Int("transA", 0) == 0 && len(s) == 2, m.Node.Is("MatMul") && len(s) == 2:
			c.outs, c.out, c.in = s[1], 1, s[1]
			if m.Node.Int("transB", 0) == 1 {
				c.outs, c.out, c.in = s[0], s[1], 1
			}
		default:
			return nil, fmt.Sprintf("it is read by %s %q, whose output cannot be split by channels", m.Node.Op, m.Node.Name)
		}
		list = append(list, c)
	}
	if list == nil {
		return nil, "no layer reads it"
	}
	return list, ""
}

// pair reads the first two of a node's numbers for rows and columns.
func pair(n *graph.Node, name string, def int) [2]int {
	v := n.Ints(name)
	if len(v) < 2 {
		return [2]int{def, def}
	}
	return [2]int{v[0], v[1]}
}

// sample fills row with what each channel adds to one output of one image,
// chosen at random.
func (c *consumer) sample(x *tensor.Tensor, image int, rng *rand.Rand, row []float64) {
	d := tensor.Data[float32](x)
	f := rng.IntN(c.outs)
	per := len(d) / x.Shape[0]
	d = d[image*per:][:per]
	if c.conv == nil {
		for ch, at := range c.weight.At {
			row[ch] = 0
			for _, i := range at {
				row[ch] += float64(d[i]) * float64(c.w[f*c.out+i*c.in])
			}
		}
		return
	}
	g, h, w := c.conv, x.Shape[2], x.Shape[3]
	top, left := rng.IntN(g.height)*g.stride[0]-g.pad[0], rng.IntN(g.width)*g.stride[1]-g.pad[1]
	taps := g.kernel[0] * g.kernel[1]
	channels := c.weight.Value.Data.Shape[1]
	for ch, at := range c.weight.At {
		sum := 0.0
		for _, i := range at {
			for k := range taps {
				r, q := top+k/g.kernel[1]*g.dilation[0], left+k%g.kernel[1]*g.dilation[1]
				if r >= 0 && r < h && q >= 0 && q < w {
					sum += float64(d[(i*h+r)*w+q]) * float64(c.w[(f*channels+i)*taps+k])
				}
			}
		}
		row[ch] = sum
	}
}
