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
	return interpolate(nm, [][2]float64{{7, 0.08}, {16, 0.23}, {28, 0.50}, {45, 1}, {65, 1.75}})
}

// MACArea estimates the area of a multiply-accumulate unit at 45 nm in µm²: 4
// for each pair of bits of the operands and 4.3 for each bit of the sum, which
// is between the 282 µm² of 8×8 bits and the 3495 of 32×32, and the 137 of an
// adder of 32 bits (Horowitz, ISSCC 2014).
func MACArea(wBits, aBits, psumBits int) float64 {
	return 4*float64(wBits*aBits) + 4.3*float64(psumBits)
}

// RegisterBytes is the capacity below which a memory is taken to be registers.
const RegisterBytes = 1024

// SRAMArea estimates a memory in µm²: 1.0 a bit at 65 nm, 0.55 at 45, 0.25 at
// 28, 0.10 at 16. Registers take five times that, the middle of what is given.
func SRAMArea(bytes, nm float64) float64 {
	a := 8 * bytes * interpolate(nm, [][2]float64{{16, 0.10}, {28, 0.25}, {45, 0.55}, {65, 1.0}})
	if bytes < RegisterBytes {
		a *= 5
	}
	return a
}

// AreaScale is the area of logic in a technology relative to 45 nm, a rule of
// thumb.
func AreaScale(nm float64) float64 {
	return interpolate(nm, [][2]float64{{7, 0.04}, {16, 0.16}, {28, 0.39}, {45, 1}, {65, 2.1}})
}

// interpolate draws straight lines between points on logarithmic axes, the
// first and the last one beyond them.
func interpolate(x float64, points [][2]float64) float64 {
	i := 1
	for i < len(points)-1 && x > points[i][0] {
		i++
	}
	a, b := points[i-1], points[i]
	return a[1] * math.Pow(x/a[0], math.Log(b[1]/a[1])/math.Log(b[0]/a[0]))
}
