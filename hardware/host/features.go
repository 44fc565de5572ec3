package host

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// features is the number of terms that a step's time is made of.
const features = 32

// basic tells the terms that even a handful of measurements can price: the
// call, the bytes and the arithmetic.
func basic(j int) bool { return j < 3 }

// features lists what a step's time grows with: work, what is wasted where
// sizes do not divide by the kernels' tiles, and bytes by where they lie. Which
// of them matter to a kernel, the measurements say.
func (s *Step) features() [features]float64 {
	bytes, weights := float64(s.Bytes), float64(s.Weights)
	rows, pixels, channels := float64(s.Rows), float64(s.Rows*s.Columns), float64(s.Channels)
	taps, out := float64(s.Taps), channels*pixels
	f := [features]float64{1, bytes, float64(s.MACs), beyond(bytes, s.Bytes, 1<<19), beyond(bytes, s.Bytes, 1<<22), pixels, rows,
		float64(s.Channels%8) * pixels, out * taps, out}
	if s.MACs == 0 {
		for i, lanes := range [...]int64{16, 32, 64} {
			f[10+i] = float64(s.Channels%lanes) * pixels
		}
		copy(f[13:], []float64{pixels * taps, f[7] * taps, f[10] * taps, f[11] * taps, rows * channels})
		return f
	}
	window, groups := float64(s.Window), float64(s.Groups)
	depth := math.Ceil(window / taps)     // channels that an output reads
	width := math.Ceil(channels / groups) // channels of a group
	if strings.Contains(s.Kernel, "winograd") {
		// 36 products of 4x4 squares
		pixels, window = up(rows, 4)/4*up(float64(s.Columns), 4)/4, 36*depth
		f[2] = pixels * window * channels
	}
	high, wide := s.tile()
	lanes := max(wide/2, 8)
	tall := up(pixels, high)
	again := math.Ceil(pixels/48) - 1 // times that the weights are read once more
	tiles := tall / high * up(width, wide) / wide * groups
	copy(f[10:], []float64{
		weights, beyond(weights, s.Resident, 1<<20), beyond(weights, s.Resident, 1<<22), beyond(weights, s.Resident, 1<<24), beyond(weights, s.Resident, 1<<26),
		width * groups * window, pixels * window * groups, pixels * taps * groups, rows * channels, rows * taps * groups,
		(up(width, lanes) - width) * groups * tall * window, (up(width, wide) - up(width, lanes)) * groups * tall * window,
		(tall - pixels) * channels * window, (up(depth, 4) - depth) * taps * out,
		tiles, tiles * taps, math.Ceil(up(width, wide)/wide) * groups * pixels * window, float64(s.Added),
		again * weights, again * beyond(weights, s.Weights, 1<<20), (up(pixels, 48) - pixels) * channels * window,
	})
	return f
}

var tileName = regexp.MustCompile(`(\d+)x(\d+)`)

// tile is how many pixels and channels the kernel computes at a time, by its
// name; the smallest of all kernels' where that does not say.
func (s *Step) tile() (high, wide float64) {
	m := tileName.FindStringSubmatch(s.Kernel)
	if m == nil || strings.Contains(s.Kernel, "depthwise") {
		return 1, 8
	}
	high, _ = strconv.ParseFloat(m[1], 64)
	wide, _ = strconv.ParseFloat(m[2], 64)
	return max(high, 1), max(wide, 1)
}

// up rounds n up to a multiple of k.
func up(n, k float64) float64 { return math.Ceil(n/k) * k }

// beyond is the part of x that lies outside a cache of about that limit, and
// costs more: none where size is half of it, all where size is twice as much.
func beyond(x float64, size, limit int64) float64 {
	return x * min(max(0.5+0.5*math.Log2(float64(max(size, 1))/float64(limit)), 0), 1)
}

// coordinates is the number of directions in which steps lie apart.
const coordinates = 9

// coordinates places a step: steps nearby behave alike. Sizes count by their
// logarithms.
func (s *Step) coordinates() [coordinates]float64 {
	log := func(n int64) float64 { return math.Log(float64(max(n, 1))) }
	return [coordinates]float64{log(s.Channels), log(s.Rows * s.Columns), 0.3 * log(s.Columns), log(s.Window), log(s.Taps),
		1.5 * log(s.Stride), 0.3 * log(s.Resident), 0.5 * log(s.Bytes), log(s.Groups)}
}
