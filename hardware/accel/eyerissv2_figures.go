package accel

import (
	"fmt"
	"slices"

	"github.com/drawknife/drawknife/hardware"
)

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "eyeriss-v2", Title: "Eyeriss v2", Kind: hardware.Sparse,
		Paper: "Chen et al., Eyeriss v2: A Flexible Accelerator for Emerging Deep Neural Networks on Mobile Devices, JETCAS", Year: 2019,
		Summary: "Weights and inputs stay in CSC up to the PE, which skips zeros of both; a hierarchical mesh suits its bandwidth to the layer.",
		Params: []hardware.Param{
			{Name: "technology", Value: "65 nm, 200 MHz, 2695 k NAND2 gates without SRAM", Evidence: hardware.Read},
			{Name: "array", Value: "8×2 clusters of 3×4 PEs, 2 MACs each; 8 bits, partial sums of 20", Evidence: hardware.Read},
			{Name: "buffers", Value: "192 KB", Evidence: hardware.Read},
			{Name: "PE", Value: "inputs 16×12 b with 9×4 b of addresses, weights 96×24 b (192 pairs) with 16×7 b, 32 partial sums of 20 b; 7 stages", Evidence: hardware.Read},
			{Name: "area", Value: "mesh 2.6 %, of a PE MACs 5 % and spads 72 %; a PE is 73 % larger than that of v1", Evidence: hardware.Read},
			{Name: "mesh, a cluster", Value: "3 routers of 24 b for inputs, 3 of 24 b for weights, 4 of 40 b for partial sums", Evidence: hardware.Vague},
		},
		Formulas: `
A PE holds C0 input channels of a filter row for M0 output channels:

  C0 = ⌊15/S⌋ (16 addresses of columns), M0 ≤ 32 partial sums,
  M0·C0·S·d' ≤ 192 pairs, d' the stored density with placeholders

and slides along an output row. A window costs, over its C0·S inputs that are
not zero, max(1, ⌈non-zeros of the column of M0 weights / 2⌉) cycles. Inputs and
partial sums are passed on between PEs, so each window takes the maximum over
all busy PEs (up to 192), by the exact distribution:

  tasks  = N·G·P·R · ⌈C/C0⌉ · ⌈K/M0⌉       (rows of windows)
  cycles = ⌈tasks/192⌉ · (Q · E[max over PEs of a window] + 7 stages to fill)

The mesh delivers weights and inputs once, as pairs of 8 bits and a count of 4:
6 pairs of each a cycle and cluster (96 in all); partial sums go to the buffer
and back once for every 3 PEs in a chain, 128 a cycle. The slowest of array and
networks counts. Fully connected layers are bound by their weights' delivery. A
depthwise layer has M0 = 1: one MAC of two is idle.

DRAM is unlimited, as in the published rates; where it is limited, its time is
added, as the published loss shows that little of it is hidden.

Energy of the chip, without DRAM: 9.4 pJ an effectual MAC, all memories included,
and 0.3 W at all times. Both are chosen from two published efficiencies, CONV1
and CONV3 of AlexNet.`,
		Figures: eyeriss2Figures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return eyeriss2.run(w)
		},
	})
}

// eyeriss2Net is a benchmark with its published rate and efficiency.
type eyeriss2Net struct {
	name       string
	rate, joul float64 // inferences a second, a joule
	gops       float64 // nominal GOPS/W
	evidence   hardware.Evidence
	load       func() *hardware.Workload
}

var eyeriss2Nets = []eyeriss2Net{
	{"AlexNet", 102.1, 174.8, 253.2, hardware.Recalled, func() *hardware.Workload {
		return withDensities(hardware.AlexNet(1), []float64{1, 1, 1, 1, 1, 1, 1, 1}, alexNetInputs)
	}},
	{"sparse AlexNet", 278.7, 664.6, 962.9, hardware.Recalled, prunedAlexNet},
	{"MobileNet", 1282.1, 1969.8, 193.7, hardware.Recalled, func() *hardware.Workload { return mobileNetSparse(false) }},
	{"sparse MobileNet", 1470.6, 2560.3, 251.7, hardware.Read, func() *hardware.Workload { return mobileNetSparse(true) }},
}

// rate and efficiency are inferences a second and a joule.
func (d eyeriss2Design) rate(net int) (float64, error) {
	r, err := d.run(eyeriss2Nets[net].load())
	if err != nil {
		return 0, err
	}
	return r.FramesPerSecond, nil
}

func eyeriss2Efficiency(net int) (float64, error) {
	r, err := eyeriss2.run(eyeriss2Nets[net].load())
	if err != nil {
		return 0, err
	}
	return 1e12 / r.Energy, nil
}

// quotient is f of one network over f of another.
func quotient(f func(int) (float64, error), a, b int) func() (float64, error) {
	return func() (float64, error) {
		x, err := f(a)
		if err != nil {
			return 0, err
		}
		y, err := f(b)
		return x / y, err
	}
}

