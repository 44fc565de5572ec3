package conv

// packing says where the weights of a convolution lie in the caller's array:
// that of output channel j and input channel i of group g, kernel element t,
// at g*group + j*out + i*in + taps[t].
type packing struct {
	group, out, in int
	taps           []int
}

// forward is the packing of ONNX weights, [K][C/Groups][T][R][S].
func (s *Shape) forward() packing {
	n := s.T * s.R * s.S
	cg := s.C / s.Groups
	p := packing{group: s.K / s.Groups * cg * n, out: cg * n, in: n, taps: make([]int, n)}
	for t := range p.taps {
		p.taps[t] = t
	}
	return p
}

// setWeights packs weights and bias for the kernels.
func (d *dense) setWeights(w, bias []float32) {
	f := d.given.forward()
	for i := range d.cols {
		c := &d.cols[i]
		d.pack(d.w, w, &f, c)
		b := d.bias[c.b : c.b+c.kernel.Cols]
		clear(b)
		if bias != nil {
			copy(b, bias[c.k:c.k+c.n])
		}
	}
}

// pack lays out the weights of one column.
func (d *dense) pack(dst, w []float32, p *packing, c *column) {
	cg, kg := d.C/d.Groups, d.K/d.Groups
	nr := c.kernel.Cols
	if d.Groups != d.given.Groups {
		d.packMerged(dst, w, p, c)
		return
	}
	w = w[c.k/kg*p.group+c.k%kg*p.out:]
	for t, tap := range p.taps {
		for i := range cg {
			row := dst[c.w+(t*cg+i)*nr:][:nr]
			at := i*p.in + tap
			for j := range c.n {
				row[j] = w[at]
				at += p.out
			}
			clear(row[c.n:])
		}
	}
}

// packMerged is pack for merged groups: what joins different groups is zero.
func (d *dense) packMerged(dst, w []float32, p *packing, c *column) {
	wide := d.C / d.Groups
	cg, kg := d.C/d.given.Groups, d.K/d.given.Groups
	nr := c.kernel.Cols
	clear(dst[c.w:][:len(p.taps)*wide*nr])
	for j := range c.n {
		g := (c.k + j) / kg
		for i := range cg {
			at := g*p.group + (c.k+j)%kg*p.out + i*p.in
			for t, tap := range p.taps {
				dst[c.w+(t*wide+g*cg-c.src+i)*nr+j] = w[at+tap]
			}
		}
	}
}

// merged joins groups that are so small that a kernel would compute mostly
// columns that do not exist: m groups become one whose weights are zero where
// they would join different ones. An infinite or NaN input then spreads to the
// other groups of its bundle, as zero times infinity.
func merged(s Shape, lanes int) Shape {
	kg, m := s.K/s.Groups, 1
	for i := 2; i <= s.Groups && i*kg <= lanes; i++ {
		if s.Groups%i == 0 {
			m = i
		}
	}
	s.Groups /= m
	return s
}

func (d *dense) packed() int { return len(d.w) }
func (d *dense) packs() int  { return len(d.cols) }

func (d *dense) packPart(dst, w []float32, p *packing, part int) { d.pack(dst, w, p, &d.cols[part]) }

func (d *depthwise) packed() int { return len(d.w) }
func (d *depthwise) packs() int  { return 1 }

func (d *depthwise) packPart(dst, w []float32, p *packing, _ int) { d.pack(dst, w, p) }
