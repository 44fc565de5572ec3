package weights

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Channels are permuted so that an N:M pattern keeps more (Pool and Yu, Channel
// permutations for N:M sparsity, NeurIPS 2021): which M input channels lie side
// by side is free as long as the layers that compute them follow.

// sampledRows is how many filter taps of a layer a search looks at, searchWork
// about how many magnitudes the search of one group compares.
const (
	sampledRows = 512
	searchWork  = 1 << 30
)

// permute changes the order of channels in g, of groups that layers with the
// pattern read, where more magnitude is kept then. It returns the share of the
// magnitude of these layers that the pattern keeps, before and after, and the
// number of groups whose order it changed.
func permute(g *graph.Graph, layers []*Layer, p Pattern) (before, after float64, changed int, err error) {
	groups, err := g.Groups()
	if err != nil {
		return 0, 0, 0, err
	}
	share := func() float64 {
		kept, all := 0.0, 0.0
		for _, l := range layers {
			s := newStripes(l, p, math.MaxInt)
			for b := range s.blocks() {
				kept += s.kept(b)
			}
			for _, v := range l.W {
				all += math.Abs(float64(v))
			}
		}
		return kept / max(all, math.SmallestNonzeroFloat64)
	}
	before = share()
	for _, gr := range groups {
		moved, err := permuteGroup(gr, layers, p)
		if err != nil {
			return 0, 0, 0, err
		}
		if moved {
			changed++
		}
	}
	return before, share(), changed, nil
}

// reading is a layer that reads a group of channels.
type reading struct {
	*stripes
	at []int // input channel of each channel of the group, -1 if it has none
}

func permuteGroup(gr *graph.Group, layers []*Layer, p Pattern) (bool, error) {
	sets := gr.Alike()
	sampled, whole := readings(gr, layers, p, sampledRows), readings(gr, layers, p, math.MaxInt)
	if sets == nil || sampled == nil {
		return false, nil
	}
	order := make([]int, gr.Size)
	for c := range order {
		order[c] = c
	}
	work := 0
	for better := true; better && work < searchWork; {
		better = false
		for _, set := range sets {
			for i, a := range set {
				for _, b := range set[:i] {
					if work > searchWork {
						break
					}
					gain, cost := 0.0, 0
					for _, r := range sampled {
						d, n := r.swap(a, b)
						gain, cost = gain+d, cost+n
					}
					work += cost
					if gain > 1e-9 {
						order[a], order[b] = order[b], order[a]
						better = true
						continue
					}
					for _, r := range sampled {
						r.exchange(a, b) // back again
					}
				}
			}
		}
	}
	// What was found on some rows must hold on all.
	gain := 0.0
	for _, r := range whole {
		gain -= r.all()
		r.reorder(order)
		gain += r.all()
	}
	if !(gain > 0) {
		return false, nil
	}
	if err := gr.Permute(order); err != nil {
		return false, err
	}
	for _, l := range layers { // the tensors were replaced
		l.W = tensor.Data[float32](l.Value.Data)
	}
	return true, nil
}

// readings lists the layers with the pattern that read the group.
func readings(gr *graph.Group, layers []*Layer, p Pattern, rows int) []reading {
	var list []reading
	for _, m := range gr.Consumers() {
		k := slices.IndexFunc(layers, func(l *Layer) bool { return l.Value == m.Value })
		if k < 0 || m.Groups > 1 {
			continue
		}
		r := reading{newStripes(layers[k], p, rows), make([]int, gr.Size)}
		for c, at := range m.At {
			r.at[c] = -1
			switch len(at) {
			case 0:
			case 1:
				r.at[c] = at[0]
			default: // flattened: its columns go together
				return nil
			}
		}
		list = append(list, r)
	}
	return list
}

// stripes are the magnitudes of a layer, input channel by input channel; of
// each block of M of them, and each filter tap, N are kept.
type stripes struct {
	n, m int
	of   [][]float32 // by input channel, then by filter and tap
}

func newStripes(l *Layer, p Pattern, rows int) *stripes {
	channels := l.Cols / l.Taps
	all := l.Rows * l.Taps
	step := max((all+rows-1)/max(rows, 1), 1)
	if rows == math.MaxInt {
		step = 1
	}
	s := &stripes{p.N, p.M, make([][]float32, channels)}
	for c := range channels {
		for i := 0; i < all; i += step {
			s.of[c] = append(s.of[c], float32(math.Abs(float64(l.W[l.At(i/l.Taps, c*l.Taps+i%l.Taps)]))))
		}
	}
	return s
}

func (s *stripes) blocks() int { return len(s.of) / s.m }

// kept is the magnitude that a block of M channels keeps.
func (s *stripes) kept(block int) float64 {
	of := s.of[block*s.m:][:s.m]
	sum := 0.0
	var best [64]float32
	for i := range of[0] {
		for k := range s.n {
			best[k] = -1
		}
		for _, c := range of { // the n largest, by insertion
			v := c[i]
			for k := range s.n {
				if v > best[k] {
					v, best[k] = best[k], v
				}
			}
		}
		for _, v := range best[:s.n] {
			sum += float64(v)
		}
	}
	return sum
}

// all is the magnitude that the layer keeps.
func (s *stripes) all() float64 {
	sum := 0.0
	for b := range s.blocks() {
		sum += s.kept(b)
	}
	return sum
}

// exchange lets two channels of the group change places.
func (r reading) exchange(a, b int) {
	if i, j := r.at[a], r.at[b]; i >= 0 && j >= 0 {
		r.of[i], r.of[j] = r.of[j], r.of[i]
	}
}

// swap is exchange; it returns what is gained, and about how many magnitudes
// were compared to find that out.
func (r reading) swap(a, b int) (gain float64, work int) {
	i, j := r.at[a]/r.m, r.at[b]/r.m
	if r.at[a] < 0 || r.at[b] < 0 || i == j || max(i, j) >= r.blocks() {
		r.exchange(a, b)
		return 0, 1
	}
	gain = -r.kept(i) - r.kept(j)
	r.exchange(a, b)
	return gain + r.kept(i) + r.kept(j), 4 * r.m * r.n * len(r.of[0])
}

// reorder makes channel c what order[c] was.
func (r reading) reorder(order []int) {
	old := slices.Clone(r.of)
	for c, from := range order {
		if r.at[c] >= 0 {
			r.of[r.at[c]] = old[r.at[from]]
		}
	}
}

// permuted is a copy of g whose channels are in the order that suits the
// pattern, and a note that says so.
func (r *run) permuted(g *graph.Graph) (*graph.Graph, string, error) {
	if r.pattern.M == 0 {
		return nil, "", fmt.Errorf("the order of channels matters to patterns N:M only, not to %s", r.pattern)
	}
	c := g.Clone()
	if err := c.InferShapes(); err != nil {
		return nil, "", err
	}
	layers, _, err := Layers(c, r.options.Skip, r.pattern)
	if err != nil {
		return nil, "", err
	}
	before, after, n, err := permute(c, layers, r.pattern)
	if err != nil {
		return nil, "", err
	}
	return c, fmt.Sprintf("channels of %d groups changed places: %s keeps %.2f %% of the magnitude instead of %.2f %%", n, r.pattern, 100*after, 100*before), nil
}
