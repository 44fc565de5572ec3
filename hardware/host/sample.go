package host

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// Random builds a convolutional network at random: a stem, then blocks of all
// the kinds that classic networks are made of, with widths, image sizes and
// filters that those do not have. It takes one picture of three channels and
// ends in a classifier. The same seed gives the same network.
func Random(seed uint64) *graph.Graph {
	s := &sampler{g: graph.New(fmt.Sprintf("random-%d", seed)), rng: rand.New(rand.NewPCG(seed, 77)), params: 3e6, large: seed%24 == 7, deep: seed%11 == 5}
	s.macs = 0.3e6 * math.Pow(300, s.rng.Float64())
	if s.deep {
		s.params, s.macs = 22e6, max(s.macs, 250e6)
	}
	size := s.pick(16, 28, 32, 48, 64, 96, 112, 128, 160, 192, 224)
	if s.macs < 5e6 {
		size = s.pick(8, 16, 24, 28, 32, 48)
	}
	if s.deep {
		size = s.pick(4, 7, 7, 8, 14, 14, 16, 28)
	}
	small, slim := seed%8 == 3, seed%8 == 6 && !s.deep
	switch {
	case small:
		size = s.pick(16, 24, 28, 32, 48)
	case slim:
		size = s.pick(24, 32, 40, 48, 64, 80, 96)
	}
	s.c, s.h, s.w = s.pick(1, 3, 3), size, size
	if s.rng.IntN(4) == 0 {
		s.w = s.pick(10, size/2, size*3/4)
	}
	if slim && seed%3 == 0 { // a spectrogram, as networks that hear words take
		s.c, s.h, s.w = 1, s.pick(40, 49, 61, 98), s.pick(8, 10, 13, 20)
	}
	s.x = s.g.AddInput("input", tensor.Float32, graph.Dims(1, s.c, s.h, s.w))
	switch {
	case small:
		s.conv(s.width(4, 16), s.pick(3, 5), 1, 1)
	case slim:
		s.conv(s.width(8, 80), s.pick(3, 3, 5, 7), 2, 1)
	case size < 64:
		s.conv(s.width(4, 64), s.pick(3, 3, 5, 7), s.pick(1, 1, 2), 1)
	case s.rng.IntN(4) == 0:
		s.conv(s.width(24, 96), s.pick(7, 11), s.pick(2, 4), 1)
	default:
		s.conv(s.width(12, 64), s.pick(3, 5), 2, 1)
	}
	s.activate()
	if small {
		s.narrow()
	}
	if slim {
		for range 4 + s.rng.IntN(8) {
			s.slim()
		}
		s.classify()
		return s.g
	}
	kinds := s.kinds()
	kinds[seed%uint64(len(kinds))]() // so that every kind has its turn
	for range 5 + s.rng.IntN(8) {
		if s.macs > 0 && s.params > 0 {
			kinds[s.rng.IntN(len(kinds))]()
		}
	}
	s.classify()
	return s.g
}

// sampler draws a network. macs and params are what is left to spend.
type sampler struct {
	g            *graph.Graph
	rng          *rand.Rand
	x            *graph.Value
	c, h, w, n   int
	macs, params float64
	large        bool // fully connected layers with more weights than caches hold
	deep         bool // wide convolutions of small images
}

func (s *sampler) pick(list ...int) int { return list[s.rng.IntN(len(list))] }

// width draws a number of channels, evenly on a logarithmic scale; most are
// multiples of 8.
func (s *sampler) width(lo, hi int) int {
	if s.deep && s.n > 3 { // after the stem
		lo, hi = min(12*lo, 128), 512
	}
	n := int(float64(lo) * math.Pow(float64(hi)/float64(lo), s.rng.Float64()))
	if n >= 12 && s.rng.IntN(4) > 0 {
		n = max(8, n/8*8)
	}
	return max(n, 1)
}

func (s *sampler) name(op string) string {
	s.n++
	return fmt.Sprintf("n%d.%s", s.n, op)
}

func (s *sampler) add(op string, attrs graph.Attrs, in ...*graph.Value) {
	s.x = s.g.Add(op, s.name(op), attrs, in...)
}

