package accel

import "github.com/drawknife/drawknife/hardware"

// Densities of the pruned networks that sparse machines are measured on.
// Weights are from Han et al., NIPS 2015; inputs of AlexNet from Eyeriss (JSSC
// 2017), those of VGG-16 and of fully connected layers from Han et al. and EIE
// (ISCA 2016). All are recalled, not read. VGG-16's inputs agree with the
// products of densities that Han et al. print beside them.
var (
	alexNetWeights  = []float64{0.84, 0.38, 0.35, 0.37, 0.37, 0.09, 0.09, 0.25}
	alexNetInputs   = []float64{1, 0.61, 0.28, 0.21, 0.22, 0.35, 0.35, 0.38}
	leNet300Weights = []float64{0.08, 0.09, 0.26}
	leNet5Weights   = []float64{0.66, 0.12, 0.08, 0.19}
	vgg16Weights    = []float64{0.58, 0.22, 0.34, 0.36, 0.53, 0.24, 0.42, 0.32, 0.27, 0.34, 0.35, 0.29, 0.36, 0.04, 0.04, 0.23}
	vgg16Inputs     = []float64{1, 0.53, 0.89, 0.80, 0.81, 0.68, 0.70, 0.64, 0.51, 0.45, 0.34, 0.32, 0.29, 0.18, 0.38, 0.41}
)

// withDensities sets the densities of w's layers, in order; a layer's output is
// the next one's input, the last one's is dense.
func withDensities(w *hardware.Workload, weights, inputs []float64) *hardware.Workload {
	for i, l := range w.Layers {
		l.Density = hardware.Density{W: weights[i], In: inputs[i], Out: 1}
		if i+1 < len(w.Layers) {
			l.Density.Out = inputs[i+1]
		}
	}
	return w
}

// uniform sets the same densities in every layer of w.
func uniform(w *hardware.Workload, weights, activations float64) *hardware.Workload {
	for _, l := range w.Layers {
		l.Density = hardware.Density{W: weights, In: activations, Out: activations}
	}
	return w
}

func prunedAlexNet() *hardware.Workload {
	return withDensities(hardware.AlexNet(1), alexNetWeights, alexNetInputs)
}

// prunedByHan are the four networks whose pruned densities Han et al. print:
// two small ones for MNIST beside AlexNet and VGG-16. The small ones' inputs
// count as dense.
func prunedByHan() []*hardware.Workload {
	dense := []float64{1, 1, 1, 1}
	leNet300 := &hardware.Workload{Name: "lenet-300-100", Batch: 1, Fused: true, Layers: []*hardware.Layer{
		hardware.FC("fc1", 1, 300, 784), hardware.FC("fc2", 1, 100, 300), hardware.FC("fc3", 1, 10, 100)}}
	leNet5 := &hardware.Workload{Name: "lenet-5", Batch: 1, Fused: true, Layers: []*hardware.Layer{
		hardware.Conv("conv1", 1, 1, 20, 1, 28, 5, 1, 0), hardware.Conv("conv2", 1, 1, 50, 20, 12, 5, 1, 0),
		hardware.FC("fc1", 1, 500, 800), hardware.FC("fc2", 1, 10, 500)}}
	return []*hardware.Workload{withDensities(leNet300, leNet300Weights, dense), withDensities(leNet5, leNet5Weights, dense), prunedAlexNet(), prunedVGG16()}
}

func prunedVGG16() *hardware.Workload {
	return withDensities(hardware.VGG16(1), vgg16Weights, vgg16Inputs)
}

// inceptions are the 54 convolutions of GoogLeNet's nine inception modules, the
// part of it that SCNN was measured on.
func inceptions() *hardware.Workload {
	w := &hardware.Workload{Name: "googlenet-inceptions", Batch: 1, Fused: true}
	for _, m := range []struct {
		name                                               string
		size, in, one, reduce3, three, reduce5, five, pool int
	}{
		{"3a", 28, 192, 64, 96, 128, 16, 32, 32}, {"3b", 28, 256, 128, 128, 192, 32, 96, 64},
		{"4a", 14, 480, 192, 96, 208, 16, 48, 64}, {"4b", 14, 512, 160, 112, 224, 24, 64, 64}, {"4c", 14, 512, 128, 128, 256, 24, 64, 64},
		{"4d", 14, 512, 112, 144, 288, 32, 64, 64}, {"4e", 14, 528, 256, 160, 320, 32, 128, 128},
		{"5a", 7, 832, 256, 160, 320, 32, 128, 128}, {"5b", 7, 832, 384, 192, 384, 48, 128, 128},
	} {
		w.Layers = append(w.Layers,
			hardware.Conv(m.name+"/1x1", 1, 1, m.one, m.in, m.size, 1, 1, 0),
			hardware.Conv(m.name+"/3x3_reduce", 1, 1, m.reduce3, m.in, m.size, 1, 1, 0),
			hardware.Conv(m.name+"/3x3", 1, 1, m.three, m.reduce3, m.size, 3, 1, 1),
			hardware.Conv(m.name+"/5x5_reduce", 1, 1, m.reduce5, m.in, m.size, 1, 1, 0),
			hardware.Conv(m.name+"/5x5", 1, 1, m.five, m.reduce5, m.size, 5, 1, 2),
			hardware.Conv(m.name+"/pool_proj", 1, 1, m.pool, m.in, m.size, 1, 1, 0))
	}
	return w
}
