package eval

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("", arithmetic, 5, map[string]Func{"BatchNormalization": batchNorm})
	register("", arithmetic, 3, map[string]Func{"InstanceNormalization": instanceNorm, "GroupNormalization": groupNorm})
	register("", arithmetic, 2, map[string]Func{"LayerNormalization": layerNorm, "RMSNormalization": rmsNorm})
	register("", arithmetic, 1, map[string]Func{
		"LRN": lrn, "LpNormalization": lpNormalization, "MeanVarianceNormalization": meanVariance,
	})
}

// planes splits [N, C, …] into images, channels and elements of a channel.
func planes(x *tensor.Tensor) (images, channels, size int, err error) {
	if x.Rank() < 2 {
		return 0, 0, 0, fmt.Errorf("input of shape %v has no channels", x.Shape)
	}
	return x.Shape[0], x.Shape[1], product(x.Shape[2:]), nil
}

// channelParams reads the per-channel inputs from first on.
func channelParams(in []*tensor.Tensor, first, count, channels int) ([][]float64, error) {
	out := make([][]float64, count)
	for i := range out {
		if out[i] = floats(in[first+i]); len(out[i]) != channels {
			return nil, fmt.Errorf("input %d has shape %v, want %d elements", first+i, in[first+i].Shape, channels)
		}
	}
	return out, nil
}

// batchNorm is (x-mean)/√(var+ε)·scale + bias per channel. In training mode,
// mean and var are the batch's (population variance), and outputs 1 and 2 the
// running ones: input·momentum + batch·(1-momentum).
func batchNorm(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	images, channels, size, err := planes(x)
	if err != nil {
		return nil, err
	}
	p, err := channelParams(in, 1, 4, channels)
	if err != nil {
		return nil, err
	}
	scale, bias, mean, variance := p[0], p[1], p[2], p[3]
	eps, momentum := float64(n.Float("epsilon", 1e-5)), float64(n.Float("momentum", 0.9))
	data, out := floats(x), make([]float64, x.Len())
	training := n.Int("training_mode", 0) != 0
	runMean, runVar := make([]float64, channels), make([]float64, channels)
	for c := range channels {
		m, v := mean[c], variance[c]
		if training {
			m, v = batchMoments(data, images, channels, size, c)
			runMean[c] = mean[c]*momentum + m*(1-momentum)
			runVar[c] = variance[c]*momentum + v*(1-momentum)
		}
		k := scale[c] / math.Sqrt(v+eps)
		for i := range images {
			at := (i*channels + c) * size
			for j, v := range data[at : at+size] {
				out[at+j] = (v-m)*k + bias[c]
			}
		}
	}
	y, err := ofFloats(x.DType, out, x.Shape)
	if err != nil || !training {
		return one(y, err)
	}
	rm, err := ofFloats(in[3].DType, runMean, in[3].Shape)
	if err != nil {
		return nil, err
	}
	rv, err := ofFloats(in[4].DType, runVar, in[4].Shape)
	return []*tensor.Tensor{y, rm, rv}, err
}

// batchMoments is the mean and the population variance of a channel.
func batchMoments(data []float64, images, channels, size, c int) (mean, variance float64) {
	count := float64(images * size)
	for i := range images {
		mean += sum(data[(i*channels+c)*size:][:size])
	}
	mean /= count
	for i := range images {
		for _, v := range data[(i*channels+c)*size:][:size] {
			variance += (v - mean) * (v - mean)
		}
	}
	return mean, variance / count
}

// moments is the mean and the population variance of x.
func moments(x []float64) (mean, variance float64) {
	mean = sum(x) / float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(x))
}

// instanceNorm normalizes each channel of each image.
func instanceNorm(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	_, channels, _, err := planes(in[0])
	if err != nil {
		return nil, err
	}
	return normGroups(n, in, channels)
}

// groupNorm normalizes groups of channels of each image; scale and bias are
// per channel (opset 21).
func groupNorm(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	return normGroups(n, in, n.Int("num_groups", 0))
}

func normGroups(n *graph.Node, in []*tensor.Tensor, groups int) ([]*tensor.Tensor, error) {
	x := in[0]
	images, channels, size, err := planes(x)
	if err != nil {
		return nil, err
	}
	if groups < 1 && channels > 0 || groups > channels || channels%max(groups, 1) != 0 {
		return nil, fmt.Errorf("%d channels cannot be split into %d groups", channels, groups)
	}
	p, err := channelParams(in, 1, 2, channels)
	if err != nil {
		return nil, err
	}
	eps := float64(n.Float("epsilon", 1e-5))
	data, out := floats(x), make([]float64, x.Len())
	block := channels / max(groups, 1) * size
	for g := range images * groups {
		part := data[g*block:][:block]
		m, v := moments(part)
		for i, e := range part {
			c := (g*block + i) / size % channels
			out[g*block+i] = (e-m)/math.Sqrt(v+eps)*p[0][c] + p[1][c]
		}
	}
	return one(ofFloats(x.DType, out, x.Shape))
}

