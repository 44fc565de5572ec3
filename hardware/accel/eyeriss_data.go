package accel

import (
	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/dataflow"
)

// eyerissRow is a line of the published table for AlexNet, batch 4.
type eyerissRow struct {
	layer                    string
	n, e, p, q, r, t         int
	passes                   float64
	active                   float64
	power                    float64 // mW
	processing, buffer, dram float64 // ms, MB, MB
	in, out                  float64 // densities
	dramRatio                float64 // of run-length coding, all traffic
}

var eyerissAlexNet = []eyerissRow{
	{"conv1", 1, 7, 16, 1, 1, 2, 288, 154, 332, 16.5, 18.5, 5.0, 0.9999, 0.378, 1.2},
	{"conv2", 1, 27, 16, 2, 1, 1, 1536, 135, 288, 39.2, 77.6, 4.0, 0.613, 0.169, 1.4},
	{"conv3", 4, 13, 16, 3, 2, 2, 516, 156, 266, 21.8, 50.2, 3.0, 0.275, 0.303, 1.7},
	{"conv4", 4, 13, 16, 3, 2, 2, 384, 156, 235, 16.0, 37.4, 2.1, 0.207, 0.304, 1.85},
	{"conv5", 4, 13, 16, 3, 2, 2, 256, 156, 236, 10.0, 24.9, 1.3, 0.224, 0.10, 1.9},
}

// eyerissVGG is the table for VGG-16, batch 3: ms, MB through the buffer,
// active elements.
var eyerissVGG = []struct {
	layer              string
	processing, buffer float64
	active             int
}{
	{"conv1_1", 38.0, 112.6, 156}, {"conv1_2", 810.6, 2402.8, 156}, {"conv2_1", 405.3, 1201.4, 156}, {"conv2_2", 810.8, 2402.8, 156},
	{"conv3_1", 204.0, 607.4, 156}, {"conv3_2", 408.1, 1214.8, 156}, {"conv3_3", 408.1, 1214.8, 156}, {"conv4_1", 105.1, 321.9, 168},
	{"conv4_2", 210.0, 643.7, 168}, {"conv4_3", 210.0, 643.7, 168}, {"conv5_1", 48.3, 90.0, 168}, {"conv5_2", 48.5, 90.0, 168},
	{"conv5_3", 48.5, 90.0, 168},
}

func (r *eyerissRow) mapping() dataflow.RowStationary {
	return dataflow.RowStationary{Images: r.n, Strip: r.e, Filters: r.p, Channels: r.q, SetsC: r.r, SetsK: r.t}
}

// eyerissLayer is AlexNet's layer with the measured densities.
func (r *eyerissRow) eyerissLayer() *hardware.Layer {
	l := *hardware.AlexNet(4).Layer(r.layer)
	l.Density = hardware.Density{W: 1, In: r.in, Out: r.out}
	return &l
}

// eyerissPublished finds the published parameters of a layer of AlexNet, by
// its shape.
func eyerissPublished(l *hardware.Layer) (dataflow.RowStationary, bool) {
	for i := range eyerissAlexNet {
		row := &eyerissAlexNet[i]
		known := hardware.AlexNet(4).Layer(row.layer)
		if known.Size == l.Size && known.Stride == l.Stride && l.Dilation == [2]int{1, 1} {
			return row.mapping(), true
		}
	}
	return dataflow.RowStationary{}, false
}

// coding is the figure of what run-length coding saves.
func (r *eyerissRow) coding(name string) hardware.Figure {
	return hardware.Figure{Name: name + "DRAM traffic without coding over that with it", Published: r.dramRatio, Evidence: hardware.Rerun, Within: 0.1,
		Ours: func() (float64, error) {
			l := r.eyerissLayer()
			coded := eyeriss.cost(l, r.mapping()).DRAMBytes
			l.Density.In, l.Density.Out = 1, 1
			return eyeriss.cost(l, r.mapping()).DRAMBytes / coded, nil
		}}
}

