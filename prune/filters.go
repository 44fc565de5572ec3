package prune

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// each calls f with the offset of every element that a member's tensor holds
// for index i of its axis.
func each(m graph.Member, i int, f func(offset int)) {
	shape := m.Value.Data.Shape
	inner := 1
	for _, d := range shape[m.Axis+1:] {
		inner *= d
	}
	size := shape[m.Axis]
	outer := m.Value.Data.Len() / max(size*inner, 1)
	first, last := 0, outer
	if m.Groups > 1 { // i counts the channels of all groups; see graph.Member
		first, last = i/size*(outer/m.Groups), (i/size+1)*(outer/m.Groups)
		i %= size
	}
	for o := first; o < last; o++ {
		at := (o*size + i) * inner
		for k := range inner {
			f(at + k)
		}
	}
}

// sound reports a member that each can walk, as an error.
func sound(m graph.Member) error {
	t := m.Value.Data
	if t == nil || m.Axis >= len(t.Shape) {
		return fmt.Errorf("prune: %q is not a constant of rank above %d", m.Value.Name, m.Axis)
	}
	for _, at := range m.At {
		for _, i := range at {
			if i < 0 || i >= t.Shape[m.Axis]*max(m.Groups, 1) {
				return fmt.Errorf("prune: %q has no index %d on axis %d", m.Value.Name, i, m.Axis)
			}
		}
	}
	return nil
}

// gather collects x (laid out like the member's tensor) for each logical
// channel: the channel's filter, flattened, not to be written to.
func gather(m graph.Member, x []float32) [][]float32 {
	out := make([][]float32, len(m.At))
	size := m.Value.Data.Len() / max(m.Value.Data.Shape[m.Axis]*max(m.Groups, 1), 1)
	for c, at := range m.At {
		if len(at) == 1 && m.Axis == 0 && m.Groups <= 1 { // it lies in one piece
			out[c] = x[at[0]*size:][:size:size]
			continue
		}
		out[c] = make([]float32, 0, size*len(at))
		for _, i := range at {
			each(m, i, func(k int) { out[c] = append(out[c], x[k]) })
		}
	}
	return out
}

// filters lists the weights that a member holds for each logical channel.
func filters(m graph.Member) ([][]float32, error) {
	if err := sound(m); err != nil {
		return nil, err
	}
	return gather(m, m.Value.Data.Float32s()), nil
}

// norms sums f over all weights of each logical channel of a member.
func norms(m graph.Member, f func(float64) float64) ([]float64, error) {
	if err := sound(m); err != nil {
		return nil, err
	}
	w := m.Value.Data.Float32s()
	// In the order of memory, whichever axis it is: a classifier's weights are
	// more than the caches hold.
	shape := m.Value.Data.Shape
	inner, groups := 1, max(m.Groups, 1)
	for _, d := range shape[m.Axis+1:] {
		inner *= d
	}
	size := shape[m.Axis]
	outer := len(w) / max(size*inner*groups, 1)
	sums := make([]float64, groups*size) // by index of the axis, see each
	engine.Pool(0).For(len(sums), max(len(sums)/64, 64/inner, 1), func(_, lo, hi int) {
		for lo < hi { // those of one group
			g := lo / size
			end := min(hi, (g+1)*size)
			for o := g * outer; o < (g+1)*outer; o++ {
				row := w[o*size*inner:][:size*inner]
				for i := lo; i < end; i++ {
					s := sums[i]
					at := (i - g*size) * inner
					for _, v := range row[at : at+inner] {
						s += f(float64(v))
					}
					sums[i] = s
				}
			}
			lo = end
		}
	})
	out := make([]float64, len(m.At))
	for c, at := range m.At {
		for _, i := range at {
			out[c] += sums[i]
		}
	}
	return out, nil
}

// average adds up the scores that rate gives the members, each list divided by
// its mean so that all count alike; a member without channels of a kind, or
// whose scores are all zero, counts nothing.
func average(size int, members []graph.Member, rate func(graph.Member) ([]float64, error)) ([]float64, error) {
	total := make([]float64, size)
	for _, m := range members {
		s, err := rate(m)
		if err != nil {
			return nil, err
		}
		mean, n := 0.0, 0
		for c, at := range m.At {
			if len(at) > 0 {
				mean, n = mean+s[c], n+1
			}
		}
		if mean == 0 {
			continue
		}
		for c := range total {
			total[c] += s[c] / (mean / float64(n))
		}
	}
	return total, nil
}

