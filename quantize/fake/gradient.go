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
	z := noise{}
	if step >= 0 {
		z = noise{on: true, seed: rand.New(rand.NewPCG(uint64(step), uint64(n.Int("stream", 0)))).Uint32()}
	}
	out := make([]float32, len(g))
	switch kind := n.Str("kind", "dorefa"); kind {
	case "dorefa":
		images := 1
		if len(in[0].Shape) > 0 {
			images = max(in[0].Shape[0], 1)
		}
		rows(len(g), images, func(_, lo, hi int) { roundDorefa(out[lo:hi], g[lo:hi], bits, z, lo) })
	case "log":
		roundLog(out, g, bits)
	case "int":
		roundInt(out, g, bits, z)
	default:
		return nil, fmt.Errorf("there is no kind %q", kind)
	}
	t, err := like(in[0], out)
	return []*tensor.Tensor{t}, err
}

// noise is a number from -½ to ½ for each element, or 0 where it is not on. It
// mixes the element's index (MurmurHash3's last step, Appleby 2011), which
// costs less than drawing numbers one after the other.
type noise struct {
	on   bool
	seed uint32
}

func (z noise) at(i int) float64 {
	if !z.on {
		return 0
	}
	x := uint32(i)*0x9e3779b1 + z.seed
	x = (x ^ x>>16) * 0x85ebca6b
	x = (x ^ x>>13) * 0xc2b2ae35
	return float64(int32(x^x>>16)) * (1.0 / (1 << 32))
}

// magnitude is the greatest absolute value. Bits without their sign stand in the
// order of the values; not a number is above all.
func magnitude(g []float32) float64 {
	top := uint32(0)
	for _, v := range g {
		top = max(top, math.Float32bits(v)&^(1<<31))
	}
	return float64(math.Float32frombits(top))
}

// roundDorefa rounds one image's gradient; first is the index of its first element.
func roundDorefa(out, g []float32, bits int, z noise, first int) {
	m, levels := magnitude(g), float64(int(1)<<bits-1)
	if m == 0 {
		return
	}
	scale, step := levels/(2*m), 2*m/levels
	for i, v := range g {
		u := min(max(float64(v)*scale+levels/2+z.at(first+i), 0), levels)
		out[i] = float32((math.RoundToEven(u) - levels/2) * step)
	}
}

func roundInt(out, g []float32, bits int, z noise) {
	top, most := float32(magnitude(g)), float32(int(1)<<(bits-1)-1)
	if top == 0 {
		return
	}
	const nearest = 3 << 22 // a sum with it is a whole number, for magnitudes below 2^22
	scale, step := most/top, top/most
	for i, v := range g {
		q := float32(float32(v*scale)+float32(z.at(i))) + nearest
		q -= nearest
		if q > most {
			q = most
		} else if q < -most {
			q = -most
		}
		out[i] = q * step
	}
}

// AP2 is the power of two nearest to x in the exponent, with its sign; AP2(0)
// is 0 (Hubara et al., Quantized neural networks, 2018).
func AP2(x float32) float32 {
	const exponent, root = 0xff << 23, 0x3504f4 // mantissas from root on are above √2
	b := math.Float32bits(x)
	if e := b & exponent; e == 0 || e == exponent { // zero, subnormal, infinite or not a number
		if x == 0 {
			return 0
		}
		p := math.Exp2(math.RoundToEven(math.Log2(math.Abs(float64(x)))))
		return float32(math.Copysign(p, float64(x)))
	}
	p := b &^ (1<<23 - 1)
	if b&(1<<23-1) >= root {
		p += 1 << 23
	}
	return math.Float32frombits(p)
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
