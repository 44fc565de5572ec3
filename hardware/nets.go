package hardware

// AlexNet is the network that accelerators are compared on: the two towers of
// 2012 as grouped convolutions, on images of 227×227. The layers that do not
// multiply are left out.
func AlexNet(batch int) *Workload {
	return &Workload{Name: "alexnet", Batch: batch, Fused: true, Layers: []*Layer{
		Conv("conv1", batch, 1, 96, 3, 227, 11, 4, 0),
		Conv("conv2", batch, 2, 256, 96, 27, 5, 1, 2),
		Conv("conv3", batch, 1, 384, 256, 13, 3, 1, 1),
		Conv("conv4", batch, 2, 384, 384, 13, 3, 1, 1),
		Conv("conv5", batch, 2, 256, 384, 13, 3, 1, 1),
		FC("fc6", batch, 4096, 9216),
		FC("fc7", batch, 4096, 4096),
		FC("fc8", batch, 1000, 4096),
	}}
}

// VGG16 is VGG-16 on images of 224×224, the layers that multiply.
func VGG16(batch int) *Workload {
	w := &Workload{Name: "vgg16", Batch: batch, Fused: true}
	in, size := 3, 224
	for i, block := range []struct{ channels, layers int }{{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}} {
		for j := range block.layers {
			name := "conv" + string(rune('1'+i)) + "_" + string(rune('1'+j))
			w.Layers = append(w.Layers, Conv(name, batch, 1, block.channels, in, size, 3, 1, 1))
			in = block.channels
		}
		size /= 2
	}
	w.Layers = append(w.Layers, FC("fc6", batch, 4096, 512*7*7), FC("fc7", batch, 4096, 4096), FC("fc8", batch, 1000, 4096))
	return w
}

// Convolutions keeps the layers that multiply and are not fully connected.
func (w *Workload) Convolutions() *Workload {
	return w.Only(func(l *Layer) bool { return l.HasMACs() && l.Op != "Gemm" })
}
