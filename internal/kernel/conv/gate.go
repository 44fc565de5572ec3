package conv

import "github.com/drawknife/drawknife/internal/parallel"

// A gate multiplies each input channel by a number (squeeze and excitation, Hu et
// al., CVPR 2018). Where an image has many more pixels than there are output
// channels it is cheaper to multiply the weights.

// GatedScratch is the number of float32s that RunGated needs with that many workers.
// It panics unless the convolution is a dense one of kernel size one.
func (c *Conv) GatedScratch(workers int) int {
	return c.Scratch(workers) + gated(c.impl.(*dense))
}

// gated is the room for the weights times the gate, a whole number of lines.
func gated(d *dense) int {
	if d.T*d.R*d.S != 1 {
		panic("conv: a gate for a kernel of more than one element")
	}
	return (len(d.w) + line - 1) / line * line
}

// RunGated is Run of one image whose channels are multiplied by gate first: dst =
// clamp(conv(src·gate) + bias + add). The sums are of src·(gate·weight).
func (c *Conv) RunGated(p *parallel.Pool, dst, src, gate, add, scratch []float32) {
	d := c.impl.(*dense)
	c.check(dst, src, add)
	c.shape.check("gate", gate, 1, 0, d.C)
	c.shape.check("scratch", scratch, 1, 0, c.GatedScratch(p.Workers()))
	w := scratch[:len(d.w)]
	for i := range d.cols {
		k := &d.cols[i]
		n := k.kernel.Cols
		for step, g := range gate[k.src:][:d.run] {
			to := w[k.w+step*n:][:n]
			for j, v := range d.w[k.w+step*n:][:n] {
				to[j] = v * g
			}
		}
	}
	d.exec(p, w, dst, src, add, scratch[gated(d):])
}
