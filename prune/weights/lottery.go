package weights

import (
	"context"
	"fmt"
	"os"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// ticket does the first training of a lottery, of the dense network. It returns
// what came out, which the first masks are chosen from, and the weights to go
// back to: those of g, or of the point of the training asked for.
func (r *run) ticket(ctx context.Context, g *graph.Graph, l prune.Lottery, n int) (trained, back *graph.Graph, err error) {
	if r.fit == nil {
		return nil, nil, fmt.Errorf("schedule %s: %w", r.options.Schedule, ErrTraining)
	}
	start := r.options.Checkpoint + "-start.onnx"
	if r.options.Checkpoint != "" {
		if r, b := read(r.file(-1)), read(start); r != nil && b != nil {
			return r, b, nil
		}
	}
	snap := newSnapshot(g, l.Point)
	var hooks []train.Hook
	if l.Point > 0 {
		hooks = []train.Hook{snap}
	}
	trained, err = r.fit(ctx, g, -1, n, hooks)
	if err != nil {
		return nil, nil, err
	}
	if r.options.Checkpoint != "" {
		if err := onnx.Write(r.file(-1), trained); err != nil {
			return nil, nil, err
		}
		if err := onnx.Write(start, snap.graph); err != nil {
			return nil, nil, err
		}
	}
	return trained, snap.graph, nil
}

func read(file string) *graph.Graph {
	if _, err := os.Stat(file); err != nil {
		return nil
	}
	g, err := onnx.Read(file)
	if err != nil || g.InferShapes() != nil {
		return nil
	}
	return g
}

// snapshot takes the weights at a point of a training.
type snapshot struct {
	train.NoHook
	point float64
	graph *graph.Graph
	taken []float32 // 1 once it has them
	held  []train.Vector
}

func newSnapshot(g *graph.Graph, point float64) *snapshot {
	h := &snapshot{point: point, graph: g.Clone(), taken: make([]float32, 1)}
	for _, v := range h.graph.Constants() {
		if v.Data.DType == tensor.Float32 {
			t := v.Data.Clone()
			v.SetData(t)
			h.held = append(h.held, train.Vector{Name: "start:" + v.Name, Data: tensor.Data[float32](t)})
		}
	}
	return h
}

// Vectors hold what was taken.
func (h *snapshot) Vectors() []train.Vector {
	return append([]train.Vector{{Name: "taken", Data: h.taken}}, h.held...)
}

func (h *snapshot) BeforeForward(s *train.State) error {
	if h.taken[0] != 0 || s.Fraction < h.point {
		return nil
	}
	h.taken[0] = 1
	for _, v := range h.graph.Constants() {
		if p := s.Param(v.Name); p != nil && v.Data.DType == tensor.Float32 {
			copy(tensor.Data[float32](v.Data), tensor.Data[float32](p))
		}
	}
	return nil
}

// rewind puts the weights of g back, or new ones in their place, and masks
// them: with the masks chosen, or with random ones of the same densities, which
// then replace m.
func (r *run) rewind(g, back *graph.Graph, m Masks, l prune.Lottery, round int) error {
	from := back
	if l.Reinit {
		from = prune.Reinit(back, r.options.Seed+uint64(round)+1)
	}
	for _, v := range from.Constants() {
		if to := g.Value(v.Name); to != nil && to.Data != nil && to.Data.Len() == v.Data.Len() {
			to.SetData(v.Data.Clone())
		}
	}
	if l.RandomMask {
		layers, _, err := Layers(g, r.options.Skip, r.pattern)
		if err != nil {
			return err
		}
		for _, l := range layers {
			old := m[l.Value.Name]
			units := r.pattern.rate(l, drawn(l, r.options.Seed))
			share := 1 - float64(countZeros(old))/float64(max(len(old), 1))
			copy(old, r.pattern.choose(l, units, int(share*float64(len(units))+0.5)))
		}
	}
	return m.Apply(g)
}
