package accel

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/hardware"
)

// Device is a processor by its data sheet: peaks in TOPS (two operations a MAC)
// by precision, 0 where there is none.
type Device struct {
	Name   string  `json:"name"`
	Title  string  `json:"title"`
	Year   int     `json:"year"`
	FP32   float64 `json:"fp32_tops"`
	FP16   float64 `json:"fp16_tops"` // or bfloat16
	Int8   float64 `json:"int8_tops"`
	Int4   float64 `json:"int4_tops"`
	Binary float64 `json:"binary_tops"`
	// DRAM is its bandwidth in GB/s, 0 where everything lies on the chip or
	// the table says nothing.
	DRAM float64 `json:"dram_gb_per_s"`
	// OnChip is memory on the chip in MiB, for weights where there is a Link:
	// those that do not fit stream through it, at so many GB/s.
	OnChip float64 `json:"on_chip_mib"`
	Link   float64 `json:"link_gb_per_s,omitempty"`
	Power  float64 `json:"power_w"`
	// Launch is the fixed cost of a layer in µs.
	Launch   float64           `json:"launch_us"`
	Evidence hardware.Evidence `json:"evidence"`
}

// devices is the table of real devices. Where a range was given, the upper end
// stands here; 5 µs a layer for what has a driver of its own, 30 µs for mobile
// accelerators (10 to 50 are usual), 1 µs for microcontrollers.
var devices = []Device{
	{"xeon-e5-2699v3", "Xeon E5-2699 v3", 2014, 1.3, 0, 2.6, 0, 0, 51, 51, 0, 145, 5, hardware.Read},
	{"k80", "NVIDIA K80, one die, no boost", 2014, 2.8, 0, 0, 0, 0, 160, 8, 0, 150, 5, hardware.Read},
	{"tpu-v2", "TPU v2, one chip", 2017, 0, 46, 0, 0, 0, 700, 32, 0, 280, 5, hardware.Recalled},
	{"tpu-v3", "TPU v3, one chip", 2018, 0, 123, 0, 0, 0, 900, 32, 0, 450, 5, hardware.Recalled},
	{"tpu-v4i", "TPU v4i", 2020, 0, 138, 138, 0, 0, 614, 144, 0, 175, 5, hardware.Recalled},
	{"titan-x", "Titan X (Pascal)", 2016, 11, 0, 44, 0, 0, 480, 3, 0, 250, 5, hardware.Recalled},
	{"p100", "Tesla P100 SXM2", 2016, 10.6, 21.2, 0, 0, 0, 732, 4, 0, 300, 5, hardware.Recalled},
	{"v100", "Tesla V100 SXM2", 2017, 15.7, 125, 62.8, 0, 0, 900, 6, 0, 300, 5, hardware.Recalled},
	{"t4", "Tesla T4", 2018, 8.1, 65, 130, 260, 0, 320, 4, 0, 70, 5, hardware.Recalled},
	{"a100", "A100 40 GB", 2020, 19.5, 312, 624, 1248, 4992, 1555, 40, 0, 400, 5, hardware.Recalled},
	{"jetson-tx1", "Jetson TX1", 2015, 0.51, 1.02, 0, 0, 0, 25.6, 0.25, 0, 15, 5, hardware.Recalled},
	{"jetson-tx2", "Jetson TX2", 2017, 0.67, 1.33, 0, 0, 0, 59.7, 0.5, 0, 15, 5, hardware.Recalled},
	{"jetson-nano", "Jetson Nano", 2019, 0.24, 0.47, 0, 0, 0, 25.6, 0.25, 0, 10, 5, hardware.Recalled},
	{"jetson-xavier", "Jetson AGX Xavier, GPU", 2018, 1.4, 11, 22, 0, 0, 137, 0.5, 0, 30, 5, hardware.Recalled},
	{"jetson-xavier-dla", "Jetson AGX Xavier, both DLAs", 2018, 0, 0, 10, 0, 0, 137, 0, 0, 30, 30, hardware.Recalled},
	{"edge-tpu", "Edge TPU", 2018, 0, 0, 4, 0, 0, 0, 7.6, 0.35, 2, 30, hardware.Recalled},
	{"hailo-8", "Hailo-8", 2019, 0, 0, 26, 0, 0, 0, 32, 0, 2.5, 30, hardware.Vague},
	{"myriad-x", "Movidius Myriad X", 2017, 0, 1, 0, 0, 0, 0, 2.4, 0, 2, 30, hardware.Vague},
	{"kirin-970", "Kirin 970 NPU", 2017, 0, 1.92, 0, 0, 0, 29.9, 0, 0, 1, 30, hardware.Vague},
	{"ethos-u55", "Arm Ethos-U55, 256 MACs at 1 GHz", 2020, 0, 0, 0.5, 0, 0, 0, 0, 0, 0.2, 30, hardware.Vague},
	{"raspberry-pi-4", "Raspberry Pi 4 (4 A72 at 1.5 GHz)", 2019, 0.048, 0, 0.096, 0, 0, 5, 1, 0, 6, 5, hardware.Vague},
	{"cortex-m7", "Cortex-M7 at 216 MHz (STM32F7)", 2014, 0.0002, 0, 0.0009, 0, 0, 0, 0.3125, 0, 0.3, 1, hardware.Vague},
	{"stratix-10", "Stratix 10 280 (Brainwave; 8 bits are ms-fp8/9)", 2018, 9, 0, 48, 0, 0, 77, 28.6, 0, 125, 5, hardware.Vague},
	{"arria-10", "Arria 10 GX1150", 2015, 1.37, 0, 3, 0, 0, 34, 6.3, 0, 70, 5, hardware.Recalled},
}

