package accel

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/dataflow"
)

// The first Eyeriss, Chen, Krishna, Emer and Sze, ISSCC 2016 and JSSC 2017:
// row stationary.
const (
	eyerissClock  = 200.0 // MHz
	eyerissRows   = 12
	eyerissInput  = 12  // words of an element's input spad
	eyerissWeight = 224 // of its weight spad
	eyerissPsum   = 24  // of its psum spad
	eyerissBuffer = 100 << 10
	eyerissBits   = 16.0
	eyerissPort   = 8.0 // psum words to and from the buffer a cycle
	eyerissFilter = 4.0 // weights a cycle
	// eyerissSlack is the rule of thumb for everything that does not overlap.
	eyerissSlack = 1.1
	// Energies of the table "eyeriss65" in pJ.
	eyerissMAC, eyerissSpad, eyerissHop, eyerissGLB, eyerissDRAM = 2.0, 1.0, 4.0, 15.0, 460.0
	// eyerissIdle is the power in W of clock, control and all else that is not
	// an access; fitted to the published mean.
	eyerissIdle = 0.158
)

// eyerissChip is the chip, or one with other numbers of columns and words of
// DRAM a cycle.
type eyerissChip struct {
	cols int
	link float64
}

// eyeriss has 64 bits of DRAM at 60 MHz.
var eyeriss = eyerissChip{cols: 14, link: 1.2}

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "eyeriss", Title: "Eyeriss v1", Kind: hardware.Dense,
		Paper: "Chen, Krishna, Emer, Sze, Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep CNNs, JSSC 52(1)", Year: 2017,
		Summary: "Row-stationary array of 12×14 elements with three scratchpads each, a 108 kB buffer, run-length coded DRAM traffic.",
		Params: []hardware.Param{
			{Name: "technology", Value: "65 nm LP, 12.25 mm², 200 MHz", Evidence: hardware.Read},
			{Name: "array", Value: "12×14 elements, 16 bits; spads of 12 inputs, 224 weights, 24 partial sums", Evidence: hardware.Read},
			{Name: "buffer", Value: "100 kB for inputs and partial sums, 8 kB for weights to come", Evidence: hardware.Read},
			{Name: "ports", Value: "4 words a cycle to and 4 from the buffer for partial sums; 4 weights; 1 input", Evidence: hardware.Read},
			{Name: "DRAM", Value: "64 bits at 60 MHz", Evidence: hardware.Read},
		},
		Formulas: `
An element (r, e) convolves filter row r with an input row and adds to output
row e. A pass convolves q·r channels of n images with p·t filters for e output
rows; F is the number of output columns, U the stride, M all filters:

  passes  = N/n · ⌈M/(p·t)⌉ · ⌈C/(q·r)⌉ · ⌈E/e⌉
  compute = passes · n·p·q·S·F cycles;   active elements = R·e·r·t
  psums   = 2·⌈C/(q·r)⌉·N·M·E·F words    inputs = passes·n·q·r·((e−1)·U+R)·width
  time    = max(1.1 · MACs / active, 1.1 · (psums + inputs) / 8 words a cycle,
                weights of all passes / 4, inputs of all passes / 1,
                DRAM words / 1.2)

The factor 1.1 stands for what does not overlap; it is fitted to the published
times. AlexNet runs with the published parameters; other layers with those that
take least time, of e·R, r, t that fit the array, p·q·S ≤ 224, q·S ≤ 12, p ≤ 24
and psums and inputs of a pass ≤ 100 kB. Filters above 12×12 do not fit the chip.

DRAM: the partial sums of m filters stay in the buffer until all channels are
through, m being the multiple of p·t whose n·m·e·F sums fit it beside the inputs
of a pass (96, 64, 64, 64, 64 in AlexNet). So inputs, padding included, are read
⌈M/m⌉ times, weights anew for every n images and every e rows, outputs are
written once:

  inputs · ⌈M/m⌉ + weights · N/n · ⌈E/e⌉ + outputs

Inputs and outputs of density d take d·(64/3)/(1−(1−d)^32) bits, or 16 if fewer.
Energy (table eyeriss65): 2 pJ a MAC, 4 spad accesses of 1 pJ, 15 pJ a buffer
word, 4 pJ a hop, 460 pJ a DRAM word. A zero input gates the MAC and the read of
its weight. Clock and control take 158 mW at all times, fitted to the published
mean power.`,
		Figures: eyerissFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			m := hardware.Machine{Name: "eyeriss", ClockMHz: eyerissClock, PeakMACs: float64(eyerissRows * eyeriss.cols), AreaMM2: 12.25, DRAMBytes: eyeriss.link * eyerissBits / 8}
			return hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) {
				return eyeriss.best(l)
			})
		},
	})
}

