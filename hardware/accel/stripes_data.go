package accel

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
)

// profiled is the convolutions of a network with the bits that activations
// need for full accuracy.
type profiled struct {
	name  string
	ideal float64 // published ideal speed-up over 16 bits
	bits  []int
	// layers are input channels, output channels (both of the whole layer),
	// kernel, output size, groups, and the profile's entry.
	layers [][6]int
}

var stripesNets = []profiled{
	{"LeNet", 5.33, []int{3, 3}, [][6]int{{1, 20, 5, 24, 1, 0}, {20, 50, 5, 8, 1, 1}}},
	{"Convnet", 2.89, []int{4, 8, 8}, [][6]int{{3, 32, 5, 32, 1, 0}, {32, 32, 5, 16, 1, 1}, {32, 64, 5, 8, 1, 2}}},
	{"AlexNet", 2.38, []int{9, 8, 5, 5, 7}, [][6]int{{3, 96, 11, 55, 1, 0}, {96, 256, 5, 27, 2, 1}, {256, 384, 3, 13, 1, 2},
		{384, 384, 3, 13, 2, 3}, {384, 256, 3, 13, 2, 4}}},
	{"NiN", 1.91, []int{8, 8, 8, 9, 7, 8, 8, 9, 9, 8, 8, 8}, [][6]int{{3, 96, 11, 54, 1, 0}, {96, 96, 1, 54, 1, 1}, {96, 96, 1, 54, 1, 2},
		{96, 256, 5, 27, 1, 3}, {256, 256, 1, 27, 1, 4}, {256, 256, 1, 27, 1, 5}, {256, 384, 3, 13, 1, 6}, {384, 384, 1, 13, 1, 7},
		{384, 384, 1, 13, 1, 8}, {384, 1024, 3, 6, 1, 9}, {1024, 1024, 1, 6, 1, 10}, {1024, 1000, 1, 6, 1, 11}}},
	{"GoogLeNet", 1.76, []int{10, 8, 10, 9, 8, 10, 9, 8, 9, 10, 7}, googLeNetLayers()},
	{"VGG_M", 2.23, []int{7, 7, 7, 8, 7}, [][6]int{{3, 96, 7, 109, 1, 0}, {96, 256, 5, 26, 1, 1}, {256, 512, 3, 13, 1, 2},
		{512, 512, 3, 13, 1, 3}, {512, 512, 3, 13, 1, 4}}},
	{"VGG_S", 2.04, []int{7, 8, 9, 7, 9}, [][6]int{{3, 96, 7, 109, 1, 0}, {96, 256, 5, 33, 1, 1}, {256, 512, 3, 17, 1, 2},
		{512, 512, 3, 17, 1, 3}, {512, 512, 3, 17, 1, 4}}},
	{"VGG_19", 1.35, []int{12, 12, 12, 11, 12, 10, 11, 11, 13, 12, 13, 13, 13, 13, 13, 13}, vgg19Layers()},
}

// googLeNetLayers has one profile entry for each inception module.
func googLeNetLayers() [][6]int {
	layers := [][6]int{{3, 64, 7, 112, 1, 0}, {64, 64, 1, 56, 1, 1}, {64, 192, 3, 56, 1, 1}}
	for i, m := range [][8]int{ // size, input, 1×1, reduction, 3×3, reduction, 5×5, behind the pooling
		{28, 192, 64, 96, 128, 16, 32, 32}, {28, 256, 128, 128, 192, 32, 96, 64},
		{14, 480, 192, 96, 208, 16, 48, 64}, {14, 512, 160, 112, 224, 24, 64, 64}, {14, 512, 128, 128, 256, 24, 64, 64},
		{14, 512, 112, 144, 288, 32, 64, 64}, {14, 528, 256, 160, 320, 32, 128, 128},
		{7, 832, 256, 160, 320, 32, 128, 128}, {7, 832, 384, 192, 384, 48, 128, 128},
	} {
		size, in, entry := m[0], m[1], i+2
		layers = append(layers, [6]int{in, m[2], 1, size, 1, entry}, [6]int{in, m[3], 1, size, 1, entry}, [6]int{m[3], m[4], 3, size, 1, entry},
			[6]int{in, m[5], 1, size, 1, entry}, [6]int{m[5], m[6], 5, size, 1, entry}, [6]int{in, m[7], 1, size, 1, entry})
	}
	return layers
}

func vgg19Layers() (layers [][6]int) {
	in, size := 3, 224
	for _, block := range [][2]int{{64, 2}, {128, 2}, {256, 4}, {512, 4}, {512, 4}} {
		for range block[1] {
			layers = append(layers, [6]int{in, block[0], 3, size, 1, len(layers)})
			in = block[0]
		}
		size /= 2
	}
	return layers
}

// workload makes layers of the table. Strides do not matter to the models that
// use it, so inputs are as large as stride one needs.
func (p *profiled) workload() *hardware.Workload {
	w := &hardware.Workload{Name: p.name, Batch: 1, Fused: true}
	for i, l := range p.layers {
		c := hardware.Conv(fmt.Sprintf("conv%d", i+1), 1, l[4], l[1], l[0], l[3]+l[2]-1, l[2], 1, 0)
		c.Bits.A = p.bits[l[5]]
		w.Layers = append(w.Layers, c)
	}
	return w
}

// stripesNet finds a profiled network by name.
func stripesNet(name string) *hardware.Workload {
	for i := range stripesNets {
		if stripesNets[i].name == name {
			return stripesNets[i].workload()
		}
	}
	return nil
}
