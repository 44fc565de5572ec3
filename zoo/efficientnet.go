package zoo

import "strconv"

func init() {
	register(
		Model{Name: "efficientnet-b0", Doc: "EfficientNet-B0",
			Paper: "Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks", Year: 2019,
			Classes: 1000, Channels: 3, Height: 224, Width: 224, build: efficientnetB0},
		Model{Name: "mnasnet1.0", Doc: "MnasNet-B1",
			Paper: "Tan et al., MnasNet: platform-aware neural architecture search for mobile", Year: 2018,
			Classes: 1000, Channels: 3, Height: 224, Width: 224, build: mnasnet},
	)
}

// mbStage is a stage of n inverted residuals: expansion t, kernel k, c output
// channels, the first of stride s.
type mbStage struct{ t, k, c, n, s int }

func efficientnetB0(b *builder) {
	o := b.opts
	const silu activation = "Silu"
	x := b.convBN("stem", "stem.bn", b.in, o.divisible(32), window{k: 3, s: 2, p: 1}, silu)
	block := 0
	for _, l := range []mbStage{{1, 3, 16, 1, 1}, {6, 3, 24, 2, 2}, {6, 5, 40, 2, 2}, {6, 3, 80, 3, 2},
		{6, 5, 112, 3, 1}, {6, 5, 192, 4, 2}, {6, 3, 320, 1, 1}} {
		for i := range l.n {
			s := 1
			if i == 0 {
				s = l.s
			}
			block++
			squeeze := max(1, x.c/4)
			x = b.inverted("block"+strconv.Itoa(block), x, inverted{k: l.k, e: x.c * l.t, c: o.divisible(l.c), s: s, act: silu,
				gate: func(name string, x fmap) fmap {
					return b.squeezeExcite(name, x, squeeze, silu, "Sigmoid")
				}})
		}
	}
	x = b.convBN("head", "head.bn", x, o.divisible(1280), window{k: 1}, silu)
	b.classifier("fc", b.dropout("dropout", b.flatten("flatten", b.gap("gap", x)), 0.2))
}

func mnasnet(b *builder) {
	o := b.opts
	b.momentum = 0.9997
	x := b.convBN("stem", "stem.bn", b.in, o.divisible(32), window{k: 3, s: 2, p: 1}, relu)
	x = b.convBN("sep.dw", "sep.bn1", x, x.c, window{k: 3, p: 1, groups: x.c}, relu)
	x = b.convBN("sep.pw", "sep.bn2", x, o.divisible(16), window{k: 1}, "")
	block := 0
	for _, l := range []mbStage{{3, 3, 24, 3, 2}, {3, 5, 40, 3, 2}, {6, 5, 80, 3, 2}, {6, 3, 96, 2, 1}, {6, 5, 192, 4, 2}, {6, 3, 320, 1, 1}} {
		for i := range l.n {
			s := 1
			if i == 0 {
				s = l.s
			}
			block++
			x = b.inverted("block"+strconv.Itoa(block), x, inverted{k: l.k, e: x.c * l.t, c: o.divisible(l.c), s: s, act: relu})
		}
	}
	x = b.convBN("head", "head.bn", x, 1280, window{k: 1}, relu)
	b.classifier("fc", b.dropout("dropout", b.flatten("flatten", b.gap("gap", x)), 0.2))
}
