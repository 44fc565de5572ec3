package weights

import (
	"fmt"
	"math"
	"strconv"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

func init() {
	method.Register(method.Method{
		Name: "frequency", Family: method.Weights, Summary: "dynamic surgery on the cosine transform of each kernel: smaller when stored, not faster",
		Paper: "Liu et al., Frequency-domain dynamic pruning for convolutional neural networks, NeurIPS", Year: 2018,
		Needs: method.Needs{Labels: true, Train: true},
		Options: append(surgeryOptions(), method.Option{Name: "bands", Default: "0.8",
			Help: "how much more is taken from high frequencies than from low ones; 0 treats all alike"}),
		New: func(o map[string]string) (any, error) {
			s, err := newSurgery(o)
			if err != nil {
				return nil, err
			}
			k, err := strconv.ParseFloat(o["bands"], 64)
			if err != nil || !(k >= 0 && k <= 2) {
				return nil, fmt.Errorf("bands %q: want a number from 0 to 2", o["bands"])
			}
			return &frequency{surgery: s, bands: k}, nil
		},
	})
}

// frequency works on coefficients F = D·W·Dᵀ of every k×k kernel (k ≥ 2), D
// being the orthonormal DCT-II: W = Dᵀ·(F⊙T)·D is what the network computes with.
// As D is orthonormal, gradients descend on F just as on W. Scores of high
// frequencies, b = u+v, count less: |F|·(1 + bands·(½ − b/b_max)). Other layers
// are pruned as by dynamic.
type frequency struct {
	surgery
	bands float64
	hook  *dynamicHook
}

// spectral reports layers with square kernels.
func spectral(l *Layer) bool {
	return len(l.Shape) == 4 && l.Shape[2] == l.Shape[3] && l.Shape[2] > 1
}

// dct is the k×k matrix of the orthonormal DCT-II.
func dct(k int) []float64 {
	d := make([]float64, k*k)
	for u := range k {
		c := math.Sqrt(2 / float64(k))
		if u == 0 {
			c = math.Sqrt(1 / float64(k))
		}
		for x := range k {
			d[u*k+x] = c * math.Cos(math.Pi*float64(2*x+1)*float64(u)/float64(2*k))
		}
	}
	return d
}

// transform computes D·X·Dᵀ of each k×k kernel of src, or DᵀXD with inverse.
func transform(dst, src []float32, k int, inverse bool) {
	d := dct(k)
	at := func(u, x int) float64 {
		if inverse {
			return d[x*k+u]
		}
		return d[u*k+x]
	}
	half := make([]float64, k*k)
	for first := 0; first+k*k <= len(src); first += k * k {
		x := src[first:][:k*k]
		for u := range k {
			for c := range k {
				s := 0.0
				for r := range k {
					s += at(u, r) * float64(x[r*k+c])
				}
				half[u*k+c] = s
			}
		}
		for u := range k {
			for v := range k {
				s := 0.0
				for c := range k {
					s += half[u*k+c] * at(v, c)
				}
				dst[first+u*k+v] = float32(s)
			}
		}
	}
}

// rate is |F|, weighted by frequency.
func (f *frequency) rate(l *Layer, full []float32) []float64 {
	if !spectral(l) {
		return magnitudes(full)
	}
	k := l.Shape[2]
	coeff := make([]float32, len(full))
	transform(coeff, full, k, false)
	out := magnitudes(coeff)
	for i := range out {
		u, v := i/k%k, i%k
		out[i] *= 1 + f.bands*(0.5-float64(u+v)/float64(2*(k-1)))
	}
	return out
}

// project is the inverse transform of the coefficients that are left.
func project(l *Layer, dst, full, mask []float32) {
	if !spectral(l) {
		times(dst, mask)
		return
	}
	coeff := make([]float32, len(full))
	transform(coeff, full, l.Shape[2], false)
	times(coeff, mask)
	transform(dst, coeff, l.Shape[2], true)
}

func (f *frequency) Learn(c *Course) (train.Keeper, error) {
	if c.Pattern != (Pattern{}) {
		return nil, fmt.Errorf("frequency: pattern %v is of weights, not of frequencies; take unstructured", c.Pattern)
	}
	f.hook = &dynamicHook{shadow: newShadow(c), surgery: f.surgery, rate: f.rate}
	f.hook.project = project
	return f.hook, nil
}

func (f *frequency) Finish(out *graph.Graph, c *Course) (Masks, error) {
	m, err := c.Choose(c.Sparsity, func(l *Layer) []float64 { return f.rate(l, f.hook.full[l.Value.Name]) }, nil)
	if err != nil {
		return nil, err
	}
	f.hook.mask.set(m)
	for _, l := range c.Layers {
		v := out.Value(l.Value.Name)
		w := append([]float32(nil), f.hook.full[l.Value.Name]...)
		project(l, w, f.hook.full[l.Value.Name], m[l.Value.Name])
		v.SetData(tensor.Of(w, v.Data.Shape...))
	}
	return m, nil
}

// Stored counts the coefficients that are left.
func (f *frequency) Stored() map[string]int {
	out := map[string]int{}
	for name, m := range f.hook.mask {
		out[name] = len(m) - countZeros(m)
	}
	return out
}
