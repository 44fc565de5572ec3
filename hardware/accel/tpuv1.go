package accel

import (
	"github.com/drawknife/drawknife/hardware"
)

// TPU v1, Jouppi et al., ISCA 2017: a weight-stationary systolic array behind
// slow weight memory.
const (
	tpuClock   = 700.0 // MHz
	tpuSide    = 256
	tpuPeak    = 92.0 // TOPS
	tpuMemory  = 34.0 // GB/s
	tpuTile    = tpuSide * tpuSide
	tpuBusyW   = 40.0
	tpuAcc     = 4096 // rows of accumulators
	tpuTileMem = tpuTile / (tpuMemory * 1e3 / tpuClock)
)

// tpuApps is the published workload: MACs per byte of weights and TOPS
// measured.
var tpuApps = []struct {
	name      string
	intensity float64
	measured  float64
	roofline  float64
	near      bool
	note      string
}{
	{name: "MLP0", intensity: 200, measured: 12.3, roofline: 13.6, near: true},
	{name: "MLP1", intensity: 168, measured: 9.7, roofline: 11.4, near: true},
	{name: "LSTM0", intensity: 64, measured: 3.7, roofline: 4.4, near: true},
	{name: "LSTM1", intensity: 96, measured: 2.8, roofline: 6.5, note: "a bound only: matrices of odd sizes leave 4 % of the array unused when it is active, and weights stall 62 % of the time"},
	{name: "CNN0", intensity: 2888, measured: 86.0, roofline: 92, near: true},
	{name: "CNN1", intensity: 1750, measured: 14.1, roofline: 92, note: "a bound only: shallow layers use half of the array, and four fully connected layers have an intensity of 32"},
}

// tpuRoofline is the bound in TOPS for MACs per byte of weights.
func tpuRoofline(intensity float64) float64 {
	return min(tpuPeak, 2*intensity*tpuMemory/1e3)
}

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "tpu-v1", Title: "TPU v1", Kind: hardware.Temporal,
		Paper: "Jouppi et al., In-Datacenter Performance Analysis of a Tensor Processing Unit, ISCA", Year: 2017,
		Summary: "256×256 weight-stationary systolic array of 8-bit multipliers, weights from DRAM at 34 GB/s.",
		Params: []hardware.Param{
			{Name: "technology", Value: "28 nm, 700 MHz, 75 W TDP, 40 W busy, 28 W idle", Evidence: hardware.Read},
			{Name: "array", Value: "65 536 8-bit MACs, 92 TOPS; half rate at 8×16 bits, a quarter at 16×16", Evidence: hardware.Read},
			{Name: "memories", Value: "24 MiB unified buffer, 4 MiB accumulators (4096×256), DDR3 at 34 GB/s for weights", Evidence: hardware.Read},
		},
		Formulas: `
The array holds a tile of 256×256 weights. A product of B rows with one tile
takes B cycles; the next tile (64 KiB) comes from DRAM meanwhile, which takes
1349 cycles at 34 GB/s, and shifts in behind the old one in 256:

  B      = min(N·P·Q, 4096 accumulators); tiles = ⌈C·R·S/256⌉·⌈K/256⌉·G
  cycles = ⌈N·P·Q/B⌉ · tiles · max(B·rate, 256, 1349) + 512 to fill and drain

rate is 1 at 8 bits, 2 at 8×16 and 4 at 16×16 (wider operands count as 16).
Energy is 40 W times the time. The roofline of an application with I MACs per
byte of weights is min(92, 2·I·0.034) TOPS.`,
		Figures: tpuFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(hardware.Machine{Name: "tpu-v1", ClockMHz: tpuClock, PeakMACs: tpuTile, AreaMM2: 331, DRAMBytes: tpuMemory * 1e3 / tpuClock}, w, tpuCost)
		},
	})
}

func tpuCost(l *hardware.Layer) (hardware.Cost, error) {
	z := &l.Size
	pixels := float64(z[hardware.N]) * float64(z[hardware.P]) * float64(z[hardware.Q])
	rows := min(pixels, tpuAcc)
	blocks := float64(int64((pixels + rows - 1) / rows))
	tiles := hardware.Ceil(z[hardware.C]*z[hardware.R]*z[hardware.S], tpuSide) * hardware.Ceil(z[hardware.K], tpuSide) * float64(z[hardware.G])
	rate := 1.0
	if l.Bits.W > 8 {
		rate *= 2
	}
	if l.Bits.A > 8 {
		rate *= 2
	}
	each := max(rows*rate, tpuSide)
	c := hardware.Cost{ComputeCycles: blocks*tiles*each + 2*tpuSide, DRAMBytes: blocks * tiles * tpuTile}
	c.Cycles = c.ComputeCycles
	if tpuTileMem > each {
		c.Cycles, c.Bound = blocks*tiles*tpuTileMem+2*tpuSide, "DRAM"
	}
	c.Active = float64(l.MACs()) / (pixels * tiles * tpuTile)
	c.StaticEnergy = tpuBusyW * c.Cycles / tpuClock * 1e6
	return c, nil
}

func tpuFigures() (list []hardware.Figure) {
	list = append(list, hardware.Figure{Name: "peak", Published: 92, Unit: "TOPS", Evidence: hardware.Read, Tolerance: 0.01, Ours: func() (float64, error) {
		return 2 * tpuTile * tpuClock / 1e6, nil
	}}, hardware.Figure{Name: "ridge point, MACs per byte of weights", Published: 1350, Evidence: hardware.Read, Tolerance: 0.01, Ours: func() (float64, error) {
		return tpuTile * tpuClock / (tpuMemory * 1e3), nil
	}})
	for _, a := range tpuApps {
		ours := func() (float64, error) { return tpuRoofline(a.intensity), nil }
		list = append(list, hardware.Figure{Name: a.name + ", roofline", Published: a.roofline, Unit: "TOPS", Evidence: hardware.Computed, Tolerance: 0.02, Ours: ours})
		f := hardware.Figure{Name: a.name + ", measured, below the roofline", Published: a.measured, Unit: "TOPS", Evidence: hardware.Read,
			Relation: hardware.AtLeast, Note: a.note, Ours: ours}
		if a.near {
			f.Relation, f.Tolerance = hardware.Near, 0.18
			f.Name, f.Note = a.name+", measured", "the roofline is a bound; measured is within 15 % of it"
		}
		list = append(list, f)
	}
	return list
}
