package accel

import (
	"fmt"
	"github.com/drawknife/drawknife/hardware"
	"math/rand/v2"
)

// ISAAC, Shafiee et al., ISCA 2016: tiles of memristor crossbars in a pipeline
// of layers.
const (
	isaacClock  = 10.0 // MHz: a step of 100 ns
	isaacTiles  = 168  // on a chip
	isaacIMAs   = 12   // in a tile
	isaacArrays = 8    // in an in-situ multiply-accumulate unit, one converter each

	// Powers in mW. Those of one unit of 8 crossbars:
	isaacADC      = 16.0 // 8 converters of 8 bits at 1.28 GS/s
	isaacDAC      = 4.0  // 8·128 of 1 bit
	isaacCells    = 2.4
	isaacHoldAdd  = 0.21 // sample and hold, shift and add
	isaacIMABuf   = 1.47 // input and output registers
	isaacTileBuf  = 20.7 + 7 + 1.68
	isaacTileMath = 0.52 + 0.05 + 0.4 // sigmoid, shift and add, pooling
	isaacRouter   = 42.0 / 4          // shared by 4 tiles
	isaacLink     = 10400.0           // of the chip

	// Areas in mm².
	isaacIMAArea  = 0.0096 + 0.00017 + 0.0002 + 0.00004 + 0.00024 + 0.0021 + 0.00077
	isaacTileArea = 0.083 + 0.090 + 0.151/4 + 0.0006 + 0.00006 + 0.00024 + 0.0032
	isaacLinkArea = 22.88

	// A chip of DaDianNao, the baseline: 16 tiles of 288 multipliers and as
	// many adders at 606 MHz; 67.7 mm² at 28 nm, here at ISAAC's 32 nm.
	dadiannaoTOPS = 16 * 288 * 2 * 606e-6
	dadiannaoArea = 67.7 * 32 * 32 / 28 / 28
	dadiannaoW    = 20.1
)

var isaac = crossbar{rows: 128, cols: 128, cellBits: 2, weightBits: 16, inputBits: 16, dacBits: 1, activeRows: 128, signed: 1}

// isaacChip is the number of crossbars of a chip.
const isaacChip = isaacTiles * isaacIMAs * isaacArrays

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "isaac", Title: "ISAAC", Kind: hardware.InMemory,
		Paper: "Shafiee et al., ISAAC: A Convolutional Neural Network Accelerator with In-Situ Analog Arithmetic in Crossbars, ISCA", Year: 2016,
		Summary: "Memristor crossbars hold all weights; the layers form a pipeline, early ones are copied until it is balanced.",
		Params: []hardware.Param{
			{Name: "crossbar", Value: "128×128 cells of 2 bits, 16-bit weights in 8 columns, 1-bit inputs, 16 steps of 100 ns", Evidence: hardware.Recalled},
			{Name: "converter", Value: "8 bits, 1.28 GS/s, one for each crossbar", Evidence: hardware.Recalled},
			{Name: "chip", Value: "168 tiles × 12 units × 8 crossbars, 85.4 mm², 65.8 W at 32 nm", Evidence: hardware.Recalled},
		},
		Formulas: `
Crossbars of X×Y = 128×128 cells of b = 2 bits; weights and inputs of 16 bits.

  cells of a weight      s = ⌈16/2⌉ = 8
  crossbars of a layer   A = G · ⌈C·R·S/X⌉ · ⌈K·s/Y⌉
  steps of a product     16 (one bit of all the inputs each), 100 ns a step
  cycles of a layer      ⌈N·P·Q/copies⌉ · 16
  cycles of a network    the largest of its layers'

Slow layers are copied until the crossbars run out: the pace T is the least with
Σ A·⌈N·P·Q/T⌉ ≤ crossbars. A network that does not fit takes more chips. The
converter reads 128 columns in a step: 128/1.28 GS/s = 100 ns. A lossless
converter would need ⌈log2(128·3·1+1)⌉ = 9 bits; ISAAC saves one by storing
columns that sum to more than half inverted.

Energy: a step of a crossbar takes its share of the unit's power times 100 ns;
tile buffers, routers and links are charged by the time of the step, too.`,
		Figures: isaacFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return runISAAC(w)
		},
	})
}

// isaacTilePower is in mW.
func isaacTilePower() float64 {
	return isaacIMAs*(isaacADC+isaacDAC+isaacCells+isaacHoldAdd+isaacIMABuf) + isaacTileBuf + isaacTileMath + isaacRouter
}

func isaacPower() float64 { return (isaacTiles*isaacTilePower() + isaacLink) / 1e3 }
func isaacArea() float64 {
	return isaacTiles*(isaacIMAs*isaacIMAArea+isaacTileArea) + isaacLinkArea
}
func isaacTOPS() float64 { return 2 * isaac.peakMACs(isaacChip) * isaacClock / 1e6 }

