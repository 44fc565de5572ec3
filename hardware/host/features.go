package host

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// features is the most terms that a step's time is made of.
const features = 36

// common is the number of terms of all kernels; the first basic of them can be
// priced even by a handful of measurements: the call, the bytes and the
// arithmetic.
const (
	basic  = 3
	common = 12
)

// features lists what a step's time grows with: work, what is wasted where
// sizes do not divide by the kernels' tiles, and bytes by where they lie. Which
// of them matter to a kernel, the measurements say.
func (s *Step) features() (f [features]float64) {
	bytes, pixels, taps, out := float64(s.Bytes), float64(s.Rows*s.Columns), float64(s.Taps), float64(s.Channels*s.Rows*s.Columns)
	copy(f[:common], []float64{1, bytes, float64(s.MACs), beyond(bytes, s.Bytes, 1<<19), beyond(bytes, s.Bytes, 1<<22), pixels, float64(s.Rows),
		float64(s.Channels%8) * pixels, out * taps, out, beyond(1, s.Resident, 1<<20), beyond(bytes, s.Resident, 1<<20)})
	switch {
	case s.MACs == 0:
		s.moving(f[common:])
	case strings.Contains(s.Kernel, "depthwise"):
		s.depthwise(f[common:])
	case strings.HasPrefix(s.Kernel, "amx"):
		s.deep(f[common:])
	default:
		s.multiplying(&f)
	}
	return f
}

// moving lists the terms of kernels that do not multiply.
func (s *Step) moving(f []float64) {
	pixels, taps := float64(s.Rows*s.Columns), float64(s.Taps)
	for i, lanes := range [...]int64{8, 16, 32, 64} {
		f[2*i] = float64(s.Channels%lanes) * pixels
		f[2*i+1] = f[2*i] * taps
	}
	f[8], f[9] = pixels*taps, float64(s.Rows*s.Channels)
}

// depthwise lists the terms of kernels that work on vectors of channels and a
// few pixels of a row at a time; the image's border takes calls of its own.
func (s *Step) depthwise(f []float64) {
	rows, columns, taps := float64(s.Rows), float64(s.Columns), float64(s.Taps)
	chunks, lanes := s.chunks()
	full := chunks * lanes * taps
	copy(f, []float64{full * rows * columns, full * rows * up(columns, 4), full * rows, full * columns, full, rows * taps, columns * taps,
		beyond(float64(s.Bytes), s.Bytes, 1<<21), float64(s.Added), float64(s.Weights)})
	if !strings.HasPrefix(s.Kernel, "depthwise") {
		// Bytes: tiles of four pixels, the last of which overlaps the one before
		// unless a single pixel is left.
		tiles, single := float64(s.Columns/4), 0.0
		switch rest := s.Columns % 4; {
		case s.Columns < 4:
			tiles, single = 0, columns
		case rest == 1:
			single = 1
		case rest > 1:
			tiles++
		}
		strided := 0.0
		if s.Stride > 1 {
			strided = 1
		}
		copy(f[10:], []float64{full * rows * tiles, full * rows * single, chunks * rows * tiles, chunks * rows * single, chunks * rows,
			strided * full * rows * tiles, strided * full * rows * single, strided * chunks * rows})
	}
}

// chunks is how many vectors of channels a depthwise kernel works on, and their
// lanes.
func (s *Step) chunks() (n, lanes float64) {
	lanes = 16
	switch {
	case strings.HasPrefix(s.Kernel, "avxvnni"), strings.HasPrefix(s.Kernel, "vnni") && s.Channels < 64:
		lanes = 32
	case strings.HasPrefix(s.Kernel, "vnni"):
		lanes = 64
	}
	return math.Ceil(float64(s.Channels) / lanes), lanes
}

// multiplying lists the terms of matrix products.
func (s *Step) multiplying(f *[features]float64) {
	rows, columns, channels, groups := float64(s.Rows), float64(s.Columns), float64(s.Channels), float64(s.Groups)
	taps, window, weights, added := float64(s.Taps), float64(s.Window), float64(s.Weights), float64(s.Added)
	pixels, out := rows*columns, channels*rows*columns
	depth := math.Ceil(window / taps)     // channels that an output reads
	width := math.Ceil(channels / groups) // channels of a group
	if strings.Contains(s.Kernel, "winograd") {
		// 36 products of 4x4 squares
		pixels, window = up(rows, 4)/4*up(columns, 4)/4, 36*depth
		f[2] = pixels * window * channels
	}
	high, wide := s.tile()
	lanes := max(wide/2, 8)
	tall, full := up(pixels, high), up(width, wide)
	again := math.Ceil(pixels/48) - 1 // times that the weights are read once more
	tiles := tall / high * full / wide * groups
	torn := 0.0 // what is added where a group's channels do not fill vectors
	if up(width, lanes) > width {
		torn = added
	}
	copy(f[common:], []float64{
		weights, beyond(weights, s.Resident, 1<<20), beyond(weights, s.Resident, 1<<22), beyond(weights, s.Resident, 1<<24), beyond(weights, s.Resident, 1<<26),
		again * weights, again * beyond(weights, s.Weights, 1<<20), again * beyond(weights, s.Resident, 1<<25),
		width * groups * window, pixels * window * groups, pixels * taps * groups, rows * channels, rows * taps * groups,
		(up(width, lanes) - width) * groups * tall * window, (full - up(width, lanes)) * groups * tall * window,
		(tall - pixels) * channels * window, (up(pixels, 48) - pixels) * channels * window, (up(depth, 4) - depth) * taps * out,
		tiles, tiles * taps, full / wide * groups * pixels * window, added, torn,
	})
}

// deep lists the terms of matrix products by tiles of up to 16 pixels of a line,
// 16 channels and steps of 64 values of a line of taps.
func (s *Step) deep(f []float64) {
	rows, columns, taps, weights := float64(s.Rows), float64(s.Columns), float64(s.Taps), float64(s.Weights)
	if s.Taps == 1 && s.Stride == 1 { // all pixels are one line
		rows, columns = 1, rows*columns
	}
	depth := float64(s.Window) / taps
	lines := math.Round(math.Sqrt(taps)) // of taps: filters are mostly square
	steps := lines * math.Ceil(depth*taps/lines/64)
	apart := 0.0 // loads that cross cache lines
	if math.Mod(depth, 64) != 0 {
		apart = 1
	}
	half, whole := math.Ceil(float64(s.Channels)/16), math.Ceil(float64(s.Channels)/32)
	tiles, pixels := rows*math.Ceil(columns/16), rows*columns
	again := math.Ceil(tiles/2) - 1 // times that the weights are read once more
	torn := 0.0
	if s.Channels%16 != 0 {
		torn = pixels
	}
	copy(f, []float64{
		weights, beyond(weights, s.Resident, 1<<20), beyond(weights, s.Resident, 1<<22), beyond(weights, s.Resident, 1<<24), beyond(weights, s.Resident, 1<<26),
		tiles * half * steps, pixels * half * steps, tiles * half, pixels * half, pixels * whole * steps, tiles * whole, whole, whole * steps,
		apart * pixels * whole * steps, apart * tiles * whole * steps, again * weights, again * beyond(weights, s.Weights, 1<<20),
		again * beyond(weights, s.Weights/int64(whole), 1<<15), rows * taps, pixels * taps * depth, torn, float64(s.Added),
	})
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
