package zoo

import "strconv"

func init() {
	const paper = "Banbury et al., MLPerf Tiny benchmark"
	register(
		Model{Name: "resnet8-mlperf", Doc: "MLPerf Tiny's ResNet-8 for CIFAR-10 (biased convolutions)", Paper: paper, Year: 2021,
			Classes: 10, Channels: 3, Height: 32, Width: 32, build: resnet8Tiny},
		Model{Name: "dscnn", Doc: "DS-CNN for keyword spotting on 49x10 spectrograms", Paper: paper, Year: 2021,
			Classes: 12, Channels: 1, Height: 49, Width: 10, build: dscnn},
		Model{Name: "vww", Doc: "MobileNetV1 x0.25 for visual wake words (width multiplies on top of 0.25)", Paper: paper, Year: 2021,
			Classes: 2, Channels: 3, Height: 96, Width: 96, build: func(b *builder) {
				b.opts.mult *= 0.25
				b.eps, b.momentum = 1e-3, 0.99
				mobilenetV1(b, true)
			}},
	)
}

func resnet8Tiny(b *builder) {
	o := b.opts
	conv := func(name string, x fmap, c, k, s int) fmap {
		return b.conv(name, x, c, window{k: k, s: s, same: true, bias: true})
	}
	b.eps, b.momentum = 1e-3, 0.99
	x := b.relu("relu1", b.bn("bn1", conv("conv1", b.in, o.scaled(16), 3, 1)))
	for i := range 3 {
		name, c, s := "stack"+strconv.Itoa(i+1), o.scaled(16<<i), 1
		if i > 0 {
			s = 2
		}
		y := b.relu(name+".relu1", b.bn(name+".bn1", conv(name+".conv1", x, c, 3, s)))
		y = b.bn(name+".bn2", conv(name+".conv2", y, c, 3, 1))
		if i > 0 {
			x = conv(name+".shortcut", x, c, 1, s)
		}
		x = b.relu(name+".relu2", b.add(name+".add", y, x))
	}
	b.head("fc", x)
}

func dscnn(b *builder) {
	c := b.opts.scaled(64)
	b.eps, b.momentum = 1e-3, 0.99
	layer := func(name string, x fmap, w window) fmap {
		w.bias, w.same = true, true
		return b.relu(name+".relu", b.bn(name+".bn", b.conv(name, x, c, w)))
	}
	x := b.dropout("dropout1", layer("conv1", b.in, window{k: 10, kw: 4, s: 2}), 0.2)
	for i := range 4 {
		name := "block" + strconv.Itoa(i+1)
		x = layer(name+".dw", x, window{k: 3, groups: c})
		x = layer(name+".pw", x, window{k: 1})
	}
	b.head("fc", b.dropout("dropout2", x, 0.4))
}