// eyerissTime is the rule for the time in cycles, and whether the buffer's
// ports set it.
func eyerissTime(macs float64, active int, bufferWords float64) (cycles float64, port bool) {
	compute, transfer := macs/float64(active), bufferWords/eyerissPort
	return eyerissSlack * max(compute, transfer), transfer > compute
}

// best is the cost of a layer with the best mapping.
func (x eyerissChip) best(l *hardware.Layer) (hardware.Cost, error) {
	m, err := x.mapping(l)
	if err != nil {
		return hardware.Cost{}, err
	}
	return x.cost(l, m), nil
}

func (x eyerissChip) cost(l *hardware.Layer, m dataflow.RowStationary) hardware.Cost {
	r := m.Run(l)
	macs := float64(l.MACs())
	cycles, port := eyerissTime(macs, r.Active, r.BufferWords())
	c := hardware.Cost{Cycles: cycles, ComputeCycles: macs / float64(r.Active), Active: float64(r.Active) / float64(eyerissRows*x.cols),
		MACEnergy: macs * l.Density.In * eyerissMAC}
	if port {
		c.Bound = "buffer"
	}
	spad := hardware.LevelCost{Name: "spad", Bits: hardware.WordBits(eyerissBits)}
	buffer := hardware.LevelCost{Name: "buffer", Bits: hardware.WordBits(eyerissBits), Cycles: r.BufferWords() / eyerissPort}
	dram := hardware.LevelCost{Name: "DRAM", Bits: hardware.WordBits(eyerissBits)}
	for o, bits := range eyerissDRAMBits(l, m) {
		words := bits / eyerissBits
		dram.Energy[o] = words * eyerissDRAM
		if hardware.Operand(o) == hardware.Outputs {
			dram.Traffic[o].Writes = words
		} else {
			dram.Traffic[o].Reads = words
		}
		c.DRAMBytes += bits / 8
	}
	dram.Cycles = dram.Words() / x.link
	for _, limit := range []struct {
		name   string
		cycles float64
	}{{"filter bus", r.Weights / eyerissFilter}, {"input bus", r.Inputs}, {dram.Name, dram.Cycles}} {
		if limit.cycles > c.Cycles {
			c.Cycles, c.Bound = limit.cycles, limit.name
		}
	}
	spad.Traffic = [hardware.NumOperands]hardware.Traffic{{Reads: macs * l.Density.In, Writes: r.Weights}, {Reads: macs, Writes: r.Inputs}, {Reads: macs, Writes: macs}}
	buffer.Traffic[hardware.Inputs].Reads = r.Inputs
	buffer.Traffic[hardware.Outputs] = hardware.Traffic{Reads: r.Sums / 2, Writes: r.Sums / 2}
	for o := range hardware.NumOperands {
		spad.Energy[o] = (spad.Traffic[o].Reads + spad.Traffic[o].Writes) * eyerissSpad
		buffer.Energy[o] = (buffer.Traffic[o].Reads + buffer.Traffic[o].Writes) * eyerissGLB
	}
	c.StaticEnergy = eyerissIdle * c.Cycles / eyerissClock * 1e6
	c.NetworkEnergy = (r.BufferWords() + r.Weights) * eyerissHop
	c.Levels = []hardware.LevelCost{dram, buffer, spad}
	return c
}

// eyerissDRAMBits counts coded traffic by operand.
func eyerissDRAMBits(l *hardware.Layer, m dataflow.RowStationary) [hardware.NumOperands]float64 {
	z := &l.Size
	strips := hardware.Ceil(z[hardware.P], m.Strip)
	rows := float64(z[hardware.P]*l.Stride[0]) + strips*float64((z[hardware.R]-1)*l.Dilation[0]+1-l.Stride[0])
	inputs := hardware.Ceil(z[hardware.K], eyerissKept(l, m)) * float64(z[hardware.G]*z[hardware.N]*z[hardware.C]) * rows * float64(l.PaddedWidth())
	weights := float64(l.Words(hardware.Weights)) * hardware.Ceil(z[hardware.N], m.Images) * strips
	return [hardware.NumOperands]float64{16 * weights, inputs * min(16, rleBits(l.Density.In)),
		float64(l.Words(hardware.Outputs)) * min(16, rleBits(l.Density.Out))}
}

