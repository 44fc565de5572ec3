package prune

import (
	"context"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "sensitivity", Family: method.Allocate, Summary: "from every layer as much as changes the output equally, by a scan of one layer at a time",
		Paper: "Han et al., Learning both weights and connections for efficient neural networks, NIPS", Year: 2015,
		Needs: method.Needs{Data: true},
		New:   func(map[string]string) (any, error) { return &sensitivity{}, nil },
	})
}

// sensitivity measures, for each candidate alone and some shares removed, the
// relative squared error of the network's output. At a strength it allows all
// candidates the same error: that quantile of the errors of the scan.
type sensitivity struct {
	curves [][]float64 // by candidate: error at each of scanShares
	all    []float64   // all errors, sorted
}

// scanShares are the shares removed in the scan.
var scanShares = []float64{0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875}

// scanImages is how many images it looks at.
const scanImages = 64

func (a *sensitivity) Plan(ctx context.Context, p *Problem) error {
	if err := p.Data.check(); err != nil {
		return err
	}
	d := *p.Data
	d.Images = scanImages
	want, err := outputs(ctx, p.Graph, &d)
	if err != nil {
		return err
	}
	full := sizes(p.Candidates)
	for i, c := range p.Candidates {
		curve := make([]float64, len(scanShares))
		for k, share := range scanShares[1:] {
			trial := slices.Clone(full)
			trial[i] = max(1, len(c.Score)-int(share*float64(len(c.Score))))
			g, err := p.Cut(trial)
			if err != nil {
				return err
			}
			got, err := outputs(ctx, g, &d)
			if err != nil {
				return err
			}
			curve[k+1] = max(curve[k], relativeError(want, got)) // never falls
		}
		a.curves = append(a.curves, curve)
		a.all = append(a.all, curve[1:]...)
	}
	slices.Sort(a.all)
	return nil
}

// Keep reads off each curve how much may go.
func (a *sensitivity) Keep(cs []Candidate, strength float64) []int {
	allowed := quantile(a.all, strength)
	keep := make([]int, len(cs))
	for i, c := range cs {
		share := crossing(scanShares, a.curves[i], allowed)
		if strength <= 0 {
			share = 0
		}
		keep[i] = len(c.Score) - int(share*float64(len(c.Score))+1e-9)
	}
	return keep
}

// quantile interpolates between sorted values; below the first lies 0.
func quantile(sorted []float64, t float64) float64 {
	at := t * float64(len(sorted))
	i := int(at)
	if i >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	below := 0.0
	if i > 0 {
		below = sorted[i-1]
	}
	return below + (at-float64(i))*(sorted[i]-below)
}

// crossing is the greatest x at which the rising curve y is at most limit.
func crossing(x, y []float64, limit float64) float64 {
	for i := 1; i < len(x); i++ {
		if y[i] > limit {
			return x[i-1] + (x[i]-x[i-1])*max(0, (limit-y[i-1])/(y[i]-y[i-1]))
		}
	}
	return x[len(x)-1]
}

// outputs are the first outputs of g for the images, one after the other.
func outputs(ctx context.Context, g *graph.Graph, d *Data) ([]float32, error) {
	var all []float32
	name := g.Outputs[0].Name
	err := d.Run(ctx, g, nil, func(_ int, v map[string]*tensor.Tensor) error {
		all = append(all, v[name].Float32s()...)
		return nil
	})
	return all, err
}

// relativeError is ‖want − got‖² / ‖want‖².
func relativeError(want, got []float32) float64 {
	diff, norm := 0.0, 0.0
	for i, w := range want {
		e := float64(w - got[i])
		diff += e * e
		norm += float64(w) * float64(w)
	}
	if norm == 0 {
		return diff
	}
	if e := diff / norm; !math.IsNaN(e) {
		return e
	}
	return math.MaxFloat64
}
