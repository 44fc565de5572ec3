package zoo

import "github.com/drawknife/drawknife/graph"

func init() {
	const paper = "Krizhevsky et al., ImageNet classification with deep convolutional neural networks"
	register(
		Model{Name: "alexnet", Doc: "AlexNet with one tower, as torchvision has it", Paper: paper, Year: 2012,
			Classes: 1000, Channels: 3, Height: 224, Width: 224, build: alexnetOneTower},
		Model{Name: "alexnet-2012", Doc: "AlexNet of 2012: grouped convolutions and local response normalization", Paper: paper, Year: 2012,
			Classes: 1000, Channels: 3, Height: 227, Width: 227, build: alexnet2012},
	)
}

func alexnetOneTower(b *builder) {
	o := b.opts
	pool := window{k: 3, s: 2}
	x := b.relu("relu1", b.conv("conv1", b.in, o.scaled(64), window{k: 11, s: 4, p: 2, bias: true}))
	x = b.maxPool("pool1", x, pool)
	x = b.relu("relu2", b.conv("conv2", x, o.scaled(192), window{k: 5, p: 2, bias: true}))
	x = b.maxPool("pool2", x, pool)
	x = b.relu("relu3", b.conv("conv3", x, o.scaled(384), window{k: 3, p: 1, bias: true}))
	x = b.relu("relu4", b.conv("conv4", x, o.scaled(256), window{k: 3, p: 1, bias: true}))
	x = b.relu("relu5", b.conv("conv5", x, o.scaled(256), window{k: 3, p: 1, bias: true}))
	alexnetHead(b, b.maxPool("pool5", x, pool))
}

func alexnet2012(b *builder) {
	o := b.opts
	pool := window{k: 3, s: 2}
	half := func(c int) int { return 2 * o.scaled(c/2) } // both towers
	lrn := func(name string, x fmap) fmap {
		x.v = b.node("LRN", name, graph.Attrs{"size": int64(5), "alpha": float32(1e-4), "beta": float32(0.75), "bias": float32(2)}, x.v)
		return x
	}
	x := b.relu("relu1", b.conv("conv1", b.in, half(96), window{k: 11, s: 4, bias: true}))
	x = b.maxPool("pool1", lrn("norm1", x), pool)
	x = b.relu("relu2", b.conv("conv2", x, half(256), window{k: 5, p: 2, groups: 2, bias: true}))
	x = b.maxPool("pool2", lrn("norm2", x), pool)
	x = b.relu("relu3", b.conv("conv3", x, half(384), window{k: 3, p: 1, bias: true}))
	x = b.relu("relu4", b.conv("conv4", x, half(384), window{k: 3, p: 1, groups: 2, bias: true}))
	x = b.relu("relu5", b.conv("conv5", x, half(256), window{k: 3, p: 1, groups: 2, bias: true}))
	alexnetHead(b, b.maxPool("pool5", x, pool))
}

func alexnetHead(b *builder, x fmap) {
	o := b.opts
	x = b.dropout("drop6", b.flatten("flatten", x), 0.5)
	x = b.relu("relu6", b.fc("fc6", x, o.scaled(4096)))
	x = b.relu("relu7", b.fc("fc7", b.dropout("drop7", x, 0.5), o.scaled(4096)))
	b.classifier("fc8", x)
}
