package accel

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
)

// mobileNetHalf is MobileNet (v1) of half width on an image of 128×128, with
// 8 bits: L01 is the first convolution, even layers to L26 are depthwise, odd
// ones to L27 pointwise, L28 is fully connected.
func mobileNetHalf() *hardware.Workload {
	w := &hardware.Workload{Name: "mobilenet-0.5-128", Batch: 1, Fused: true,
		Layers: []*hardware.Layer{hardware.Conv("L01", 1, 1, 16, 3, 128, 3, 2, 1)}}
	in, size := 16, 64
	for i, block := range []struct{ out, stride int }{
		{32, 1}, {64, 2}, {64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {256, 1}, {256, 1}, {256, 1}, {256, 1}, {512, 2}, {512, 1},
	} {
		w.Layers = append(w.Layers, hardware.Conv(fmt.Sprintf("L%02d", 2*i+2), 1, in, in, in, size, 3, block.stride, 1))
		size /= block.stride
		w.Layers = append(w.Layers, hardware.Conv(fmt.Sprintf("L%02d", 2*i+3), 1, 1, block.out, in, size, 1, 1, 0))
		in = block.out
	}
	w.Layers = append(w.Layers, hardware.FC("L28", 1, 1000, 512))
	for _, l := range w.Layers {
		l.Bits = hardware.Bits{W: 8, A: 8, Psum: 20, Out: 8}
	}
	return w
}

// mobileNetKnown are the four pointwise layers of pruned MobileNet whose
// densities are known, with the cycles of a sparse PE of one MAC: expected, and
// simulated on the real masks.
var mobileNetKnown = []struct {
	layer                  int
	in, weights            float64
	statistical, simulated float64
}{
	{7, 0.73, 0.52, 1592245, 1702140},
	{9, 0.86, 0.82, 1479114, 1499682},
	{21, 0.64, 0.60, 1610668, 1677684},
	{27, 0.58, 0.30, 729915, 775316},
}

// mobileNetSparse sets densities: those known, lines between them for other
// pointwise layers, and for inputs of depthwise layers the mean of those known.
// Depthwise and first weights are dense; pruned or not, activations are alike.
func mobileNetSparse(pruned bool) *hardware.Workload {
	w := mobileNetHalf()
	mean := 0.0
	for _, k := range mobileNetKnown {
		mean += k.in / float64(len(mobileNetKnown))
	}
	for i, l := range w.Layers {
		n := i + 1
		in, weights := between(n)
		switch {
		case n == 1 || n == 28: // the image; a mean over the plane
			in = 1
		case n%2 == 0:
			in = mean
		}
		if !pruned || n == 1 || n%2 == 0 && n != 28 {
			weights = 1
		}
		l.Density = hardware.Density{W: weights, In: in, Out: 1}
		if i > 0 {
			w.Layers[i-1].Density.Out = in
		}
	}
	return w
}

// between interpolates the known densities at layer n.
func between(n int) (in, weights float64) {
	k := mobileNetKnown
	if n <= k[0].layer {
		return k[0].in, k[0].weights
	}
	for i := 1; i < len(k); i++ {
		if n <= k[i].layer {
			f := float64(n-k[i-1].layer) / float64(k[i].layer-k[i-1].layer)
			return k[i-1].in + f*(k[i].in-k[i-1].in), k[i-1].weights + f*(k[i].weights-k[i-1].weights)
		}
	}
	return k[len(k)-1].in, k[len(k)-1].weights
}
