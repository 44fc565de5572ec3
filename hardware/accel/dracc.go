package accel

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/hardware"
)

// drAcc are the knobs of DrAcc, Deng et al., DAC 2018: ternary networks by
// row operations of a DRAM.
type drAcc struct {
	lanes     int     // bit lines of a subarray
	subarrays int     // that may work at once
	powerW    float64 // cap
	perBit    float64 // row operations (AAP) of an addition for each bit of it
	fixed     float64 // and for each addition
}

const (
	draccAAP  = 49.0 // ns of a row operation, activations overlapped
	draccRow  = 2.0  // nJ of a row operation on 8 KiB; 1 to 3
	draccRowB = 8192 // bytes

	// A unit next to the same DRAM, the comparison: bytes a second of a channel.
	nearBytes = 12.8e9
)

// dracc is the standard design: 2 W, an adder with carry look-ahead in the
// sense amplifiers. Majority gates alone would take 8 operations a bit.
var dracc = drAcc{lanes: 8 * draccRowB, subarrays: 512, powerW: 2, perBit: 4, fixed: 1}

func init() {
	gain := func(reuse bool) func() (float64, error) {
		return func() (float64, error) {
			w := hardware.AlexNet(1)
			r, err := dracc.run(w)
			if err != nil {
				return 0, err
			}
			fps, watts := nextToDRAM(w, reuse)
			return r.FramesPerSecond / r.PowerW / (fps / watts), nil
		}
	}
	hardware.Register(hardware.Accelerator{
		Name: "dracc", Title: "DrAcc", Kind: hardware.InMemory,
		Paper: "Deng et al., DrAcc: a DRAM based Accelerator for Accurate CNN Inference, DAC", Year: 2018,
		Summary: "Ternary weights leave only additions, which a DRAM does bit by bit on all bit lines of its open rows.",
		Params: []hardware.Param{
			{Name: "weights", Value: "−1, 0, +1", Evidence: hardware.Read},
			{Name: "row operation", Value: "49 ns overlapped, about 80 ns plain; 1 to 3 nJ for 8 KiB", Evidence: hardware.Vague},
			{Name: "addition", Value: "7 to 9 row operations a bit with majority gates; 4 assumed for the look-ahead adder", Evidence: hardware.Vague},
		},
		Formulas: `
Operands lie along bit lines, a bit in each row; an operation on rows works on
all L bit lines of a subarray. Inputs of n = 8 bits, accumulators of
n + ⌈log2(C·R·S)⌉ bits:

  row operations of an addition   ops(b) = 4·b + 1
  outputs side by side            lanes = L · (subarrays at once)
  subarrays at once               min(512, ⌊P / (e / t)⌋), P = 2 W
  time of a layer                 ⌈outputs / lanes⌉ · (d·C·R·S + 1) · ops(b) · t

with t = 49 ns and e = 2 nJ for each 8 KiB of a row, d the density of the ternary
weights (1 if not known), the 1 for subtracting the sum of the negative ones. A
subarray's row here is 8 KiB wide, L = 65536. A layer with fewer outputs than lanes
splits its sums over idle lanes, which are added in log2 steps. Copies of inputs to
the lanes are not counted. The comparison, a unit next to the same DRAM, is bound by
a channel of 12.8 GB/s and pays 20 pJ a bit; either it buffers nothing or all that
is reused.`,
		Figures: []hardware.Figure{
			{Name: "power", Published: 2, Unit: "W", Evidence: hardware.Read, Relation: hardware.AtMost, Tolerance: 1e-9,
				Note: "the cap is respected", Ours: func() (float64, error) { return draccOn(func(r *hardware.Report) float64 { return r.PowerW }) }},
			{Name: "frame rate", Published: 84.8, Unit: "frame/s", Evidence: hardware.Read, Relation: hardware.Shown,
				Note: "the network is not named; ours is AlexNet with all weights ±1",
				Ours: func() (float64, error) { return draccOn(func(r *hardware.Report) float64 { return r.FramesPerSecond }) }},
			{Name: "power efficiency over processing near memory, which reuses nothing", Published: 2.9, Unit: "×", Evidence: hardware.Read, Relation: hardware.Shown,
				Note: "the network and the other design are not named; ours is AlexNet, each operand of each MAC through a DRAM channel: the upper end",
				Ours: gain(false)},
			{Name: "power efficiency over processing near memory, which reads each word once", Published: 2.9, Unit: "×", Evidence: hardware.Read, Relation: hardware.Shown,
				Note: "the lower end: with buffers for all reuse the other design is ahead; the published gain lies between the two",
				Ours: gain(true)},
		},
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) { return dracc.run(w) },
	})
}