// normal is a constant of normal numbers whose products with n inputs keep
// their variance.
func (s *sampler) normal(n int, shape ...int) *graph.Value {
	t := tensor.New(tensor.Float32, shape...)
	scale := float32(math.Sqrt(2 / float64(max(n, 1))))
	for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
		d[i] = float32(s.rng.NormFloat64()) * scale
	}
	return s.g.AddConst(s.name("weight"), t)
}

// conv appends a convolution with bias; the padding keeps the size.
func (s *sampler) conv(out, kernel, stride, groups int) {
	in := s.c / groups
	pad := int64(kernel / 2)
	w, b := s.normal(in*kernel*kernel, out, in, kernel, kernel), s.normal(out, out)
	s.add("Conv", graph.Attrs{"pads": []int64{pad, pad, pad, pad}, "strides": []int64{int64(stride), int64(stride)}, "group": int64(groups)}, s.x, w, b)
	s.h, s.w = (s.h+2*(kernel/2)-kernel)/stride+1, (s.w+2*(kernel/2)-kernel)/stride+1
	s.c = out
	s.params -= float64(out * in * kernel * kernel)
	s.macs -= float64(out*in*kernel*kernel) * float64(s.h*s.w)
}

func (s *sampler) activate() {
	switch s.rng.IntN(8) {
	case 0:
		s.add("HardSwish", nil, s.x)
	case 1:
		s.add("Clip", nil, s.x, s.g.AddConst(s.name("low"), tensor.Scalar(float32(0))), s.g.AddConst(s.name("high"), tensor.Scalar(float32(6))))
	case 2:
		s.add("Mul", nil, s.x, s.g.Add("Sigmoid", s.name("Sigmoid"), nil, s.x))
	default:
		s.add("Relu", nil, s.x)
	}
}

func (s *sampler) pool(op string, kernel, stride int) {
	if min(s.h, s.w) < kernel {
		return
	}
	s.add(op, graph.Attrs{"kernel_shape": []int64{int64(kernel), int64(kernel)}, "strides": []int64{int64(stride), int64(stride)}}, s.x)
	s.h, s.w = (s.h-kernel)/stride+1, (s.w-kernel)/stride+1
}

// kinds lists the building blocks of classic networks.
func (s *sampler) kinds() []func() {
	if s.deep {
		return []func(){s.plain, s.residual, s.residual, s.bottleneck}
	}
	return []func(){s.plain, s.plain, s.residual, s.stage, s.bottleneck, s.inverted, s.inverted, s.separable, s.fire, s.shuffled, s.split,
		s.pools, s.dense, s.normalized, s.local}
}

// narrow is how the smallest networks begin: pooling and convolutions of fewer
// channels than a vector has.
func (s *sampler) narrow() {
	for range 2 {
		s.pool([]string{"MaxPool", "MaxPool", "AveragePool"}[s.rng.IntN(3)], 2, 2)
		s.conv(s.width(4, 24), s.pick(3, 5), 1, 1)
		s.activate()
	}
	s.pool("MaxPool", 2, 2)
}

// stride is 2 now and then, as long as there is something left to halve.
func (s *sampler) stride() int {
	if min(s.h, s.w) > 8 && s.rng.IntN(3) == 0 {
		return 2
	}
	return 1
}

func (s *sampler) plain() {
	s.conv(s.width(8, 384), s.pick(3, 3, 3, 5), s.stride(), 1)
	s.activate()
}

func (s *sampler) pools() {
	s.pool([]string{"MaxPool", "MaxPool", "AveragePool"}[s.rng.IntN(3)], s.pick(2, 3), s.pick(1, 2, 2))
}

// local is an AlexNet's convolution and response normalization.
func (s *sampler) local() {
	s.conv(s.width(16, 256), s.pick(3, 5), s.stride(), 1)
	s.add("Relu", nil, s.x)
	s.add("LRN", graph.Attrs{"size": int64(5)}, s.x)
}

// normalized is a convolution that reads what batch normalization and ReLU
// give, so that neither can be fused into what stands before.
func (s *sampler) normalized() {
	s.conv(s.width(32, 512), 1, 1, 1)
	x, c := s.x, s.c
	for range 2 {
		p := [4]*graph.Value{s.normal(s.c, s.c), s.normal(s.c, s.c), s.normal(s.c, s.c), nil}
		ones := make([]float32, s.c)
		for i := range ones {
			ones[i] = 1
		}
		p[3] = s.g.AddConst(s.name("variance"), tensor.Of(ones, s.c))
		s.add("BatchNormalization", nil, s.x, p[0], p[1], p[2], p[3])
		s.add("Relu", nil, s.x)
		s.conv(s.width(16, 192), s.pick(1, 3), 1, 1)
	}
	s.add("Concat", graph.Attrs{"axis": int64(1)}, x, s.x)
	s.c += c
}

