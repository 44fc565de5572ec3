package accel

import (
	"math"
	"slices"

	"github.com/drawknife/drawknife/hardware"
)

// scnnFigures are SCNN's published figures.
func scnnFigures() []hardware.Figure {
	return slices.Concat(scnnNetworkFigures(), scnnSweepFigures(), scnnDesignFigures())
}

const scnnUnknown = "GoogLeNet's densities by layer are not at hand; it gets the mean of the other two networks' layers"

func scnnNetworkFigures() []hardware.Figure {
	speed := func(name string, published float64, tolerance float64, relation hardware.Relation, note string, w func() *hardware.Workload) hardware.Figure {
		return hardware.Figure{Name: "speed-up over DCNN, " + name, Published: published, Unit: "×", Evidence: hardware.Secondary, Tolerance: tolerance,
			Relation: relation, Note: note, Ours: once(func() float64 { return scnnSpeedup(w()) })}
	}
	return []hardware.Figure{
		speed("AlexNet", 2.37, 0.15, "", "densities are of Han's network and Eyeriss's measurement, not the paper's own", scnnAlexNet),
		speed("GoogLeNet", 2.19, 0.15, hardware.Shown, scnnUnknown, scnnGoogLeNet),
		speed("VGG-16", 3.52, 0.15, "", "", scnnVGG16),
		{Name: "speed-up over DCNN, mean of the networks", Published: 2.7, Unit: "×", Evidence: hardware.Read, Tolerance: 0.15, Note: scnnUnknown,
			Ours: once(func() float64 {
				return (scnnSpeedup(scnnAlexNet()) + scnnSpeedup(scnnGoogLeNet()) + scnnSpeedup(scnnVGG16())) / 3
			})},
		{Name: "energy gain over DCNN, mean of the networks", Published: 2.3, Unit: "×", Evidence: hardware.Read, Tolerance: 0.2, Note: scnnUnknown,
			Ours: once(func() float64 { return scnnEnergyGain(scnnEnergy) })},
		{Name: "energy gain of DCNN-opt over DCNN", Published: 2.0, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.15, Note: scnnUnknown,
			Ours: once(func() float64 { return scnnEnergyGain(dcnnOpt) })},
		{Name: "least speed-up of a layer", Published: 0.89, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.2, Note: scnnUnknown,
			Ours: once(func() float64 { return scnnLayers(math.Min) })},
		{Name: "greatest speed-up of a layer", Published: 4.7, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.2, Note: scnnUnknown,
			Ours: once(func() float64 { return scnnLayers(math.Max) })},
	}
}

func scnnSweepFigures() []hardware.Figure {
	figure := func(name string, published float64, unit string, note string, ours func() float64) hardware.Figure {
		return hardware.Figure{Name: "GoogLeNet, " + name, Published: published, Unit: unit, Evidence: hardware.Secondary, Tolerance: 0.1, Note: note, Ours: once(ours)}
	}
	energy := func(d float64) func() float64 {
		return func() float64 { return 1 / scnnSweep(d, scnnEnergy, dcnnPlain) }
	}
	list := []hardware.Figure{
		figure("speed against DCNN at density 1/1", 0.79, "×", "bank conflicts of 5 %, the lower end of what is given, were chosen in view of this", func() float64 { return scnnSweep(1, scnn.cycles, dcnnCycles) }),
		figure("speed against DCNN at density 0.1/0.1", 24, "×", "", func() float64 { return scnnSweep(0.1, scnn.cycles, dcnnCycles) }),
		figure("density of equal speed", 0.85, "", "", func() float64 { return scnnCrossover(scnn.cycles, dcnnCycles) }),
		figure("energy against DCNN at density 1/1", 1.33, "×", "the energy of the crossbar (0.3 pJ at 45 nm) was chosen for this", energy(1)),
		figure("energy against DCNN at density 0.1/0.1", 0.06, "×", "published as 6 %, without a decimal; DRAM at 4 pJ a bit was chosen for this", energy(0.1)),
		figure("density of equal energy with DCNN", 0.83, "", "", func() float64 { return scnnCrossover(scnnEnergy, dcnnPlain) }),
		figure("density of equal energy with DCNN-opt", 0.60, "", "that a zero input gates the weight's read was chosen in view of this; without it ours is 0.78", func() float64 { return scnnCrossover(scnnEnergy, dcnnOpt) }),
	}
	for _, i := range []int{0, 3, 4, 6} {
		list[i].Fitted = true
	}
	list[4].Within = 0.01
	return list
}

