package qconv

import "github.com/drawknife/drawknife/internal/parallel"

// portable is the plain Go convolution: the definition of the result. Four
// output channels of one pixel are summed at a time.
type portable struct {
	c    *Conv
	w    []int16 // [Groups][K/Groups, rounded up to 4, /4][taps][C/Groups][4]
	jobs jobs
}

func newPortable(c *Conv) *portable {
	s := &c.shape
	kg, cg, ntaps := s.K/s.Groups, s.C/s.Groups, taps(s)
	quads := (kg + 3) / 4
	p := &portable{c: c, w: make([]int16, s.Groups*quads*ntaps*cg*4)}
	var row []int16
	for g := range s.Groups {
		for k := range kg {
			base := (g*quads + k/4) * ntaps * cg * 4
			row = c.channel(g*kg+k, row)
			for tap := range ntaps {
				for ch := range cg {
					p.w[base+(tap*cg+ch)*4+k%4] = row[ch*ntaps+tap]
				}
			}
		}
	}
	return p
}

func (p *portable) name() string            { return "portable" }
func (p *portable) scratch(workers int) int { return 0 }

func (p *portable) exec(pool *parallel.Pool, src []uint8, o output, _ []byte) {
	p.jobs.run(pool, p, job{src: src, o: o}, (pixels(&p.c.shape)+portablePixels-1)/portablePixels)
}

// portablePixels is the number of pixels of a task.
const portablePixels = 16

func (p *portable) tasks(j *job, _, lo, hi int) {
	lo, hi = lo*portablePixels, min(hi*portablePixels, pixels(&p.c.shape))
	for m := lo; m < hi; m++ {
		p.pixel(j.src, &j.o, m)
	}
	if j.o.add != nil {
		p.c.addBlock(&j.o, lo, hi-lo, 0, p.c.shape.K)
	}
}

// pixel computes all channels of output pixel m.
func (p *portable) pixel(src []uint8, o *output, m int) {
	s := &p.c.shape
	kg := s.K / s.Groups
	quads := (kg + 3) / 4
	per := len(p.w) / (s.Groups * quads)
	for g := range s.Groups {
		for j := range quads {
			k := g*kg + 4*j
			n := min(4, kg-4*j)
			w := p.w[(g*quads+j)*per:][:per]
			acc := p.quad(src, w, m, g)
			for i := range n {
				acc[i] += p.c.bias[k+i]
			}
			p.c.emit(o, m*s.DstStride+k, k, acc[:n])
		}
	}
}

// quad sums one pixel of four channels of group g, without the bias. Taps in
// the padding read the zero point.
func (p *portable) quad(src []uint8, w []int16, m, g int) [4]int32 {
	s := &p.c.shape
	cg := s.C / s.Groups
	q, pp, od, n := m%s.Q, m/s.Q%s.P, m/(s.Q*s.P)%s.OD, m/(s.Q*s.P*s.OD)
	var a0, a1, a2, a3 int32
	tap := 0
	for t := range s.T {
		z := od*s.StrideD - s.PadD + t*s.DilD
		for r := range s.R {
			y := pp*s.StrideH - s.PadH + r*s.DilH
			for c := range s.S {
				x := q*s.StrideW - s.PadW + c*s.DilW
				wt := w[tap*cg*4 : (tap+1)*cg*4]
				tap++
				if z < 0 || z >= s.D || y < 0 || y >= s.H || x < 0 || x >= s.W {
					v := int32(p.c.p.SrcZero)
					for len(wt) >= 4 {
						a0, a1, a2, a3 = a0+v*int32(wt[0]), a1+v*int32(wt[1]), a2+v*int32(wt[2]), a3+v*int32(wt[3])
						wt = wt[4:]
					}
					continue
				}
				at := (((n*s.D+z)*s.H+y)*s.W+x)*s.SrcStride + g*cg
				for _, b := range src[at : at+cg] {
					v := int32(b)
					a0, a1, a2, a3 = a0+v*int32(wt[0]), a1+v*int32(wt[1]), a2+v*int32(wt[2]), a3+v*int32(wt[3])
					wt = wt[4:]
				}
			}
		}
	}
	return [4]int32{a0, a1, a2, a3}
}
