package zoo

import "strconv"

func init() {
	const paper = "He et al., Deep residual learning for image recognition"
	variant := []Key{{Name: "variant", Default: "1.5", Values: []string{"1", "1.5"},
		Doc: "where a bottleneck strides: its first 1x1 (1) or its 3x3 (1.5)"}}
	for _, m := range []struct {
		depth      int
		bottleneck bool
		blocks     [4]int
	}{
		{18, false, [4]int{2, 2, 2, 2}}, {34, false, [4]int{3, 4, 6, 3}},
		{50, true, [4]int{3, 4, 6, 3}}, {101, true, [4]int{3, 4, 23, 3}},
	} {
		r := Model{Name: "resnet" + strconv.Itoa(m.depth), Doc: "ResNet-" + strconv.Itoa(m.depth) + " for ImageNet",
			Paper: paper, Year: 2015, Classes: 1000, Channels: 3, Height: 224, Width: 224,
			build: func(b *builder) { resnetImageNet(b, m.bottleneck, m.blocks) }}
		if m.bottleneck {
			r.Keys = variant
		}
		register(r)
	}
	for _, n := range []int{1, 3, 5, 7, 9, 18} {
		depth := strconv.Itoa(6*n + 2)
		register(Model{Name: "resnet" + depth, Doc: "ResNet-" + depth + " for 32x32 images", Paper: paper, Year: 2015,
			Classes: 10, Channels: 3, Height: 32, Width: 32,
			Keys: []Key{{Name: "shortcut", Default: "A", Values: []string{"A", "B"},
				Doc: "where the shape changes: strided copy padded with zero channels (A) or 1x1 convolution (B)"}},
			build: func(b *builder) { resnetCIFAR(b, n) }})
	}
}

func resnetImageNet(b *builder, bottleneck bool, blocks [4]int) {
	o := b.opts
	x := b.convBN("conv1", "bn1", b.in, o.scaled(64), window{k: 7, s: 2, p: 3}, "Relu")
	x = b.maxPool("maxpool", x, window{k: 3, s: 2, p: 1})
	for stage, n := range blocks {
		c := o.scaled(64 << stage)
		for i := range n {
			name := "layer" + strconv.Itoa(stage+1) + "." + strconv.Itoa(i)
			s := 1
			if i == 0 && stage > 0 {
				s = 2
			}
			if bottleneck {
				x = b.bottleneck(name, x, c, s)
			} else {
				x = b.basicBlock(name, x, c, s)
			}
		}
	}
	b.head("fc", x)
}

// project adds the 1x1 convolution shortcut where the shape changes.
func (b *builder) project(name string, x fmap, c, s int) fmap {
	if x.c == c && s == 1 {
		return x
	}
	return b.convBN(name+".downsample.0", name+".downsample.1", x, c, window{k: 1, s: s}, "")
}

func (b *builder) basicBody(name string, x fmap, c, s int) fmap {
	y := b.convBN(name+".conv1", name+".bn1", x, c, window{k: 3, s: s, p: 1}, "Relu")
	return b.convBN(name+".conv2", name+".bn2", y, c, window{k: 3, p: 1}, "")
}

func (b *builder) basicBlock(name string, x fmap, c, s int) fmap {
	y := b.basicBody(name, x, c, s)
	return b.relu(name+".relu", b.add(name+".add", y, b.project(name, x, c, s)))
}

func (b *builder) bottleneck(name string, x fmap, c, s int) fmap {
	s1, s2 := 1, s
	if b.opts.extra["variant"] == "1" {
		s1, s2 = s, 1
	}
	y := b.convBN(name+".conv1", name+".bn1", x, c, window{k: 1, s: s1}, "Relu")
	y = b.convBN(name+".conv2", name+".bn2", y, c, window{k: 3, s: s2, p: 1}, "Relu")
	y = b.convBN(name+".conv3", name+".bn3", y, 4*c, window{k: 1}, "")
	return b.relu(name+".relu", b.add(name+".add", y, b.project(name, x, 4*c, s)))
}

// resnetCIFAR is the network of section 4.2 of the paper, of depth 6n+2.
func resnetCIFAR(b *builder, n int) {
	o := b.opts
	x := b.convBN("conv1", "bn1", b.in, o.scaled(16), window{k: 3, p: 1}, "Relu")
	for stage := range 3 {
		c := o.scaled(16 << stage)
		for i := range n {
			name := "layer" + strconv.Itoa(stage+1) + "." + strconv.Itoa(i)
			s := 1
			if i == 0 && stage > 0 {
				s = 2
			}
			y := b.basicBody(name, x, c, s)
			short := x
			if o.extra["shortcut"] == "B" {
				short = b.project(name, x, c, s)
			} else if s > 1 || c != x.c {
				short = b.shortcutA(name+".shortcut", x, c, s)
			}
			x = b.relu(name+".relu", b.add(name+".add", y, short))
		}
	}
	b.head("fc", x)
}

// shortcutA takes every s-th pixel and pads the channels with zeros, half of
// them on either side.
func (b *builder) shortcutA(name string, x fmap, c, s int) fmap {
	if s > 1 {
		const end = 1<<63 - 1
		x.v = b.node("Slice", name+".slice", nil, x.v, b.ints(name+".starts", 0, 0), b.ints(name+".ends", end, end),
			b.ints(name+".axes", 2, 3), b.ints(name+".steps", s, s))
		x.h, x.w = (x.h+s-1)/s, (x.w+s-1)/s
	}
	if d := c - x.c; d > 0 {
		x.v = b.node("Pad", name+".pad", nil, x.v, b.ints(name+".pads", 0, d/2, 0, 0, 0, d-d/2, 0, 0))
		x.c = c
	}
	return x
}
