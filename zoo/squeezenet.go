package zoo

func init() {
	const paper = "Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters"
	register(
		Model{Name: "squeezenet1.0", Doc: "SqueezeNet 1.0", Paper: paper, Year: 2016,
			Classes: 1000, Channels: 3, Height: 224, Width: 224, build: squeezenet10},
		Model{Name: "squeezenet1.1", Doc: "SqueezeNet 1.1, a third of the operations of 1.0", Paper: paper, Year: 2016,
			Classes: 1000, Channels: 3, Height: 224, Width: 224, build: squeezenet11},
	)
}

// fire adds a Fire module: a 1x1 squeeze to s channels, then 1x1 and 3x3
// expansions to e channels each, concatenated.
func (b *builder) fire(name string, x fmap, s, e int) fmap {
	o := b.opts
	x = b.relu(name+".squeeze.relu", b.conv(name+".squeeze", x, o.scaled(s), window{k: 1, bias: true}))
	l := b.relu(name+".expand1x1.relu", b.conv(name+".expand1x1", x, o.scaled(e), window{k: 1, bias: true}))
	r := b.relu(name+".expand3x3.relu", b.conv(name+".expand3x3", x, o.scaled(e), window{k: 3, p: 1, bias: true}))
	return b.concat(name+".concat", l, r)
}

var squeezePool = window{k: 3, s: 2, ceil: true}

func squeezenet10(b *builder) {
	x := b.relu("relu1", b.conv("conv1", b.in, b.opts.scaled(96), window{k: 7, s: 2, bias: true}))
	x = b.maxPool("pool1", x, squeezePool)
	x = b.fire("fire2", x, 16, 64)
	x = b.fire("fire3", x, 16, 64)
	x = b.fire("fire4", x, 32, 128)
	x = b.maxPool("pool4", x, squeezePool)
	x = b.fire("fire5", x, 32, 128)
	x = b.fire("fire6", x, 48, 192)
	x = b.fire("fire7", x, 48, 192)
	x = b.fire("fire8", x, 64, 256)
	x = b.maxPool("pool8", x, squeezePool)
	squeezeHead(b, b.fire("fire9", x, 64, 256))
}

func squeezenet11(b *builder) {
	x := b.relu("relu1", b.conv("conv1", b.in, b.opts.scaled(64), window{k: 3, s: 2, bias: true}))
	x = b.maxPool("pool1", x, squeezePool)
	x = b.fire("fire2", x, 16, 64)
	x = b.fire("fire3", x, 16, 64)
	x = b.maxPool("pool3", x, squeezePool)
	x = b.fire("fire4", x, 32, 128)
	x = b.fire("fire5", x, 32, 128)
	x = b.maxPool("pool5", x, squeezePool)
	x = b.fire("fire6", x, 48, 192)
	x = b.fire("fire7", x, 48, 192)
	x = b.fire("fire8", x, 64, 256)
	squeezeHead(b, b.fire("fire9", x, 64, 256))
}

func squeezeHead(b *builder, x fmap) {
	x = b.dropout("drop9", x, 0.5)
	x = b.gap("gap", b.relu("relu10", b.conv("conv10", x, b.opts.classes, window{k: 1, bias: true})))
	b.last("Flatten", "flatten", nil, x.v)
}
