package accel

import (
	"math"
	"strconv"

	"github.com/drawknife/drawknife/hardware"
)

// UNPU, Lee et al., JSSC 2019: weights bit by bit, through tables of sums.
const (
	unpuClock  = 200.0 // MHz
	unpuLanes  = 13824 // products of one weight bit a cycle
	unpuBinary = 18432 // the same in the mode of one-bit weights
	unpuTable  = 4     // inputs of a table
)

// unpuEfficiency is published, in TOPS/W by bits of the weights.
var unpuEfficiency = [][2]float64{{1, 50.6}, {4, 11.6}, {16, 3.08}}

func init() {
	m := hardware.Machine{Name: "unpu", ClockMHz: unpuClock, PeakMACs: unpuBinary, AreaMM2: 16}
	figures := []hardware.Figure{
		unpuPeak(16, 345.6, hardware.Read), unpuPeak(8, 691.2, hardware.Computed), unpuPeak(4, 1382, hardware.Recalled),
		unpuPeak(2, 2764.8, hardware.Computed), unpuPeak(1, 7372, hardware.Read),
	}
	for i, evidence := range []hardware.Evidence{hardware.Read, hardware.Recalled, hardware.Read} {
		bits := int(unpuEfficiency[i][0])
		figures = append(figures, hardware.Figure{Name: "efficiency with weights of " + bitsOf(bits), Published: unpuEfficiency[i][1], Unit: "TOPS/W",
			Evidence: evidence, Fitted: true, Tolerance: 1e-6, Note: "the energy of a MAC is taken from it", Ours: func() (float64, error) {
				l := unpuFull(bits)
				return 2 * float64(l.MACs()) / unpuCost(l).MACEnergy, nil
			}})
	}
	hardware.Register(hardware.Accelerator{
		Name: "unpu", Title: "UNPU", Kind: hardware.BitFlexible,
		Paper: "Lee et al., UNPU: An Energy-Efficient Deep Neural Network Accelerator With Fully Variable Weight Bit Precision, JSSC", Year: 2019,
		Summary: "Weights of 1 to 16 bits, bit by bit, that look sums of four inputs up in tables.",
		Params: []hardware.Param{
			{Name: "technology", Value: "65 nm, 4 mm × 4 mm, 0.63–1.1 V, up to 200 MHz", Evidence: hardware.Read},
			{Name: "operands", Value: "inputs 16 bits, weights 1–16 bits", Evidence: hardware.Read},
			{Name: "energy saved by tables", Value: "23.1, 27.2, 41, 53.6 % of fixed-point MACs with 16, 8, 4, 1 bits (not modelled)", Evidence: hardware.Read},
		},
		Formulas: `
A table has the sums of four inputs (16, by symmetry 8 entries); a bit of four weights
picks one. 13 824 products of one bit are made a cycle, that is 3456 look-ups; with
weights of one bit a mode of its own makes 18 432 (4608 look-ups). For b bits

  look-ups = N·G·K·P·Q·R·S·⌈C/4⌉·b        cycles = ⌈look-ups / 3456⌉  (b = 1: 4608)
  peak     = 2·13 824·0.2/b GOPS           (b = 1: 7373)

A full array is assumed: how channels are spread over its cores is not modelled.
The energy of a MAC is 2 over the published TOPS/W at 1, 4 and 16 bits, between them
interpolated on logarithmic axes, above 16 bits proportional to bits; idle lanes of a
table take part.`,
		Figures: figures,
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) { return unpuCost(l), nil })
		},
	})
}

func bitsOf(n int) string {
	if n == 1 {
		return "1 bit"
	}
	return strconv.Itoa(n) + " bits"
}

// unpuFull is a layer that fills the machine to the last look-up.
func unpuFull(bits int) *hardware.Layer {
	l := hardware.Conv("full", 1, 1, 1152, 48, 16, 1, 1, 0)
	l.Bits.W = bits
	return l
}

func unpuPeak(bits int, published float64, e hardware.Evidence) hardware.Figure {
	return hardware.Figure{Name: "peak with weights of " + bitsOf(bits), Published: published, Unit: "GOPS", Evidence: e, Tolerance: 0.0005,
		Ours: func() (float64, error) {
			l := unpuFull(bits)
			return 2 * float64(l.MACs()) / unpuCost(l).Cycles * unpuClock / 1e3, nil
		}}
}

func unpuCost(l *hardware.Layer) hardware.Cost {
	z, bits, lanes := &l.Size, max(l.Bits.W, 1), unpuLanes
	if bits == 1 {
		lanes = unpuBinary
	}
	tables := float64(z[hardware.N]*z[hardware.G]) * float64(z[hardware.K]) * float64(z[hardware.P]*z[hardware.Q]) *
		float64(z[hardware.R]*z[hardware.S]) * hardware.Ceil(z[hardware.C], unpuTable)
	return hardware.Cost{Cycles: math.Ceil(tables * float64(bits) / float64(lanes/unpuTable)), MACEnergy: tables * unpuTable * unpuMACEnergy(bits)}
}

// unpuMACEnergy is the chip's energy for a MAC in pJ.
func unpuMACEnergy(bits int) float64 {
	b := float64(bits)
	for i := 1; i < len(unpuEfficiency); i++ {
		lo, hi := unpuEfficiency[i-1], unpuEfficiency[i]
		if b <= hi[0] {
			slope := math.Log(hi[1]/lo[1]) / math.Log(hi[0]/lo[0])
			return 2 / (lo[1] * math.Pow(b/lo[0], slope))
		}
	}
	last := unpuEfficiency[len(unpuEfficiency)-1]
	return 2 / last[1] * b / last[0]
}