// eyeriss2OverV1 is the gain over v1 in rate, or in energy without DRAM.
func eyeriss2OverV1(net int, energy bool) func() (float64, error) {
	return func() (float64, error) {
		w := eyeriss2Nets[net].load()
		r, err := eyeriss2.run(w)
		if err != nil {
			return 0, err
		}
		cycles, pj := 0.0, 0.0
		for _, l := range w.Layers {
			c, err := eyeriss1.best(l)
			if err != nil {
				return 0, err
			}
			c.AddEnergy()
			cycles, pj = cycles+c.Cycles, pj+c.Energy-c.Level("DRAM").EnergyPJ()
		}
		if energy {
			return pj / r.Energy, nil
		}
		return cycles / r.Cycles, nil
	}
}

const (
	eyeriss2Pruned = "the pruned AlexNet of the paper is another one than ours, which has the densities of Han et al."
	eyeriss2Energy = eyeriss2Pruned + ": 172 M effectual MACs, 88 M of them in CONV1; the paper's was pruned to save energy and has 56 M (Yang et al., recalled with medium confidence)"
	eyeriss2Mobile = "only four layers' densities are known, the others lie between"
)

func eyeriss2Figures() []hardware.Figure {
	return slices.Concat(eyeriss2PEFigures(), eyeriss2NetFigures(), eyeriss2LayerFigures(), eyeriss2SystemFigures())
}

func eyeriss2PEFigures() (list []hardware.Figure) {
	for _, k := range mobileNetKnown {
		ours := func() (float64, error) {
			l := mobileNetSparse(true).Layers[k.layer-1]
			l.Density.In, l.Density.W = k.in, k.weights
			return l.EffectualMACs(), nil
		}
		name := fmt.Sprintf("PE of one MAC, MobileNet L%02d, cycles ", k.layer)
		list = append(list,
			hardware.Figure{Name: name + "expected", Published: k.statistical, Unit: "", Evidence: hardware.Rerun, Tolerance: 0.001, Ours: ours},
			hardware.Figure{Name: name + "on real masks", Published: k.simulated, Unit: "", Evidence: hardware.Rerun, Tolerance: 0.07,
				Note: "zeros are not quite independent", Ours: ours})
	}
	return list
}

func eyeriss2NetFigures() (list []hardware.Figure) {
	const slowest = "that all 192 PEs wait for each other, not 12 of a cluster, was chosen in view of this; the links' widths are recalled"
	notes := []string{slowest, eyeriss2Pruned, eyeriss2Mobile, eyeriss2Mobile}
	for i, n := range eyeriss2Nets {
		energy := hardware.Figure{Name: n.name + ", efficiency", Published: n.joul, Unit: "inference/J", Evidence: n.evidence, Tolerance: 0.25, Note: notes[i],
			Ours: func() (float64, error) { return eyeriss2Efficiency(i) }}
		if i == 0 {
			energy.Note = ""
		}
		if n.name == "sparse AlexNet" {
			energy.Relation, energy.Note = hardware.Shown, eyeriss2Energy
		}
		list = append(list,
			hardware.Figure{Name: n.name + ", rate", Published: n.rate, Unit: "inference/s", Evidence: n.evidence, Tolerance: 0.25, Fitted: i == 0, Note: notes[i],
				Ours: func() (float64, error) { return eyeriss2.rate(i) }},
			energy,
			hardware.Figure{Name: n.name + ", nominal operations of the published efficiency", Published: n.gops, Unit: "GOPS/W", Evidence: n.evidence, Tolerance: 0.005,
				Ours: func() (float64, error) { return 2 * float64(n.load().MACs()) * n.joul / 1e9, nil }})
	}
	ratio := func(name string, published float64, note string, ours func() (float64, error)) {
		list = append(list, hardware.Figure{Name: name, Published: published, Unit: "×", Evidence: hardware.Read, Tolerance: 0.25, Note: note, Ours: ours})
	}
	ratio("MobileNet against AlexNet, rate", 12.6, eyeriss2Mobile, quotient(eyeriss2.rate, 2, 0))
	ratio("sparse MobileNet against sparse AlexNet, rate", 5.3, eyeriss2Mobile, quotient(eyeriss2.rate, 3, 1))
	ratio("sparse MobileNet against sparse AlexNet, efficiency", 3.9, eyeriss2Energy, quotient(eyeriss2Efficiency, 3, 1))
	list[len(list)-1].Relation = hardware.Shown
	return list
}

// eyeriss2Layer is a layer's nominal GOPS/W.
func eyeriss2Layer(net int, layer string) func() (float64, error) {
	return func() (float64, error) {
		r, err := eyeriss2.run(eyeriss2Nets[net].load())
		if err != nil {
			return 0, err
		}
		c := r.Layer(layer)
		return 2e3 * float64(c.MACs) / c.Energy, nil
	}
}

