package accel

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
)

// Tiny-YOLO on a Zynq UltraScale+: hidden layers in the fabric, the ends on
// the processor.
const (
	yoloLUTs   = 70560 // of a ZU3EG
	yoloBlocks = 432   // memories of 18 Kibit of a ZU3EG
	yoloWatt   = 6.0
	yoloCores  = 4
	yoloNEON   = 8.0    // 8-bit MACs a cycle and core: one 64-bit multiply-add
	yoloCPU    = 1200.0 // MHz
	// MACs of all cores in a cycle of the fabric
	yoloHost = yoloCores * yoloNEON * yoloCPU / finnClock
)

// tinyYOLO is Tiny-YOLO for images of 416×416 and 20 classes.
func tinyYOLO() *hardware.Workload {
	w := &hardware.Workload{Name: "tiny-yolo", Batch: 1, Fused: true}
	in := 3
	for i, c := range [][2]int{{16, 416}, {32, 208}, {64, 104}, {128, 52}, {256, 26}, {512, 13}, {1024, 13}, {1024, 13}} {
		w.Layers = append(w.Layers, hardware.Conv(fmt.Sprintf("conv%d", i+1), 1, 1, c[0], in, c[1], 3, 1, 1))
		in = c[0]
	}
	w.Layers = append(w.Layers, hardware.Conv("conv9", 1, 1, 125, in, 13, 1, 1, 0))
	return w
}

func init() {
	hardware.Register(hardware.Accelerator{
		Name: "tiny-yolo-fpga", Title: "Quantized Tiny-YOLO on a Zynq UltraScale+", Kind: hardware.BitFlexible,
		Paper: "Preusser et al., Inference of Quantized Neural Networks on Heterogeneous All-Programmable Devices, DATE", Year: 2018,
		Summary: "Hidden layers of binary weights and 3-bit activations in the fabric, the first and the last in 8 bits on NEON.",
		Params: []hardware.Param{
			{Name: "published", Value: "about 16 frames/s at 6 W", Evidence: hardware.Vague},
			{Name: "chip", Value: "ZU3EG assumed: 70 560 LUTs, 432 memories of 18 Kibit, four Cortex-A53 at 1.2 GHz", Evidence: hardware.Vague},
		},
		Formulas: `
The first and the last layer run on four cores, 8 MACs of 8 bits a cycle each; all
others are engines like those of FINN (see there), with weights of 1 bit and
activations of 3, as fast as 70 560 LUTs allow at 200 MHz. All work at once on
different images:

  frames/s = 1 / max(first + last layer on the cores, the slowest engine)

Energy is 6 W times that. A single engine that takes the layers one by one, as the
real design has, is not modelled; a note says if the weights exceed the chip.`,
		Figures: []hardware.Figure{
			{Name: "Tiny-YOLO, 416×416", Published: 16, Unit: "frames/s", Evidence: hardware.Vague, Relation: hardware.Shown,
				Note: "ours counts multiplications only, at full rate, with an engine for every layer and all weights on the chip; the real " +
					"weights do not fit, one engine takes the layers in turn, and the camera, scaling, pooling and boxes share the cores",
				Ours: func() (float64, error) {
					r, err := runYOLO(tinyYOLO())
					if err != nil {
						return 0, err
					}
					return r.FramesPerSecond, nil
				}},
			{Name: "power", Published: 6, Unit: "W", Evidence: hardware.Vague, Tolerance: 1e-6, Fitted: true, Note: "put in",
				Ours: func() (float64, error) {
					r, err := runYOLO(tinyYOLO())
					if err != nil {
						return 0, err
					}
					return r.PowerW, nil
				}},
		},
		Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) { return runYOLO(w) },
	})
}

// hybrid is a network between processor and fabric, in cycles of the fabric
// for one image.
type hybrid struct {
	layers []*hardware.Layer
	middle *finnPipeline // nil if there are no hidden layers
	fits   bool
	ends   float64
}

func newHybrid(w *hardware.Workload) (*hybrid, error) {
	h := &hybrid{fits: true}
	var hidden []*hardware.Layer
	for _, l := range w.Layers {
		if l.HasMACs() {
			h.layers = append(h.layers, l)
		}
	}
	for i, l := range h.layers {
		if h.end(i) {
			h.ends += hostCycles(l)
			continue
		}
		if err := finnCheck(l); err != nil {
			return nil, err
		}
		q := *l
		q.Bits = hardware.Bits{W: 1, A: 3, Psum: 16, Out: 3}
		hidden = append(hidden, &q)
	}
	if hidden != nil {
		h.middle, h.fits = finnWithin(hidden, yoloLUTs)
	}
	return h, nil
}

// end tells the first and the last layer.
func (h *hybrid) end(i int) bool { return i == 0 || i == len(h.layers)-1 }

// hostCycles is an image's time on the cores.
func hostCycles(l *hardware.Layer) float64 {
	return float64(l.MACs()) / float64(l.Size[hardware.N]) / yoloHost
}

func (h *hybrid) interval() float64 {
	if h.middle == nil {
		return h.ends
	}
	return max(h.ends, h.middle.interval())
}

func runYOLO(w *hardware.Workload) (*hardware.Report, error) {
	m := hardware.Machine{Name: "tiny-yolo-fpga", ClockMHz: finnClock}
	r, err := hardware.RunLayers(m, w, func(*hardware.Layer) (hardware.Cost, error) { return hardware.Cost{Cycles: 1}, nil })
	if err != nil {
		return nil, err
	}
	h, err := newHybrid(w)
	if err != nil {
		return nil, err
	}
	latency, all, images := h.ends, 0.0, 1
	r.PeakMACs = yoloHost
	if h.middle != nil {
		latency += h.middle.latency()
		r.PeakMACs += h.middle.lanes()
	}
	for i, l := range h.layers {
		c, n := &r.Layers[i], float64(l.Size[hardware.N])
		images = max(images, l.Size[hardware.N])
		c.Mapping, c.Bound, c.Cycles = "processor", "host", n*hostCycles(l)
		if !h.end(i) {
			f := h.middle.folding[i-1]
			c.Mapping, c.Bound, c.Cycles = fmt.Sprintf("%d PEs × %d lanes", f.pe, f.simd), "compute", n*h.middle.cycles[i-1]
		}
		c.ComputeCycles = c.Cycles
		c.Utilization = c.Cycles / n / h.interval()
		all += c.Cycles
	}
	r.Cycles = latency + float64(images-1)*h.interval()
	if images == 1 {
		r.Cycles = h.interval() // frames of a stream
		r.Notes = append(r.Notes, fmt.Sprintf("time is from frame to frame; a frame takes %.3g ms from end to end", latency/finnClock/1e3))
	}
	r.Energy = yoloWatt * 1e12 * r.Cycles / (finnClock * 1e6)
	for i := range r.Layers {
		c := &r.Layers[i]
		c.StaticEnergy = r.Energy * c.Cycles / all
		c.AddEnergy()
	}
	if r.Bound = "compute"; h.ends >= h.interval() {
		r.Bound = "host"
	}
	r.Finish()
	r.Notes = append(r.Notes, h.notes()...)
	return r, nil
}

func (h *hybrid) notes() (notes []string) {
	if !h.fits {
		notes = append(notes, fmt.Sprintf("does not fit %d LUTs: one lane for each layer is used", yoloLUTs))
	}
	if h.middle != nil && h.middle.blockRAMs() > yoloBlocks {
		notes = append(notes, fmt.Sprintf("the weights need %.0f memories of 18 Kibit, the chip has %d: a real design streams them", h.middle.blockRAMs(), yoloBlocks))
	}
	return notes
}
