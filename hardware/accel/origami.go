package accel

import "github.com/drawknife/drawknife/hardware"

// Origami, Cavigelli and Benini, TCSVT 2017: output stationary, whole 7×7
// windows at once.
const (
	origamiClock = 250.0 // MHz; the sum-of-products units run at twice this
	origamiIn    = 4     // input channels of a block
	origamiOut   = 8     // output channels at a time: 4 units, used twice a cycle
	origamiTaps  = 7     // rows and columns of a unit
	origamiPJ    = 2e3 / 437.0 / 2
)

func init() {
	peak := hardware.Machine{Name: "origami", ClockMHz: origamiClock, PeakMACs: origamiOut * origamiTaps * origamiTaps, AreaMM2: 3.09}
	hardware.Register(hardware.Accelerator{
		Name: "origami", Title: "Origami", Kind: hardware.Dense,
		Paper: "Cavigelli and Benini, Origami: A 803-GOp/s/W Convolutional Network Accelerator, TCSVT", Year: 2017,
		Summary: "Output-stationary convolutions: four sum-of-products units of 7×7 multipliers, 12 bits, an image bank of filter rows.",
		Params: []hardware.Param{
			{Name: "technology", Value: "65 nm, 1.2 V", Evidence: hardware.Vague},
			{Name: "units", Value: "4, each 7×7 multipliers of 12 bits at 500 MHz (196 multipliers)", Evidence: hardware.Vague},
			{Name: "core", Value: "3.09 mm², 912 kGE", Evidence: hardware.Vague},
		},
		Formulas: `
A block is 4 input channels by 8 output channels. In one cycle of 250 MHz the
units, which run at twice the clock, multiply one input channel's window for 8
output channels:

  cycles = N·G·P·Q · ⌈C/4⌉·4 · ⌈K/8⌉ · ⌈R/7⌉·⌈S/7⌉

A filter smaller than 7×7 leaves multipliers idle (R·S/49 of them work).
Energy is time at full power: 437 GOP/s/W at the peak of 196 GOP/s.`,
		Figures: []hardware.Figure{
			{Name: "peak at 1.2 V", Published: 196, Unit: "GOP/s", Evidence: hardware.Vague, Ours: func() (float64, error) {
				return peak.PeakMACs * 2 * peak.ClockMHz / 1e3, nil
			}},
			{Name: "7×7 layer that fills the array, share of the peak", Published: 1, Unit: "", Evidence: hardware.Computed,
				Ours: func() (float64, error) {
					w := &hardware.Workload{Name: "7x7", Batch: 1, Layers: []*hardware.Layer{hardware.Conv("c", 1, 1, 8, 4, 64, 7, 1, 3)}}
					r, err := runOrigami(peak, w)
					if err != nil {
						return 0, err
					}
					return r.Utilization, nil
				}},
		},
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return runOrigami(peak, w)
		},
	})
}

func runOrigami(m hardware.Machine, w *hardware.Workload) (*hardware.Report, error) {
	return hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) {
		s := &l.Size
		passes := hardware.Ceil(s[hardware.R], origamiTaps) * hardware.Ceil(s[hardware.S], origamiTaps)
		cycles := float64(s[hardware.G]*s[hardware.N]*s[hardware.P]*s[hardware.Q]) *
			hardware.Ceil(s[hardware.C], origamiIn) * origamiIn * hardware.Ceil(s[hardware.K], origamiOut) * passes
		return hardware.Cost{Cycles: cycles, MACEnergy: cycles * m.PeakMACs * origamiPJ}, nil
	})
}
