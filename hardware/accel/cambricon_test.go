package accel

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/tensor"
)

// randomWeights fills a layer's weights so that a share of them is not zero.
func randomWeights(r *rand.Rand, density float64, shape ...int) *tensor.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		if r.Float64() < density {
			values[i] = 1
		}
	}
	return tensor.Of(values, shape...)
}

// TestCambriconXWeights compares expected cycles with those of real weights.
func TestCambriconXWeights(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 4))
	for _, c := range []struct {
		layer *hardware.Layer
		shape []int
	}{
		{hardware.Conv("conv", 1, 1, 100, 64, 14, 3, 1, 1), []int{100, 64, 3, 3}},
		{hardware.Conv("grouped", 1, 4, 96, 64, 14, 3, 1, 1), []int{96, 16, 3, 3}},
		{hardware.FC("fc", 1, 250, 1000), []int{250, 1000}},
		{hardware.FC("fc, inputs first", 1, 250, 1000), []int{1000, 250}},
	} {
		c.layer.Density.W = 0.3
		expected, sum := cambriconXCycles(c.layer), 0.0
		const rounds = 20
		for range rounds {
			l := *c.layer
			l.Weight = randomWeights(r, 0.3, c.shape...)
			sum += cambriconXCycles(&l)
		}
		if counted := sum / rounds; math.Abs(counted-expected) > 0.01*expected {
			t.Errorf("%s: %v cycles, counted %v", c.layer.Name, expected, counted)
		}
	}
}

// TestCambriconXCounts: PEs take output channels in turn.
func TestCambriconXCounts(t *testing.T) {
	l := hardware.FC("fc", 1, 17, 33)
	values := make([]float32, 17*33)
	for i := range 33 {
		values[i] = 1 // output 0: 33 weights, 3 steps
	}
	values[16*33] = 2 // output 16, the same PE: 1 step
	values[33] = 3    // output 1, another PE
	l.Weight = tensor.Of(values, 17, 33)
	if got := cambriconXCycles(l); got != 4 {
		t.Errorf("%v cycles, want 4", got)
	}
	l.Weight = tensor.Of(values, 561)
	if channelCounts(l) != nil {
		t.Error("weights without channels are counted")
	}
}

func TestDianNao(t *testing.T) {
	if got := dianNaoCycles(hardware.Conv("c", 2, 1, 40, 20, 10, 3, 1, 1)); got != 2*100*9*2*3 {
		t.Errorf("%v cycles", got)
	}
}

// TestStaging computes traffic by hand.
func TestStaging(t *testing.T) {
	// 32 filters of 4 channels on 8×8 outputs. 64 sums are 16 filters at 2×2
	// positions; the weights of 16 filters, 4·9·16·16 bits, stay or not.
	l := hardware.Conv("c", 1, 1, 32, 4, 8, 3, 1, 1)
	weights := 16 * float64(l.Words(hardware.Weights))
	for _, c := range []struct {
		b               stagingBuffers
		weights, inputs float64
	}{
		{stagingBuffers{inputs: 1e9, sums: 1e9, weightBits: 1e9}, 1, 4 * 64},
		{stagingBuffers{inputs: 1, sums: 64 * 32, weightBits: 1}, 1, 4 * 64},
		{stagingBuffers{inputs: 1, sums: 64, weightBits: 9216}, 1, 2 * 4 * 16 * 4 * 4},
		{stagingBuffers{inputs: 4 * 4 * 4, sums: 64, weightBits: 1}, 16, 4 * 16 * 4 * 4},
	} {
		got := c.b.traffic(l, weights)
		if got[hardware.Weights] != c.weights*weights || got[hardware.Inputs] != 16*c.inputs || got[hardware.Outputs] != 16*32*64 {
			t.Errorf("%+v: %v times the weights, %v inputs; want %v, %v", c.b, got[hardware.Weights]/weights, got[hardware.Inputs]/16, c.weights, c.inputs)
		}
	}
}

// TestCambriconS: dense layers take what the array allows, and zeros of either
// kind save time.
func TestCambriconS(t *testing.T) {
	l := hardware.Conv("c", 1, 1, 40, 32, 10, 3, 1, 1)
	if got := cambriconSCycles(l); got != 100*3*18 {
		t.Errorf("%v cycles", got)
	}
	last := cambriconSCycles(l)
	for _, d := range []hardware.Density{{W: 0.5, In: 1}, {W: 0.5, In: 0.5}, {W: 0.1, In: 0.5}, {W: 0.1, In: 0}} {
		l.Density = d
		if got := cambriconSCycles(l); got >= last || got < 100*3 {
			t.Errorf("%+v: %v cycles after %v", d, got, last)
		} else {
			last = got
		}
	}
	if bits := blockIndexBits(); bits != 2332704/16+(37748736+16777216)/1024+4096000/256 {
		t.Errorf("AlexNet's index takes %v bits", bits)
	}
}

// TestCambriconSWeights: blocks are counted in real weights, and weights that
// were pruned one by one leave none empty.
func TestCambriconSWeights(t *testing.T) {
	l := hardware.Conv("c", 1, 2, 64, 64, 10, 1, 1, 0)
	l.Density.In = 0.5
	values := make([]float32, 64*32)
	for k := range 64 {
		for c := range 32 {
			if (c+k/16)%4 == 0 { // a quarter of the blocks, others in each group of outputs
				values[k*32+c] = 1
			}
		}
	}
	l.Weight = tensor.Of(values, 64, 32, 1, 1)
	counted := cambriconSCycles(l)
	if want := 100 * 4 * windowSteps(8, 0.5); math.Abs(counted-want) > 1e-9*want {
		t.Errorf("%v cycles, want %v", counted, want)
	}
	l.Weight = randomWeights(rand.New(rand.NewPCG(9, 4)), 0.25, 64, 32, 1, 1)
	if got := cambriconSCycles(l); got <= counted {
		t.Errorf("scattered weights take %v cycles, blocks %v", got, counted)
	}
}
