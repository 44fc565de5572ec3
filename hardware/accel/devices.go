package accel

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
)

// device is a processor by its data sheet: peaks in TOPS (two operations a
// MAC) by precision, 0 where there is none; DRAM in GB/s; power in W.
type device struct {
	name, title      string
	year             int
	fp32, fp16, int8 float64
	dram, power      float64
	evidence         hardware.Evidence
}

// devices is the table of real devices. Where a range was given, the upper end
// stands here.
var devices = []device{
	{"xeon-e5-2699v3", "Xeon E5-2699 v3", 2014, 1.3, 0, 2.6, 51, 145, hardware.Read},
	{"k80", "NVIDIA K80, one die, no boost", 2014, 2.8, 0, 0, 160, 150, hardware.Read},
	{"tpu-v2", "TPU v2, one chip", 2017, 0, 46, 0, 700, 280, hardware.Recalled},
	{"tpu-v3", "TPU v3, one chip", 2018, 0, 123, 0, 900, 450, hardware.Recalled},
	{"tpu-v4i", "TPU v4i", 2020, 0, 138, 138, 614, 175, hardware.Recalled},
	{"titan-x", "Titan X (Pascal)", 2016, 11, 0, 44, 480, 250, hardware.Recalled},
	{"p100", "Tesla P100 SXM2", 2016, 10.6, 21.2, 0, 732, 300, hardware.Recalled},
	{"v100", "Tesla V100 SXM2", 2017, 15.7, 125, 62.8, 900, 300, hardware.Recalled},
	{"t4", "Tesla T4", 2018, 8.1, 65, 130, 320, 70, hardware.Recalled},
	{"a100", "A100 40 GB", 2020, 19.5, 312, 624, 1555, 400, hardware.Recalled},
	{"jetson-tx1", "Jetson TX1", 2015, 0.51, 1.02, 0, 25.6, 15, hardware.Recalled},
	{"jetson-tx2", "Jetson TX2", 2017, 0.67, 1.33, 0, 59.7, 15, hardware.Recalled},
	{"jetson-nano", "Jetson Nano", 2019, 0.24, 0.47, 0, 25.6, 10, hardware.Recalled},
	{"jetson-xavier", "Jetson AGX Xavier, GPU", 2018, 1.4, 11, 22, 137, 30, hardware.Recalled},
	{"raspberry-pi-4", "Raspberry Pi 4 (4 A72 at 1.5 GHz)", 2019, 0.048, 0, 0.096, 5, 6, hardware.Vague},
	{"arria-10", "Arria 10 GX1150", 2015, 1.37, 0, 3, 34, 70, hardware.Recalled},
}

// Shares of the peak and of the bandwidth that kinds of layers reach; rules of
// thumb, to be replaced by measurements where there are any.
const (
	denseShare     = 0.75
	pointwiseShare = 0.65
	depthwiseShare = 0.12
	streamShare    = 0.8 // of the bandwidth, fully connected layers
	moveShare      = 0.7 // of the bandwidth, everything else
	launchNS       = 5000
)

func init() {
	for _, d := range devices {
		hardware.Register(hardware.Accelerator{
			Name: d.name, Title: d.title, Kind: hardware.Temporal, Paper: "data sheet: " + d.title, Year: d.year,
			Summary: fmt.Sprintf("Roofline of %s: %g GB/s, %g W.", d.title, d.dram, d.power),
			Params:  d.params(),
			Formulas: `
  time = max(2·MACs / (peak · share), bytes / (bandwidth · share)) + 5 µs a layer

Shares of the peak: convolutions 0.75, 1×1 0.65, depthwise 0.12. Shares of the
bandwidth: fully connected 0.8, else 0.7. These and the 5 µs are rules of thumb.
Bytes are inputs, weights and outputs once. A layer runs at the narrowest
precision the device has that is not below the layer's. Energy is the power times
the time.`,
			Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) { return d.run(w) },
		})
	}
}

func (d *device) params() (list []hardware.Param) {
	for _, p := range []struct {
		name string
		peak float64
	}{{"fp32", d.fp32}, {"fp16 or bf16", d.fp16}, {"int8", d.int8}} {
		if p.peak > 0 {
			list = append(list, hardware.Param{Name: p.name, Value: fmt.Sprintf("%g TOPS", p.peak), Evidence: d.evidence})
		}
	}
	return append(list, hardware.Param{Name: "DRAM", Value: fmt.Sprintf("%g GB/s", d.dram), Evidence: d.evidence},
		hardware.Param{Name: "power", Value: fmt.Sprintf("%g W", d.power), Evidence: d.evidence})
}

// peak is the TOPS for operands of some bits, and their bytes.
func (d *device) peak(bits int) (tops, bytes float64) {
	switch {
	case bits <= 8 && d.int8 > 0:
		return d.int8, 1
	case bits <= 16 && d.fp16 > 0 || d.fp32 == 0:
		return d.fp16, 2
	}
	return d.fp32, 4
}

// run reports in nanoseconds: the clock is 1 GHz. Layers without MACs are
// included.
func (d *device) run(w *hardware.Workload) (*hardware.Report, error) {
	r := &hardware.Report{Machine: d.name, Network: w.Name, Batch: w.Batch, ClockMHz: 1000, PeakMACs: max(d.fp32, d.fp16, d.int8) * 1e3 / 2}
	for _, l := range w.Layers {
		if err := l.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		r.Layers = append(r.Layers, d.cost(l, r.PeakMACs))
	}
	if len(r.Layers) == 0 {
		return nil, fmt.Errorf("%s: the workload %q has no layers", d.name, w.Name)
	}
	r.Notes = append(r.Notes, "shares of peak and bandwidth are rules of thumb, not measured on the device")
	return r.Sum(), nil
}

func (d *device) cost(l *hardware.Layer, peak float64) hardware.Cost {
	c := hardware.Cost{Layer: l.Name, Op: l.Op, MACs: l.MACs(), Effectual: float64(l.MACs()), Bound: "DRAM"}
	tops, width := d.peak(max(l.Bits.W, l.Bits.A))
	share := moveShare
	if l.HasMACs() {
		c.Shape = l.Shape()
		c.DRAMBytes = width * float64(l.Words(hardware.Weights)+l.Words(hardware.Inputs)+l.Words(hardware.Outputs))
		z := &l.Size
		use := denseShare
		switch {
		case z[hardware.G] > 1 && z[hardware.C] == 1:
			use = depthwiseShare
		case z[hardware.P]*z[hardware.Q] == 1:
			share = streamShare
		case z[hardware.R]*z[hardware.S] == 1:
			use = pointwiseShare
		}
		c.ComputeCycles = 2 * float64(c.MACs) / (tops * 1e3 * use)
		c.Active = 1
	} else {
		c.DRAMBytes = width * float64(l.InWords+l.OutWords)
	}
	c.Cycles = c.DRAMBytes / (d.dram * share)
	if c.ComputeCycles >= c.Cycles {
		c.Cycles, c.Bound = c.ComputeCycles, "compute"
	}
	c.Cycles += launchNS
	c.Utilization = float64(c.MACs) / (peak * c.Cycles)
	c.StaticEnergy = d.power * c.Cycles * 1e3
	c.AddEnergy()
	return c
}
