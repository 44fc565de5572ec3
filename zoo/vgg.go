package zoo

import "strconv"

var (
	vgg11Layers = []int{64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0}
	vgg16Layers = []int{64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0}
)

func init() {
	const paper = "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition"
	add := func(depth int, layers []int) {
		name := "vgg" + strconv.Itoa(depth)
		for _, bn := range []bool{false, true} {
			m := Model{Name: name, Doc: "VGG-" + strconv.Itoa(depth), Paper: paper, Year: 2014,
				Classes: 1000, Channels: 3, Height: 224, Width: 224,
				build: func(b *builder) { vggImageNet(b, layers, bn) }}
			if bn {
				m.Name += "-bn"
				m.Doc += " with batch normalization"
			}
			register(m)
		}
		register(Model{Name: name + "-cifar", Doc: "VGG-" + strconv.Itoa(depth) + " for 32x32 images, with batch normalization",
			Paper: paper, Year: 2014, Classes: 10, Channels: 3, Height: 32, Width: 32,
			Keys: []Key{{Name: "fc", Default: "1", Values: []string{"1", "2"},
				Doc: "fully connected layers; with 2 the convolutions have biases too"}},
			build: func(b *builder) { vggCIFAR(b, layers) }})
	}
	add(11, vgg11Layers)
	add(16, vgg16Layers)
}

// vggFeatures adds the convolutions; a 0 in layers is a 2x2 max pool.
func vggFeatures(b *builder, layers []int, bn, bias bool) fmap {
	x := b.in
	conv, pool := 0, 0
	for _, c := range layers {
		if c == 0 {
			pool++
			x = b.maxPool("pool"+strconv.Itoa(pool), x, window{k: 2, s: 2})
			continue
		}
		conv++
		n := strconv.Itoa(conv)
		x = b.conv("conv"+n, x, b.opts.scaled(c), window{k: 3, p: 1, bias: bias})
		if bn {
			x = b.bn("bn"+n, x)
		}
		x = b.relu("relu"+n, x)
	}
	return x
}

func vggImageNet(b *builder, layers []int, bn bool) {
	x := b.flatten("flatten", vggFeatures(b, layers, bn, true))
	n := b.opts.scaled(4096)
	x = b.dropout("drop1", b.relu("fc1.relu", b.fc("fc1", x, n)), 0.5)
	x = b.dropout("drop2", b.relu("fc2.relu", b.fc("fc2", x, n)), 0.5)
	b.classifier("fc3", x)
}

func vggCIFAR(b *builder, layers []int) {
	two := b.opts.number("fc") == 2
	x := b.flatten("flatten", vggFeatures(b, layers, true, two))
	if two {
		x = b.relu("fc1.relu", b.bn("fc1.bn", b.fc("fc1", x, b.opts.scaled(512))))
	}
	b.classifier("fc", x)
}
