package accel

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/hardware"
)

// SNAP, Zhang et al., VLSI 2019 and JSSC 2021: indexes of compressed weights
// and inputs are matched associatively.
const (
	snapClock   = 480.0 // MHz at 0.80 V
	snapPEs     = 84    // 4 cores of 7×3
	snapMuls    = 3     // multipliers of a PE
	snapUse     = 0.75  // published mean use of the multipliers
	snapWindow  = 32    // indexes of each side that a PE compares in a cycle, assumed
	snapChannel = 96    // input channels summed in a core: 3 PEs of a row, a window each; assumed
	snapPJ      = 1.89  // pJ at 0.80 V an entry of the denser operand; fitted
	snapProduct = 0.244 // of the densities of pruned ResNet-50, from its frame rate
)

func init() {
	peak := hardware.Machine{Name: "snap", ClockMHz: snapClock, PeakMACs: snapPEs * snapMuls, AreaMM2: 2.4}
	hardware.Register(hardware.Accelerator{
		Name: "snap", Title: "SNAP", Kind: hardware.Sparse,
		Paper: "Zhang et al., SNAP: An Efficient Sparse Neural Acceleration Processor for Unstructured Sparse Deep Neural Network Inference, JSSC 56(2)", Year: 2021,
		Summary: "Finds pairs of non-zero weights and inputs by comparing channel indexes, and sums products in two levels before they are written.",
		Params: []hardware.Param{
			{Name: "technology", Value: "16 nm, 2.3 to 2.4 mm², 16 bits", Evidence: hardware.Read},
			{Name: "multipliers", Value: "252: 4 cores of 7×3 PEs with 3", Evidence: hardware.Vague},
			{Name: "ResNet-50, pruned", Value: "90.98 frame/s at 0.80 V, 480 MHz, 348 mW", Evidence: hardware.Read},
			{Name: "use of the multipliers", Value: "75 % in the mean", Evidence: hardware.Read},
			{Name: "modes", Value: "diagonal for convolutions; row for 1×1 and fully connected", Evidence: hardware.Read},
		},
		Formulas: `
  effectual MACs = MACs · d_w · d_in
  cycles = effectual / (84 PEs · min(3·0.75, pairs))
  pairs  = min(32·min(d_w, d_in), C·d_w·d_in)       (a cycle and PE)

0.75 is the published use of the 3 multipliers. A PE compares 32 channel indexes
of either operand in a cycle (the size is assumed); they reach over 32/max(d)
channels, so 32·min(d) pairs are expected, and no more than a pixel's C channels
have. Partial sums are written

  outputs · ⌈C/96⌉ times (3 PEs of a row, 32 channels each; assumed)

instead of once for every product.

Energy follows the entries of the denser operand that must be fetched and
compared, MACs·max(d_w, d_in), not the pairs found: 1.89 pJ each at 0.80 V,
chosen for the power of ResNet-50; it goes with the square of the voltage. That
it goes with entries was chosen in view of the peak efficiency.`,
		Figures: snapFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return hardware.RunLayers(peak, w, snapCost)
		},
	})
}

func snapCost(l *hardware.Layer) (hardware.Cost, error) {
	dw, da := l.Density.W, l.Density.In
	products := l.EffectualMACs()
	pairs := min(snapWindow*min(dw, da), float64(l.Size[hardware.C])*dw*da)
	c := hardware.Cost{Effectual: products, MACEnergy: float64(l.MACs()) * max(dw, da) * snapPJ}
	c.Cycles = 1 // a layer without a pair
	if pairs > 0 {
		c.Cycles = max(products/(snapPEs*min(snapMuls*snapUse, pairs)), 1)
	}
	psums := hardware.LevelCost{Name: "psum buffer"}
	psums.Traffic[hardware.Outputs].Writes = snapWrites(l)
	c.Levels = []hardware.LevelCost{psums}
	return c, nil
}

// snapWrites are the partial sums that leave the cores.
func snapWrites(l *hardware.Layer) float64 {
	return float64(l.Words(hardware.Outputs)) * hardware.Ceil(l.Size[hardware.C], snapChannel)
}