func (s *sampler) residual() {
	x := s.x
	s.conv(s.c, 3, 1, 1)
	s.activate()
	s.conv(s.c, 3, 1, 1)
	s.add("Add", nil, s.x, x)
	s.add("Relu", nil, s.x)
}

// stage widens and repeats, as residual networks do.
func (s *sampler) stage() {
	s.conv(s.width(32, 256), 3, s.stride(), 1)
	s.add("Relu", nil, s.x)
	s.residual()
	s.residual()
}

func (s *sampler) bottleneck() {
	stride := s.stride()
	x, c, h, w := s.x, s.c, s.h, s.w
	out, mid := s.width(32, 512), s.width(16, 192)
	s.conv(mid, 1, 1, 1)
	s.add("Relu", nil, s.x)
	s.conv(mid, 3, stride, 1)
	s.add("Relu", nil, s.x)
	s.conv(out, 1, 1, 1)
	y := s.x
	s.x, s.c, s.h, s.w = x, c, h, w
	s.conv(out, 1, stride, 1)
	s.add("Add", nil, y, s.x)
	s.add("Relu", nil, s.x)
}

func (s *sampler) inverted() {
	stride := s.stride()
	x, c := s.x, s.c
	out := c
	if stride > 1 || s.rng.IntN(2) == 0 {
		out = s.width(16, 224)
	}
	mid := min(c*s.pick(2, 3, 4, 6), 960)
	s.conv(mid, 1, 1, 1)
	s.activate()
	s.conv(mid, s.pick(3, 3, 5, 7), stride, mid)
	s.activate()
	if s.rng.IntN(2) == 0 {
		s.gate()
	}
	s.conv(out, 1, 1, 1)
	if out == c && stride == 1 {
		s.add("Add", nil, s.x, x)
	}
}

// gate scales channels by what their means say.
func (s *sampler) gate() {
	x, c, h, w := s.x, s.c, s.h, s.w
	s.add("GlobalAveragePool", nil, s.x)
	s.h, s.w = 1, 1
	s.conv(max(c/4, 4), 1, 1, 1)
	s.add("Relu", nil, s.x)
	s.conv(c, 1, 1, 1)
	s.add([]string{"Sigmoid", "HardSigmoid"}[s.rng.IntN(2)], nil, s.x)
	s.add("Mul", nil, x, s.x)
	s.h, s.w = h, w
}

func (s *sampler) separable() {
	s.conv(s.c, s.pick(3, 3, 5), s.stride(), s.c)
	s.activate()
	s.conv(s.width(16, 512), 1, 1, 1)
	s.activate()
}

// slim is what most networks for microcontrollers repeat: as separable, but
// narrow, and twice as wide where the image is halved.
func (s *sampler) slim() {
	stride, out := s.stride(), s.c
	s.conv(s.c, 3, stride, s.c)
	s.add("Relu", nil, s.x)
	if stride > 1 {
		out = min(2*s.c, 256)
	}
	s.conv(out, 1, 1, 1)
	s.add("Relu", nil, s.x)
}

func (s *sampler) fire() {
	s.conv(s.width(8, 64), 1, 1, 1)
	s.add("Relu", nil, s.x)
	x, c := s.x, s.c
	out := s.width(16, 192)
	s.conv(out, 1, 1, 1)
	s.add("Relu", nil, s.x)
	left := s.x
	s.x, s.c = x, c
	s.conv(out, 3, 1, 1)
	s.add("Relu", nil, s.x)
	s.add("Concat", graph.Attrs{"axis": int64(1)}, left, s.x)
	s.c = 2 * out
}

