//go:build purego || !(amd64 || arm64)

package qvec

// hasSIMD says whether there is vector code to test.
const hasSIMD = false

var useSIMD bool

// There are no wider vectors.
const hasWide, hasVBMI = false, false

var useWide, useVBMI bool

// The functions below process a prefix of their arguments with vector code
// and return its length: here none.

func quantizeSIMD(dst []uint8, src []float32, scale float32, zero, flip uint8) int      { return 0 }
func dequantizeSIMD(dst []float32, src []uint8, scale float32, zero, flip uint8) int    { return 0 }
func minMaxSIMD(x []float32) (lo, hi float32, n int)                                    { return inf, -inf, 0 }
func addSIMD(dst, a, b []uint8, p *AddParams) int                                       { return 0 }
func mulSIMD(dst, a, b []uint8, p *MulParams) int                                       { return 0 }
func lutSIMD(dst, src []uint8, table *[256]uint8) int                                   { return 0 }
func maxSIMD(dst, src []uint8, offs []int, channels, pixels, srcStep, dstStep int) int  { return 0 }
func sumSIMD(sums []int32, src []uint8, offs []int) int                                 { return 0 }
func averageSIMD(dst []uint8, sums []int32, off int32, m float32, p *AverageParams) int { return 0 }

func interleaveSIMD(dst, a, b []uint8) int { return 0 }

func scaleShiftSIMD(dst, src []uint8, r Rows, scale, shift []float32, lo, hi float32) int { return 0 }