// Devices lists the table of real devices, by name. TPU v1 has a model of its
// own, tpu-v1.
func Devices() []Device {
	list := append(slices.Clone(devices), Device{"tpu-v1", "TPU v1", 2015, 0, 0, 92, 0, 0, 34, 28, 0, 75, 0, hardware.Read})
	slices.SortFunc(list, func(a, b Device) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Shares of the peak and of the bandwidth that kinds of layers reach; rules of
// thumb, to be replaced by measurements where there are any.
const (
	denseShare     = 0.75
	pointwiseShare = 0.65
	depthwiseShare = 0.12
	streamShare    = 0.8 // of the bandwidth, fully connected layers
	moveShare      = 0.7 // of the bandwidth, everything else
)

// memory writes the bandwidth of the device's DRAM, nothing where it has none.
func (d *Device) memory() string {
	if d.DRAM == 0 {
		return ""
	}
	return fmt.Sprintf("%g GB/s, ", d.DRAM)
}

func init() {
	for _, d := range devices {
		hardware.Register(hardware.Accelerator{
			Name: d.Name, Title: d.Title, Kind: hardware.Temporal, Paper: "data sheet: " + d.Title, Year: d.Year,
			Summary: fmt.Sprintf("Roofline of %s: %s%g W.", d.Title, d.memory(), d.Power),
			Params:  d.params(),
			Formulas: `
  time = max(2·MACs / (peak · share), bytes / (bandwidth · share)) + a fixed time a layer

Shares of the peak: convolutions 0.75, 1×1 0.65, depthwise 0.12. Shares of the
bandwidth: fully connected 0.8, else 0.7. These and the fixed time (5 µs; 30 for mobile
accelerators, 1 for microcontrollers) are rules of thumb.
Bytes are inputs, weights and outputs once. A layer runs at the narrowest
precision the device has that is not below the layer's, or at its widest. Where
weights live on the chip, those that do not fit come through the link. Without a
figure for the bandwidth the peak alone bounds. Energy is the power times the time.`,
			Run: func(w *hardware.Workload, _ hardware.RunOptions) (*hardware.Report, error) { return d.run(w) },
		})
	}
}

func (d *Device) params() (list []hardware.Param) {
	for _, p := range []struct {
		name string
		peak float64
	}{{"fp32", d.FP32}, {"fp16 or bf16", d.FP16}, {"int8", d.Int8}, {"int4", d.Int4}, {"binary", d.Binary}} {
		if p.peak > 0 {
			list = append(list, hardware.Param{Name: p.name, Value: fmt.Sprintf("%g TOPS", p.peak), Evidence: d.Evidence})
		}
	}
	for _, p := range []struct {
		name, unit string
		value      float64
	}{{"DRAM", "GB/s", d.DRAM}, {"on the chip", "MiB", d.OnChip}, {"link for weights that do not fit", "GB/s", d.Link}} {
		if p.value > 0 {
			list = append(list, hardware.Param{Name: p.name, Value: fmt.Sprintf("%g %s", p.value, p.unit), Evidence: d.Evidence})
		}
	}
	return append(list, hardware.Param{Name: "power", Value: fmt.Sprintf("%g W", d.Power), Evidence: d.Evidence})
}

// peak is the TOPS for operands of some bits, and the bytes of an operand: of
// the narrowest precision that is wide enough, else of the widest there is.
func (d *Device) peak(bits int) (tops, bytes float64) {
	for _, p := range []struct {
		bits  int
		tops  float64
		bytes float64
	}{{1, d.Binary, 0.125}, {4, d.Int4, 0.5}, {8, d.Int8, 1}, {16, d.FP16, 2}, {32, d.FP32, 4}} {
		if p.tops == 0 {
			continue
		}
		if tops, bytes = p.tops, p.bytes; p.bits >= bits {
			break
		}
	}
	return tops, bytes
}

// run reports in nanoseconds: the clock is 1 GHz. Layers without MACs are
// included.
func (d *Device) run(w *hardware.Workload) (*hardware.Report, error) {
	r := &hardware.Report{Machine: d.Name, Network: w.Name, Batch: w.Batch, ClockMHz: 1000, PeakMACs: max(d.FP32, d.FP16, d.Int8, d.Int4, d.Binary) * 1e3 / 2, PeakDRAM: d.DRAM}
	streamed := d.streamed(w)
	for _, l := range w.Layers {
		if err := l.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", d.Name, err)
		}
		r.Layers = append(r.Layers, d.cost(l, r.PeakMACs, streamed))
	}
	if len(r.Layers) == 0 {
		return nil, fmt.Errorf("%s: the workload %q has no layers", d.Name, w.Name)
	}
	if d.DRAM == 0 && d.Link == 0 {
		r.Notes = append(r.Notes, "no bandwidth is known: time is bounded by the peak alone")
	}
	if streamed > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%.0f %% of the weights do not fit on the chip and come through the link", 100*streamed))
	}
	r.Notes = append(r.Notes, "shares of peak and bandwidth are rules of thumb, not measured on the device")
	return r.Sum(), nil
}

