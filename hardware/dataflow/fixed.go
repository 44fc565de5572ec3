package dataflow

import "github.com/drawknife/drawknife/hardware"

// ChannelCycles is the time of an array that multiplies c input channels by k
// filters at a time, with adder trees over the channels (NVDLA, DianNao):
//
//	N·G·P·Q·R·S·⌈C/c⌉·⌈K/k⌉
func ChannelCycles(l *hardware.Layer, c, k int) float64 {
	z := &l.Size
	return float64(z[hardware.N]*z[hardware.G]*z[hardware.P]*z[hardware.Q]*z[hardware.R]*z[hardware.S]) *
		hardware.Ceil(z[hardware.C], c) * hardware.Ceil(z[hardware.K], k)
}

// PixelCycles is the time of an array of h×w elements that each keep one
// output pixel (ShiDianNao):
//
//	N·G·K·C·R·S·⌈P/h⌉·⌈Q/w⌉
func PixelCycles(l *hardware.Layer, h, w int) float64 {
	z := &l.Size
	return float64(z[hardware.N]*z[hardware.G]*z[hardware.K]*z[hardware.C]*z[hardware.R]*z[hardware.S]) *
		hardware.Ceil(z[hardware.P], h) * hardware.Ceil(z[hardware.Q], w)
}

// RowStationary is a mapping of a layer onto a row-stationary array. Logical
// sets of R×E elements convolve one channel with one filter; an element keeps
// a filter row and sums up one output row.
type RowStationary struct {
	Images   int // n: images whose partial sums stay in the buffer
	Strip    int // e: output rows at a time
	Filters  int // p: filters interleaved in an element
	Channels int // q: channels interleaved in an element
	SetsC    int // r: sets on the array that work on different channels
	SetsK    int // t: sets that work on different filters
}

// RowStationaryRun is what a layer takes, in words and cycles without stalls.
type RowStationaryRun struct {
	Passes, PassCycles float64
	Active             int // elements that work
	Sums               float64
	Inputs             float64
	Weights            float64
}

// Cycles is the time of all passes.
func (r *RowStationaryRun) Cycles() float64 { return r.Passes * r.PassCycles }

// BufferWords is what goes through the shared buffer: partial sums, read and
// written, and inputs.
func (r *RowStationaryRun) BufferWords() float64 { return r.Sums + r.Inputs }

// Run counts after Chen et al. (JSSC 2017): a pass convolves q·r channels of n
// images with p·t filters for e rows of outputs.
//
//	passes       = N/n · ⌈M/(p·t)⌉ · ⌈C/(q·r)⌉ · ⌈E/e⌉     (M filters of all groups)
//	cycles       = passes · n·p·q·S·F                        (F output columns)
//	active       = R·e·r·t
//	sums         = 2 · ⌈C/(q·r)⌉ · N·M·E·F                   (the first read is not left out)
//	inputs       = passes · n·q·r · ((e−1)·U + R) · padded width   (U stride)
//	weights      = passes · p·t·q·r·R·S
func (m RowStationary) Run(l *hardware.Layer) RowStationaryRun {
	z := &l.Size
	filters := z[hardware.K] * z[hardware.G]
	folds := hardware.Ceil(z[hardware.C], m.Channels*m.SetsC)
	r := RowStationaryRun{
		Passes: hardware.Ceil(z[hardware.N], m.Images) * hardware.Ceil(filters, m.Filters*m.SetsK) * folds *
			hardware.Ceil(z[hardware.P], m.Strip),
		PassCycles: float64(m.Images * m.Filters * m.Channels * z[hardware.S] * z[hardware.Q]),
		Active:     z[hardware.R] * m.Strip * m.SetsC * m.SetsK,
		Sums:       2 * folds * float64(z[hardware.N]*filters*z[hardware.P]*z[hardware.Q]),
	}
	rows := (m.Strip-1)*l.Stride[0] + z[hardware.R]
	r.Inputs = r.Passes * float64(m.Images*m.Channels*m.SetsC*rows*l.PaddedWidth())
	r.Weights = r.Passes * float64(m.Filters*m.SetsK*m.Channels*m.SetsC*z[hardware.R]*z[hardware.S])
	return r
}