func scnnDesignFigures() []hardware.Figure {
	variant := func(d scnnDesign) func() float64 {
		d.grid, d.f, d.i, d.entries = scnn.grid, scnn.f, scnn.i, scnn.entries
		return func() float64 { return scnnSweep(0.4, scnn.cycles, d.cycles) }
	}
	const coarse = "the paper's densities by layer and its groups for large PEs are not known; both designs here use groups of 8 output channels"
	const spill = "ours moves all activations of such a layer at 4 pJ a bit beside 0.5 pJ for a product; the paper's energies must differ more"
	return []hardware.Figure{
		{Name: "peak", Published: 1024, Unit: "MAC/cycle", Evidence: hardware.Secondary,
			Ours: func() (float64, error) { return float64(scnn.grid * scnn.grid * scnn.f * scnn.i), nil }},
		{Name: "accumulator banks of a PE, 2·F·I", Published: 32, Unit: "", Evidence: hardware.Secondary,
			Ours: func() (float64, error) { return float64(2 * scnn.f * scnn.i), nil }},
		{Name: "fully connected layer, useful share of the multipliers at best", Published: 0.25, Unit: "", Evidence: hardware.Secondary, Relation: hardware.AtMost,
			Ours: func() (float64, error) {
				return scnnUse(scnn, &hardware.Workload{Layers: []*hardware.Layer{hardware.FC("fc", 1, 4096, 4096)}}), nil
			}},
		{Name: "late 1×1 layer of GoogLeNet with groups of 8, use of the multipliers", Published: 0.20, Unit: "", Evidence: hardware.Secondary,
			Relation: hardware.AtMost, Ours: func() (float64, error) {
				late := scnnGoogLeNet().Only(func(l *hardware.Layer) bool { return l.Name == "5b/1x1" })
				return scnnUse(scnnFine, late), nil
			}},
		{Name: "GoogLeNet at 0.4/0.4, gain over skipping zero weights only", Published: 1.7, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.15,
			Ours: once(variant(scnnDesign{denseIn: true}))},
		{Name: "GoogLeNet at 0.4/0.4, gain over skipping zero inputs only", Published: 2.6, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.15,
			Ours: once(variant(scnnDesign{denseW: true}))},
		{Name: "GoogLeNet, 64 PEs of 16 against 4 PEs of 256", Published: 1.11, Unit: "×", Evidence: hardware.Secondary, Tolerance: 0.15, Fitted: true,
			Note: coarse + ", of which the paper speaks for late 1×1 layers; with groups as large as the accumulators allow, ours is 0.56",
			Ours: once(func() float64 {
				w := scnnGoogLeNet()
				return network(w, scnnCoarse.cycles) / network(w, scnnFine.cycles)
			})},
		{Name: "GoogLeNet, use of the multipliers, 64 PEs of 16", Published: 0.59, Unit: "", Evidence: hardware.Secondary, Tolerance: 0.25,
			Note: "while a PE works; the paper has waiting apart (recalled)", Ours: once(func() float64 { return scnnBusyUse(scnn, scnnGoogLeNet()) })},
		{Name: "GoogLeNet, use of the multipliers, 4 PEs of 256", Published: 0.35, Unit: "", Evidence: hardware.Secondary, Tolerance: 0.25,
			Note: "the same; the groups of large PEs are not known, ours are of 8 output channels", Ours: once(func() float64 { return scnnBusyUse(scnnCoarse, scnnGoogLeNet()) })},
		{Name: "layers that exceed the chip's memory", Published: 9, Unit: "of 72", Evidence: hardware.Secondary, Note: scnnUnknown,
			Ours: once(func() float64 { return float64(len(scnnSpills())) })},
		{Name: "their energy penalty, least", Published: 0.05, Unit: "", Evidence: hardware.Secondary, Relation: hardware.Shown,
			Note: spill, Ours: once(func() float64 { return slices.Min(scnnSpills()) })},
		{Name: "their energy penalty, greatest", Published: 0.62, Unit: "", Evidence: hardware.Secondary, Relation: hardware.Shown,
			Note: spill, Ours: once(func() float64 { return slices.Max(scnnSpills()) })},
		{Name: "their energy penalty, mean", Published: 0.18, Unit: "", Evidence: hardware.Secondary, Relation: hardware.Shown,
			Note: spill, Ours: once(func() float64 {
				sum, list := 0.0, scnnSpills()
				for _, p := range list {
					sum += p
				}
				return sum / float64(len(list))
			})},
	}
}
