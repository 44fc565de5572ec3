package qvec

import "unsafe"

// The functions below process a prefix of their arguments with vector code
// and return its length.

func quantizeSIMD(dst []uint8, src []float32, scale float32, zero, flip uint8) int   { return 0 }
func dequantizeSIMD(dst []float32, src []uint8, scale float32, zero, flip uint8) int { return 0 }
func minMaxSIMD(x []float32) (lo, hi float32, n int)                                 { return inf, -inf, 0 }
func addSIMD(dst, a, b []uint8, p *AddParams) int                                    { return 0 }
func mulSIMD(dst, a, b []uint8, p *MulParams) int                                    { return 0 }
func lutSIMD(dst, src []uint8, table *[256]uint8) int                                { return 0 }

func asUint8(s []int8) []uint8 {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*uint8)(unsafe.Pointer(&s[0])), len(s))
}
func maxSIMD(dst, src []uint8) int         { return 0 }
func sumSIMD(sums []int32, px []uint8) int { return 0 }
