package zoo

import "strconv"

func init() {
	register(
		Model{Name: "mobilenetv1", Doc: "MobileNet v1 of depthwise separable convolutions",
			Paper: "Howard et al., MobileNets: efficient convolutional neural networks for mobile vision applications", Year: 2017,
			Classes: 1000, Channels: 3, Height: 224, Width: 224, build: func(b *builder) { mobilenetV1(b, false) }},
		Model{Name: "mobilenetv2", Doc: "MobileNet v2 of inverted residuals",
			Paper: "Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks", Year: 2018,
			Classes: 1000, Channels: 3, Height: 224, Width: 224,
			Keys: []Key{{Name: "cifar", Default: "0", Values: []string{"0", "1"},
				Doc: "1: strides of the stem and of the first strided stage are 1, for 32x32 images"}},
			build: mobilenetV2},
	)
	const v3 = "Howard et al., Searching for MobileNetV3"
	register(
		Model{Name: "mobilenetv3-large", Doc: "MobileNet v3 large", Paper: v3, Year: 2019,
			Classes: 1000, Channels: 3, Height: 224, Width: 224,
			build: func(b *builder) { mobilenetV3(b, v3Large, 960, 1280) }},
		Model{Name: "mobilenetv3-small", Doc: "MobileNet v3 small", Paper: v3, Year: 2019,
			Classes: 1000, Channels: 3, Height: 224, Width: 224,
			build: func(b *builder) { mobilenetV3(b, v3Small, 576, 1024) }},
	)
}

// mobilenetV1 builds the network of table 1 of the paper; same pads as
// TensorFlow does.
func mobilenetV1(b *builder, same bool) {
	o := b.opts
	pad := func(w window) window {
		if same {
			w.p, w.same = 0, true
		}
		return w
	}
	x := b.convBN("conv1", "bn1", b.in, o.scaled(32), pad(window{k: 3, s: 2, p: 1}), "Relu")
	for i, l := range [][2]int{{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2},
		{512, 1}, {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}} {
		name := "block" + strconv.Itoa(i+1)
		x = b.convBN(name+".dw", name+".bn1", x, x.c, pad(window{k: 3, s: l[1], p: 1, groups: x.c}), "Relu")
		x = b.convBN(name+".pw", name+".bn2", x, o.scaled(l[0]), window{k: 1}, "Relu")
	}
	b.head("fc", x)
}

// inverted is an inverted residual block: expansion to e channels, a kxk
// depthwise convolution of stride s, an optional gate, projection to c.
type inverted struct {
	k, e, c, s int
	act        activation
	gate       func(name string, x fmap) fmap
}

func (b *builder) inverted(name string, x fmap, l inverted) fmap {
	y := x
	if l.e != x.c {
		y = b.convBN(name+".expand", name+".bn0", y, l.e, window{k: 1}, l.act)
	}
	y = b.convBN(name+".dw", name+".bn1", y, l.e, window{k: l.k, s: l.s, p: l.k / 2, groups: l.e}, l.act)
	if l.gate != nil {
		y = l.gate(name+".se", y)
	}
	y = b.convBN(name+".project", name+".bn2", y, l.c, window{k: 1}, "")
	if l.s == 1 && x.c == l.c {
		y = b.add(name+".add", y, x)
	}
	return y
}

func mobilenetV2(b *builder) {
	o := b.opts
	small := o.extra["cifar"] == "1"
	s := 2
	if small {
		s = 1
	}
	x := b.convBN("conv1", "bn1", b.in, o.divisible(32), window{k: 3, s: s, p: 1}, "Relu6")
	block := 0
	for stage, l := range [][4]int{{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}} {
		for i := range l[2] {
			s := 1
			if i == 0 && !(small && stage == 1) {
				s = l[3]
			}
			block++
			x = b.inverted("block"+strconv.Itoa(block), x, inverted{k: 3, e: x.c * l[0], c: o.divisible(l[1]), s: s, act: "Relu6"})
		}
	}
	c := 1280
	if o.mult > 1 {
		c = o.divisible(c)
	}
	x = b.convBN("conv2", "bn2", x, c, window{k: 1}, "Relu6")
	x = b.dropout("dropout", b.flatten("flatten", b.gap("gap", x)), 0.2)
	b.classifier("fc", x)
}

// v3Layer is a row of tables 1 and 2 of the MobileNetV3 paper.
type v3Layer struct {
	k, e, c int
	se      bool
	act     activation
	s       int
}

const relu, hswish activation = "Relu", "HardSwish"

var v3Large = []v3Layer{
	{3, 16, 16, false, relu, 1}, {3, 64, 24, false, relu, 2}, {3, 72, 24, false, relu, 1},
	{5, 72, 40, true, relu, 2}, {5, 120, 40, true, relu, 1}, {5, 120, 40, true, relu, 1},
	{3, 240, 80, false, hswish, 2}, {3, 200, 80, false, hswish, 1}, {3, 184, 80, false, hswish, 1}, {3, 184, 80, false, hswish, 1},
	{3, 480, 112, true, hswish, 1}, {3, 672, 112, true, hswish, 1},
	{5, 672, 160, true, hswish, 2}, {5, 960, 160, true, hswish, 1}, {5, 960, 160, true, hswish, 1},
}

var v3Small = []v3Layer{
	{3, 16, 16, true, relu, 2}, {3, 72, 24, false, relu, 2}, {3, 88, 24, false, relu, 1},
	{5, 96, 40, true, hswish, 2}, {5, 240, 40, true, hswish, 1}, {5, 240, 40, true, hswish, 1},
	{5, 120, 48, true, hswish, 1}, {5, 144, 48, true, hswish, 1},
	{5, 288, 96, true, hswish, 2}, {5, 576, 96, true, hswish, 1}, {5, 576, 96, true, hswish, 1},
}

func mobilenetV3(b *builder, layers []v3Layer, last, hidden int) {
	o := b.opts
	b.eps, b.momentum = 1e-3, 0.99
	x := b.convBN("conv1", "bn1", b.in, o.divisible(16), window{k: 3, s: 2, p: 1}, hswish)
	for i, l := range layers {
		blk := inverted{k: l.k, e: o.divisible(l.e), c: o.divisible(l.c), s: l.s, act: l.act}
		if l.se {
			blk.gate = func(name string, x fmap) fmap {
				return b.squeezeExcite(name, x, makeDivisible(float64(x.c)/4), relu, "HardSigmoid")
			}
		}
		x = b.inverted("block"+strconv.Itoa(i+1), x, blk)
	}
	x = b.convBN("conv2", "bn2", x, o.divisible(last), window{k: 1}, hswish)
	x = b.act("fc1.act", b.fc("fc1", b.flatten("flatten", b.gap("gap", x)), hidden), hswish)
	b.classifier("fc2", b.dropout("dropout", x, 0.2))
}
