//go:build !purego

package qconv

import (
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
)

//go:generate sh -c "cd ../_asm && go run . qconv -out ../qconv/kernels_amd64.s -stubs ../qconv/kernels_amd64.go -pkg qconv"

var avx2 = isa{name: "avx2 6x16", rows: 6, lanes: 8, wide: 2, tile: tileAVX2}

// isaFor is the vector path for a level, nil for none.
func isaFor(l cpu.Level) *isa {
	if l >= cpu.AVX2 {
		return &avx2
	}
	return nil
}

func tileAVX2(args *tileArgs, rows, vecs int) {
	a := (*byte)(unsafe.Pointer(args))
	if vecs == 2 {
		switch rows {
		case 1:
			qtileAVX2x1x16(a)
		case 2:
			qtileAVX2x2x16(a)
		case 3:
			qtileAVX2x3x16(a)
		case 4:
			qtileAVX2x4x16(a)
		case 5:
			qtileAVX2x5x16(a)
		default:
			qtileAVX2x6x16(a)
		}
		return
	}
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
	default:
		qtileAVX2x6x8(a)
	}
}
