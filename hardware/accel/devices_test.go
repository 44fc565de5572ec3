package accel

import (
	"math"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestDevices checks the table's numbers for sense and runs every device.
func TestDevices(t *testing.T) {
	w := hardware.AlexNet(1)
	for i, d := range Devices() {
		if i > 0 && Devices()[i-1].Name >= d.Name {
			t.Errorf("%s is out of order", d.Name)
		}
		if max(d.FP32, d.FP16, d.Int8) <= 0 || d.Power <= 0 || d.Link > 0 && d.OnChip <= 0 {
			t.Errorf("%+v", d)
		}
		m := hardware.Find(d.Name)
		if m == nil {
			t.Errorf("%s is no machine", d.Name)
			continue
		}
		r, err := m.Run(w, hardware.RunOptions{})
		if err != nil {
			t.Error(err)
			continue
		}
		if !(r.Seconds > 0) || math.IsInf(r.Seconds, 0) || r.TOPS > max(d.FP32, d.FP16, d.Int8) {
			t.Errorf("%s: %v s, %v TOPS", d.Name, r.Seconds, r.TOPS)
		}
	}
}

// TestPrecisions checks which peak layers of some bits get.
func TestPrecisions(t *testing.T) {
	for _, c := range []struct {
		device string
		bits   int
		tops   float64
		bytes  float64
	}{{"a100", 1, 4992, 0.125}, {"a100", 3, 1248, 0.5}, {"a100", 8, 624, 1}, {"a100", 9, 312, 2}, {"a100", 32, 19.5, 4},
		{"edge-tpu", 32, 4, 1}, {"p100", 8, 21.2, 2}, {"k80", 8, 2.8, 4}, {"tpu-v4i", 16, 138, 2}} {
		for _, d := range devices {
			if tops, bytes := d.peak(c.bits); d.Name == c.device && (tops != c.tops || bytes != c.bytes) {
				t.Errorf("%s at %d bits: %v TOPS, %v bytes; want %v, %v", c.device, c.bits, tops, bytes, c.tops, c.bytes)
			}
		}
	}
}

// TestLink checks that an Edge TPU falls off the cliff when weights no longer
// fit.
func TestLink(t *testing.T) {
	run := func(channels int) *hardware.Report {
		l := hardware.FC("fc", 1, channels, 4096)
		l.Bits = hardware.Bits{W: 8, A: 8, Psum: 32, Out: 8}
		r, err := hardware.Find("edge-tpu").Run(&hardware.Workload{Name: "fc", Batch: 1, Layers: []*hardware.Layer{l}}, hardware.RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := run(1024); r.DRAMBytes != 0 || r.Bound != "compute" {
		t.Errorf("4 MiB: %v bytes through the link, bound by %s", r.DRAMBytes, r.Bound)
	}
	over := 16.0*(1<<20) - 7.6*(1<<20)
	if r := run(4096); math.Abs(r.DRAMBytes-over) > 1 || r.Bound != "link" || math.Abs(r.Seconds-30e-6-over/0.35e9) > 1e-9 {
		t.Errorf("16 MiB: %v bytes through the link, bound by %s, %v s", r.DRAMBytes, r.Bound, r.Seconds)
	}
}