// streamed is the share of the weights that do not fit on a chip with a link.
func (d *Device) streamed(w *hardware.Workload) float64 {
	total := 0.0
	for _, l := range w.Layers {
		_, width := d.peak(max(l.Bits.W, l.Bits.A))
		total += width * float64(l.Words(hardware.Weights))
	}
	if d.Link == 0 || total == 0 {
		return 0
	}
	return max(0, 1-d.OnChip*(1<<20)/total)
}

// bandwidth is in bytes a nanosecond, +Inf where nothing is known.
func (d *Device) bandwidth() float64 {
	switch {
	case d.DRAM > 0:
		return d.DRAM
	case d.Link > 0:
		return d.Link
	}
	return math.Inf(1)
}

func (d *Device) cost(l *hardware.Layer, peak, streamed float64) hardware.Cost {
	c := hardware.Cost{Bound: "DRAM"}
	tops, width := d.peak(max(l.Bits.W, l.Bits.A))
	share := moveShare
	if l.HasMACs() {
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
		c.ComputeCycles = 2 * float64(l.MACs()) / (tops * 1e3 * use)
		c.Active = 1
	} else {
		c.DRAMBytes = width * float64(l.InWords+l.OutWords)
	}
	if d.Link > 0 { // activations stay on the chip
		c.DRAMBytes = streamed * width * float64(l.Words(hardware.Weights))
		c.Bound, share = "link", 1
	}
	c.Cycles = c.DRAMBytes / (d.bandwidth() * share)
	if c.ComputeCycles >= c.Cycles {
		c.Cycles, c.Bound = c.ComputeCycles, "compute"
	}
	c.Cycles += 1e3 * d.Launch
	c.StaticEnergy = d.Power * c.Cycles * 1e3
	return c.Complete(l, peak)
}
