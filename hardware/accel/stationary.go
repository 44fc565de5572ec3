package accel

import (
	"fmt"
	"sync"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/loopnest"
)

// The comparison of dataflows of the Eyeriss papers, repeated: four arrays of
// equal area, each with the best mapping that its dataflow allows.

// equalArea finds the energy of AlexNet's layers, batch 16, on one of the four
// arrays, in multiplications' worth.
func equalArea(flow string) (*hardware.Report, error) {
	a, err := loopnest.Load("equal-area-" + flow)
	if err != nil {
		return nil, err
	}
	return loopnest.Run(a, hardware.AlexNet(16), loopnest.Options{Objective: hardware.Energy})
}

var equalAreas = map[string]func() (*hardware.Report, error){}

func init() {
	for _, flow := range []string{"rs", "ws", "is", "os"} {
		equalAreas[flow] = sync.OnceValues(func() (*hardware.Report, error) { return equalArea(flow) })
	}
	hardware.Register(hardware.Accelerator{
		Name: "equal-area", Title: "Row, weight, input and output stationary at equal area", Kind: hardware.Dense,
		Paper: "Chen, Emer, Sze, Eyeriss: A Spatial Architecture for Energy-Efficient Dataflow, ISCA", Year: 2016,
		Summary: "The comparison of dataflows: 256 elements each; runs the row-stationary one (the others: equal-area-ws, -is, -os).",
		Params: []hardware.Param{
			{Name: "energies", Value: "relative to a MAC: register 1, array 2, buffer 6, DRAM 200", Evidence: hardware.Rerun},
			{Name: "row stationary", Value: "512 bytes of registers an element, 128 KiB buffer", Evidence: hardware.Rerun},
		},
		Formulas: `
Four machines of the general model with 16×16 elements. Row stationary has 512
bytes of registers in each element and 128 KiB of buffer. The others keep one
word in an element and have 768 KiB of buffer: registers count as five times the
area of as much buffer. Each is limited to its dataflow by what may be spread
over rows and columns, and by what its registers hold:

  ws: columns K, rows C·R·S, weights      is: columns N·P·Q, rows C·R·S, inputs
  os: columns N·P·Q, rows K·P·Q, sums     rs: columns N·K·P·Q, rows K·C·R·S, all

For each layer the mapping of least energy is searched; operands may pass by the
buffer. A word that moves between two memories takes the energy of the access to
the outer one alone: that is how the energies are defined, and the published
registers are 4 accesses a MAC and no more.`,
		Figures: stationaryFigures(),
		Run: func(w *hardware.Workload, o hardware.RunOptions) (*hardware.Report, error) {
			a, err := loopnest.Load("equal-area-rs")
			if err != nil {
				return nil, err
			}
			return loopnest.Run(a, w, loopnest.Options{Objective: o.Objective, Seed: o.Seed})
		},
	})
}

// convEnergy adds up the convolutions' energy.
func convEnergy(flow string) (float64, error) {
	r, err := equalAreas[flow]()
	if err != nil {
		return 0, err
	}
	total := 0.0
	for i := range r.Layers {
		if r.Layers[i].Op == "Conv" {
			total += r.Layers[i].Energy
		}
	}
	return total, nil
}

// overRS is the energy of a dataflow over that of row stationary.
func overRS(flow string) (float64, error) {
	other, err := convEnergy(flow)
	if err != nil {
		return 0, err
	}
	rs, err := convEnergy("rs")
	return other / rs, err
}

func stationaryFigures() (list []hardware.Figure) {
	for _, flow := range []string{"ws", "is", "os"} {
		list = append(list, hardware.Figure{Name: fmt.Sprintf("energy of AlexNet's convolutions, %s over rs, above 1", flow), Published: 1, Evidence: hardware.Recalled,
			Relation: hardware.AtLeast, Note: "the paper has 1.4 to 2.5 (without is)", Ours: func() (float64, error) { return overRS(flow) }})
	}
	list = append(list, hardware.Figure{Name: "energy of AlexNet's convolutions, ws or os over rs, least", Published: 1.4, Unit: "×", Evidence: hardware.Recalled, Tolerance: 0.25,
		Ours: func() (float64, error) {
			ws, err := overRS("ws")
			if err != nil {
				return 0, err
			}
			os, err := overRS("os")
			return min(ws, os), err
		}})
	for _, row := range []struct {
		layer         string
		alu, dram, rf float64 // 10^9 MACs' worth
	}{
		{"conv1", 1.69, 2.46, 6.75}, {"conv2", 3.58, 2.27, 14.33}, {"conv3", 2.39, 2.02, 9.57}, {"conv4", 1.79, 1.57, 7.18},
		{"conv5", 1.20, 1.05, 4.78}, {"fc6", 0.60, 7.78, 2.42}, {"fc7", 0.27, 3.39, 1.07}, {"fc8", 0.07, 0.84, 0.26},
	} {
		figure := func(name string, published float64, f func(c *hardware.Cost) float64) hardware.Figure {
			return hardware.Figure{Name: row.layer + ", " + name, Published: published, Unit: "10^9 MACs' worth", Evidence: hardware.Rerun, Within: 0.1,
				Ours: func() (float64, error) {
					r, err := equalAreas["rs"]()
					if err != nil {
						return 0, err
					}
					return f(r.Layer(row.layer)) / 1e9, nil
				}}
		}
		list = append(list, figure("arithmetic", row.alu, func(c *hardware.Cost) float64 { return c.MACEnergy }))
		list = append(list, figure("registers", row.rf, func(c *hardware.Cost) float64 { return c.Level("registers").EnergyPJ() }))
		dram := figure("DRAM", row.dram, func(c *hardware.Cost) float64 { return c.Level("DRAM").EnergyPJ() })
		dram.Tolerance = 0.2
		if row.layer == "conv1" {
			dram.Relation = hardware.Shown
			dram.Note = "published are 12.3 M words, the outputs once and the inputs three times; ours splits planes into rows between DRAM and buffer and reads all once; where planes may not be split, ours is 2.99"
		}
		list = append(list, dram)
	}
	return list
}