// layerNorm normalizes over the axes from axis on; outputs 1 and 2 are the
// mean and 1/√(var+ε) as float32.
func layerNorm(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	axis, err := normAxis(n.Int("axis", -1), x.Rank())
	if err != nil {
		return nil, err
	}
	size := product(x.Shape[axis:])
	eps := float64(n.Float("epsilon", 1e-5))
	data, out := floats(x), make([]float64, x.Len())
	means, inverses := make([]float64, product(x.Shape[:axis])), make([]float64, product(x.Shape[:axis]))
	for r := range means {
		part := data[r*size:][:size]
		m, v := moments(part)
		means[r], inverses[r] = m, 1/math.Sqrt(v+eps)
		for i, e := range part {
			out[r*size+i] = (e - m) * inverses[r]
		}
	}
	if err := scaleAndShift(out, x.Shape, in[1], input(in, 2)); err != nil {
		return nil, err
	}
	shape := append([]int{}, x.Shape...)
	fill(shape[axis:], 1)
	y, err := ofFloats(x.DType, out, x.Shape)
	if err != nil {
		return nil, err
	}
	stash, err := typeAttr(n, "stash_type", tensor.Float32)
	if err != nil {
		return nil, err
	}
	m, err := ofFloats(stash, means, shape)
	if err != nil {
		return nil, err
	}
	s, err := ofFloats(stash, inverses, shape)
	return []*tensor.Tensor{y, m, s}, err
}

// scaleAndShift multiplies by scale and adds bias (may be nil), broadcast.
func scaleAndShift(x []float64, shape []int, scale, bias *tensor.Tensor) error {
	if err := checkSpread(scale.Shape, shape); err != nil {
		return err
	}
	k := floats(scale)
	eachSpread(scale.Shape, shape, func(i, at int) { x[i] *= k[at] })
	if bias == nil {
		return nil
	}
	if err := checkSpread(bias.Shape, shape); err != nil {
		return err
	}
	b := floats(bias)
	eachSpread(bias.Shape, shape, func(i, at int) { x[i] += b[at] })
	return nil
}

// rmsNorm is x/√(mean(x²)+ε)·scale over the axes from axis on.
func rmsNorm(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	axis, err := normAxis(n.Int("axis", -1), x.Rank())
	if err != nil {
		return nil, err
	}
	size := product(x.Shape[axis:])
	eps := float64(n.Float("epsilon", 1e-5))
	data, out := floats(x), make([]float64, x.Len())
	for r := range product(x.Shape[:axis]) {
		part, squares := data[r*size:][:size], 0.0
		for _, v := range part {
			squares += v * v
		}
		k := 1 / math.Sqrt(squares/float64(size)+eps)
		for i, v := range part {
			out[r*size+i] = v * k
		}
	}
	if err := scaleAndShift(out, x.Shape, in[1], nil); err != nil {
		return nil, err
	}
	return one(ofFloats(x.DType, out, x.Shape))
}

// lrn divides by (bias + alpha/size·Σx²)^beta, the sum over size neighbouring
// channels.
func lrn(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	images, channels, size, err := planes(x)
	if err != nil {
		return nil, err
	}
	width := n.Int("size", 0)
	if width < 1 || width > maxExtent {
		return nil, fmt.Errorf("size %d is out of range", width)
	}
	alpha, beta, bias := float64(n.Float("alpha", 1e-4)), float64(n.Float("beta", 0.75)), float64(n.Float("bias", 1))
	data, out := floats(x), make([]float64, x.Len())
	for i := range images {
		for c := range channels {
			lo, hi := max(0, c-(width-1)/2), min(channels-1, c+width/2)
			for j := range size {
				squares := 0.0
				for k := lo; k <= hi; k++ {
					v := data[(i*channels+k)*size+j]
					squares += v * v
				}
				at := (i*channels+c)*size + j
				out[at] = data[at] / math.Pow(bias+alpha/float64(width)*squares, beta)
			}
		}
	}
	return one(ofFloats(x.DType, out, x.Shape))
}

// lpNormalization divides by the p-norm along an axis.
func lpNormalization(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	p := float64(n.Int("p", 2))
	return alongAxis(in[0], n.Int("axis", -1), func(v []float64) {
		norm := lpNorm(v, p)
		for i := range v {
			if norm != 0 {
				v[i] /= norm
			}
		}
	})
}

// meanVariance normalizes over axes, by default all but the channels.
func meanVariance(n *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	x := in[0]
	axes, err := normAxes(n.Ints("axes", 0, 2, 3), x.Rank())
	if err != nil {
		return nil, err
	}
	data, out := floats(x), make([]float64, x.Len())
	eachReduced(x.Shape, axes, func(_ int, at []int) {
		part := make([]float64, len(at))
		for i, a := range at {
			part[i] = data[a]
		}
		m, v := moments(part)
		for i, a := range at {
			out[a] = (part[i] - m) / (math.Sqrt(v) + 1e-9)
		}
	})
	return one(ofFloats(x.DType, out, x.Shape))
}