// shuffled is two grouped convolutions with a shuffle of the groups between
// them, and what came in added or, in a smaller image, appended.
func (s *sampler) shuffled() {
	groups := s.pick(2, 3, 4)
	x, c, stride := s.x, s.c, s.stride()
	mid := groups * s.width(4, 64)
	s.conv(mid, 1, 1, s.divides(groups, mid))
	s.add("Relu", nil, s.x)
	s.shuffle(groups)
	s.conv(mid, 3, stride, s.pick(mid, mid, groups))
	if stride == 1 {
		s.conv(c, 1, 1, s.divides(groups, c))
		s.add("Add", nil, s.x, x)
	} else {
		s.conv(groups*s.width(8, 80), 1, 1, groups)
		y, h, w, k := s.x, s.h, s.w, s.c
		s.x = x
		pad := []int64{1, 1, 1, 1}
		s.add("AveragePool", graph.Attrs{"kernel_shape": []int64{3, 3}, "strides": []int64{2, 2}, "pads": pad}, s.x)
		s.add("Concat", graph.Attrs{"axis": int64(1)}, s.x, y)
		s.c, s.h, s.w = c+k, h, w
	}
	s.add("Relu", nil, s.x)
}

// divides is groups if the channels and those of a next convolution can be
// divided so, else 1.
func (s *sampler) divides(groups, out int) int {
	if s.c%groups+out%groups == 0 {
		return groups
	}
	return 1
}

// shuffle interleaves the channels of the groups.
func (s *sampler) shuffle(groups int) {
	c, h, w := int64(s.c), int64(s.h), int64(s.w)
	shape := func(dims ...int64) *graph.Value { return s.g.AddConst(s.name("shape"), tensor.Of(dims, len(dims))) }
	s.add("Reshape", nil, s.x, shape(1, int64(groups), c/int64(groups), h, w))
	s.add("Transpose", graph.Attrs{"perm": []int64{0, 2, 1, 3, 4}}, s.x)
	s.add("Reshape", nil, s.x, shape(1, c, h, w))
}

// split works on one half of the channels and shuffles it with the other.
func (s *sampler) split() {
	if s.c%2 > 0 || s.rng.IntN(3) == 0 {
		s.conv(2*s.width(12, 128), 1, 1, 1)
		s.add("Relu", nil, s.x)
	}
	for range 1 + s.rng.IntN(3) {
		half := s.c / 2
		parts := s.g.AddConst(s.name("parts"), tensor.Of([]int64{int64(half), int64(half)}, 2))
		name := s.name("Split")
		halves := s.g.Append(s.g.NewNode("", "Split", name, []*graph.Value{s.x, parts}, []string{name + "a", name + "b"}, graph.Attrs{"axis": int64(1)})).Outputs
		s.x, s.c = halves[1], half
		s.conv(half, 1, 1, 1)
		s.add("Relu", nil, s.x)
		s.conv(half, 3, 1, half)
		s.conv(half, 1, 1, 1)
		s.add("Relu", nil, s.x)
		s.add("Concat", graph.Attrs{"axis": int64(1)}, halves[0], s.x)
		s.c = 2 * half
		s.shuffle(2)
	}
}

// dense appends a few channels to what is there.
func (s *sampler) dense() {
	for range 2 + s.rng.IntN(3) {
		x, c := s.x, s.c
		s.conv(s.width(12, 64), 3, 1, 1)
		s.add("Relu", nil, s.x)
		s.add("Concat", graph.Attrs{"axis": int64(1)}, x, s.x)
		s.c += c
	}
}

// classify ends the network, by means or by fully connected layers that may
// have as many weights as all else.
func (s *sampler) classify() {
	for s.c*s.h*s.w > 1<<13 && min(s.h, s.w) > 1 {
		s.pool("MaxPool", 2, 2)
	}
	if !s.large && s.rng.IntN(2) == 0 {
		s.add("GlobalAveragePool", nil, s.x)
		s.h, s.w = 1, 1
	}
	s.add("Flatten", nil, s.x)
	in := s.c * s.h * s.w
	hidden := min(s.width(32, 2048), max(32, (4<<20)/in))
	if s.large {
		hidden = min(4096, (16<<20)/in)
	}
	for _, out := range []int{hidden, s.pick(10, 100, 1000)} {
		s.add("Gemm", graph.Attrs{"transB": int64(1)}, s.x, s.normal(in, out, in), s.normal(out, out))
		in = out
	}
	if s.rng.IntN(2) == 0 {
		s.add("Softmax", nil, s.x)
	}
	s.g.AddOutput(s.x)
}
