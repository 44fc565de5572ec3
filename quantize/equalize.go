package quantize

import (
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "equalize", Family: method.Quantize, Summary: "cross-layer equalization: even out the channel ranges of consecutive layers",
		Paper: "Nagel et al., Data-free quantization through weight equalization and bias correction, ICCV", Year: 2019,
		New: func(map[string]string) (any, error) { return Preset(func(o *Options) { o.Equalize = true }), nil },
	})
}

// Equalize scales the output channels of each convolution by 1/s and the
// input channels of the next by s, with s = √(r₁·r₂)/r₂ from the ranges r₁, r₂
// of the channel's weights on either side (Nagel et al. 2019, eq. 11), so that
// no channel loses its bits to a larger neighbour. It acts on pairs with
// nothing or a Relu between them, where it changes nothing else, repeats until
// the scales settle, and returns the number of pairs. g changes.
func Equalize(g *graph.Graph) int { return equalize(g, nil) }

// pair is two convolutions with nothing or a Relu between them.
type pair struct{ a, b *graph.Node }

// equalizablePairs lists the pairs of layers whose channels can be scaled
// against each other.
func equalizablePairs(g *graph.Graph) []pair {
	var pairs []pair
	for _, a := range g.Nodes {
		if !equalizable(a) {
			continue
		}
		b := a.Outputs[0].SoleUse()
		if b.Is("Relu") {
			b = b.Outputs[0].SoleUse()
		}
		if b == nil || !equalizable(b) || b.Inputs[0] != a.Outputs[0] && (b.Inputs[0].Producer() == nil || b.Inputs[0].Producer().In(0) != a.Outputs[0]) {
			continue
		}
		if b.Int("group", 1) != 1 && b.Int("group", 1) != a.Inputs[1].Data.Shape[0] {
			continue
		}
		pairs = append(pairs, pair{a, b})
	}
	return pairs
}

// owner hands out constants that may be changed: copies that nobody else reads.
type owner struct {
	g   *graph.Graph
	own map[*graph.Value]bool
}

func (o owner) mutable(n *graph.Node, i int) []float32 {
	v := n.Inputs[i]
	if !o.own[v] || len(v.Uses()) > 1 {
		v = o.g.AddConst(v.Name+"_equalized", v.Data.Clone())
		o.own[v] = true
		n.SetInput(i, v)
	}
	return tensor.Data[float32](v.Data)
}

// equalize is Equalize; moments of the layers' outputs, by node, follow.
func equalize(g *graph.Graph, known map[string]*moments) int {
	pairs := equalizablePairs(g)
	mutable := owner{g, map[*graph.Value]bool{}}.mutable
	for range 20 {
		change := 0.0
		for _, p := range pairs {
			wa, wb := mutable(p.a, 1), mutable(p.b, 1)
			var bias []float32
			if p.a.In(2) != nil {
				bias = mutable(p.a, 2)
			}
			change = max(change, equalizePair(p.b, wa, bias, wb, p.a.Inputs[1].Data.Shape, p.b.Inputs[1].Data.Shape, known[p.a.Name]))
		}
		if change < 1e-3 {
			break
		}
	}
	g.RemoveDead()
	return len(pairs)
}

func equalizable(n *graph.Node) bool {
	return n.Is("Conv") && n.Inputs[1].Data != nil && n.Inputs[1].Type == tensor.Float32 && (n.In(2) == nil || n.Inputs[2].Data != nil && n.Inputs[2].Type == tensor.Float32)
}

// equalizePair returns the largest |log s|.
func equalizePair(b *graph.Node, wa, bias, wb []float32, sa, sb []int, m *moments) float64 {
	rowA := len(wa) / sa[0]
	innerB := len(wb) / (sb[0] * sb[1])
	depthwise := b.Int("group", 1) > 1
	worst := 0.0
	for c := range sa[0] {
		r1, r2 := float32(0), float32(0)
		for _, v := range wa[c*rowA : (c+1)*rowA] {
			r1 = max(r1, float32(math.Abs(float64(v))))
		}
		visit := func(f func(v *float32)) {
			if depthwise {
				per := sb[0] / sa[0] * innerB
				for i := range per {
					f(&wb[c*per+i])
				}
				return
			}
			for o := range sb[0] {
				for i := range innerB {
					f(&wb[(o*sb[1]+c)*innerB+i])
				}
			}
		}
		visit(func(v *float32) { r2 = max(r2, float32(math.Abs(float64(*v)))) })
		if r1 < 1e-8 || r2 < 1e-8 {
			continue
		}
		s := float32(math.Sqrt(float64(r1)*float64(r2))) / r2 // r1/s = r2·s
		s = min(max(s, 1e-4), 1e4)
		for i := range rowA {
			wa[c*rowA+i] /= s
		}
		if bias != nil {
			bias[c] /= s
		}
		m.scale(c, 1/s)
		visit(func(v *float32) { *v *= s })
		worst = max(worst, math.Abs(math.Log(float64(s))))
	}
	return worst
}
