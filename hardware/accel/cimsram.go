package accel

import (
	"fmt"
	"math"
	"strconv"

	"github.com/drawknife/drawknife/hardware"
)

// A digital compute-in-memory design of SRAM cells as NeuroSim 1.4 describes
// it, Lee et al., TCAS-I 2024: 22 nm, weights and inputs of 8 bits. How layers
// are copied is the rule that NeuroSim 1.3 publishes with its floor plan.
const (
	cimTile    = 4 // rows and columns of arrays of an element; a tile has an element for each filter position
	cimFlat    = 8 // of a tile of layers that are unrolled to one matrix
	cimSpeedUp = 8 // at most so many times as fast, by each side of the map, as one copy of a layer

	// All three are fitted to totals of the reference.
	cimClock    = 7520 * 64 * 8 / 1e6      // MHz: 64 products of 8 steps take 1/7520 s
	cimReadPJ   = 36.5e6 / 2457664         // of a step of an array: 36.5 µJ over the array steps of VGG-8
	cimArrayMM2 = 80.1 / (36*9*16 + 67*64) // of an array with its share of everything
)

var cim = crossbar{rows: 128, cols: 128, cellBits: 1, weightBits: 8, inputBits: 8, dacBits: 1, activeRows: 128, signed: 1}

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "cim-sram", Title: "Digital SRAM compute-in-memory", Kind: hardware.InMemory,
		Paper: "Lee et al., NeuroSim V1.4: Extending Technology Support for Digital Compute-in-Memory Toward 1nm Node, TCAS-I", Year: 2024,
		Summary: "SRAM arrays with adders in all columns hold all weights; each position of a filter has arrays of its own, layers form a pipeline.",
		Params: []hardware.Param{
			{Name: "array", Value: "128×128 cells of 1 bit, weights and inputs of 8 bits, 22 nm", Evidence: hardware.Rerun},
			{Name: "energy", Value: "69 % sensing and adding, 10 % accumulation, 20 % other", Evidence: hardware.Rerun},
			{Name: "network", Value: "VGG-8 on 32×32 images", Evidence: hardware.Rerun},
		},
		Formulas: `
Arrays of 128×128 cells; a weight takes s = 8 columns. A convolution has a matrix
of C rows and K columns for each of the R·S positions of its filter:

  arrays of a layer   A = G · R·S · ⌈C/128⌉ · ⌈8·K/128⌉
  tiles of a copy     G · ⌈C/512⌉ · ⌈8·K/512⌉     (a tile has R·S elements of 4×4 arrays)

Where a filter fits the rows of an array, and in fully connected layers, all of
it is one matrix:

  arrays of a layer   A = G · ⌈C·R·S/128⌉ · ⌈8·K/128⌉
  tiles of a copy     G · ⌈C·R·S/1024⌉ · ⌈8·K/1024⌉   (a tile has 8×8 arrays)

Layers on larger maps are copied until they keep pace with the one on the
smallest, as far as that is at most 8 times as small a side. A matrix that leaves
room in its element or tile is copied there for nothing:

  copies wanted       (side of the layer's map / side of the smallest)²
  copies in a tile    ⌊4/⌈C/128⌉⌋ · ⌊4/⌈8·K/128⌉⌋, each at least 1   (8 and C·R·S where unrolled)
  copies              copies in a tile · ⌈copies wanted / copies in a tile⌉
  cycles of a layer   ⌈N·P·Q/copies⌉ · 8 steps
  cycles of a network the largest of its layers'
  energy              A · N·P·Q · 8 · 14.9 pJ

The time of a step (260 ns), the energy of an array's step and the area of an
array are fitted to the reference's frame rate, energy and area. Energy is
dynamic only.`,
		Figures: cimFigures(),
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) {
			return runCIM(w)
		},
	})
}

// vgg8 is the reference's network.
func vgg8() *hardware.Workload {
	w := &hardware.Workload{Name: "vgg8", Batch: 1}
	in := 3
	for i, out := range []int{128, 128, 256, 256, 512, 512} {
		w.Layers = append(w.Layers, hardware.Conv("conv"+strconv.Itoa(i+1), 1, 1, out, in, 32>>(i/2), 3, 1, 1))
		in = out
	}
	w.Layers = append(w.Layers, hardware.FC("fc1", 1, 1024, 8192), hardware.FC("fc2", 1, 10, 1024))
	return w
}

// cimShape is how a layer lies on arrays: matrices of tall × wide arrays in
// tiles that hold square × square arrays of each of them.
func cimShape(l *hardware.Layer) (matrices, tall, wide, square int) {
	s := &l.Size
	wide = int(hardware.Ceil(s[hardware.K]*cim.perWeight(), cim.cols))
	if l.Op == "Gemm" || filterSize(l) < cim.rows {
		return 1, int(hardware.Ceil(filterSize(l), cim.rows)), wide, cimFlat
	}
	return s[hardware.R] * s[hardware.S], int(hardware.Ceil(s[hardware.C], cim.rows)), wide, cimTile
}

