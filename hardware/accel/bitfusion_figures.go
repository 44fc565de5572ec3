package accel

import (
	"fmt"
	"math"
	"sync"

	"github.com/drawknife/drawknife/hardware"
)

var bitFusion = bitFusionMachine{energy: 1, Machine: hardware.Machine{Name: "bitfusion", ClockMHz: bfClock, DRAMBytes: bfWidth / 8,
	PeakMACs: bfRows * bfColumns * 16, AreaMM2: bfRows * bfColumns * bfUnitUM2 / 1e6}}

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "bitfusion", Title: "Bit Fusion", Kind: hardware.BitFlexible,
		Paper: "Sharma et al., Bit Fusion: Bit-Level Dynamically Composable Architecture, ISCA", Year: 2018,
		Summary: "A systolic array whose units split into up to 16 multipliers of 2×2 bits or fuse to one of 8×8.",
		Params: []hardware.Param{
			{Name: "array", Value: "16 rows × 32 columns of fusion units, each of 16 bricks of 2×2 bits; 45 nm, 500 MHz", Evidence: hardware.Rerun},
			{Name: "buffers", Value: "inputs 32 KB, weights 64 KB, outputs 16 KB, half of each for the tile at work", Evidence: hardware.Rerun},
			{Name: "DRAM", Value: "192 bit a cycle, 15 pJ a bit", Evidence: hardware.Rerun},
			{Name: "fusion unit", Value: "1394 µm², 3.5 times smaller than 16 bricks fused in time", Evidence: hardware.Secondary},
			{Name: "published energy", Value: "5.1 times less than Eyeriss (no model of that energy here)", Evidence: hardware.Secondary},
			{Name: "published against Stripes", Value: "2.6 times as fast, 3.9 times less energy (not modelled: its size there is unknown)", Evidence: hardware.Secondary},
			{Name: "scaled to 16 nm", Value: "4096 units, 896 KB, 5.93 mm², 895 mW: 16 times a Jetson TX2, 16 % slower than a 250 W Titan X (int8)", Evidence: hardware.Secondary},
		},
		Formulas: bitFusionFormulas,
		Figures:  bitFusionFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return bitFusion.run(w)
		},
	})
}

const bitFusionFormulas = `
A fusion unit makes f = ⌊8/max(bA,2)⌋·⌊8/max(bW,2)⌋ products a cycle (1 to 16); an
operand of more than 8 bits takes ⌈b/8⌉ cycles instead. For each group:

  compute = N·⌈K/32⌉·P·Q·R·S·⌈C/(16·f)⌉ cycles, times the passes of wide operands;
  first layer, unrolled by the host: N·P·Q·⌈K/32⌉·⌈R·S·C/(16·f)⌉

The layer is cut into tiles of n images, p rows and columns, c input channels, all
powers of two or the whole dimension, and k output channels, 32 times a power of two
(unrolled: a power of two) or all; tiles are computed whole. Bits of a tile:

  weights ⌈R·S·c/(16·f)⌉·16·f·k·bW;  inputs (R+(p−1)·stride)²·c·n·bA, unrolled
  p·q·R·S·c·n·bA;  outputs p·q·⌈k/32⌉·32·n·32, loaded and stored

Each must fit half of its buffer. From the innermost tile loop of t steps outwards, a
stream that is resident is free if the loop does not change its tensor; else its bits
grow t times, and it stays resident as long as they fit half the buffer.

  stalls = max(0, ⌈(all − first)/192⌉ − compute) + ⌈first loads/192⌉ + ⌈first store/192⌉

where first is what is resident at the start, or at the end for the store. All tilings
and all orders of the five loops are tried: fewest cycles, then least energy.

  energy = compute·235.1 pJ + buffer bits·(weights 0.021 read, 0.029 written; inputs
           0.059, 0.114; outputs 0.033, 0.073 pJ) + DRAM bits·15 pJ

Inside a tile, inputs, outputs or weights stay in the array, whichever reads least.`

// bitFusionRuns runs the authors' networks once, in order.
var bitFusionRuns = sync.OnceValues(func() ([]*hardware.Report, error) {
	var all []*hardware.Report
	for _, b := range bitFusionBenches {
		r, err := bitFusion.run(b.network())
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
})

func bitFusionFigures() []hardware.Figure {
	var figures []hardware.Figure
	for i, b := range bitFusionBenches {
		halves := b.network().Layers
		for j, cycles := range b.cycles {
			figures = append(figures, hardware.Figure{Name: fmt.Sprintf("%s, %s, 16 images", b.name, halves[j].Name),
				Published: cycles, Unit: "cycles", Evidence: hardware.Rerun, Ours: func() (float64, error) {
					all, err := bitFusionRuns()
					if err != nil {
						return 0, err
					}
					return all[i].Layers[j].Cycles / float64(halves[j].Size[hardware.G]), nil
				}})
		}
		figures = append(figures, hardware.Figure{Name: b.name + ", an image", Published: b.fusion, Unit: "ms", Evidence: hardware.Rerun,
			Tolerance: 0.002, Ours: func() (float64, error) { return bitFusionMS(i) }})
		figures = append(figures, hardware.Figure{Name: b.name + ", speed-up over the Eyeriss-like array", Published: math.Round(b.baselineMS/b.fusion*100) / 100,
			Unit: "×", Evidence: hardware.Rerun, Tolerance: 0.015, Note: "the array's time is the published one",
			Ours: func() (float64, error) {
				ms, err := bitFusionMS(i)
				return b.baselineMS / ms, err
			}})
	}
	return append(figures, hardware.Figure{Name: "speed-up over the Eyeriss-like array, geometric mean", Published: 3.9, Unit: "×",
		Evidence: hardware.Secondary, Within: 0.1, Note: "the array's times are the published ones", Ours: func() (float64, error) {
			sum := 0.0
			for i, b := range bitFusionBenches {
				ms, err := bitFusionMS(i)
				if err != nil {
					return 0, err
				}
				sum += math.Log(b.baselineMS / ms)
			}
			return math.Exp(sum / float64(len(bitFusionBenches))), nil
		}})
}

// bitFusionMS is the time of an image of the i-th network.
func bitFusionMS(i int) (float64, error) {
	all, err := bitFusionRuns()
	if err != nil {
		return 0, err
	}
	return all[i].Seconds / bfBatch * 1e3, nil
}
