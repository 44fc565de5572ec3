package zoo

import "strconv"

func init() {
	register(Model{Name: "densenet121", Doc: "DenseNet-121, growth rate 32",
		Paper: "Huang et al., Densely connected convolutional networks", Year: 2016,
		Classes: 1000, Channels: 3, Height: 224, Width: 224, build: densenet121})
}

func densenet121(b *builder) {
	growth := b.opts.scaled(32)
	x := b.convBN("conv0", "norm0", b.in, 2*growth, window{k: 7, s: 2, p: 3}, relu)
	x = b.maxPool("pool0", x, window{k: 3, s: 2, p: 1})
	for i, n := range []int{6, 12, 24, 16} {
		block := "denseblock" + strconv.Itoa(i+1)
		for j := range n {
			x = b.denseLayer(block+".denselayer"+strconv.Itoa(j+1), x, growth)
		}
		if i < 3 {
			name := "transition" + strconv.Itoa(i+1)
			x = b.relu(name+".relu", b.bn(name+".norm", x))
			x = b.conv(name+".conv", x, x.c/2, window{k: 1})
			x = b.avgPool(name+".pool", x, window{k: 2, s: 2})
		}
	}
	b.head("classifier", b.relu("relu5", b.bn("norm5", x)))
}

// denseLayer appends growth channels computed from all of x.
func (b *builder) denseLayer(name string, x fmap, growth int) fmap {
	y := b.relu(name+".relu1", b.bn(name+".norm1", x))
	y = b.convBN(name+".conv1", name+".norm2", y, 4*growth, window{k: 1}, relu)
	y = b.conv(name+".conv2", y, growth, window{k: 3, p: 1})
	return b.concat(name+".concat", x, y)
}