func snapFigures() []hardware.Figure {
	const identity = "the densities' product of 0.244 is computed from the published rate, so this checks the arithmetic only; conv1's 3 channels make ours slower"
	const reading = "the paper calls it effectual; ours, %s, at densities 0.1 and 0.1 and 0.55 V. Ours counts energy by entries compared, so the two readings lie far apart"
	resnet := func(value func(*hardware.Report) float64) func() (float64, error) {
		return func() (float64, error) {
			r, err := hardware.Find("snap").Run(snapResNet(), hardware.RunOptions{})
			if err != nil {
				return 0, err
			}
			return value(r), nil
		}
	}
	tops := func(count func(*hardware.Layer) float64) func() (float64, error) {
		return func() (float64, error) {
			l := hardware.Conv("c", 1, 1, 256, 256, 14, 3, 1, 1)
			l.Density = hardware.Density{W: 0.1, In: 0.1, Out: 1}
			c, err := snapCost(l)
			return 2 * count(l) / (c.MACEnergy * math.Pow(0.55/0.80, 2)), err
		}
	}
	return []hardware.Figure{
		{Name: "multipliers", Published: 252, Unit: "", Evidence: hardware.Vague, Ours: func() (float64, error) { return snapPEs * snapMuls, nil }},
		{Name: "pruned ResNet-50, rate", Published: 90.98, Unit: "frame/s", Evidence: hardware.Read, Tolerance: 0.1, Note: identity,
			Ours: resnet(func(r *hardware.Report) float64 { return r.FramesPerSecond })},
		{Name: "pruned ResNet-50, MACs of the dense network", Published: 372, Unit: "GMAC/s", Evidence: hardware.Computed, Tolerance: 0.1, Note: identity,
			Ours: resnet(func(r *hardware.Report) float64 { return float64(r.MACs) / r.Seconds / 1e9 })},
		{Name: "pruned ResNet-50, effectual MACs", Published: 90.7, Unit: "GMAC/s", Evidence: hardware.Computed, Tolerance: 0.1, Note: identity,
			Ours: resnet(func(r *hardware.Report) float64 { return r.Effectual / r.Seconds / 1e9 })},
		{Name: "pruned ResNet-50, power", Published: 348, Unit: "mW", Evidence: hardware.Read, Tolerance: 0.1, Fitted: true, Note: "the model's energy of an entry was chosen for this",
			Ours: resnet(func(r *hardware.Report) float64 { return r.PowerW * 1e3 })},
		{Name: "mean use of the multipliers", Published: 0.75, Unit: "", Evidence: hardware.Read, Tolerance: 0.1, Fitted: true, Note: "the model's constant, less what conv1 loses",
			Ours: resnet(func(r *hardware.Report) float64 { return r.Effectual / (r.Cycles * r.PeakMACs) })},
		{Name: "peak efficiency, dense operations", Published: 21.55, Unit: "TOPS/W", Evidence: hardware.Read, Relation: hardware.Shown, Fitted: true,
			Note: fmt.Sprintf(reading, "operations of the dense layer"), Ours: tops(func(l *hardware.Layer) float64 { return float64(l.MACs()) })},
		{Name: "peak efficiency, effectual operations", Published: 21.55, Unit: "TOPS/W", Evidence: hardware.Read, Relation: hardware.Shown,
			Note: fmt.Sprintf(reading, "effectual operations"), Ours: tops((*hardware.Layer).EffectualMACs)},
		{Name: "pruned ResNet-50, products for a partial sum written", Published: 22, Unit: "×", Evidence: hardware.Read, Relation: hardware.Shown,
			Note: "how many channels a core sums is assumed; in 3×3 layers ours sums all 9 taps in the core as well",
			Ours: func() (float64, error) {
				w := snapResNet()
				return network(w, (*hardware.Layer).EffectualMACs) / network(w, snapWrites), nil
			}},
		{Name: "1×1 layers alone, products for a partial sum written", Published: 22, Unit: "×", Evidence: hardware.Read, Relation: hardware.Shown,
			Note: "how many channels a core sums is assumed", Ours: func() (float64, error) {
				w := snapResNet().Only(func(l *hardware.Layer) bool { return l.Size[hardware.R] == 1 })
				return network(w, (*hardware.Layer).EffectualMACs) / network(w, snapWrites), nil
			}},
	}
}

// snapResNet is ResNet-50 with the density product of the pruned network, half
// of it in each operand.
func snapResNet() *hardware.Workload {
	d := math.Sqrt(snapProduct)
	return uniform(resNet50(), d, d)
}

// resNet50 is ResNet-50 whose 3×3 convolutions have the stride ("v1.5"), on an
// image of 224×224.
func resNet50() *hardware.Workload {
	w := &hardware.Workload{Name: "resnet50", Batch: 1, Fused: true, Layers: []*hardware.Layer{hardware.Conv("conv1", 1, 1, 64, 3, 224, 7, 2, 3)}}
	in, size := 64, 56
	for stage, blocks := range []int{3, 4, 6, 3} {
		mid, stride := 64<<stage, 2
		if stage == 0 {
			stride = 1
		}
		for b := range blocks {
			name := fmt.Sprintf("conv%d_%d", stage+2, b+1)
			if b > 0 {
				stride = 1
			}
			out := size / stride
			w.Layers = append(w.Layers,
				hardware.Conv(name+"/1x1", 1, 1, mid, in, size, 1, 1, 0),
				hardware.Conv(name+"/3x3", 1, 1, mid, mid, size, 3, stride, 1),
				hardware.Conv(name+"/expand", 1, 1, 4*mid, mid, out, 1, 1, 0))
			if b == 0 {
				w.Layers = append(w.Layers, hardware.Conv(name+"/shortcut", 1, 1, 4*mid, in, size, 1, stride, 0))
			}
			in, size = 4*mid, out
		}
	}
	w.Layers = append(w.Layers, hardware.FC("fc", 1, 1000, 2048))
	return w
}