// writable makes a member's tensor the graph's own and returns its elements.
func writable(m graph.Member) ([]float32, error) {
	if m.Value.Data.DType != tensor.Float32 {
		return nil, fmt.Errorf("prune: %q is %v; only float32 weights can be changed", m.Value.Name, m.Value.Data.DType)
	}
	m.Value.SetData(m.Value.Data.Clone())
	return tensor.Data[float32](m.Value.Data), nil
}

// norm is a batch normalization's hold on a group: its scales, shifts and
// statistics for each logical channel.
type norm struct {
	scale, shift graph.Member
	gamma, beta  []float64
	dev          []float64 // √(σ² + ε)
	mean         []float64
}

// batchNorms lists the batch normalizations that work on the group.
func batchNorms(gr *graph.Group) []norm {
	var list []norm
	for _, m := range gr.Members {
		n := m.Node
		if n == nil || !n.Is("BatchNormalization") || n.In(1) != m.Value || m.Value.Data == nil {
			continue
		}
		b := norm{scale: m, gamma: perChannel(m, m.Value)}
		for _, o := range gr.Members {
			if o.Node == n && o.Value == n.In(2) {
				b.shift, b.beta = o, perChannel(o, o.Value)
			}
		}
		b.mean, b.dev = perChannel(m, n.In(3)), perChannel(m, n.In(4))
		if b.beta != nil && b.mean != nil && b.dev != nil {
			list = append(list, b)
		}
	}
	for _, b := range list {
		eps := float64(b.scale.Node.Float("epsilon", 1e-5))
		for i, v := range b.dev {
			b.dev[i] = sqrt(v + eps)
		}
	}
	return list
}

// perChannel reads a vector at the places of a member's channels, nil if it is
// no constant; of a channel with several places it takes the first.
func perChannel(m graph.Member, v *graph.Value) []float64 {
	if v == nil || v.Data == nil || v.Data.Len() != m.Value.Data.Len() {
		return nil
	}
	x := v.Data.Float32s()
	out := make([]float64, len(m.At))
	for c, at := range m.At {
		if len(at) > 0 {
			out[c] = float64(x[at[0]])
		}
	}
	return out
}

// unaryActivations are the operators that stand behind a layer and work on each
// element by itself.
var unaryActivations = []string{"Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "HardSwish", "HardSigmoid", "Sigmoid", "Swish", "Mish",
	"Gelu", "Tanh", "Softplus", "ThresholdedRelu"}

// rectifiers are those of them that give exact zeros.
var rectifiers = []string{"Relu", "Clip", "ThresholdedRelu"}

// responses are the activations that show what a group's channels say: what
// comes out of the activation functions; without any, what the layers that
// read the group are fed.
func responses(gr *graph.Group, ops []string) []graph.Member {
	var out []graph.Member
	for _, m := range gr.Activations {
		if m.Value.Producer() != nil && m.Value.Producer().Is(ops...) {
			out = append(out, m)
		}
	}
	if out != nil || len(ops) != len(unaryActivations) {
		return out
	}
	for _, c := range gr.Consumers() {
		for _, m := range gr.Activations {
			if m.Value == c.Node.In(0) && !slices.ContainsFunc(out, func(o graph.Member) bool { return o.Value == m.Value }) {
				out = append(out, m)
			}
		}
	}
	return out
}

// names lists the values of members once each.
func names(members ...graph.Member) []string {
	var out []string
	for _, m := range members {
		if !slices.Contains(out, m.Value.Name) {
			out = append(out, m.Value.Name)
		}
	}
	return out
}

// eachMap calls f for every map (the elements of one image) of every logical
// channel of an activation m that holds x.
func eachMap(m graph.Member, x *tensor.Tensor, f func(channel int, v []float32)) {
	d := tensor.Data[float32](x)
	inner := 1
	for _, n := range x.Shape[m.Axis+1:] {
		inner *= n
	}
	size := x.Shape[m.Axis]
	outer := len(d) / max(size*inner, 1)
	for o := range outer {
		for c, at := range m.At {
			for _, i := range at {
				f(c, d[(o*size+i)*inner:][:inner])
			}
		}
	}
}
