package prune

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Proof is what taking channels out of one group did to what a network
// computes.
type Proof struct {
	Group    string `json:"group"`
	Channels int    `json:"channels"`
	Removed  int    `json:"removed"`
	// Zeroed is the largest change of an output when the channels carry zero,
	// relative to its largest value; Difference is what changes again when they
	// are then removed.
	Zeroed     float64 `json:"zeroed"`
	Difference float64 `json:"difference"`
	// Reason says why channels cannot be removed, or not exactly, or why the
	// comparison tells nothing.
	Reason string `json:"reason,omitempty"`
	// Failed is set if removal changed the result beyond rounding.
	Failed bool `json:"failed,omitempty"`
}

// proofTolerance is what the rounding of sums in another order may change.
const proofTolerance = 1e-4

// Prove takes about two fifths of the channels out of every group of g by
// itself and compares, on the inputs, what the network computes with them
// zeroed and without them. Channels that nothing notices prove nothing: then
// more of them are tried.
func Prove(ctx context.Context, g *graph.Graph, inputs map[string]*tensor.Tensor, seed uint64) ([]Proof, error) {
	groups, err := g.Groups()
	if err != nil {
		return nil, err
	}
	base, err := compute(ctx, g, inputs)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(seed, 11))
	list := make([]Proof, 0, len(groups))
	for i, gr := range groups {
		p := Proof{Group: gr.Name, Channels: gr.Size}
		switch {
		case gr.Frozen != "":
			p.Reason = gr.Frozen
		case gr.Size < 2:
			p.Reason = "it has a single channel"
		default:
			if err := p.prove(ctx, g, i, gr, inputs, base, r); err != nil {
				return nil, fmt.Errorf("channels of %q: %w", gr.Name, err)
			}
		}
		list = append(list, p)
	}
	return list, nil
}

func (p *Proof) prove(ctx context.Context, g *graph.Graph, at int, gr *graph.Group, inputs map[string]*tensor.Tensor, base []*tensor.Tensor, r *rand.Rand) error {
	for share := 0.4; share < 1; share += 0.15 {
		gone := gr.Choose(r.Perm(gr.Size), max(int(math.Ceil(share*float64(gr.Size))), gr.Divisor()))
		if len(gone) == 0 {
			p.Reason = "no channel can go without another"
			return nil
		}
		p.Removed = len(gone)
		masked, sets, err := cloneWith(g, at, gone)
		if err == nil {
			err = masked.ZeroChannels(sets)
		}
		if err != nil {
			return err
		}
		small, sets, err := cloneWith(masked, at, gone)
		if err == nil {
			err = small.RemoveChannels(sets)
		}
		if err == nil {
			err = small.Verify()
		}
		if err != nil {
			return err
		}
		zeroed, err := compute(ctx, masked, inputs)
		if err != nil {
			return err
		}
		removed, err := compute(ctx, small, inputs)
		if err != nil {
			return err
		}
		p.Zeroed, p.Difference = apart(zeroed, base), apart(removed, zeroed)
		if gr.Inexact != "" {
			p.Reason = gr.Inexact
			return nil
		}
		if p.Failed = !(p.Difference <= proofTolerance); p.Failed || p.Zeroed > 0 {
			return nil
		}
	}
	p.Reason = "no output notices its channels"
	return nil
}

// cloneWith is a clone of g with a list of channels of the group that is the
// at-th there too.
func cloneWith(g *graph.Graph, at int, gone []int) (*graph.Graph, map[*graph.Group][]int, error) {
	c := g.Clone()
	groups, err := c.Groups()
	if err != nil {
		return nil, nil, err
	}
	return c, map[*graph.Group][]int{groups[at]: gone}, nil
}

// compute runs g once.
func compute(ctx context.Context, g *graph.Graph, inputs map[string]*tensor.Tensor) ([]*tensor.Tensor, error) {
	shapes := map[string][]int{}
	for name, t := range inputs {
		shapes[name] = t.Shape
	}
	p, err := engine.Compile(g, engine.Options{Shapes: shapes})
	if err != nil {
		return nil, err
	}
	values, err := p.Run(ctx, inputs)
	if err != nil {
		return nil, err
	}
	list := make([]*tensor.Tensor, len(g.Outputs))
	for i, v := range g.Outputs {
		list[i] = values[v.Name]
	}
	return list, nil
}

// apart is the largest difference of two lists of outputs, each relative to
// the largest value of the second.
func apart(a, b []*tensor.Tensor) float64 {
	worst := 0.0
	for i := range a {
		if bytes.Equal(a[i].Bytes(), b[i].Bytes()) {
			continue
		}
		x, y := a[i].Float32s(), b[i].Float32s()
		if len(x) != len(y) {
			return math.Inf(1)
		}
		largest, diff := 1e-30, 0.0
		for k, v := range y {
			largest = max(largest, math.Abs(float64(v)))
			diff = max(diff, math.Abs(float64(v)-float64(x[k])))
		}
		worst = max(worst, diff/largest)
	}
	return worst
}

// Unsettle gives the biases and normalizations of a new network values that
// matter: as it is made they add nothing, and a proof would not see them go.
func Unsettle(g *graph.Graph, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 13))
	random := func(v *graph.Value, least, most float64) {
		if v == nil || v.Data == nil || v.Data.DType != tensor.Float32 {
			return
		}
		t := tensor.New(tensor.Float32, v.Data.Shape...)
		for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
			d[i] = float32(least + (most-least)*r.Float64())
		}
		v.SetData(t)
	}
	for _, n := range g.Nodes {
		switch {
		case n.Is("BatchNormalization"):
			random(n.In(1), 0.5, 1.5)
			random(n.In(2), -0.5, 0.5)
			random(n.In(3), -0.5, 0.5)
			random(n.In(4), 0.5, 1.5)
		case n.Is("Conv", "Gemm"):
			random(n.In(2), -0.5, 0.5)
		}
	}
}
