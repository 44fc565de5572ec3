package accel

import (
	"math"

	"github.com/drawknife/drawknife/hardware"
)

// Neurocube, Kim et al., ISCA 2016: processing elements in the logic die of a
// hybrid memory cube, fed by state machines in its vault controllers.
const (
	ncVaults   = 16
	ncClock    = 5000.0  // MHz at 15 nm; 300 at 28 nm
	ncVaultBW  = 10e9    // bytes a second of a vault
	ncWord     = 2       // bytes
	ncMesh     = 4       // vaults on a side of the mesh
	ncLinkWord = 1       // words a cycle through a link of the mesh
	ncDRAM     = 3.7 * 8 // pJ a byte in the cube's DRAM; its logic and links:
	ncLogic    = 6.8 * 8 // pJ a byte
	// ncEfficiency is what is left of the peak, fitted to the 15 nm figure.
	ncEfficiency = 132.4 / 160
)

func init() {
	m := hardware.Machine{Name: "neurocube", ClockMHz: ncClock, PeakMACs: ncVaults, DRAMBytes: ncVaults * ncVaultBW / (ncClock * 1e6)}
	gops := func(clock float64) func() (float64, error) {
		return func() (float64, error) {
			m := m
			m.ClockMHz = clock
			r, err := runNeurocube(m, sceneLabelling())
			if err != nil {
				return 0, err
			}
			return r.TOPS * 1e3, nil
		}
	}
	hardware.Register(hardware.Accelerator{
		Name: "neurocube", Title: "Neurocube", Kind: hardware.InMemory,
		Paper: "Kim et al., Neurocube: A Programmable Digital Neuromorphic Architecture with High-Density 3D Memory, ISCA", Year: 2016,
		Summary: "A processing element under each vault of a memory cube; vault controllers push operands at it, it has no program.",
		Params: []hardware.Param{
			{Name: "cube", Value: "16 vaults, a processing element of 16 MACs each, a 2-D mesh between them", Evidence: hardware.Read},
			{Name: "technology", Value: "logic at 28 nm (300 MHz) and 15 nm (5 GHz)", Evidence: hardware.Vague},
			{Name: "vault", Value: "about 10 GB/s, 16-bit operands", Evidence: hardware.Vague},
		},
		Formulas: `
An element starts one MAC in a cycle (its 16 MACs run at a sixteenth of the
clock), so the peak is 16 a cycle. Weights are pushed once to each element and
stay for the outputs of a row; every MAC needs an input word from the vault:

  compute   MACs / (16 · 0.8275)             (efficiency fitted to 132 GOP/s)
  vaults    2 B · (MACs + weights·N·P + outputs) / 16 / (10 GB/s)
  mesh      remote words / (2 · 4 links across the middle · 1 word a cycle)
  cycles    the largest of these

Convolutions: each vault has a tile of the image, so that remote words are the
rows and columns that windows share with neighbours. A fully connected layer
splits its outputs: 15 of 16 vaults fetch all the inputs from elsewhere, and
every weight is used once. Energy: 3.7 pJ a bit in DRAM, 6.8 in the cube's logic
(its links included), and 16-bit MACs scaled to 15 nm.`,
		Figures: []hardware.Figure{
			{Name: "scene labelling at 15 nm, 5 GHz", Published: 132, Unit: "GOP/s", Evidence: hardware.Vague, Tolerance: 0.1, Fitted: true,
				Note: "the efficiency of 0.8275 is chosen for it; without it ours is the peak, 160", Ours: gops(ncClock)},
			{Name: "scene labelling at 28 nm, 300 MHz", Published: 8, Unit: "GOP/s", Evidence: hardware.Vague, Tolerance: 0.1,
				Note: "predicted with the efficiency of the 15 nm figure", Ours: gops(300)},
			{Name: "words from all vaults at 0.8 MAC a word", Published: 132, Unit: "GOP/s", Evidence: hardware.Computed, Tolerance: 0.05,
				Ours: func() (float64, error) { return ncVaults * ncVaultBW / ncWord * 0.8 * 2 / 1e9, nil }},
		},
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return runNeurocube(m, w)
		},
	})
}

// sceneLabelling is a network like the one that Neurocube was measured on:
// three 7×7 convolutions on an image of 320×240, pooled in between.
func sceneLabelling() *hardware.Workload {
	conv := func(name string, out, in, height, width int) *hardware.Layer {
		l := hardware.Conv(name, 1, 1, out, in, width, 7, 1, 3)
		l.Height, l.Size[hardware.P] = height, height
		return l
	}
	return &hardware.Workload{Name: "scene", Batch: 1, Layers: []*hardware.Layer{
		conv("conv1", 16, 3, 240, 320), conv("conv2", 64, 16, 120, 160), conv("conv3", 256, 64, 60, 80),
	}}
}

func runNeurocube(m hardware.Machine, w *hardware.Workload) (*hardware.Report, error) {
	return hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) {
		s := &l.Size
		macs := float64(l.MACs())
		weights := float64(l.Words(hardware.Weights)) * float64(s[hardware.N]*s[hardware.P])
		c := hardware.Cost{ComputeCycles: macs / (ncVaults * ncEfficiency), Bound: "compute"}
		out := float64(l.Words(hardware.Outputs))
		vault := ncWord * (macs + weights + out) / ncVaults / ncVaultBW * m.ClockMHz * 1e6
		remote := ncRemote(l)
		mesh := remote / (2 * ncMesh * ncLinkWord)
		c.Cycles = max(c.ComputeCycles, vault, mesh)
		switch c.Cycles {
		case c.ComputeCycles:
		case vault:
			c.Bound = "vaults"
		default:
			c.Bound = "mesh"
		}
		c.Levels = []hardware.LevelCost{{Name: "vaults", Cycles: vault, Bits: hardware.WordBits(8 * ncWord)}}
		v := &c.Levels[0]
		v.Traffic = [hardware.NumOperands]hardware.Traffic{{Reads: weights}, {Reads: macs}, {Writes: out}}
		for o, words := range []float64{weights, macs, out} {
			v.Energy[o] = words * ncWord * (ncDRAM + ncLogic)
		}
		c.DRAMBytes = ncWord * v.Words()
		c.MACEnergy = macs * hardware.MACEnergy(16, 16, 32) * hardware.EnergyScale(15)
		return c, nil
	})
}

// ncRemote counts the input words that a vault fetches from others.
func ncRemote(l *hardware.Layer) float64 {
	s := &l.Size
	if s[hardware.P]*s[hardware.Q] == 1 {
		return (ncVaults - 1) * float64(l.Words(hardware.Inputs))
	}
	tall, wide := math.Ceil(float64(l.Height)/ncMesh), math.Ceil(float64(l.Width)/ncMesh)
	haloY := float64(max(0, (s[hardware.R]-1)*l.Dilation[0]+1-l.Stride[0]))
	haloX := float64(max(0, (s[hardware.S]-1)*l.Dilation[1]+1-l.Stride[1]))
	shared := (tall+haloY)*(wide+haloX) - tall*wide
	return ncVaults * shared * float64(s[hardware.G]*s[hardware.C]*s[hardware.N])
}
