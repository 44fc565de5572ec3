package accel

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/hardware"
)

// FINN, Umuroglu et al., FPGA 2017: an engine for every layer.
const (
	finnClock = 200.0  // MHz, ZC706
	finnLUTs  = 218600 // of the XC7Z045 on the ZC706

	finnLargest = 1 << 30 // rows or columns of a matrix

	// LUTs of an engine: by lane and bits of both operands, by PE, and for its
	// buffers and control. Fitted to the eight published sizes.
	finnLaneLUT  = 3.73
	finnPELUT    = 19.8
	finnLayerLUT = 1298.0
)

// folding is how an engine works its matrix off: pe rows at a time, simd
// columns at a time.
type folding struct{ simd, pe int }

func (f folding) lanes() int { return f.simd * f.pe }

// fold is the number of steps for one output pixel of one group.
func (f folding) fold(l *hardware.Layer) (float64, error) {
	z := &l.Size
	if f.pe < 1 || f.simd < 1 || z[hardware.K]%f.pe != 0 || finnDepth(l)%f.simd != 0 {
		return 0, fmt.Errorf("finn: layer %q: %d PEs must divide %d rows and %d lanes %d columns", l.Name, f.pe, z[hardware.K], f.simd, finnDepth(l))
	}
	return float64(z[hardware.K]/f.pe) * float64(finnDepth(l)/f.simd), nil
}

func finnDepth(l *hardware.Layer) int {
	return l.Size[hardware.C] * l.Size[hardware.R] * l.Size[hardware.S]
}

// cycles is the engine's time for one image.
func (f folding) cycles(l *hardware.Layer) (float64, error) {
	n, err := f.fold(l)
	return n * float64(l.Size[hardware.G]) * float64(l.Size[hardware.P]*l.Size[hardware.Q]), err
}

func (f folding) luts(l *hardware.Layer) float64 {
	return finnLaneLUT*float64(f.lanes())*float64(max(l.Bits.W, 1)*max(l.Bits.A, 1)) + finnPELUT*float64(f.pe) + finnLayerLUT
}

// blockRAMs is the number of memories of 18 Kibit for the weights.
func (f folding) blockRAMs(l *hardware.Layer) float64 {
	n, _ := f.fold(l)
	return float64(f.pe) * hardware.Ceil(f.simd*max(l.Bits.W, 1), 36) * math.Ceil(n*float64(l.Size[hardware.G])/512)
}

func finnDivisors(n int) (d []int) {
	for i := 1; i*i <= n; i++ {
		if n%i == 0 {
			d = append(d, i)
			if i*i < n {
				d = append(d, n/i)
			}
		}
	}
	return d
}

// finnCheapest is the folding of fewest lanes, then fewest PEs, that takes at
// most limit cycles for an image; false if not even full unrolling does.
func finnCheapest(l *hardware.Layer, limit float64) (best folding, ok bool) {
	z := &l.Size
	work := float64(z[hardware.G]) * float64(z[hardware.P]*z[hardware.Q]) * float64(z[hardware.K]) * float64(finnDepth(l))
	simds := finnDivisors(finnDepth(l))
	for _, pe := range finnDivisors(z[hardware.K]) {
		for _, simd := range simds {
			f := folding{simd, pe}
			if work/float64(f.lanes()) > limit {
				continue
			}
			if n := f.lanes() - best.lanes(); !ok || n < 0 || n == 0 && pe < best.pe {
				best, ok = f, true
			}
		}
	}
	return best, ok
}

// finnPipeline is a network with an engine for every layer.
type finnPipeline struct {
	layers  []*hardware.Layer
	folding []folding
	cycles  []float64 // of one image, by layer
}

func newFINN(layers []*hardware.Layer, folds []folding) (*finnPipeline, error) {
	p := &finnPipeline{layers: layers, folding: folds}
	for i, l := range layers {
		c, err := folds[i].cycles(l)
		if err != nil {
			return nil, err
		}
		p.cycles = append(p.cycles, c)
	}
	return p, nil
}

// finnFor folds all layers as cheaply as an image in limit cycles allows.
func finnFor(layers []*hardware.Layer, limit float64) (*finnPipeline, bool) {
	var folds []folding
	for _, l := range layers {
		f, ok := finnCheapest(l, limit)
		if !ok {
			return nil, false
		}
		folds = append(folds, f)
	}
	p, err := newFINN(layers, folds)
	return p, err == nil
}

