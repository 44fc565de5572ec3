package accel

import "github.com/drawknife/drawknife/hardware"

// BitBlade, Ryu et al., DAC 2019: Bit Fusion with one shifter a significance.
const (
	bladeArea   = 1 - 0.41              // array area over that of Bit Fusion
	bladeEnergy = 1 - (0.36+0.46)/2     // array energy over that of Bit Fusion, the middle
	bladeUnit   = bfUnitUM2 * bladeArea // µm² of a unit, at 45 nm
)

var bitBlade = bitFusionMachine{energy: bladeEnergy, Machine: hardware.Machine{Name: "bitblade", ClockMHz: bfClock, DRAMBytes: bfWidth / 8,
	PeakMACs: bfRows * bfColumns * 16, AreaMM2: bfRows * bfColumns * bladeUnit / 1e6}}

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "bitblade", Title: "BitBlade", Kind: hardware.BitFlexible,
		Paper: "Ryu et al., BitBlade: Area and Energy-Efficient Precision-Scalable Neural Network Accelerator with Bitwise Summation, DAC", Year: 2019,
		Summary: "Bit Fusion's products, but those of equal significance are added first and shifted once.",
		Params: []hardware.Param{
			{Name: "against Bit Fusion, 28 nm", Value: "area −41 %, energy −36 to −46 %", Evidence: hardware.Read},
			{Name: "later chip, 28 nm", Value: "up to 7.7× throughput, 1.64× efficiency of earlier designs", Evidence: hardware.Read},
			{Name: "later chip, tiling", Value: "channels first, pixels last: 1.5–3.4× the throughput of channels alone with odd filters", Evidence: hardware.Read},
			{Name: "later chip, efficiency", Value: "44.1 TOPS/W", Evidence: hardware.Vague},
		},
		Formulas: `
The cycles, the buffers and the traffic are those of Bit Fusion (see there), on the same
array of 16×32 units at 45 nm and 500 MHz. One tree of shifts and additions for each of
16 significances replaces one in every unit: the array takes 0.59 of the area and 0.59
of the energy (the middle of the published 0.54 to 0.64). Buffers and DRAM take what
they take there. The tiling of the later chip is not modelled.`,
		Figures: []hardware.Figure{
			{Name: "array energy against Bit Fusion, least saving", Published: -36, Unit: "%", Evidence: hardware.Read, Relation: hardware.AtMost,
				Fitted: true, Note: "the middle of the two ends is put in", Ours: bladeSaving},
			{Name: "array energy against Bit Fusion, largest saving", Published: -46, Unit: "%", Evidence: hardware.Read, Relation: hardware.AtLeast,
				Fitted: true, Note: "the middle of the two ends is put in", Ours: bladeSaving},
			{Name: "array area against Bit Fusion", Published: -41, Unit: "%", Evidence: hardware.Read, Fitted: true, Note: "put in", Tolerance: 1e-9,
				Ours: func() (float64, error) { return 100 * (bitBlade.AreaMM2/bitFusion.AreaMM2 - 1), nil }},
		},
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return bitBlade.run(w)
		},
	})
}

// bladeSaving is the change of the array's energy on a network of Bit Fusion's
// comparison, in percent.
func bladeSaving() (float64, error) {
	w := bfLeNet()
	a, err := bitFusion.run(w)
	if err != nil {
		return 0, err
	}
	b, err := bitBlade.run(w)
	if err != nil {
		return 0, err
	}
	ours, theirs := 0.0, 0.0
	for i := range a.Layers {
		ours += b.Layers[i].MACEnergy
		theirs += a.Layers[i].MACEnergy
	}
	return 100 * (ours/theirs - 1), nil
}
