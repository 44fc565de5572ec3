package layers

import (
	"context"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "output", Family: method.Layers, Summary: "blocks without which the network's output changes least",
		Needs: method.Needs{Data: true},
		New:   func(map[string]string) (any, error) { return output{}, nil },
	})
	method.Register(method.Method{
		Name: "imprint", Family: method.Layers, Summary: "blocks behind which the nearest class prototype is right no more often than before them", Paper: layerPrune, Year: 2020,
		Needs: method.Needs{Data: true, Labels: true},
		New:   func(map[string]string) (any, error) { return gain{imprint}, nil },
	})
	method.Register(method.Method{
		Name: "probe", Family: method.Layers, Summary: "blocks behind which a linear classifier is right no more often than before them",
		Paper: "Chen and Zhao, Shallowing deep networks: Layer-wise pruning based on feature representations, TPAMI 41(12)", Year: 2019,
		Needs: method.Needs{Data: true, Labels: true},
		New:   func(map[string]string) (any, error) { return gain{probe}, nil },
	})
}

// output scores a block by the relative squared error of the network's output
// when it alone is left out.
type output struct{}

func (output) Rate(ctx context.Context, g *graph.Graph, blocks []*Block, d *prune.Data) ([]float64, error) {
	all := func(g *graph.Graph) ([]float32, error) {
		var list []float32
		err := d.Run(ctx, g, nil, func(_ int, v map[string]*tensor.Tensor) error {
			list = append(list, v[g.Outputs[0].Name].Float32s()...)
			return nil
		})
		return list, err
	}
	want, err := all(g)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(blocks))
	for i := range blocks {
		c := g.Clone()
		for _, b := range Find(c) {
			if b.Name == blocks[i].Name {
				b.remove(c)
				break
			}
		}
		c.RemoveDead()
		got, err := all(c)
		if err != nil {
			return nil, err
		}
		diff, norm := 0.0, 0.0
		for k, w := range want {
			diff += float64(w-got[k]) * float64(w-got[k])
			norm += float64(w) * float64(w)
		}
		out[i] = diff / max(norm, 1e-30)
	}
	return out, nil
}

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

// imprint is the accuracy, on the images themselves, of the class whose mean
// embedding of unit length has the largest dot product with the image's.
func imprint(x [][]float64, y []int32, classes int) float64 {
	proto := make([][]float64, classes)
	for i, f := range x {
		unit(f)
		if proto[y[i]] == nil {
			proto[y[i]] = make([]float64, len(f))
		}
		for k, v := range f {
			proto[y[i]][k] += v
		}
	}
	for _, p := range proto {
		unit(p)
	}
	right := 0
	for i, f := range x {
		best, most := -1, math.Inf(-1)
		for c, p := range proto {
			if p == nil {
				continue
			}
			if d := dot(f, p); d > most {
				best, most = c, d
			}
		}
		if best == int(y[i]) {
			right++
		}
	}
	return float64(right) / float64(max(len(x), 1))
}

func unit(f []float64) {
	n := math.Sqrt(dot(f, f))
	for k := range f {
		f[k] /= max(n, 1e-30)
	}
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// probe trains a logistic regression on three quarters of the images, with
// standardized features, and returns its accuracy on the rest.
func probe(x [][]float64, y []int32, classes int) float64 {
	standardize(x)
	train := len(x) * 3 / 4
	if train == 0 {
		return 0
	}
	width := len(x[0]) + 1
	w := make([][]float64, classes)
	for c := range w {
		w[c] = make([]float64, width)
	}
	scores := func(f []float64) []float64 {
		z := make([]float64, classes)
		for c := range z {
			z[c] = dot(f, w[c][:width-1]) + w[c][width-1]
		}
		return z
	}
	const rounds, decay = 100, 1e-3
	rate := 1 / math.Sqrt(float64(width))
	for range rounds {
		grad := make([][]float64, classes)
		for c := range grad {
			grad[c] = make([]float64, width)
		}
		for i, f := range x[:train] {
			p := softmax(scores(f))
			p[y[i]]--
			for c, e := range p {
				for k, v := range f {
					grad[c][k] += e * v / float64(train)
				}
				grad[c][width-1] += e / float64(train)
			}
		}
		for c := range w {
			for k := range w[c] {
				w[c][k] -= rate * (grad[c][k] + decay*w[c][k])
			}
		}
	}
	right := 0
	for i, f := range x[train:] {
		z := scores(f)
		best := 0
		for c, v := range z {
			if v > z[best] {
				best = c
			}
		}
		if best == int(y[train+i]) {
			right++
		}
	}
	return float64(right) / float64(max(len(x)-train, 1))
}

func softmax(z []float64) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range z {
		top = max(top, v)
	}
	for c := range z {
		z[c] = math.Exp(z[c] - top)
		sum += z[c]
	}
	for c := range z {
		z[c] /= sum
	}
	return z
}

// standardize gives each feature mean 0 and deviation 1.
func standardize(x [][]float64) {
	if len(x) == 0 {
		return
	}
	for k := range x[0] {
		mean, sq := 0.0, 0.0
		for _, f := range x {
			mean += f[k] / float64(len(x))
		}
		for _, f := range x {
			sq += (f[k] - mean) * (f[k] - mean) / float64(len(x))
		}
		for _, f := range x {
			f[k] = (f[k] - mean) / max(math.Sqrt(sq), 1e-6)
		}
	}
}
