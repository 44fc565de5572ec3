package accel

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
)

// bitFusionBench is a network of the authors' comparison, 16 images at a time.
type bitFusionBench struct {
	name               string
	network            func() *hardware.Workload
	baselineMS, fusion float64 // per image: Eyeriss-like array of 16 bits, Bit Fusion
	// cycles of the layers for 16 images; a layer of two halves has those of
	// one half.
	cycles []float64
}

var bitFusionBenches = []bitFusionBench{
	{"AlexNet, twice as wide", bfAlexNet, 8.786, 4.708,
		[]float64{3746423, 5018849, 3248129, 2436097, 1624065, 3545090, 1575596, 398679}},
	{"SVHN", bfSVHN, 1.412, 0.1647,
		[]float64{367979, 358316, 177409, 179884, 92161, 102742, 27649, 11009, 374}},
	{"CIFAR-10", bfCIFAR, 5.519, 0.4117, nil},
	{"LeNet-5", bfLeNet, 0.1397, 0.0513, nil},
	{"VGG-7", bfVGG7, 2.703, 0.3528, nil},
	{"ResNet-18, twice as wide", bfResNet18, 11.936, 6.135, nil},
	{"RNN", func() *hardware.Workload { return bfProduct("rnn", 4096) }, 0.1311, 0.0493, nil},
	{"LSTM", func() *hardware.Workload { return bfProduct("lstm", 3600) }, 0.1026, 0.0421, nil},
}

const bfBatch = 16

// bfNet builds a network; halves of a layer are groups.
type bfNet struct{ w *hardware.Workload }

func newBFNet(name string) bfNet {
	return bfNet{&hardware.Workload{Name: name, Batch: bfBatch, Fused: true}}
}

func (n bfNet) conv(halves, in, out, kernel, stride, size, aBits, wBits int) {
	pad := (kernel - 1) / 2
	input := size * stride
	if stride == 4 { // AlexNet's first layer alone is not padded
		input, pad = (size-1)*stride+kernel, 0
	}
	l := hardware.Conv(fmt.Sprintf("conv%d", len(n.w.Layers)+1), bfBatch, halves, halves*out, halves*in, input, kernel, stride, pad)
	n.add(l, aBits, wBits)
}

func (n bfNet) fc(in, out, aBits, wBits int) {
	n.add(hardware.FC(fmt.Sprintf("fc%d", len(n.w.Layers)+1), bfBatch, out, in), aBits, wBits)
}

func (n bfNet) add(l *hardware.Layer, aBits, wBits int) {
	l.Bits = hardware.Bits{W: wBits, A: aBits, Psum: 32, Out: 32}
	n.w.Layers = append(n.w.Layers, l)
}

func bfAlexNet() *hardware.Workload {
	n := newBFNet("alexnet-2x")
	n.conv(2, 3, 96, 11, 4, 55, 8, 8)
	n.conv(2, 96, 256, 5, 1, 27, 4, 4)
	n.conv(2, 512, 384, 3, 1, 13, 4, 4)
	n.conv(2, 384, 384, 3, 1, 13, 4, 4)
	n.conv(2, 384, 256, 3, 1, 13, 4, 4)
	n.fc(18432, 8192, 4, 4)
	n.fc(8192, 8192, 4, 4)
	n.fc(8192, 1000, 8, 8)
	return n.w
}

// bfSmall is the network of SVHN and CIFAR-10, c channels in the first layer.
func bfSmall(name string, c, wFirst, bits int) *hardware.Workload {
	n := newBFNet(name)
	n.conv(1, 3, c, 3, 1, 32, 8, wFirst)
	n.conv(1, c, c, 3, 1, 32, bits, bits)
	n.conv(1, c, 2*c, 3, 1, 16, bits, bits)
	n.conv(1, 2*c, 2*c, 3, 1, 16, bits, bits)
	n.conv(1, 2*c, 4*c, 3, 1, 8, bits, bits)
	n.conv(1, 4*c, 4*c, 3, 1, 8, bits, bits)
	n.fc(64*c, 1024, bits, bits)
	n.fc(1024, 1024, bits, bits)
	n.fc(1024, 10, bits, bits)
	return n.w
}

func bfSVHN() *hardware.Workload  { return bfSmall("svhn", 64, 1, 1) }
func bfCIFAR() *hardware.Workload { return bfSmall("cifar-10", 128, 8, 2) }

func bfLeNet() *hardware.Workload {
	n := newBFNet("lenet-5")
	n.conv(1, 1, 32, 5, 1, 32, 2, 2)
	n.conv(1, 32, 64, 5, 1, 16, 2, 2)
	n.fc(4096, 512, 2, 2)
	n.fc(512, 10, 2, 2)
	return n.w
}

func bfVGG7() *hardware.Workload {
	n := newBFNet("vgg-7")
	n.conv(2, 3, 128, 3, 1, 32, 2, 2)
	n.conv(2, 128, 256, 3, 1, 16, 2, 2)
	n.conv(2, 256, 512, 3, 1, 8, 2, 2)
	n.fc(8192, 1024, 2, 2)
	return n.w
}

func bfResNet18() *hardware.Workload {
	n := newBFNet("resnet-18-2x")
	n.conv(1, 3, 128, 7, 2, 112, 8, 8)
	in := 128
	for i, c := range []int{128, 256, 512, 1024} {
		size := 56 >> i
		for block := range 2 {
			stride := 1
			if i > 0 && block == 0 {
				stride = 2
			}
			n.conv(1, in, c, 1, stride, size, 4, 4)
			n.conv(1, c, c, 3, 1, size, 4, 4)
			in = c
		}
	}
	return n.w
}

func bfProduct(name string, size int) *hardware.Workload {
	n := newBFNet(name)
	n.fc(size, size, 4, 4)
	return n.w
}
