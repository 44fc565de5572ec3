package eval

import (
	"fmt"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	register("", arithmetic, 2, map[string]Func{"MatMul": matMul, "Gemm": gemm})
}

// matMul multiplies matrices as numpy does: leading axes are broadcast, a
// vector gets an axis for the occasion.
func matMul(_ *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if err := sameTypes(in[0], in[1]); err != nil {
		return nil, err
	}
	if in[0].DType.IsInt() {
		out, shape, err := multiply(in[0].Shape, in[1].Shape, integers(in[0]), integers(in[1]))
		if err != nil {
			return nil, err
		}
		return one(ofInts(in[0].DType, out, shape))
	}
	out, shape, err := multiply(in[0].Shape, in[1].Shape, floats(in[0]), floats(in[1]))
	if err != nil {
		return nil, err
	}
	return one(ofFloats(in[0].DType, out, shape))
}

// multiply is matMul over elements of type A.
func multiply[A float64 | int64](as, bs []int, a, b []A) ([]A, []int, error) {
	if len(as) == 0 || len(bs) == 0 {
		return nil, nil, fmt.Errorf("a scalar cannot be multiplied as a matrix")
	}
	row, column := len(as) == 1, len(bs) == 1
	if row {
		as = []int{1, as[0]}
	}
	if column {
		bs = []int{bs[0], 1}
	}
	ra, rb := len(as)-2, len(bs)-2
	m, k, n := as[ra], as[ra+1], bs[rb+1]
	if bs[rb] != k {
		return nil, nil, fmt.Errorf("matrices of shapes %v and %v do not fit", as, bs)
	}
	batch, err := broadcastShape(as[:ra], bs[:rb])
	if err != nil {
		return nil, nil, err
	}
	shape := append([]int{}, batch...)
	if !row {
		shape = append(shape, m)
	}
	if !column {
		shape = append(shape, n)
	}
	if err := checkSize(shape); err != nil {
		return nil, nil, err
	}
	out := make([]A, product(batch)*m*n)
	o := 0
	rows(batch, [][]int{spread(as[:ra], batch), spread(bs[:rb], batch)}, func(count int, at, step []int) {
		for i := range count {
			x, y := (at[0]+i*step[0])*m*k, (at[1]+i*step[1])*k*n
			product2D(out[o:o+m*n], a[x:x+m*k], b[y:y+k*n], m, k, n)
			o += m * n
		}
	})
	return out, shape, nil
}

// product2D adds the product of a [m, k] and b [k, n] to out [m, n].
func product2D[A float64 | int64](out, a, b []A, m, k, n int) {
	for i := range m {
		dst := out[i*n:][:n]
		for j := range k {
			v := a[i*k+j]
			for l, w := range b[j*n:][:n] {
				dst[l] += v * w
			}
		}
	}
}

// gemm is alpha·A'·B' + beta·C, C broadcast to the result.
func gemm(node *graph.Node, in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	if err := sameTypes(in[0], in[1]); err != nil {
		return nil, err
	}
	d := in[0].DType
	a, err := matrix(in[0], node.Int("transA", 0) != 0)
	if err != nil {
		return nil, err
	}
	b, err := matrix(in[1], node.Int("transB", 0) != 0)
	if err != nil {
		return nil, err
	}
	if d.IsInt() {
		return intGemm(node, a, b, input(in, 2))
	}
	out, shape, err := multiply(a.Shape, b.Shape, floats(a), floats(b))
	if err != nil {
		return nil, err
	}
	if alpha := float64(node.Float("alpha", 1)); alpha != 1 {
		for i := range out {
			out[i] *= alpha
		}
	}
	if c := input(in, 2); c != nil {
		beta, add, err := float64(node.Float("beta", 1)), floats(c), checkSpread(c.Shape, shape)
		if err != nil {
			return nil, err
		}
		eachSpread(c.Shape, shape, func(i, at int) { out[i] += beta * add[at] })
	}
	return one(ofFloats(d, out, shape))
}

// intGemm is gemm of integers; alpha and beta are truncated to integers.
func intGemm(node *graph.Node, a, b, c *tensor.Tensor) ([]*tensor.Tensor, error) {
	alpha, beta := int64(node.Float("alpha", 1)), int64(node.Float("beta", 1))
	out, shape, err := multiply(a.Shape, b.Shape, integers(a), integers(b))
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i] *= alpha
	}
	if c != nil {
		if err := checkSpread(c.Shape, shape); err != nil {
			return nil, err
		}
		add := integers(c)
		eachSpread(c.Shape, shape, func(i, at int) { out[i] += beta * add[at] })
	}
	return one(ofInts(a.DType, out, shape))
}

// matrix checks that t has two axes, and swaps them if asked to.
func matrix(t *tensor.Tensor, transposed bool) (*tensor.Tensor, error) {
	if t.Rank() != 2 {
		return nil, fmt.Errorf("operand of shape %v, want a matrix", t.Shape)
	}
	if transposed {
		return permute(t, []int{1, 0})
	}
	return t, nil
}

// checkSpread checks that shape can be broadcast to out as it is.
func checkSpread(shape, out []int) error {
	full, err := broadcastShape(shape, out)
	if err != nil {
		return err
	}
	for i := range full {
		if len(full) != len(out) || full[i] != out[i] {
			return fmt.Errorf("shape %v cannot be broadcast to %v", shape, out)
		}
	}
	return nil
}

// eachSpread visits the elements of out with the position in a tensor of the
// given shape that is broadcast to it.
func eachSpread(shape, out []int, f func(i, at int)) {
	i := 0
	rows(out, [][]int{spread(shape, out)}, func(n int, at, step []int) {
		for j := range n {
			f(i, at[0]+j*step[0])
			i++
		}
	})
}
