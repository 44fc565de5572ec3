package host

import (
	"math/bits"
	"strings"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/hardware"
)

// Step is one kernel of a network's plan as the predictor sees it.
type Step struct {
	Node   string `json:"node"`
	Op     string `json:"op"`
	Kernel string `json:"kernel"`
	// MACs and Bytes are what the engine counts: bytes are of inputs and
	// outputs, weights not among them.
	MACs  int64 `json:"macs"`
	Bytes int64 `json:"bytes"`
	// Channels, Rows and Columns are the output's (rows of all images), Window
	// the multiply-accumulates an output, Taps the filter's positions.
	Channels int64 `json:"channels"`
	Rows     int64 `json:"rows"`
	Columns  int64 `json:"columns"`
	Window   int64 `json:"window"`
	Taps     int64 `json:"taps"`
	Stride   int64 `json:"stride"`
	Groups   int64 `json:"groups"`
	// Weights are the bytes of the weights as the kernel reads them, Resident those of all
	// weights of the network: they say which cache the weights come from.
	Weights  int64 `json:"weights"`
	Resident int64 `json:"resident"`
	// Added are the bytes of what is added to the outputs before they are stored.
	Added int64 `json:"added,omitempty"`
	// Seconds is the shortest time measured, 0 where nothing was.
	Seconds float64 `json:"seconds,omitempty"`
}

// Steps lists the kernels that the engine has chosen for a graph.
func Steps(g *graph.Graph, p *engine.Program, batch int) []Step {
	layers := map[string]*hardware.Layer{}
	if w, err := hardware.FromGraph(g, hardware.Options{Batch: batch, Unfused: true}); err == nil {
		for _, l := range w.Layers {
			layers[l.Name] = l
		}
	} // else the graph holds what has no loop nest, and shapes must do
	var list []Step
	resident := int64(0)
	for _, s := range p.Steps() {
		x := describe(&s)
		if n := g.Node(s.Node); n != nil && s.MACs == 0 {
			for _, k := range n.Ints("kernel_shape") {
				x.Taps *= int64(min(max(k, 1), 1<<10))
			}
		}
		if l := layers[s.Node]; l != nil && s.MACs > 0 && l.HasMACs() {
			x.Taps = int64(l.Size[hardware.R] * l.Size[hardware.S])
			x.Stride = int64(max(l.Stride[0], l.Stride[1]))
			x.Groups = int64(l.Size[hardware.G])
			width := int64(1) << bits.Len(uint(l.Bits.W-1)) // weights of 3 bits are packed like those of 4
			x.Weights = (l.Words(hardware.Weights)*width + 7) / 8
			if strings.Contains(s.Kernel, "winograd") {
				x.Weights *= 4 // transformed from 9 to 36 a filter
			}
			resident += x.Weights
			moved := (l.Words(hardware.Inputs) + l.Words(hardware.Outputs)) * int64(l.Bits.A) / 8
			x.Added = max(x.Bytes-moved, 0)
		}
		list = append(list, x)
	}
	for i := range list {
		list[i].Resident = resident
	}
	return list
}

// describe reads what a step of the plan tells by itself.
func describe(s *engine.StepTime) Step {
	x := Step{Node: s.Node, Op: s.Op, Kernel: s.Kernel, MACs: s.MACs, Bytes: s.Bytes, Channels: 1, Rows: 1, Columns: 1, Taps: 1, Stride: 1, Groups: 1}
	for i, n := range s.Shape {
		switch n := max(int64(n), 1); {
		case i == 1:
			x.Channels = n
		case i > 1 && i == len(s.Shape)-1:
			x.Columns = n
		default:
			x.Rows *= n
		}
	}
	x.Window = max(s.MACs/(x.Channels*x.Rows*x.Columns), 1)
	return x
}
