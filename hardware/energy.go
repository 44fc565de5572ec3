package hardware

import "math"

// MACEnergy estimates a multiply-accumulate at 45 nm in pJ: the multiplier
// grows with the product of the operands' bits from 0.2 pJ at 8×8, and costs at
// least 0.01 pJ; the adder takes 0.1 pJ at 32 bits (Horowitz, ISSCC 2014).
func MACEnergy(wBits, aBits, psumBits int) float64 {
	return max(0.2*float64(wBits*aBits)/64, 0.01) + 0.1*float64(psumBits)/32
}

// SRAMEnergy estimates reading a word of a memory at 45 nm in pJ: bits times
// 1.5e-3·√bytes + 0.02, fitted to Horowitz's 10, 20 and 100 pJ for 64 bits of
// 8 KiB, 32 KiB and 1 MiB. A write is taken as 1.1 times that.
func SRAMEnergy(bytes, bits float64) float64 {
	return bits * (1.5e-3*math.Sqrt(bytes) + 0.02)
}

// DRAMEnergy estimates a DRAM access in pJ at 20 pJ a bit, the middle of what
// is given for DDR4.
func DRAMEnergy(bits float64) float64 { return 20 * bits }

// EnergyScale is the energy of a technology relative to 45 nm, interpolated
// between rules of thumb: 1.75 at 65 nm (1.1 V), 0.50 at 28 (0.9 V), 0.23 at 16
// (0.8 V), 0.08 at 7 (0.7 V).
func EnergyScale(nm float64) float64 {
	points := [][2]float64{{7, 0.08}, {16, 0.23}, {28, 0.50}, {45, 1}, {65, 1.75}}
	i := 1
	for i < len(points)-1 && nm > points[i][0] {
		i++
	}
	a, b := points[i-1], points[i]
	slope := math.Log(b[1]/a[1]) / math.Log(b[0]/a[0])
	return a[1] * math.Pow(nm/a[0], slope)
}