// eyerissKept is the number of filters whose partial sums stay in the buffer.
func eyerissKept(l *hardware.Layer, m dataflow.RowStationary) int {
	pass := m.Filters * m.SetsK
	kept := pass
	for kept < l.Size[hardware.K] && eyerissWords(l, m, kept+pass) <= eyerissBuffer/2 {
		kept += pass
	}
	return kept
}

// rleBits is the bits that Eyeriss' run-length code takes for an element: three
// pairs of a run of 5 bits and a level of 16 in 64 bits.
func rleBits(d float64) float64 {
	none := 1.0
	for range 32 {
		none *= 1 - d
	}
	if none == 1 {
		return 64.0 / 3 / 32
	}
	return d * (64.0 / 3) / (1 - none)
}

// mapping gives a layer's parameters: those published for the chip, or the
// fastest.
func (x eyerissChip) mapping(l *hardware.Layer) (dataflow.RowStationary, error) {
	z := &l.Size
	if z[hardware.R] > eyerissRows || z[hardware.S] > eyerissInput {
		return dataflow.RowStationary{}, fmt.Errorf("a filter of %d×%d does not fit the array of %d rows with %d inputs an element",
			z[hardware.R], z[hardware.S], eyerissRows, eyerissInput)
	}
	if m, ok := eyerissPublished(l); ok && x.cols == eyeriss.cols {
		return m, nil
	}
	best, least := dataflow.RowStationary{}, 0.0
	consider := func(m dataflow.RowStationary) {
		if t := x.cost(l, m).Cycles; least == 0 || t < least {
			best, least = m, t
		}
	}
	one := dataflow.RowStationary{Images: 1, Strip: 1, Filters: 1, Channels: 1, SetsC: 1, SetsK: 1}
	consider(one) // always possible, however wide the layer
	for one.Images = 1; one.Images <= z[hardware.N]; one.Images *= 2 {
		x.candidates(l, one, consider)
	}
	return best, nil
}

// candidates calls f with mappings that fit the chip.
func (x eyerissChip) candidates(l *hardware.Layer, m dataflow.RowStationary, f func(dataflow.RowStationary)) {
	z := &l.Size
	high := eyerissRows / z[hardware.R]
	for strips := hardware.Ceil(z[hardware.P], high*x.cols); strips <= float64(z[hardware.P]); strips++ {
		m.Strip = int(hardware.Ceil(z[hardware.P], int(strips)))
		sets := high * (x.cols / m.Strip)
		if m.Strip > x.cols {
			sets = high / ((m.Strip + x.cols - 1) / x.cols)
		}
		for m.SetsC = 1; m.SetsC <= min(sets, z[hardware.C]); m.SetsC++ {
			m.SetsK = min(sets/m.SetsC, z[hardware.K])
			for m.Channels = 1; m.Channels*z[hardware.S] <= eyerissInput && m.Channels <= z[hardware.C]; m.Channels++ {
				m.Filters = min(eyerissPsum, eyerissWeight/(m.Channels*z[hardware.S]), z[hardware.K])
				for m.Filters > 1 && !eyerissFits(l, m) {
					m.Filters--
				}
				if eyerissFits(l, m) {
					f(m)
				}
			}
		}
		if m.Strip == 1 {
			return
		}
	}
}

// eyerissFits reports whether a pass fits the buffer.
func eyerissFits(l *hardware.Layer, m dataflow.RowStationary) bool {
	return eyerissWords(l, m, m.Filters*m.SetsK) <= eyerissBuffer/2
}

// eyerissWords are the partial sums of so many filters and the inputs of a
// pass.
func eyerissWords(l *hardware.Layer, m dataflow.RowStationary, filters int) int {
	z := &l.Size
	return m.Images * (filters*m.Strip*z[hardware.Q] + m.Channels*m.SetsC*((m.Strip-1)*l.Stride[0]+z[hardware.R])*l.PaddedWidth())
}
