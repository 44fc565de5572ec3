package accel

import "github.com/drawknife/drawknife/hardware"

// YodaNN, Andri et al., TCAD 2018: binary weights, sums of products by signs.
const (
	yodaFast     = 480.0 // MHz at 1.2 V
	yodaUnits    = 32    // sum-of-products units: output channels at a time
	yodaTaps     = 7     // rows and columns of a unit
	yodaSlots    = 50    // signs of a unit: 7×7, or two of 5×5
	yodaPeakSlow = 0.895e-3 * 61.2e12
	yodaGates    = 1.33 // millions of gates
	yodaSlowPJ   = 1 / 61.2
	yodaVoltage  = 2.0 // fast over slow
)

// yodaSlow is the clock at 0.6 V in MHz that power and efficiency imply.
const yodaSlow = yodaPeakSlow / (2 * yodaUnits * yodaTaps * yodaTaps) / 1e6

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "yodann", Title: "YodaNN", Kind: hardware.BitFlexible,
		Paper: "Andri et al., YodaNN: An Architecture for Ultralow Power Binary-Weight CNN Acceleration, TCAD", Year: 2018,
		Summary: "Convolutions of binary weights and inputs of 12 bits in 32 units of 7×7 sign multiplexers.",
		Params: []hardware.Param{
			{Name: "technology", Value: "65 nm, core 0.19 mm², 1.33 million gates, 0.6–1.2 V", Evidence: hardware.Read},
			{Name: "clock", Value: "480 MHz at 1.2 V", Evidence: hardware.Read},
			{Name: "units", Value: "32 × 7×7, 32×32 channels at a time; inputs 12 bits", Evidence: hardware.Recalled},
		},
		Formulas: `
In one cycle 32 units add a 7×7 window of one input channel up, each with the signs of
another output channel. Filters up to 5×5 run in pairs: a unit works for two output
channels. For every image and group:

  cycles = P·Q·C·⌈K/32⌉·⌈R/7⌉·⌈S/7⌉      R, S ≤ 5: P·Q·C·⌈K/64⌉
  peak   = 2·32·49·480 MHz = 1505 GOp/s  (two 5×5 filters use 50 signs of a unit:
           utilization counts 32·50)

Weights of b bits take b passes. Energy is power times time: 895 µW at 0.6 V, where
61.2 TOp/s/W imply 54.8 GOp/s and 17.5 MHz; with the objective latency the chip runs
at 1.2 V, where a cycle takes 4 times the energy (voltage squared).
Scaling by channel follows in the stream and takes no time.`,
		Figures: yodaFigures(),
		Run: func(w *hardware.Workload, o hardware.RunOptions) (*hardware.Report, error) {
			return runYoda(w, o.Objective == hardware.Energy)
		},
	})
}

// runYoda works at 0.6 V if slow, else at 1.2 V.
func runYoda(w *hardware.Workload, slow bool) (*hardware.Report, error) {
	m := hardware.Machine{Name: "yodann", ClockMHz: yodaFast, PeakMACs: yodaUnits * yodaSlots, AreaMM2: 0.19}
	energy, note := yodaSlowPJ*yodaVoltage*yodaVoltage, "at 1.2 V, 480 MHz; its energy is scaled from 0.6 V"
	if slow {
		m.ClockMHz, energy, note = yodaSlow, yodaSlowPJ, "at 0.6 V, 17.5 MHz"
	}
	r, err := hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) {
		cycles := yodaCycles(l)
		return hardware.Cost{Cycles: cycles, MACEnergy: cycles * 2 * yodaUnits * yodaTaps * yodaTaps * energy}, nil
	})
	if err != nil {
		return nil, err
	}
	r.Notes = append(r.Notes, note)
	return r, nil
}

func yodaCycles(l *hardware.Layer) float64 {
	z, units := &l.Size, yodaUnits
	if max(z[hardware.R], z[hardware.S]) <= 5 {
		units *= 2
	}
	passes := hardware.Ceil(z[hardware.R], yodaTaps) * hardware.Ceil(z[hardware.S], yodaTaps) * float64(max(l.Bits.W, 1))
	return float64(z[hardware.N]*z[hardware.G]*z[hardware.C]) * float64(z[hardware.P]*z[hardware.Q]) * hardware.Ceil(z[hardware.K], units) * passes
}

func yodaFigures() []hardware.Figure {
	run := func(slow bool) (*hardware.Report, error) {
		l := hardware.Conv("c", 1, 1, 32, 32, 32, 7, 1, 3)
		l.Bits.W = 1
		return runYoda(&hardware.Workload{Name: "7x7", Batch: 1, Layers: []*hardware.Layer{l}}, slow)
	}
	figure := func(name string, published float64, unit string, slow bool, f func(*hardware.Report) float64) hardware.Figure {
		return hardware.Figure{Name: name, Published: published, Unit: unit, Evidence: hardware.Read, Tolerance: 0.005, Ours: func() (float64, error) {
			r, err := run(slow)
			if err != nil {
				return 0, err
			}
			return f(r), nil
		}}
	}
	power := figure("power at 0.6 V", 895, "µW", true, func(r *hardware.Report) float64 { return r.PowerW * 1e6 })
	power.Fitted, power.Note = true, "the clock at 0.6 V is taken from power and efficiency"
	efficiency := figure("efficiency at 0.6 V", 61.2, "TOp/s/W", true, func(r *hardware.Report) float64 { return r.TOPSPerW })
	efficiency.Fitted, efficiency.Note = true, "the energy of a cycle is taken from it"
	return []hardware.Figure{
		figure("7×7 convolution at 1.2 V", 1510, "GOp/s", false, func(r *hardware.Report) float64 { return r.TOPS * 1e3 }),
		{Name: "peak at 1.2 V", Published: 1505, Unit: "GOp/s", Evidence: hardware.Computed, Tolerance: 0.001, Ours: func() (float64, error) {
			return 2 * yodaUnits * yodaTaps * yodaTaps * yodaFast / 1e3, nil
		}},
		figure("throughput at 1.2 V by gates", 1135, "GOp/s/MGE", false, func(r *hardware.Report) float64 { return r.TOPS * 1e3 / yodaGates }),
		power, efficiency,
	}
}
