package accel

import (
	"math"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/dataflow"
)

// DianNao, Chen et al., ASPLOS 2014: the dense machine that others compare
// themselves with, and the buffers that it and they have.
const (
	dianNaoPower = 485.0 / 0.98 // pJ a cycle: 485 mW at 0.98 GHz
	dianNaoClock = 980.0        // MHz
	dianNaoLanes = 16           // outputs, and inputs, at a time
)

// dianNaoBuffers are those of DianNao: 2 KB of inputs, 2 KB of sums, 32 KB of
// weights.
var dianNaoBuffers = stagingBuffers{inputs: 1024, sums: 1024, weightBits: 8 * 32 << 10}

func dianNaoCycles(l *hardware.Layer) float64 {
	return dataflow.ChannelCycles(l, dianNaoLanes, dianNaoLanes)
}

func dianNaoSeconds(l *hardware.Layer) float64 { return dianNaoCycles(l) / dianNaoClock / 1e6 }

func dianNaoEnergy(l *hardware.Layer) float64 {
	t := dianNaoBuffers.traffic(l, 16*float64(l.Words(hardware.Weights)))
	return dianNaoCycles(l)*dianNaoPower + hardware.DRAMEnergy(t[hardware.Weights]+t[hardware.Inputs]+t[hardware.Outputs])
}

// stagingBuffers are buffers of a few KB for inputs, sums (words of 16 bits)
// and weights (bits), between DRAM and the multipliers.
type stagingBuffers struct{ inputs, sums, weightBits float64 }

// traffic is the bits of DRAM that a layer moves at least, by operand, if its
// weights take weightBits. Sums of k filters at p×q positions stay until they
// are complete: k·p·q ≤ sums. Then weights are read for every tile of
// positions, unless those of k filters stay while all positions go by; inputs
// are read, with the overlap of windows, for every k filters, unless a tile's
// stay while all filters go by.
func (b stagingBuffers) traffic(l *hardware.Layer, weightBits float64) (bits [hardware.NumOperands]float64) {
	s := &l.Size
	outputs := 16 * float64(l.Words(hardware.Outputs))
	least := math.Inf(1)
	for k := min(s[hardware.K], dianNaoLanes); ; k = min(k+dianNaoLanes, s[hardware.K]) {
		for p := 1; p <= s[hardware.P] && float64(k*p) <= b.sums; p++ {
			q := min(s[hardware.Q], int(b.sums)/(k*p))
			rows := min((p-1)*l.Stride[0]+(s[hardware.R]-1)*l.Dilation[0]+1, l.Height)
			cols := min((q-1)*l.Stride[1]+(s[hardware.S]-1)*l.Dilation[1]+1, l.Width)
			tiles := float64(s[hardware.N]) * hardware.Ceil(s[hardware.P], p) * hardware.Ceil(s[hardware.Q], q)
			tile := float64(s[hardware.C] * rows * cols)
			once := 16 * float64(s[hardware.G]) * tile * tiles
			if all := 16 * float64(l.Words(hardware.Inputs)); tiles == float64(s[hardware.N]) {
				once = all
			}
			filters := hardware.Ceil(s[hardware.K], k)
			share := weightBits / float64(s[hardware.G]) / filters // of k filters
			for _, c := range [][2]float64{
				{weightBits * times(share > b.weightBits, tiles), once * filters}, // filters outside
				{weightBits * tiles, once * times(tile > b.inputs, filters)},      // positions outside
			} {
				if c[0]+c[1] < least {
					least = c[0] + c[1]
					bits = [hardware.NumOperands]float64{c[0], c[1], outputs}
				}
			}
		}
		if k == s[hardware.K] || float64(k+dianNaoLanes) > b.sums {
			return bits
		}
	}
}

// times is n if something must be repeated, else 1.
func times(again bool, n float64) float64 {
	if again {
		return n
	}
	return 1
}
