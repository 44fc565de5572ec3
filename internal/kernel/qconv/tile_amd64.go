//go:build !purego

package qconv

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
)

//go:generate sh -c "cd ../_asm && go run . qlowbit -out ../qconv/lowbit_amd64.s -stubs ../qconv/lowbit_amd64.go -pkg qconv"
//go:generate sh -c "cd ../_asm && go run . qconv -out ../qconv/kernels_amd64.s -stubs ../qconv/kernels_amd64.go -pkg qconv"

var (
	avx2 = isa{name: "avx2 8x8", rows: 8, lanes: 8, wide: 1, small: &long}
	long = isa{name: "avx2 low-bit 6x8", rows: 6, lanes: 8, wide: 1, long: true, unpack: unpackNibblesAVX2}
	vnni = isa{name: "vnni 8x32", rows: 8, lanes: 16, wide: 2, vnni: true, line: 16, few: [9]*isa{2: &vnniFew[0], 4: &vnniFew[1], 8: &vnniFew[2]}}

	// AVX-VNNI, of CPUs without AVX-512.
	avxvnni = isa{name: "avxvnni 6x16", rows: 6, lanes: 8, wide: 2, vnni: true, vex: true}

	amx = isa{name: "amx 32x32", rows: 16, lanes: 16, wide: 2, vnni: true, deep: true, shallow: &vnni, few: vnni.few}

	vnniFew = [...]isa{
		{name: "vnni 2-bit 4x64", rows: 4, lanes: 16, wide: 4, vnni: true, bits: 2},
		{name: "vnni 4-bit 4x64", rows: 4, lanes: 16, wide: 4, vnni: true, bits: 4},
		{name: "vnni 1x64", rows: 1, lanes: 16, wide: 4, vnni: true, bits: 8},
	}
)

// isaFor is the vector path for a level, nil for none.
func isaFor(l cpu.Level) *isa {
	switch {
	case l >= cpu.AMX:
		return &amx
	case l >= cpu.VNNI:
		return &vnni
	case l == cpu.AVXVNNI:
		return &avxvnni
	case l >= cpu.AVX2:
		return &avx2
	}
	return nil
}

// run computes a.tiles tiles of so many pixels, of a line or not, by so many
// vectors of channels; with deep steps rows is how many tiles at once.
func (i *isa) run(args *tileArgs, rows, vecs int, line bool) {
	a := (*byte)(unsafe.Pointer(args))
	switch {
	case i.simulate != nil:
		c := *args
		i.simulate(&c, rows, vecs, line)
	case i.deep:
		amxTiles(a, rows, vecs)
	case i.bits != 0:
		few(a, rows, vecs, i.bits)
	case line:
		vnniLine(a, rows)
	case i.vex && vecs == 2:
		avxvnni16(a, rows)
	case i.vex:
		avxvnni8(a, rows)
	case i.vnni && vecs == 2:
		vnni32(a, rows)
	case i.vnni:
		vnni16(a, rows)
	case i.long:
		avx2long(a, rows)
	default:
		avx2x8(a, rows)
	}
}

// reorder makes the second and third of three copies of a strip from the first.
func reorder(copies []byte) {
	n := len(copies) / len(orders)
	reorderAVX2(unsafe.SliceData(copies), n)
}

// measureSteps is measure for what the slices have room for.
func measureSteps(w []int8, loads []load, states []uint8, src []int16, orders int) {
	if !cpu.Has(cpu.AVX2) {
		measurePortable(w, loads, states, src, orders)
		return
	}
	stepLoadsAVX2((*byte)(unsafe.Pointer(&w[0])), (*byte)(unsafe.Pointer(&loads[0])), &states[0], &src[0], len(states), orders)
}

// multiplyVector computes a.chunks octets of channels of one pixel.
func multiplyVector(args *tileArgs) { vectorAVX2((*byte)(unsafe.Pointer(args))) }

func avx2x8(a *byte, rows int) {
	switch rows {
	case 1:
		qtileAVX2x1x8(a)
	case 2:
		qtileAVX2x2x8(a)
	case 3:
		qtileAVX2x3x8(a)
	case 4:
		qtileAVX2x4x8(a)
	case 5:
		qtileAVX2x5x8(a)
	case 6:
		qtileAVX2x6x8(a)
	case 7:
		qtileAVX2x7x8(a)
	default:
		qtileAVX2x8x8(a)
	}
}

