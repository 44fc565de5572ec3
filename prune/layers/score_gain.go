package layers

import (
	"context"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
)

// gain scores a block by how much better its output tells the classes apart
// than its input, by the accuracy of a simple classifier on pooled features.
type gain struct {
	accuracy func(x [][]float64, y []int32, classes int) float64
}

// features is about how many numbers a map is pooled to.
const features = 512

func (s gain) Rate(ctx context.Context, g *graph.Graph, blocks []*Block, d *prune.Data) ([]float64, error) {
	var names []string
	for _, b := range blocks {
		names = append(names, b.Input.Name, b.Output.Name)
	}
	pooled := map[string][][]float64{}
	if err := d.Run(ctx, g, names, func(_ int, v map[string]*tensor.Tensor) error {
		for _, name := range names {
			pooled[name] = append(pooled[name], pool(v[name])...)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	// A block's input may be another's output: features are listed twice then.
	ds := d.Loader.Dataset()
	labels := make([]int32, 0, ds.Len())
	classes := 0
	for i := range ds.Len() {
		l := int32(ds.Label(i))
		if l < 0 {
			return nil, prune.ErrNoLabels
		}
		labels = append(labels, l)
		classes = max(classes, int(l)+1)
	}
	out := make([]float64, len(blocks))
	at := map[string]float64{}
	accuracy := func(v *graph.Value) float64 {
		if _, known := at[v.Name]; !known {
			x := pooled[v.Name]
			n := min(len(x), len(labels))
			at[v.Name] = s.accuracy(x[:n], labels[:n], classes)
		}
		return at[v.Name]
	}
	for i, b := range blocks {
		out[i] = accuracy(b.Output) - accuracy(b.Input)
	}
	return out, nil
}

// pool averages maps [N, C, H, W] over cells so that about 512 numbers an image
// are left.
func pool(t *tensor.Tensor) [][]float64 {
	x := tensor.Data[float32](t)
	n := t.Shape[0]
	per := len(x) / max(n, 1)
	out := make([][]float64, n)
	if len(t.Shape) != 4 {
		for i := range out {
			out[i] = make([]float64, per)
			for k, v := range x[i*per:][:per] {
				out[i][k] = float64(v)
			}
		}
		return out
	}
	c, h, w := t.Shape[1], t.Shape[2], t.Shape[3]
	side := min(max(int(math.Round(math.Sqrt(float64(features)/float64(c)))), 1), h, w)
	for i := range out {
		f := make([]float64, c*side*side)
		count := make([]float64, len(f))
		for k, v := range x[i*per:][:per] {
			cell := (k/(h*w)*side+k/w%h*side/h)*side + k%w*side/w
			f[cell] += float64(v)
			count[cell]++
		}
		for k := range f {
			f[k] /= max(count[k], 1)
		}
		out[i] = f
	}
	return out
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}
