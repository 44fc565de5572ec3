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
	f := d.forward()
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
