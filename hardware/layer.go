package hardware

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/tensor"
)

// Dim is one loop of a layer's nest.
type Dim uint8

// The loops. K and C count the channels of one group.
const (
	G       Dim = iota // groups
	N                  // images
	K                  // output channels of a group
	C                  // input channels of a group
	P                  // output rows
	Q                  // output columns
	R                  // filter rows
	S                  // filter columns
	NumDims = 8
)

const dimNames = "GNKCPQRS"

func (d Dim) String() string { return dimNames[d : d+1] }

// MarshalText writes the loop's letter.
func (d Dim) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// ParseDim reads a loop's letter.
func ParseDim(s string) (Dim, error) {
	for i := range len(dimNames) {
		if s == dimNames[i:i+1] {
			return Dim(i), nil
		}
	}
	return 0, fmt.Errorf("no loop is called %q; there are G, N, K, C, P, Q, R, S", s)
}

// Operand is one of the three tensors of a layer.
type Operand uint8

// The operands.
const (
	Weights Operand = iota
	Inputs
	Outputs
	NumOperands = 3
)

func (o Operand) String() string { return [...]string{"weights", "inputs", "outputs"}[o] }

// Letter is W, I or O.
func (o Operand) Letter() string { return "WIO"[o : o+1] }

// Relevant reports whether operand o changes along loop d.
func (o Operand) Relevant(d Dim) bool {
	switch o {
	case Weights:
		return d != N && d != P && d != Q
	case Inputs:
		return d != K
	}
	return d != C && d != R && d != S
}

// Bits are the widths of a layer's operands.
type Bits struct {
	W    int `json:"w"`
	A    int `json:"a"`
	Psum int `json:"psum"`
	Out  int `json:"out"`
}

// Density is the share of elements that are not zero, 1 when nothing is known.
type Density struct {
	W   float64 `json:"w"`
	In  float64 `json:"in"`
	Out float64 `json:"out"`
}

// Layer is one step of a network as hardware sees it: the nest
//
//	for g, n, k, p, q, c, r, s:
//	  O[n][g][k][p][q] += W[g][k][c][r][s] · I[n][g][c][p·stride + r·dilation − pad][q·stride + s·dilation − pad]
//
// or, where Size is all zero, an operator without multiply-accumulates.
type Layer struct {
	Name string `json:"name"`
	Op   string `json:"op"`
	// Nodes are the graph's nodes that this layer stands for: the first one
	// and those fused into it.
	Nodes []string `json:"nodes,omitempty"`
	// Size holds the bounds of the loops, K and C of one group.
	Size [NumDims]int `json:"size"`
	// Height and Width are those of the input without padding; Stride,
	// Dilation and Pad (of the top and the left) are for rows and columns.
	Height   int    `json:"height"`
	Width    int    `json:"width"`
	Stride   [2]int `json:"stride"`
	Dilation [2]int `json:"dilation"`
	Pad      [2]int `json:"pad"`
	// Transposed marks a transposed convolution, which is described by the
	// nest of its gradient: what is called input here is its output, and the
	// other way round. Its MACs and footprints are those of the real operator.
	Transposed bool    `json:"transposed,omitempty"`
	Bits       Bits    `json:"bits"`
	Density    Density `json:"density"`
	// Ops are the operations of an operator without MACs; InWords and OutWords
	// its elements read and written.
	Ops      int64 `json:"ops,omitempty"`
	InWords  int64 `json:"in_words,omitempty"`
	OutWords int64 `json:"out_words,omitempty"`
	// Weight is the weight itself where it is known, as ONNX has it.
	Weight *tensor.Tensor `json:"-"`
}

// MaxMACs bounds the size of a layer that is accepted.
const MaxMACs = 1 << 56

// Conv describes a convolution of n images. Channels are those of the whole
// layer; the padding is the same on both sides.
func Conv(name string, n, groups, out, in, size, kernel, stride, pad int) *Layer {
	p := (size+2*pad-kernel)/stride + 1
	return &Layer{Name: name, Op: "Conv", Size: [NumDims]int{groups, n, out / groups, in / groups, p, p, kernel, kernel},
		Height: size, Width: size, Stride: [2]int{stride, stride}, Dilation: [2]int{1, 1}, Pad: [2]int{pad, pad},
		Bits: Bits{16, 16, 32, 16}, Density: Density{1, 1, 1}}
}

// FC describes a fully connected layer of n images.
func FC(name string, n, out, in int) *Layer {
	return Conv(name, n, 1, out, in, 1, 1, 1, 0).as("Gemm")
}

func (l *Layer) as(op string) *Layer {
	l.Op = op
	return l
}

// With returns a copy of l for n images.
func (l *Layer) With(n int) *Layer {
	c := *l
	if c.HasMACs() {
		c.Size[N] = n
	}
	return &c
}

// HasMACs reports whether the layer multiplies and accumulates.
func (l *Layer) HasMACs() bool { return l.Size[N] > 0 }

