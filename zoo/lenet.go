package zoo

func init() {
	register(Model{Name: "lenet5", Doc: "LeNet-5 with ReLU and max pooling for 28x28 digits",
		Paper: "LeCun et al., Gradient-based learning applied to document recognition", Year: 1998,
		Classes: 10, Channels: 1, Height: 28, Width: 28, build: lenet5})
}

func lenet5(b *builder) {
	o := b.opts
	x := b.relu("relu1", b.conv("conv1", b.in, o.scaled(6), window{k: 5, p: 2, bias: true}))
	x = b.maxPool("pool1", x, window{k: 2, s: 2})
	x = b.relu("relu2", b.conv("conv2", x, o.scaled(16), window{k: 5, bias: true}))
	x = b.flatten("flatten", b.maxPool("pool2", x, window{k: 2, s: 2}))
	x = b.relu("relu3", b.fc("fc1", x, o.scaled(120)))
	x = b.relu("relu4", b.fc("fc2", x, o.scaled(84)))
	b.classifier("fc3", x)
}
