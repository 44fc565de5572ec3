package quantize

import (
	"context"
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// profileRuns is how often each network is timed; the shortest time counts.
const profileRuns = 30

// latencies are the nanoseconds that the engine takes for each layer at each
// width, one image at a time on one thread, and for all of them at 8 bits. A
// layer's time is that of the steps that bear its node's name: its kernel with
// all that is fused into it.
func (m *Mixed) latencies(ctx context.Context, g *graph.Graph, layers []*layer, images []*tensor.Tensor, o *Options) (costs [][]int64, full float64, err error) {
	costs = make([][]int64, len(layers))
	widths := slices.Clone(m.Bits)
	if !slices.Contains(widths, 8) {
		widths = append(widths, 8)
	}
	for _, bits := range widths {
		times, err := layerTimes(ctx, g, images[0], bits, o)
		if err != nil {
			return nil, 0, err
		}
		total := 0.0
		for i, l := range layers {
			t, ok := times[l.node.Name]
			if !ok {
				return nil, 0, fmt.Errorf("quantize: %w", l.node.Errorf("has no step of its own in the engine: use budget=size or budget=bops"))
			}
			costs[i] = append(costs[i], t)
			total += float64(t)
		}
		if bits == 8 {
			full = total
		}
	}
	for i := range costs {
		costs[i] = costs[i][:len(m.Bits)]
	}
	return costs, full, nil
}

// layerTimes quantizes g with weights of that many bits in every inner layer and
// times its steps, by the name of their node.
func layerTimes(ctx context.Context, g *graph.Graph, x *tensor.Tensor, bits int, o *Options) (map[string]int64, error) {
	plain := *o
	plain.Mixed, plain.Rounding, plain.Layers, plain.WBits, plain.Calibrator = nil, nil, nil, bits, "minmax"
	plain.Progress, plain.Reconstructed, plain.BiasCorrection = nil, nil, false
	q, _, err := Static(ctx, g, func(yield func(*data.Batch, error) bool) {
		yield(&data.Batch{N: x.Shape[0], C: x.Shape[1], H: x.Shape[2], W: x.Shape[3], X: tensor.Data[float32](x)}, nil)
	}, plain)
	if err != nil {
		return nil, err
	}
	shape := append([]int{1}, x.Shape[1:]...)
	if s := g.Inputs[0].Shape; s[0].Known() {
		shape[0] = s[0].Size
	}
	program, err := engine.Compile(q, engine.Options{Threads: 1, Shapes: map[string][]int{q.Inputs[0].Name: shape}})
	if err != nil {
		return nil, err
	}
	steps, err := program.Profile(ctx, []*tensor.Tensor{tensor.New(tensor.Float32, shape...)}, profileRuns)
	if err != nil {
		return nil, err
	}
	times := map[string]int64{}
	for _, s := range steps {
		times[s.Node] += s.Min.Nanoseconds()
	}
	return times, nil
}