func avx2long(a *byte, rows int) {
	switch rows {
	case 1:
		qlongAVX2x1x8(a)
	case 2:
		qlongAVX2x2x8(a)
	case 3:
		qlongAVX2x3x8(a)
	case 4:
		qlongAVX2x4x8(a)
	case 5:
		qlongAVX2x5x8(a)
	default:
		qlongAVX2x6x8(a)
	}
}

func amxTiles(a *byte, tiles, vecs int) {
	switch {
	case tiles == 2 && vecs == 2:
		amx2x32(a)
	case vecs == 2:
		amx1x32(a)
	case tiles == 2:
		amx2x16(a)
	default:
		amx1x16(a)
	}
}

func vnni32(a *byte, rows int) {
	switch rows {
	case 1:
		qtileVNNI1x32(a)
	case 2:
		qtileVNNI2x32(a)
	case 3:
		qtileVNNI3x32(a)
	case 4:
		qtileVNNI4x32(a)
	case 5:
		qtileVNNI5x32(a)
	case 6:
		qtileVNNI6x32(a)
	case 7:
		qtileVNNI7x32(a)
	default:
		qtileVNNI8x32(a)
	}
}

func vnni16(a *byte, rows int) {
	switch rows {
	case 1:
		qtileVNNI1x16(a)
	case 2:
		qtileVNNI2x16(a)
	case 3:
		qtileVNNI3x16(a)
	case 4:
		qtileVNNI4x16(a)
	case 5:
		qtileVNNI5x16(a)
	case 6:
		qtileVNNI6x16(a)
	case 7:
		qtileVNNI7x16(a)
	default:
		qtileVNNI8x16(a)
	}
}

func avxvnni16(a *byte, rows int) {
	switch rows {
	case 1:
		qtileAVXVNNI1x16(a)
	case 2:
		qtileAVXVNNI2x16(a)
	case 3:
		qtileAVXVNNI3x16(a)
	case 4:
		qtileAVXVNNI4x16(a)
	case 5:
		qtileAVXVNNI5x16(a)
	default:
		qtileAVXVNNI6x16(a)
	}
}

func avxvnni8(a *byte, rows int) {
	switch rows {
	case 1:
		qtileAVXVNNI1x8(a)
	case 2:
		qtileAVXVNNI2x8(a)
	case 3:
		qtileAVXVNNI3x8(a)
	case 4:
		qtileAVXVNNI4x8(a)
	case 5:
		qtileAVXVNNI5x8(a)
	default:
		qtileAVXVNNI6x8(a)
	}
}

func vnniLine(a *byte, rows int) {
	switch rows {
	case 8:
		qlineVNNI8x16(a)
	case 9:
		qlineVNNI9x16(a)
	case 10:
		qlineVNNI10x16(a)
	case 11:
		qlineVNNI11x16(a)
	case 12:
		qlineVNNI12x16(a)
	case 13:
		qlineVNNI13x16(a)
	case 14:
		qlineVNNI14x16(a)
	case 15:
		qlineVNNI15x16(a)
	default:
		qlineVNNI16x16(a)
	}
}

// dwFunc is a depthwise kernel.
type dwFunc func(args *byte)

func (f dwFunc) run(args *tileArgs) { f((*byte)(unsafe.Pointer(args))) }

