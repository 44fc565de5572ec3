package zoo

import (
	"math"
	"strconv"

	"github.com/drawknife/drawknife/graph"
)

func init() {
	register(
		Model{Name: "shufflenetv1", Doc: "ShuffleNet v1 of grouped 1x1 convolutions",
			Paper: "Zhang et al., ShuffleNet: an extremely efficient convolutional neural network for mobile devices", Year: 2017,
			Classes: 1000, Channels: 3, Height: 224, Width: 224,
			Keys: []Key{
				{Name: "groups", Default: "3", Values: []string{"1", "2", "3", "4", "8"}, Doc: "groups of the 1x1 convolutions"},
				{Name: "fcbias", Default: "1", Values: []string{"0", "1"}, Doc: "whether the classifier has a bias"},
			},
			build: shufflenetV1},
		Model{Name: "shufflenetv2", Doc: "ShuffleNet v2 of channel splits",
			Paper: "Ma et al., ShuffleNet V2: practical guidelines for efficient CNN architecture design", Year: 2018,
			Classes: 1000, Channels: 3, Height: 224, Width: 224, build: shufflenetV2},
	)
}

// shuffleV1Widths gives the channels of the stem and of stage 2 by number of
// groups and width; the later stages double. Other widths are scaled from 1.
func shuffleV1Widths(groups int, mult float64) (stem, stage int) {
	base := map[int]int{1: 144, 2: 200, 3: 240, 4: 272, 8: 384}[groups]
	type key struct {
		g int
		m float64
	}
	if w, ok := map[key][2]int{{3, 0.5}: {12, 120}, {3, 1.5}: {24, 360}, {3, 2}: {48, 480},
		{8, 0.5}: {16, 192}, {8, 1.5}: {24, 576}, {8, 2}: {48, 768}}[key{groups, mult}]; ok {
		return w[0], w[1]
	}
	unit := 4 * groups
	stage = max(unit, int(math.Round(float64(base)*mult/float64(unit)))*unit)
	stem = max(groups, int(math.Round(24*mult/float64(groups)))*groups)
	return min(stem, stage/2/groups*groups), stage
}

func shufflenetV1(b *builder) {
	groups := b.opts.number("groups")
	stem, c := shuffleV1Widths(groups, b.opts.mult)
	x := b.convBN("conv1", "bn1", b.in, stem, window{k: 3, s: 2, p: 1}, relu)
	x = b.maxPool("maxpool", x, window{k: 3, s: 2, p: 1})
	for stage, n := range []int{4, 8, 4} {
		for i := range n {
			s, first := 1, 1
			if i == 0 {
				s = 2
			}
			if stage+i > 0 {
				first = groups
			}
			x = b.shuffleUnitV1("stage"+strconv.Itoa(stage+2)+"."+strconv.Itoa(i), x, c<<stage, s, first, groups)
		}
	}
	b.classifierBias("fc", b.flatten("flatten", b.gap("gap", x)), b.opts.extra["fcbias"] == "1")
}

// shuffleUnitV1 adds the unit of figure 2 of the paper to c channels.
func (b *builder) shuffleUnitV1(name string, x fmap, c, s, first, groups int) fmap {
	mid, out := c/4, c
	if s == 2 {
		out = c - x.c
	}
	y := b.convBN(name+".conv1", name+".bn1", x, mid, window{k: 1, groups: first}, relu)
	y = b.shuffle(name+".shuffle", y, groups)
	y = b.convBN(name+".dw", name+".bn2", y, mid, window{k: 3, s: s, p: 1, groups: mid}, "")
	y = b.convBN(name+".conv2", name+".bn3", y, out, window{k: 1, groups: groups}, "")
	if s == 1 {
		return b.relu(name+".relu", b.add(name+".add", y, x))
	}
	short := b.avgPool(name+".avgpool", x, window{k: 3, s: 2, p: 1})
	return b.concat(name+".concat", short, b.relu(name+".relu", y))
}

func shufflenetV2(b *builder) {
	o := b.opts
	widths := map[float64][3]int{0.5: {48, 96, 192}, 1: {116, 232, 464}, 1.5: {176, 352, 704}, 2: {244, 488, 976}}
	w, ok := widths[o.mult]
	if !ok {
		for i, c := range widths[1] {
			w[i] = 2 * max(1, int(math.Round(float64(c)*o.mult/2)))
		}
	}
	x := b.convBN("conv1", "bn1", b.in, 24, window{k: 3, s: 2, p: 1}, relu)
	x = b.maxPool("maxpool", x, window{k: 3, s: 2, p: 1})
	for stage, n := range []int{4, 8, 4} {
		for i := range n {
			name := "stage" + strconv.Itoa(stage+2) + "." + strconv.Itoa(i)
			if i == 0 {
				x = b.shuffleDownV2(name, x, w[stage])
			} else {
				x = b.shuffleUnitV2(name, x)
			}
		}
	}
	last := 1024
	if o.mult >= 2 {
		last = 2048
	}
	b.head("fc", b.convBN("conv5", "bn5", x, last, window{k: 1}, relu))
}

// shuffleBranch adds 1x1, depthwise 3x3, 1x1 to c channels.
func (b *builder) shuffleBranch(name string, x fmap, c, s int) fmap {
	x = b.convBN(name+".conv1", name+".bn1", x, c, window{k: 1}, relu)
	x = b.convBN(name+".dw", name+".bn2", x, c, window{k: 3, s: s, p: 1, groups: c}, "")
	return b.convBN(name+".conv2", name+".bn3", x, c, window{k: 1}, relu)
}

func (b *builder) shuffleUnitV2(name string, x fmap) fmap {
	half := x.c / 2
	n := b.g.Append(b.g.NewNode("", "Split", name+".split", []*graph.Value{x.v, b.ints(name+".split.sizes", half, half)},
		[]string{name + ".split_0", name + ".split_1"}, graph.Attrs{"axis": int64(1)}))
	_ = n.InferShape() // Build infers the whole graph and reports errors
	left, right := x, x
	left.v, left.c = n.Outputs[0], half
	right.v, right.c = n.Outputs[1], half
	right = b.shuffleBranch(name+".branch2", right, half, 1)
	return b.shuffle(name+".shuffle", b.concat(name+".concat", left, right), 2)
}

func (b *builder) shuffleDownV2(name string, x fmap, c int) fmap {
	left := b.convBN(name+".branch1.dw", name+".branch1.bn1", x, x.c, window{k: 3, s: 2, p: 1, groups: x.c}, "")
	left = b.convBN(name+".branch1.conv", name+".branch1.bn2", left, c/2, window{k: 1}, relu)
	right := b.shuffleBranch(name+".branch2", x, c/2, 2)
	return b.shuffle(name+".shuffle", b.concat(name+".concat", left, right), 2)
}
