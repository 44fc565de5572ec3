package dataflow

import (
	"fmt"

	"github.com/drawknife/drawknife/hardware"
)

// Flow is what stays in the elements of a systolic array.
type Flow string

// The flows.
const (
	WeightStationary Flow = "ws"
	InputStationary  Flow = "is"
	OutputStationary Flow = "os"
)

// Systolic is an array of multipliers that hand operands to their neighbours.
type Systolic struct {
	Rows, Cols int
	Flow       Flow
	// Convention counts as SCALE-Sim does: one cycle less in all, and outputs
	// that begin inside the padded input even if they end outside. The input
	// of a layer is then taken with its padding.
	Convention bool
	// Words is how many words a cycle come from memory, all operands
	// together, into a double buffer that holds the operands of two folds; 0
	// is without limit.
	Words float64
}

// Product is a layer as a matrix product, one group; the pixels of all images
// go through together.
type Product struct {
	Pixels, Filters, Window int64
	Times                   int64 // groups
}

// product gives the sizes of a layer.
func (s Systolic) product(l *hardware.Layer) Product {
	z := &l.Size
	p, q := z[hardware.P], z[hardware.Q]
	if s.Convention {
		p = conventional(l.Height+2*l.Pad[0], z[hardware.R], l.Stride[0])
		q = conventional(l.Width+2*l.Pad[1], z[hardware.S], l.Stride[1])
	}
	return Product{Pixels: int64(z[hardware.N]) * int64(p) * int64(q), Filters: int64(z[hardware.K]),
		Window: int64(z[hardware.C]) * int64(z[hardware.R]) * int64(z[hardware.S]), Times: int64(z[hardware.G])}
}

func conventional(size, kernel, stride int) int {
	return max(1, (size-kernel+2*stride-1)/stride)
}

// Run is what a layer takes on a systolic array.
type Run struct {
	Folds  int64
	Cycles float64
	// Stalls are the cycles in which the array waits for memory.
	Stalls float64
	// Mapped is the mean share of the array that folds use.
	Mapped float64
	// Reads of weights and inputs from the buffer, and partial sums written
	// to it, in words.
	Weights, Inputs, Sums int64
}

// sides says what lies along the rows and the columns, and what streams by.
func (s Systolic) sides(p Product) (rows, cols, stream int64, err error) {
	switch s.Flow {
	case WeightStationary:
		return p.Window, p.Filters, p.Pixels, nil
	case InputStationary:
		return p.Window, p.Pixels, p.Filters, nil
	case OutputStationary:
		return p.Pixels, p.Filters, p.Window, nil
	}
	return 0, 0, 0, fmt.Errorf("no dataflow is called %q; there are ws, is, os", s.Flow)
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// foldCycles is the time of one fold: the stationary operand shifts in, rows
// cycles; then the stream passes, skewed by one cycle for each row and column.
// Outputs that stay need no shifting in.
func (s Systolic) foldCycles(stream int64) int64 {
	n := int64(s.Rows) + int64(s.Cols) + stream - 2
	if s.Flow != OutputStationary {
		n += int64(s.Rows)
	}
	return n
}

func (s Systolic) check(l *hardware.Layer) error {
	if s.Rows < 1 || s.Cols < 1 || s.Rows > 1<<16 || s.Cols > 1<<16 || !(s.Words >= 0) {
		return fmt.Errorf("a systolic array of %d×%d elements and %v words a cycle is impossible", s.Rows, s.Cols, s.Words)
	}
	if err := l.Check(); err != nil {
		return err
	}
	if !l.HasMACs() {
		return fmt.Errorf("layer %q (%s) has no multiply-accumulates", l.Name, l.Op)
	}
	return nil
}

// Closed is the closed form for memory that always delivers in time.
func (s Systolic) Closed(l *hardware.Layer) (Run, error) {
	if err := s.check(l); err != nil {
		return Run{}, err
	}
	p := s.product(l)
	rows, cols, stream, err := s.sides(p)
	if err != nil {
		return Run{}, err
	}
	h, w := ceil(rows, int64(s.Rows)), ceil(cols, int64(s.Cols))
	folds := h * w
	r := Run{Folds: folds * p.Times, Cycles: float64(p.Times) * float64(folds*s.foldCycles(stream)),
		Mapped: float64(rows*cols) / float64(folds*int64(s.Rows)*int64(s.Cols))}
	switch s.Flow {
	case WeightStationary:
		r.Weights, r.Inputs, r.Sums = p.Window*p.Filters, p.Pixels*p.Window*w, p.Pixels*p.Filters*h
	case InputStationary:
		r.Weights, r.Inputs, r.Sums = p.Window*p.Filters*w, p.Pixels*p.Window, p.Pixels*p.Filters*h
	default:
		r.Weights, r.Inputs, r.Sums = p.Window*p.Filters*h, p.Pixels*p.Window*w, p.Pixels*p.Filters
	}
	r.Weights, r.Inputs, r.Sums = r.Weights*p.Times, r.Inputs*p.Times, r.Sums*p.Times
	if s.Convention {
		r.Cycles -= float64(p.Times) // every group is a run of its own there
	}
	return r, nil
}
