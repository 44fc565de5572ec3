package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register(graph.DrawknifeDomain, arithmetic, 5, map[string]Func{"BatchNormTrain": batchNormTrain})
	register(graph.DrawknifeDomain, arithmetic, 7, map[string]Func{"BatchNormGrad": batchNormGrad})
}

// clampLimits are the clamp that is fused behind a batch normalization.
func clampLimits(n *graph.Node) (lo, hi float64) {
	return float64(n.Float("min", float32(math.Inf(-1)))), float64(n.Float("max", float32(math.Inf(1))))
}

// batchNormTrain normalizes with the batch's own statistics:
//
//	y = clamp((x - μ)/√(σ² + ε)·scale + bias + add, min, max)
//
// with the population variance σ². It also gives μ, 1/√(σ² + ε), and the
// running mean and variance, old·momentum + batch·(1 - momentum). Input add
// (of x's shape) and the attributes min and max are optional.
func batchNormTrain(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x, add := in[0], input(in, 5)
	images, channels, size, err := planes(x)
	if err != nil {
		return nil, err
	}
	if images*size == 0 {
		return nil, fmt.Errorf("input of shape %v has no elements to take statistics of", x.Shape)
	}
	p, err := channelParams(in, 1, 4, channels)
	if err != nil {
		return nil, err
	}
	var other []float64
	if add != nil {
		if !slices.Equal(add.Shape, x.Shape) {
			return nil, fmt.Errorf("added tensor of shape %v does not fit %v", add.Shape, x.Shape)
		}
		other = floats(add)
	}
	eps, momentum := float64(n.Float("epsilon", 1e-5)), float64(n.Float("momentum", 0.9))
	lo, hi := clampLimits(n)
	data, out := floats(x), make([]float64, x.Len())
	stats := [4][]float64{}
	for i := range stats {
		stats[i] = make([]float64, channels)
	}
	for c := range channels {
		m, v := batchMoments(data, images, channels, size, c)
		inv := 1 / math.Sqrt(v+eps)
		stats[0][c], stats[1][c] = m, inv
		stats[2][c] = p[2][c]*momentum + m*(1-momentum)
		stats[3][c] = p[3][c]*momentum + v*(1-momentum)
		for i := range images {
			first := (i*channels + c) * size
			for at := first; at < first+size; at++ {
				y := (data[at]-m)*inv*p[0][c] + p[1][c]
				if other != nil {
					y += other[at]
				}
				out[at] = clamp(y, lo, hi)
			}
		}
	}
	y, err := ofFloats(x.DType, out, x.Shape)
	if err != nil {
		return nil, err
	}
	results := []*tensor.Tensor{y}
	for i, s := range stats {
		t, err := ofFloats(in[1+max(i-1, 0)].DType, s, []int{channels})
		if err != nil {
			return nil, err
		}
		results = append(results, t)
	}
	return results, nil
}

// batchNormGrad differentiates batchNormTrain from (dy, x, y, scale, bias, μ,
// 1/σ). With g = dy where y lies strictly between min and max, else 0, and
// x̂ = (x - μ)/σ, over the m elements of a channel:
//
//	dbias = Σ g, dscale = Σ g·x̂, dadd = g
//	dx = scale/σ·(g - dbias/m - x̂·dscale/m)
func batchNormGrad(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	dy, x, y := in[0], in[1], in[2]
	images, channels, size, err := planes(x)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(dy.Shape, x.Shape) || !slices.Equal(y.Shape, x.Shape) {
		return nil, fmt.Errorf("gradient %v and output %v do not fit input %v", dy.Shape, y.Shape, x.Shape)
	}
	p, err := channelParams(in, 3, 4, channels)
	if err != nil {
		return nil, err
	}
	scale, mean, inv := p[0], p[2], p[3]
	lo, hi := clampLimits(n)
	g, yv, xv := slices.Clone(floats(dy)), floats(y), floats(x)
	for i := range g {
		if yv[i] <= lo || yv[i] >= hi {
			g[i] = 0
		}
	}
	dx, dscale, dbias := make([]float64, len(g)), make([]float64, channels), make([]float64, channels)
	m := float64(images * size)
	each := func(c int, f func(at int)) {
		for i := range images {
			first := (i*channels + c) * size
			for at := first; at < first+size; at++ {
				f(at)
			}
		}
	}
	for c := range channels {
		each(c, func(at int) {
			dbias[c] += g[at]
			dscale[c] += g[at] * (xv[at] - mean[c]) * inv[c]
		})
		each(c, func(at int) {
			dx[at] = scale[c] * inv[c] * (g[at] - dbias[c]/m - (xv[at]-mean[c])*inv[c]*dscale[c]/m)
		})
	}
	var results []*tensor.Tensor
	for _, r := range []struct {
		v     []float64
		shape []int
	}{{dx, x.Shape}, {dscale, []int{channels}}, {dbias, []int{channels}}, {g, x.Shape}} {
		t, err := ofFloats(dy.DType, r.v, r.shape)
		if err != nil {
			return nil, err
		}
		results = append(results, t)
	}
	return results, nil
}
