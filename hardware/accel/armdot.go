package accel

import "github.com/drawknife/drawknife/hardware"

// The dot-product extension of Arm's cores: a 128-bit instruction adds four
// products of 8 bits to each of four sums.
const (
	armLanes = 4   // sums of an instruction
	armDepth = 4   // products of a sum
	armIssue = 2.0 // instructions a cycle, Cortex-A76
	armClock = 2.6e3
)

func init() {
	m := hardware.Machine{Name: "arm-dot", ClockMHz: armClock, PeakMACs: armLanes * armDepth * armIssue}
	hardware.Register(hardware.Accelerator{
		Name: "arm-dot", Title: "Arm core with the int8 dot-product extension (Cortex-A76)", Kind: hardware.Temporal,
		Paper: "Arm, the dot-product instructions SDOT and UDOT of Armv8.4-A; as given in the survey", Year: 2018,
		Summary: "One core, 16 multiply-accumulates of 8 bits an instruction, two instructions a cycle.",
		Params: []hardware.Param{
			{Name: "8-bit MACs a cycle and core", Value: "A75: 16–32; A76: 32", Evidence: hardware.Vague},
			{Name: "clock", Value: "2.6 GHz, assumed", Evidence: hardware.Vague},
		},
		Formulas: `
Four output channels at a time, four products of each in an instruction, two
instructions a cycle; an operand of b bits takes ⌈b/8⌉ passes:

  cycles = N·G·P·Q·⌈K/4⌉·⌈R·S·C/4⌉ / 2 · ⌈bW/8⌉·⌈bA/8⌉

This is an upper bound on speed: memory, loads and everything but multiplications are
left out.`,
		Figures: []hardware.Figure{
			{Name: "8-bit MACs a cycle, Cortex-A76", Published: 32, Unit: "MAC/cycle", Evidence: hardware.Vague, Fitted: true,
				Note: "two instructions a cycle are put in", Ours: func() (float64, error) {
					l := hardware.FC("fc", 1, 64, 64)
					l.Bits.W, l.Bits.A = 8, 8
					return float64(l.MACs()) / armCycles(l), nil
				}},
		},
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) {
				return hardware.Cost{Cycles: armCycles(l)}, nil
			})
		},
	})
}

func armCycles(l *hardware.Layer) float64 {
	z := &l.Size
	passes := hardware.Ceil(max(l.Bits.W, 1), 8) * hardware.Ceil(max(l.Bits.A, 1), 8)
	return float64(z[hardware.N]*z[hardware.G]) * float64(z[hardware.P]*z[hardware.Q]) * hardware.Ceil(z[hardware.K], armLanes) *
		hardware.Ceil(finnDepth(l), armDepth) / armIssue * passes
}
