package fake

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register(QuantizeGradient, 2, false, []int{1}, func(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) { return in[:1], nil })
	registerGrad("RoundGradient", 1, 2, roundGradient, 0)
	rule(QuantizeGradient, func(b *autodiff.Builder, n *graph.Node, dy []*graph.Value) ([]*graph.Value, error) {
		dx := b.Node(graph.DrawknifeDomain, "RoundGradient", n.Attrs.Clone(), 1, append([]*graph.Value{dy[0]}, n.Inputs[1:]...)...)
		if t := n.In(1); t != nil {
			dx = append(dx, b.Zeros(t))
		}
		return dx, nil
	})
}

// roundGradient rounds a gradient to few bits. t is the number of the step,
// which decides the noise; without it, or if it is negative, there is none.
//
//	dorefa  2m·(quantize(g/2m + ½ + noise) − ½), m the greatest magnitude of the
//	        image (Zhou et al., DoReFa-Net, 2016)
//	log     sign·2^round(log2|g|), with 2^(bits−1) − 1 powers below the greatest (QNN)
//	int     symmetric integers of the whole tensor, rounded stochastically (Octo)
func roundGradient(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	g := in[0].Float32s()
	bits, step := n.Int("bits", 8), number(input(in, 1), -1)
	if bits < 2 || bits > 16 {
		return nil, fmt.Errorf("gradients of %d bits", bits)
	}
	noise := func() float64 { return 0 }
	if step >= 0 {
		rng := rand.New(rand.NewPCG(uint64(step), uint64(n.Int("stream", 0))))
		noise = func() float64 { return rng.Float64() - 0.5 }
	}
	out := make([]float32, len(g))
	switch kind := n.Str("kind", "dorefa"); kind {
	case "dorefa":
		images := 1
		if len(in[0].Shape) > 0 {
			images = max(in[0].Shape[0], 1)
		}
		rows(len(g), images, func(_, lo, hi int) { roundDorefa(out[lo:hi], g[lo:hi], bits, noise) })
	case "log":
		roundLog(out, g, bits)
	case "int":
		top, most := magnitude(g), float64(int(1)<<(bits-1)-1)
		for i, v := range g {
			if top > 0 {
				q := math.RoundToEven(float64(v)/top*most + noise())
				out[i] = float32(min(max(q, -most), most) * top / most)
			}
		}
	default:
		return nil, fmt.Errorf("there is no kind %q", kind)
	}
	t, err := like(in[0], out)
	return []*tensor.Tensor{t}, err
}

func magnitude(g []float32) float64 {
	top := float32(0)
	for _, v := range g {
		top = max(top, v, -v)
	}
	return float64(top)
}

func roundDorefa(out, g []float32, bits int, noise func() float64) {
	m, levels := magnitude(g), float64(int(1)<<bits-1)
	if m == 0 {
		return
	}
	for i, v := range g {
		u := float64(v)/(2*m) + 0.5 + noise()/levels
		q := math.RoundToEven(min(max(u, 0), 1)*levels) / levels
		out[i] = float32(2 * m * (q - 0.5))
	}
}

// AP2 is the power of two nearest to x in the exponent, with its sign; AP2(0)
// is 0 (Hubara et al., Quantized neural networks, 2018).
func AP2(x float32) float32 {
	if x == 0 {
		return 0
	}
	p := math.Exp2(math.RoundToEven(math.Log2(math.Abs(float64(x)))))
	return float32(math.Copysign(p, float64(x)))
}

func roundLog(out, g []float32, bits int) {
	top := magnitude(g)
	if top == 0 {
		return
	}
	least := float64(AP2(float32(top))) * math.Exp2(-float64(int(1)<<(bits-1)-2))
	for i, v := range g {
		p := AP2(v)
		if math.Abs(float64(p)) >= least {
			out[i] = p
		}
	}
}