// finnWithin is the fastest pipeline that luts allow; if even one lane an
// engine is too large, that one, and false.
func finnWithin(layers []*hardware.Layer, luts float64) (*finnPipeline, bool) {
	slowest := 1.0
	for _, l := range layers {
		slowest = max(slowest, float64(l.MACs())/float64(l.Size[hardware.N]))
	}
	best, _ := finnFor(layers, slowest)
	if best.luts() > luts {
		return best, false
	}
	lo, hi := 0.0, math.Log(slowest)
	for range 40 {
		mid := (lo + hi) / 2
		p, ok := finnFor(layers, math.Exp(mid))
		if ok && p.luts() <= luts {
			best, hi = p, mid
		} else {
			lo = mid
		}
	}
	return best, true
}

func (p *finnPipeline) luts() (n float64) {
	for i, l := range p.layers {
		n += p.folding[i].luts(l)
	}
	return n
}

func (p *finnPipeline) blockRAMs() (n float64) {
	for i, l := range p.layers {
		n += p.folding[i].blockRAMs(l)
	}
	return n
}

func (p *finnPipeline) lanes() (n float64) {
	for _, f := range p.folding {
		n += float64(f.lanes())
	}
	return n
}

// interval is the number of cycles from image to image.
func (p *finnPipeline) interval() (n float64) {
	for _, c := range p.cycles {
		n = max(n, c)
	}
	return n
}

// latency is the number of cycles from an image's first pixel to its result:
// an engine begins when its first window has come in.
func (p *finnPipeline) latency() float64 {
	begin, end := 0.0, 0.0
	for i := range p.layers {
		end = max(end, begin+p.cycles[i])
		if i+1 < len(p.layers) {
			begin += p.cycles[i] * finnFill(p.layers[i+1])
		}
	}
	return end
}

// finnFill is the share of its input that an engine needs for its first pixel.
func finnFill(l *hardware.Layer) float64 {
	rows := (l.Size[hardware.R]-1)*l.Dilation[0] - l.Pad[0]
	columns := (l.Size[hardware.S]-1)*l.Dilation[1] + 1 - l.Pad[1]
	pixels := max(rows, 0)*l.Width + max(columns, 1)
	return min(1, float64(pixels)/float64(l.Height*l.Width))
}

// finnCheck reports a layer whose foldings would take too long to search.
func finnCheck(l *hardware.Layer) error {
	if max(l.Size[hardware.K], finnDepth(l)) > finnLargest {
		return fmt.Errorf("finn: layer %q: a matrix of %d×%d is too large to search foldings for (2^30)", l.Name, l.Size[hardware.K], finnDepth(l))
	}
	return nil
}

// runFINN builds the fastest pipeline that fits the chip.
func runFINN(w *hardware.Workload) (*hardware.Report, error) {
	m := hardware.Machine{Name: "finn", ClockMHz: finnClock}
	// the checks, the names and the layers that are left to the host
	r, err := hardware.RunLayers(m, w, func(*hardware.Layer) (hardware.Cost, error) { return hardware.Cost{Cycles: 1}, nil })
	if err != nil {
		return nil, err
	}
	var layers []*hardware.Layer
	images := 1
	for _, l := range w.Layers {
		if l.HasMACs() {
			if err := finnCheck(l); err != nil {
				return nil, err
			}
			layers = append(layers, l)
			images = max(images, l.Size[hardware.N])
		}
	}
	p, fits := finnWithin(layers, finnLUTs)
	slowest, bound := p.interval(), ""
	for i, l := range layers {
		c, n := &r.Layers[i], float64(l.Size[hardware.N])
		c.Cycles = n * p.cycles[i]
		c.ComputeCycles = c.Cycles
		c.Active = 1
		c.Utilization = p.cycles[i] / slowest
		c.Mapping = fmt.Sprintf("%d PEs × %d lanes", p.folding[i].pe, p.folding[i].simd)
		if p.cycles[i] == slowest && bound == "" {
			bound = l.Name
		}
	}
	r.PeakMACs = p.lanes()
	r.Cycles = p.latency() + float64(images-1)*slowest
	r.Bound = "compute"
	r.Finish()
	r.Notes = append(r.Notes, fmt.Sprintf("pipelined: layers overlap; %q sets the pace of %.0f frames/s; %.0f LUTs, %.0f memories of 18 Kibit",
		bound, finnClock*1e6/slowest, p.luts(), p.blockRAMs()))
	if !fits {
		r.Notes = append(r.Notes, fmt.Sprintf("does not fit the %d LUTs of an XC7Z045: one lane for each layer is used", finnLUTs))
	}
	return r, nil
}