// cimBound is the side of the map whose layers need no copies.
func cimBound(w *hardware.Workload) float64 {
	largest, smallest := 0, 0
	for _, l := range w.Layers {
		if l.HasMACs() {
			side := l.Height
			largest = max(largest, side)
			if l.Size[hardware.R] != 1 && (smallest == 0 || side < smallest) {
				smallest = side
			}
		}
	}
	if smallest == 0 {
		return float64(max(largest, 1))
	}
	return hardware.Ceil(largest, min(largest/smallest, cimSpeedUp))
}

// cimPlace counts the tiles of a layer, the arrays that there are in them, and
// its copies.
func cimPlace(l *hardware.Layer, bound float64) (tiles, arrays, copies int) {
	matrices, tall, wide, square := cimShape(l)
	side := float64(l.Height) / bound
	wanted, within := int(math.Ceil(side*side)), max(1, square/tall)*max(1, square/wide)
	times := int(hardware.Ceil(wanted, within))
	tiles = l.Size[hardware.G] * int(hardware.Ceil(tall, square)*hardware.Ceil(wide, square)) * times
	return tiles, tiles * matrices * square * square, within * times
}

func runCIM(w *hardware.Workload) (*hardware.Report, error) {
	ps, err := cim.place(w, cim.need(w)) // checks the layers
	if err != nil {
		return nil, fmt.Errorf("cim-sram: %w", err)
	}
	total, bound := 0, cimBound(w)
	for i := range ps {
		p := &ps[i]
		matrices, tall, wide, _ := cimShape(p.layer)
		_, arrays, copies := cimPlace(p.layer, bound)
		p.arrays, p.copies, p.busy = p.layer.Size[hardware.G]*matrices*tall*wide, copies, hardware.Ceil(products(p.layer), copies)
		total += arrays
	}
	m := hardware.Machine{Name: "cim-sram", ClockMHz: cimClock, PeakMACs: cim.peakMACs(total), AreaMM2: cimArrayMM2 * float64(total)}
	return cim.pipeline(m, w, ps, func(p placed, c *hardware.Cost) {
		c.MACEnergy = float64(p.arrays) * float64(products(p.layer)) * cim.steps() * cimReadPJ
	}), nil
}

func cimFigures() []hardware.Figure {
	report := func(f func(r *hardware.Report) float64) func() (float64, error) {
		return func() (float64, error) {
			r, err := runCIM(vgg8())
			if err != nil {
				return 0, err
			}
			return f(r), nil
		}
	}
	fs := []hardware.Figure{
		{Name: "VGG-8, pipelined", Published: 7520, Unit: "frame/s", Evidence: hardware.Rerun, Tolerance: 0.01, Fitted: true, Note: "the time of a step is chosen for it",
			Ours: report(func(r *hardware.Report) float64 { return r.FramesPerSecond })},
		{Name: "VGG-8, time of layer 1", Published: 133, Unit: "µs", Evidence: hardware.Rerun, Tolerance: 0.01, Fitted: true, Note: "the same constant",
			Ours: report(func(r *hardware.Report) float64 { return r.Layer(r.Bound).Cycles / cimClock })},
		{Name: "VGG-8, dynamic energy", Published: 36.5, Unit: "µJ", Evidence: hardware.Rerun, Tolerance: 0.01, Fitted: true, Note: "the energy of an array's step is chosen for it",
			Ours: report(func(r *hardware.Report) float64 { return r.Energy / 1e6 })},
		{Name: "VGG-8, efficiency", Published: 27.4, Unit: "TOPS/W", Evidence: hardware.Rerun, Tolerance: 0.25,
			Note: "ours is operations over the dynamic energy; 27.4 would be 45 µJ, leakage seems to be in it",
			Ours: report(func(r *hardware.Report) float64 { return r.TOPSPerW })},
		{Name: "VGG-8, area", Published: 80.1, Unit: "mm²", Evidence: hardware.Rerun, Tolerance: 0.01, Fitted: true, Note: "an array's area is chosen for it",
			Ours: report(func(r *hardware.Report) float64 { return r.AreaMM2 })},
	}
	for i, published := range []float64{2, 8, 4, 8, 8, 8, 64, 1} {
		fs = append(fs, hardware.Figure{Name: "VGG-8, tiles of layer " + strconv.Itoa(i+1), Published: published, Evidence: hardware.Rerun,
			Ours: func() (float64, error) {
				w := vgg8()
				n, _, _ := cimPlace(w.Layers[i], cimBound(w))
				return float64(n), nil
			}})
	}
	return fs
}