// Check reports a layer that no machine could run: sizes below one, sizes that
// do not fit each other, or more than MaxMACs operations.
func (l *Layer) Check() error {
	if !l.HasMACs() {
		if l.Ops < 0 || l.InWords < 0 || l.OutWords < 0 {
			return fmt.Errorf("layer %q: negative counts", l.Name)
		}
		return nil
	}
	total := 1.0
	for d, n := range l.Size {
		if n < 1 {
			return fmt.Errorf("layer %q: loop %v has size %d; it must be at least 1", l.Name, Dim(d), n)
		}
		total *= float64(n)
	}
	if total > MaxMACs {
		return fmt.Errorf("layer %q: %.3g multiply-accumulates are more than can be modelled (2^56)", l.Name, total)
	}
	for i := range 2 {
		if l.Stride[i] < 1 || l.Dilation[i] < 1 || l.Pad[i] < 0 {
			return fmt.Errorf("layer %q: stride %v, dilation %v and padding %v must be positive", l.Name, l.Stride, l.Dilation, l.Pad)
		}
	}
	if l.Height < 1 || l.Width < 1 {
		return fmt.Errorf("layer %q: its input of %d×%d is empty", l.Name, l.Height, l.Width)
	}
	if l.PaddedHeight() > math.MaxInt32 || l.PaddedWidth() > math.MaxInt32 {
		return fmt.Errorf("layer %q: stride %v and dilation %v reach too far", l.Name, l.Stride, l.Dilation)
	}
	return nil
}

// MACs counts the multiply-accumulates, those on padded zeros included.
func (l *Layer) MACs() int64 {
	if !l.HasMACs() {
		return 0
	}
	return l.product(G, N, K, C, P, Q, R, S)
}

// MACsInside counts the multiply-accumulates whose input is not padding.
func (l *Layer) MACsInside() int64 {
	if !l.HasMACs() {
		return 0
	}
	inside := func(out, taps, size, axis int) int64 {
		n := int64(0)
		for p := range out {
			for r := range taps {
				if y := p*l.Stride[axis] + r*l.Dilation[axis] - l.Pad[axis]; y >= 0 && y < size {
					n++
				}
			}
		}
		return n
	}
	return l.product(G, N, K, C) * inside(l.Size[P], l.Size[R], l.Height, 0) * inside(l.Size[Q], l.Size[S], l.Width, 1)
}

// EffectualMACs is the expected number of MACs of two non-zero operands if
// zeros are independent.
func (l *Layer) EffectualMACs() float64 {
	return float64(l.MACs()) * l.Density.W * l.Density.In
}

// Words counts the elements of an operand: all weights, the unpadded input,
// the output.
func (l *Layer) Words(o Operand) int64 {
	if !l.HasMACs() {
		return [NumOperands]int64{0, l.InWords, l.OutWords}[o]
	}
	switch o {
	case Weights:
		return l.product(G, K, C, R, S)
	case Inputs:
		return l.product(G, N, C) * int64(l.Height) * int64(l.Width)
	}
	return l.product(G, N, K, P, Q)
}

// OperandBits is the width of an operand; outputs are as they are stored, not as partial
// sums.
func (l *Layer) OperandBits(o Operand) int {
	return [NumOperands]int{l.Bits.W, l.Bits.A, l.Bits.Out}[o]
}

// PaddedHeight is the number of input rows that the windows span.
func (l *Layer) PaddedHeight() int {
	return (l.Size[P]-1)*l.Stride[0] + (l.Size[R]-1)*l.Dilation[0] + 1
}

// PaddedWidth is PaddedHeight for columns.
func (l *Layer) PaddedWidth() int {
	return (l.Size[Q]-1)*l.Stride[1] + (l.Size[S]-1)*l.Dilation[1] + 1
}

func (l *Layer) product(ds ...Dim) int64 {
	n := int64(1)
	for _, d := range ds {
		n *= int64(l.Size[d])
	}
	return n
}

// Shape writes the nest's bounds: "N1 K64 C3 P112 Q112 R7 S7", with G where
// there are groups.
func (l *Layer) Shape() string {
	if !l.HasMACs() {
		return fmt.Sprintf("%d in, %d out", l.InWords, l.OutWords)
	}
	s := ""
	for d, n := range l.Size {
		if Dim(d) == G && n == 1 {
			continue
		}
		if s != "" {
			s += " "
		}
		s += fmt.Sprintf("%v%d", Dim(d), n)
	}
	return s
}

// Workload is a network as a list of layers in order of computation.
type Workload struct {
	Name   string   `json:"name"`
	Batch  int      `json:"batch"`
	Layers []*Layer `json:"layers"`
	// Fused says that normalization, activations and additions behind a layer
	// are done on its way out and move no data of their own.
	Fused bool `json:"fused"`
}

// MACs adds up the layers.
func (w *Workload) MACs() (n int64) {
	for _, l := range w.Layers {
		n += l.MACs()
	}
	return n
}

// Words adds up the elements of an operand over the layers.
func (w *Workload) Words(o Operand) (n int64) {
	for _, l := range w.Layers {
		n += l.Words(o)
	}
	return n
}

// Layer finds a layer by name, or by the name of a node that it contains.
func (w *Workload) Layer(name string) *Layer {
	for _, l := range w.Layers {
		if l.Name == name {
			return l
		}
	}
	for _, l := range w.Layers {
		for _, n := range l.Nodes {
			if n == name {
				return l
			}
		}
	}
	return nil
}

// Only returns a workload of the layers for which keep is true.
func (w *Workload) Only(keep func(*Layer) bool) *Workload {
	c := *w
	c.Layers = nil
	for _, l := range w.Layers {
		if keep(l) {
			c.Layers = append(c.Layers, l)
		}
	}
	return &c
}