func runISAAC(w *hardware.Workload) (*hardware.Report, error) {
	chips := max(1, int(hardware.Ceil(isaac.need(w), isaacChip)))
	ps, err := isaac.place(w, chips*isaacChip)
	if err != nil {
		return nil, fmt.Errorf("isaac: %w", err)
	}
	m := hardware.Machine{Name: "isaac", ClockMHz: isaacClock, PeakMACs: isaac.peakMACs(chips * isaacChip), AreaMM2: float64(chips) * isaacArea()}
	r := isaac.pipeline(m, w, ps, func(p placed, c *hardware.Cost) {
		const pj = 1e3 / isaacClock / isaacArrays // pJ in a crossbar's step for each mW of its unit
		n := isaac.arrayReads(p.layer)
		c.MACEnergy = n * pj * (isaacADC + isaacDAC + isaacCells + isaacHoldAdd)
		e := n * pj * (isaacIMABuf + isaacTileBuf/isaacIMAs)
		words := [hardware.NumOperands]hardware.Traffic{
			hardware.Inputs:  {Reads: float64(products(p.layer)) * float64(p.layer.Size[hardware.G]*filterSize(p.layer)), Writes: float64(p.layer.Words(hardware.Inputs))},
			hardware.Outputs: {Writes: float64(p.layer.Words(hardware.Outputs))},
		}
		c.Levels = []hardware.LevelCost{{Name: "tile buffers", Bits: hardware.WordBits(16), Traffic: words, Energy: [hardware.NumOperands]float64{hardware.Inputs: e}}}
		c.NetworkEnergy = n * pj * (isaacRouter + isaacTileMath + isaacLink/isaacTiles) / isaacIMAs
	})
	return r, nil
}

// isaacClipped is the relative error that a converter of 8 bits instead of 9
// makes in the products of random operands.
func isaacClipped() float64 {
	r := rand.New(rand.NewPCG(1, 2))
	weights, inputs := make([][]uint, isaac.rows), make([]uint, isaac.rows)
	want := make([]float64, 4)
	for i := range weights {
		inputs[i] = r.UintN(1 << isaac.inputBits)
		weights[i] = make([]uint, len(want))
		for k := range want {
			weights[i][k] = r.UintN(1 << isaac.weightBits)
			want[k] += float64(weights[i][k] * inputs[i])
		}
	}
	worst := 0.0
	for k, got := range isaac.multiply(weights, inputs, 8) {
		worst = max(worst, 1-float64(got)/want[k])
	}
	return worst
}

func isaacFigures() []hardware.Figure {
	value := func(f func() float64) func() (float64, error) {
		return func() (float64, error) { return f(), nil }
	}
	const peakOnly = "ours is the ratio of peaks of one chip; the published mean over networks adds how long DaDianNao waits for synapses and other chips"
	return []hardware.Figure{
		{Name: "power of a chip", Published: 65.8, Unit: "W", Evidence: hardware.Recalled, Tolerance: 0.01, Ours: value(isaacPower),
			Note: "sum of the published parts, 168 tiles and the links"},
		{Name: "area of a chip", Published: 85.4, Unit: "mm²", Evidence: hardware.Recalled, Tolerance: 0.01, Ours: value(isaacArea),
			Note: "sum of the published parts"},
		{Name: "time to read a crossbar's columns", Published: 100, Unit: "ns", Evidence: hardware.Recalled,
			Ours: func() (float64, error) { return float64(isaac.cols) / 1.28, nil }},
		{Name: "products of random operands lost by converters of 8 bits", Published: 0, Evidence: hardware.Computed, Ours: value(isaacClipped),
			Note: "simulated bit by bit; the worst case needs 9 bits"},
		{Name: "computational density over DaDianNao", Published: 7.5, Unit: "×", Evidence: hardware.Recalled, Tolerance: 0.05,
			Ours: value(func() float64 { return isaacTOPS() / isaacArea() / (dadiannaoTOPS / dadiannaoArea) })},
		{Name: "throughput over DaDianNao", Published: 14.8, Unit: "×", Evidence: hardware.Recalled, Relation: hardware.Shown, Note: peakOnly,
			Ours: value(func() float64 { return isaacTOPS() / dadiannaoTOPS })},
		{Name: "energy over DaDianNao", Published: 5.5, Unit: "×", Evidence: hardware.Recalled, Relation: hardware.Shown,
			Note: peakOnly + "; DaDianNao's power is taken as 20.1 W",
			Ours: value(func() float64 { return isaacTOPS() / isaacPower() / (dadiannaoTOPS / dadiannaoW) })},
	}
}
