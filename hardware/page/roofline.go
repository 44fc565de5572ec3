package page

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/hardware"
)

// roofline is a plot of rate over intensity, both logarithmic, in a box of 640
// by 300 units.
type roofline struct {
	MinX, MaxX, MaxY float64
	Roof             string
	Known            bool // the bandwidth
	Points           []point
}

type point struct {
	Name            string
	X, Y            float64
	Rate, Intensity float64
}

const (
	left, right  = 40.0, 630.0
	top, bottom  = 22.0, 275.0
	decadesBelow = 4.0 // of the peak that are shown
)

// newRoofline plots the layers that multiply and move data; nil if there are
// none.
func newRoofline(r *hardware.Report) *roofline {
	p := &roofline{MinX: math.Inf(1), MaxY: r.PeakMACs}
	bandwidth := 0.0
	for i := range r.Layers {
		c := &r.Layers[i]
		if c.MACs == 0 || c.DRAMBytes <= 0 || c.Cycles <= 0 {
			continue
		}
		intensity := float64(c.MACs) / c.DRAMBytes
		p.MinX, p.MaxX = min(p.MinX, intensity), max(p.MaxX, intensity)
		bandwidth = max(bandwidth, c.DRAMBytes/c.Cycles)
		p.Points = append(p.Points, point{Name: c.Layer, Rate: float64(c.MACs) / c.Cycles, Intensity: intensity})
	}
	if len(p.Points) == 0 || !(r.PeakMACs > 0) {
		return nil
	}
	if p.Known = r.PeakDRAM > 0; p.Known {
		bandwidth = r.PeakDRAM
	}
	ridge := r.PeakMACs / bandwidth
	p.MinX, p.MaxX = min(p.MinX, ridge)/2, max(p.MaxX, ridge)*2
	for i := range p.Points {
		p.Points[i].X, p.Points[i].Y = p.x(p.Points[i].Intensity), p.y(p.Points[i].Rate)
	}
	p.Roof = fmt.Sprintf("%g,%g %g,%g %g,%g", left, p.y(p.MinX*bandwidth), p.x(ridge), p.y(r.PeakMACs), right, p.y(r.PeakMACs))
	return p
}

func (p *roofline) x(v float64) float64 {
	return round(left + (right-left)*math.Log(v/p.MinX)/math.Log(p.MaxX/p.MinX))
}

func (p *roofline) y(v float64) float64 {
	down := min(decadesBelow, max(0, math.Log10(p.MaxY/v)))
	return round(top + (bottom-top)*down/decadesBelow)
}