func eyerissFigures() (list []hardware.Figure) {
	for i := range eyerissAlexNet {
		row := &eyerissAlexNet[i]
		name := "AlexNet " + row.layer + ", "
		run := func(f func(c hardware.Cost, r dataflow.RowStationaryRun) float64) func() (float64, error) {
			return func() (float64, error) {
				l := row.eyerissLayer()
				return f(eyeriss.cost(l, row.mapping()), row.mapping().Run(l)), nil
			}
		}
		list = append(list,
			hardware.Figure{Name: name + "passes", Published: row.passes, Evidence: hardware.Recalled,
				Ours: run(func(_ hardware.Cost, r dataflow.RowStationaryRun) float64 { return r.Passes })},
			hardware.Figure{Name: name + "active elements", Published: row.active, Evidence: hardware.Recalled,
				Ours: run(func(_ hardware.Cost, r dataflow.RowStationaryRun) float64 { return float64(r.Active) })},
			hardware.Figure{Name: name + "buffer traffic", Published: row.buffer, Unit: "MB", Evidence: hardware.Recalled, Tolerance: 0.01,
				Ours: run(func(_ hardware.Cost, r dataflow.RowStationaryRun) float64 { return 2 * r.BufferWords() / 1e6 })},
			hardware.Figure{Name: name + "processing time", Published: row.processing, Unit: "ms", Evidence: hardware.Rerun, Tolerance: 0.15, Fitted: true,
				Note: "the factor 1.1 is fitted to these times",
				Ours: run(func(c hardware.Cost, _ dataflow.RowStationaryRun) float64 { return c.Cycles / eyerissClock / 1e3 })},
			hardware.Figure{Name: name + "DRAM traffic", Published: row.dram, Unit: "MB", Evidence: hardware.Recalled, Tolerance: 0.05,
				Ours: run(func(c hardware.Cost, _ dataflow.RowStationaryRun) float64 { return c.DRAMBytes / 1e6 })},
			row.coding(name),
			hardware.Figure{Name: name + "power without DRAM", Published: row.power, Unit: "mW", Evidence: hardware.Rerun, Tolerance: 0.25, Fitted: true,
				Note: "the power of clock and control, 158 mW, is fitted to the mean of these",
				Ours: run(func(c hardware.Cost, _ dataflow.RowStationaryRun) float64 {
					c.AddEnergy()
					return (c.Energy - c.Level("DRAM").EnergyPJ()) / c.Cycles * eyerissClock / 1e3
				})})
	}
	w := hardware.VGG16(3)
	for _, row := range eyerissVGG {
		list = append(list, hardware.Figure{Name: "VGG-16 " + row.layer + ", processing time from the published buffer traffic", Published: row.processing,
			Unit: "ms", Evidence: hardware.Recalled, Tolerance: 0.15, Fitted: true, Note: "the factor 1.1 is fitted to these times", Ours: func() (float64, error) {
				cycles, _ := eyerissTime(float64(w.Layer(row.layer).MACs()), row.active, row.buffer*1e6/2)
				return cycles / eyerissClock / 1e3, nil
			}})
	}
	list = append(list, hardware.Figure{Name: "AlexNet's convolutions, words of DRAM a MAC", Published: 0.0029, Evidence: hardware.Read, Tolerance: 0.05, Ours: func() (float64, error) {
		words, macs := 0.0, 0.0
		for i := range eyerissAlexNet {
			l := eyerissAlexNet[i].eyerissLayer()
			words += eyeriss.cost(l, eyerissAlexNet[i].mapping()).DRAMBytes / 2
			macs += float64(l.MACs())
		}
		return words / macs, nil
	}})
	return append(list, hardware.Figure{Name: "peak", Published: 33.6, Unit: "GMAC/s", Evidence: hardware.Read, Ours: func() (float64, error) {
		return float64(eyerissRows*eyeriss.cols) * eyerissClock / 1e3, nil
	}})
}