func eyeriss2LayerFigures() []hardware.Figure {
	f := func(name string, published float64, net int, layer, note string) hardware.Figure {
		return hardware.Figure{Name: name + ", efficiency", Published: published, Unit: "GOPS/W", Evidence: hardware.Read, Tolerance: 0.25, Note: note,
			Ours: eyeriss2Layer(net, layer)}
	}
	list := []hardware.Figure{
		f("AlexNet CONV1", 148.1, 0, "conv1", "with CONV3 the source of the energy constants"),
		f("AlexNet CONV3", 392.0, 0, "conv3", "with CONV1 the source of the energy constants"),
		f("sparse AlexNet CONV3", 1423.2, 1, "conv3", eyeriss2Pruned),
		f("sparse AlexNet FC8", 465.1, 1, "fc8", eyeriss2Pruned),
		f("MobileNet CONV13 depthwise", 77.7, 2, "L26", "filling the pipeline was added in view of this; loading weights and addresses is left out, which takes long for tiles of 4×4"),
	}
	list[4].Relation = hardware.Shown
	list[0].Fitted, list[1].Fitted = true, true
	return list
}

func eyeriss2SystemFigures() []hardware.Figure {
	limited := eyeriss2Design{pes: eyeriss2PEs, dram: 25.6e3 / eyeriss2Clock}
	loss := func(net int) func() (float64, error) {
		return func() (float64, error) {
			a, err := limited.rate(net)
			if err != nil {
				return 0, err
			}
			b, err := eyeriss2.rate(net)
			return 100 * (1 - a/b), err
		}
	}
	dram := func(net int) func() (float64, error) {
		return func() (float64, error) {
			r, err := eyeriss2.run(eyeriss2Nets[net].load().Convolutions())
			if err != nil {
				return 0, err
			}
			return r.DRAMBytes / 1e6, nil
		}
	}
	const added = "that DRAM's time is added, not hidden, was chosen in view of this; what is missing is missing in our traffic, see the next figures"
	const again = "ours moves everything once: weights, 3.5 MB (sparse: 1.3), are most of it. What is left of the published figures, about 3.5 MB in both, is activations, five times ours, although only CONV1's inputs exceed the buffer: what is read again is not published"
	const v1 = "v1 is our model of the chip with 12×16 elements and DRAM without limit; the paper simulates one of equal size"
	const v1FC = v1 + ". AlexNet takes 30 M cycles there, 19 M here, 15 M of these in fully connected layers at 4 weights a cycle; at 2 a cycle ours would be within 3 %"
	return []hardware.Figure{
		{Name: "sparse AlexNet, rate over v1", Published: 42.5, Unit: "×", Evidence: hardware.Read, Relation: hardware.Shown, Note: v1FC, Ours: eyeriss2OverV1(1, false)},
		{Name: "sparse AlexNet, efficiency over v1", Published: 11.3, Unit: "×", Evidence: hardware.Read, Relation: hardware.Shown, Note: v1FC, Ours: eyeriss2OverV1(1, true)},
		{Name: "sparse MobileNet, rate over v1", Published: 12.6, Unit: "×", Evidence: hardware.Read, Tolerance: 0.25, Note: v1, Ours: eyeriss2OverV1(3, false)},
		{Name: "sparse MobileNet, efficiency over v1", Published: 2.5, Unit: "×", Evidence: hardware.Read, Relation: hardware.Shown, Note: v1 + ", of which the ratios give 114 mW in MobileNet; we count 158 mW for clock and control alone", Ours: eyeriss2OverV1(3, true)},
		{Name: "loss of rate with 25.6 GB/s, sparse AlexNet", Published: 16, Unit: "%", Evidence: hardware.Read, Relation: hardware.Shown, Fitted: true, Note: added, Ours: loss(1)},
		{Name: "loss of rate with 25.6 GB/s, sparse MobileNet", Published: 24, Unit: "%", Evidence: hardware.Read, Relation: hardware.Shown, Fitted: true, Note: added, Ours: loss(3)},
		{Name: "AlexNet's convolutions, DRAM", Published: 7.1, Unit: "MB", Evidence: hardware.Read, Relation: hardware.Shown, Note: again, Ours: dram(0)},
		{Name: "sparse AlexNet's convolutions, DRAM", Published: 4.6, Unit: "MB", Evidence: hardware.Read, Relation: hardware.Shown, Note: again, Ours: dram(1)},
		{Name: "1024 PEs, speed-up over 256 in proportion", Published: 1, Unit: "", Evidence: hardware.Read, Tolerance: 0.1, Ours: eyeriss2Scaling(1024)},
		{Name: "16384 PEs, speed-up over 256 in proportion", Published: 0.85, Unit: "", Evidence: hardware.Read, Relation: hardware.AtLeast, Ours: eyeriss2Scaling(16384)},
	}
}

// eyeriss2Scaling is the speed-up on dense AlexNet of a larger machine over one
// of 256 PEs, against the ratio of their sizes.
func eyeriss2Scaling(pes int) func() (float64, error) {
	return func() (float64, error) {
		w := hardware.AlexNet(1)
		large, err := eyeriss2Design{pes: pes}.run(w)
		if err != nil {
			return 0, err
		}
		small, err := eyeriss2Design{pes: 256}.run(w)
		if err != nil {
			return 0, err
		}
		return small.Cycles / large.Cycles * 256 / float64(pes), nil
	}
}