// active is the number of subarrays that the power cap lets work at once.
func (d drAcc) active() (int, error) {
	watts := d.rowEnergy() / draccAAP
	n := min(d.subarrays, int(math.Floor(d.powerW/watts)))
	if n < 1 {
		return 0, fmt.Errorf("one subarray takes %.3g W, the cap is %.3g W", watts, d.powerW)
	}
	return n, nil
}

// rowEnergy is that of a row operation of a subarray in nJ.
func (d drAcc) rowEnergy() float64 { return draccRow * float64(d.lanes) / (8 * draccRowB) }

// addition is the number of row operations of adding b bits.
func (d drAcc) addition(b int) float64 { return d.perBit*float64(b) + d.fixed }

// layer gives the row operations in sequence and the subarrays that do them.
func (d drAcc) layer(l *hardware.Layer, active int) (ops, busy float64) {
	outputs, terms := float64(l.Words(hardware.Outputs)), float64(filterSize(l))
	add := d.addition(l.Bits.A + int(math.Ceil(math.Log2(terms))))
	lanes := float64(d.lanes * active)
	split := min(math.Floor(max(lanes/outputs, 1)), terms) // sums of an output side by side
	busy = min(math.Ceil(outputs*split/float64(d.lanes)), float64(active))
	ops = math.Ceil(outputs/lanes) * (math.Ceil(l.Density.W*terms/split) + 1 + math.Ceil(math.Log2(split))) * add
	return ops, busy
}

func (d drAcc) run(w *hardware.Workload) (*hardware.Report, error) {
	active, err := d.active()
	if err != nil {
		return nil, fmt.Errorf("dracc: %w", err)
	}
	// At best every lane finishes an addition of the narrowest operand.
	m := hardware.Machine{Name: "dracc", ClockMHz: 1e3 / draccAAP, PeakMACs: float64(d.lanes*active) / d.addition(1)}
	return hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) {
		ops, busy := d.layer(l, active)
		c := hardware.Cost{Cycles: ops, Active: busy / float64(active), Effectual: l.Density.W * float64(l.MACs())}
		c.MACEnergy = ops * busy * d.rowEnergy() * 1e3
		return c, nil
	})
}

// draccOn runs AlexNet on the standard design.
func draccOn(figure func(r *hardware.Report) float64) (float64, error) {
	r, err := dracc.run(hardware.AlexNet(1))
	if err != nil {
		return 0, err
	}
	return figure(r), nil
}

// nextToDRAM gives frames a second and watts of a unit that reads 8-bit inputs
// and 2-bit weights from DRAM through a channel: those of each MAC, or with
// buffers for all reuse each word once, and writes outputs.
func nextToDRAM(w *hardware.Workload, reuse bool) (fps, watts float64) {
	bits := float64(w.MACs()) * (8 + 2)
	if reuse {
		bits = float64(2*w.Words(hardware.Weights) + 8*(w.Words(hardware.Inputs)+w.Words(hardware.Outputs)))
	}
	seconds := bits / 8 / nearBytes
	energy := hardware.DRAMEnergy(bits) + float64(w.MACs())*hardware.MACEnergy(2, 8, 32)
	return float64(w.Batch) / seconds, energy * 1e-12 / seconds
}
