package conv

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/parallel"
)

// A batch that no cache holds goes through the kernels some images at a time,
// which one worker reads from end to end first: memory is fast only in order,
// and the kernels jump. What they write goes to a buffer that stays in the
// cache and from there around the caches to memory, where writing line by line
// would fetch every line first.

// partBytes is the size from which on a tensor is taken in parts, partFloats
// about the floats of both tensors of one. Tests lower them.
var partBytes, partFloats = 24 << 20, 1 << 18

// parts is how a batch is cut.
type parts struct {
	count    int
	images   int // of a part
	src, dst int // floats from one part to the next
	add      int
	stage    int // floats of the buffer of a worker; 0 if the kernels write to memory
	single   *parallel.Pool
}

// planParts cuts the convolution s and returns it with the images of one part,
// or s and nil if it stays whole.
func planParts(level cpu.Level, s Shape) (Shape, *parts) {
	in, out := s.D*s.H*s.W*s.SrcStride, s.OD*s.P*s.Q*s.DstStride
	if 4*s.N*max(in, out) < partBytes || s.N < 2 || s.C == 0 || s.K == 0 {
		return s, nil
	}
	images := min(max(1, partFloats/(in+out)), s.N)
	for s.N%images != 0 {
		images--
	}
	p := &parts{
		count: s.N / images, images: images, src: images * in, dst: images * out,
		add: images * s.OD * s.P * s.Q * s.AddStride, single: parallel.New(1),
	}
	if 4*s.N*out >= partBytes && s.DstStride == s.K && level >= cpu.AVX2 {
		p.stage = p.dst + line
	}
	s.N = images
	return s, p
}

// fetch reads v from end to end. (Inlined, it would be found to be useless.)
//
//go:noinline
func fetch(v []float32) float32 {
	sum := float32(0)
	for i := 0; i < len(v); i += 16 {
		sum += v[i]
	}
	return sum
}

// part returns the elements of part i of a tensor whose parts lie step apart.
func part(v []float32, i, step int) []float32 {
	if v == nil {
		return nil
	}
	return v[i*step : min((i+1)*step, len(v))]
}

// stream copies src to dst around the caches.
func stream(dst, src []float32) {
	n := min(len(dst), len(src))
	if whole := n &^ 7; whole > 0 && uintptr(unsafe.Pointer(&dst[0]))%32 == 0 && streamSIMD(dst[:whole], src[:whole]) {
		dst, src = dst[whole:n], src[whole:n]
	}
	copy(dst, src)
}
