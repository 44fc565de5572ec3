package prune

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// Reinit returns a copy of g with fresh weights: normal with Kaiming's
// variance 2/fan-in for weights, zero for biases and shifts, one for scales, and
// the running statistics of an untrained network. The same seed gives the same
// bytes. It is what training a pruned shape from scratch starts from (Liu et
// al., Rethinking the value of network pruning, ICLR 2019).
func Reinit(g *graph.Graph, seed uint64) *graph.Graph {
	c := g.Clone()
	weight := map[*graph.Value]bool{}
	one := map[*graph.Value]bool{}
	for _, n := range c.Nodes {
		switch {
		case n.Is("Conv", "ConvTranspose", "Gemm", "MatMul"):
			weight[graph.Source(n.In(1))] = true
		case n.Is("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization"):
			one[n.In(1)] = true
			if n.Is("BatchNormalization") {
				fill(n.In(3), 0)
				fill(n.In(4), 1)
			}
		case n.Is("PRelu"):
			one[n.In(1)] = true
		}
	}
	for _, v := range train.Parameters(c) {
		switch {
		case weight[v] && len(v.Data.Shape) >= 2:
			draw(v, seed)
		case one[v]:
			fill(v, 1)
		default:
			fill(v, 0)
		}
	}
	c.Record("reinit", "new random weights")
	return c
}

func fill(v *graph.Value, x float32) {
	if v == nil || v.Data == nil || v.Data.DType != tensor.Float32 {
		return
	}
	t := tensor.New(tensor.Float32, v.Data.Shape...)
	for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
		d[i] = x
	}
	v.SetData(t)
}

// draw fills a weight; its stream of random numbers depends on its name.
func draw(v *graph.Value, seed uint64) {
	t := tensor.New(tensor.Float32, v.Data.Shape...)
	fanIn := t.Len() / max(t.Shape[0], 1)
	if u := v.Uses(); len(u) > 0 {
		if n := u[0].Node; n.Is("MatMul") || n.Is("Gemm") && n.Int("transB", 0) == 0 {
			fanIn = t.Shape[0]
		}
	}
	h := fnv.New64a()
	h.Write([]byte(v.Name))
	rng := rand.New(rand.NewPCG(seed, h.Sum64()))
	std := math.Sqrt(2 / float64(max(fanIn, 1)))
	for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
		d[i] = float32(rng.NormFloat64() * std)
	}
	v.SetData(t)
}

// Retrain says how a pruned network is trained.
type Retrain string

// The policies of Liu et al. (2019): go on with the weights that are left, or
// train the shape from new weights for as many epochs as the original, or for
// as many as cost the same.
const (
	Finetune Retrain = "finetune"
	ScratchE Retrain = "scratch-e"
	ScratchB Retrain = "scratch-b"
)

// Policies lists the policies.
func Policies() []Retrain { return []Retrain{Finetune, ScratchE, ScratchB} }

// Epochs is how long to train under a policy, given the epochs asked for and
// what the model cost before and after: ScratchB gives the same number of
// multiply-accumulates, so twice the epochs for half the network.
func (r Retrain) Epochs(epochs int, before, after int64) int {
	if r != ScratchB || after <= 0 {
		return epochs
	}
	return int(math.Round(float64(epochs) * float64(before) / float64(after)))
}