// dwKernels lists the depthwise kernels, larger tiles first: tiles of several
// pixels for their stride, and of one pixel for any.
var dwKernels = []dwKernel{
	{3, 3, 1, 8, 8, cpu.AVX2, dwtileAVX23x3s1p8},
	{3, 3, 1, 4, 8, cpu.AVX2, dwtileAVX23x3s1p4},
	{3, 3, 2, 4, 8, cpu.AVX2, dwtileAVX23x3s2p4},
	{3, 3, 0, 1, 8, cpu.AVX2, dwtileAVX23x3s1p1},
	{5, 5, 1, 4, 8, cpu.AVX2, dwtileAVX25x5s1p4},
	{5, 5, 2, 4, 8, cpu.AVX2, dwtileAVX25x5s2p4},
	{5, 5, 0, 1, 8, cpu.AVX2, dwtileAVX25x5s1p1},
	{7, 7, 1, 2, 8, cpu.AVX2, dwtileAVX27x7s1p2},
	{7, 7, 0, 1, 8, cpu.AVX2, dwtileAVX27x7s1p1},
	{3, 3, 1, 4, 16, cpu.AVX2, dwtileAVX23x3s1p4x16},
	{3, 3, 1, 2, 16, cpu.AVX2, dwtileAVX23x3s1p2x16},
	{3, 3, 2, 4, 16, cpu.AVX2, dwtileAVX23x3s2p4x16},
	{3, 3, 0, 1, 16, cpu.AVX2, dwtileAVX23x3s1p1x16},
	{5, 5, 1, 4, 16, cpu.AVX2, dwtileAVX25x5s1p4x16},
	{5, 5, 2, 4, 16, cpu.AVX2, dwtileAVX25x5s2p4x16},
	{5, 5, 0, 1, 16, cpu.AVX2, dwtileAVX25x5s1p1x16},
	{7, 7, 1, 2, 16, cpu.AVX2, dwtileAVX27x7s1p2x16},
	{7, 7, 0, 1, 16, cpu.AVX2, dwtileAVX27x7s1p1x16},
	{3, 3, 1, 4, 32, cpu.VNNI, dwtileVNNI3x3s1p4x32},
	{3, 3, 2, 4, 32, cpu.VNNI, dwtileVNNI3x3s2p4x32},
	{3, 3, 0, 1, 32, cpu.VNNI, dwtileVNNI3x3s1p1x32},
	{5, 5, 1, 4, 32, cpu.VNNI, dwtileVNNI5x5s1p4x32},
	{5, 5, 2, 4, 32, cpu.VNNI, dwtileVNNI5x5s2p4x32},
	{5, 5, 0, 1, 32, cpu.VNNI, dwtileVNNI5x5s1p1x32},
	{3, 3, 1, 4, 64, cpu.VNNI, dwtileVNNI3x3s1p4x64},
	{3, 3, 2, 4, 64, cpu.VNNI, dwtileVNNI3x3s2p4x64},
	{3, 3, 0, 1, 64, cpu.VNNI, dwtileVNNI3x3s1p1x64},
	{5, 5, 1, 4, 64, cpu.VNNI, dwtileVNNI5x5s1p4x64},
	{5, 5, 2, 4, 64, cpu.VNNI, dwtileVNNI5x5s2p4x64},
	{5, 5, 0, 1, 64, cpu.VNNI, dwtileVNNI5x5s1p1x64},
	{3, 3, 1, 2, 32, cpu.AVXVNNI, dwtileAVXVNNI3x3s1p2x32},
	{3, 3, 2, 2, 32, cpu.AVXVNNI, dwtileAVXVNNI3x3s2p2x32},
	{3, 3, 0, 1, 32, cpu.AVXVNNI, dwtileAVXVNNI3x3s1p1x32},
	{5, 5, 1, 2, 32, cpu.AVXVNNI, dwtileAVXVNNI5x5s1p2x32},
	{5, 5, 2, 2, 32, cpu.AVXVNNI, dwtileAVXVNNI5x5s2p2x32},
	{5, 5, 0, 1, 32, cpu.AVXVNNI, dwtileAVXVNNI5x5s1p1x32},
}

// few runs the kernels that are named for pixels, channels and bits.
func few(a *byte, rows, vecs, bits int) {
	switch [3]int{bits, rows, vecs} {
	case [3]int{2, 1, 4}:
		qfewVNNI1x64w2(a)
	case [3]int{2, 1, 1}:
		qfewVNNI1x16w2(a)
	case [3]int{2, 2, 4}:
		qfewVNNI2x64w2(a)
	case [3]int{2, 2, 1}:
		qfewVNNI2x16w2(a)
	case [3]int{2, 3, 4}:
		qfewVNNI3x64w2(a)
	case [3]int{2, 3, 1}:
		qfewVNNI3x16w2(a)
	case [3]int{2, 4, 4}:
		qfewVNNI4x64w2(a)
	case [3]int{2, 4, 1}:
		qfewVNNI4x16w2(a)
	case [3]int{4, 1, 4}:
		qfewVNNI1x64w4(a)
	case [3]int{4, 1, 1}:
		qfewVNNI1x16w4(a)
	case [3]int{4, 2, 4}:
		qfewVNNI2x64w4(a)
	case [3]int{4, 2, 1}:
		qfewVNNI2x16w4(a)
	case [3]int{4, 3, 4}:
		qfewVNNI3x64w4(a)
	case [3]int{4, 3, 1}:
		qfewVNNI3x16w4(a)
	case [3]int{4, 4, 4}:
		qfewVNNI4x64w4(a)
	case [3]int{4, 4, 1}:
		qfewVNNI4x16w4(a)
	case [3]int{8, 1, 1}:
		qfewVNNI1x16w8(a)
	default:
		qfewVNNI1x64w8(a)
	}
}
