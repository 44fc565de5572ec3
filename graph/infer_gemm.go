package graph

import (
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

func init() {
	gemm := operator("Gemm", 2, 3, 1, inferGemm)
	gemm.MACs = gemmMACs
	matmul := operator("MatMul", 2, 2, 1, inferMatMul)
	matmul.MACs = matMulMACs
	integer := operator("MatMulInteger", 2, 4, 1, inferMatMulInteger)
	integer.MACs = matMulMACs
	qlinear := operator("QLinearMatMul", 8, 8, 1, inferQLinearMatMul)
	qlinear.MACs = matMulMACs
	qgemm := operator("QGemm", 6, 9, 1, inferQGemm)
	qgemm.Domain, qgemm.MACs = MicrosoftDomain, gemmMACs
	Register(gemm, matmul, integer, qlinear, qgemm)
}

// gemmShape infers op(A)·op(B) of matrices.
func gemmShape(n *Node, a, b Shape) (Shape, error) {
	for i, s := range []Shape{a, b} {
		if s != nil && len(s) != 2 {
			return nil, fmt.Errorf("operand %c has shape %v, want a matrix; use MatMul or Flatten first", 'A'+i, s)
		}
	}
	rows, cols, ka, kb := unknown, unknown, unknown, unknown
	if a != nil {
		t := n.Int("transA", 0) & 1
		rows, ka = a[t], a[1-t]
	}
	if b != nil {
		t := n.Int("transB", 0) & 1
		cols, kb = b[1-t], b[t]
	}
	if ka.Known() && kb.Known() && ka.Size != kb.Size {
		return nil, fmt.Errorf("operands %v and %v do not fit: the inner dimensions are %d and %d (transA=%d, transB=%d)",
			a, b, ka.Size, kb.Size, n.Int("transA", 0), n.Int("transB", 0))
	}
	return Shape{rows, cols}, nil
}

func inferGemm(n *Node) error {
	s, err := gemmShape(n, n.in(0), n.in(1))
	if err != nil {
		return err
	}
	if err := checkGemmBias(s, n.in(2)); err != nil {
		return err
	}
	n.set(0, n.inType(0), s)
	return nil
}

func checkGemmBias(out, c Shape) error {
	if c == nil {
		return nil
	}
	s, err := broadcast(out, c)
	if err != nil {
		return fmt.Errorf("operand C: %w", err)
	}
	for i := range s {
		if len(s) != 2 || out[i].Known() && s[i].Known() && out[i].Size != s[i].Size {
			return fmt.Errorf("operand C of shape %v does not broadcast to the product's %v", c, out)
		}
	}
	return nil
}

// gemmMACs: rows x columns x inner dimension.
func gemmMACs(n *Node) int64 {
	o, a := n.Out(0), n.in(0)
	if o == nil || len(o.Shape) != 2 || len(a) != 2 {
		return 0
	}
	return productOf(o.Shape, Shape{a[1-n.Int("transA", 0)&1]})
}

// matMulShape infers numpy's matmul.
func matMulShape(a, b Shape) (Shape, error) {
	if a == nil || b == nil {
		return nil, nil
	}
	if len(a) == 0 || len(b) == 0 {
		return nil, fmt.Errorf("operands of shape %v and %v: a scalar cannot be multiplied as a matrix; use Mul", a, b)
	}
	a1, b1 := len(a) == 1, len(b) == 1
	if a1 {
		a = Shape{D(1), a[0]}
	}
	if b1 {
		b = Shape{b[0], D(1)}
	}
	ka, kb := a[len(a)-1], b[len(b)-2]
	if ka.Known() && kb.Known() && ka.Size != kb.Size {
		return nil, fmt.Errorf("operands of shape %v and %v do not fit: the inner dimensions are %d and %d", a, b, ka.Size, kb.Size)
	}
	out, err := broadcast(a[:len(a)-2], b[:len(b)-2])
	if err != nil {
		return nil, err
	}
	if !a1 {
		out = append(out, a[len(a)-2])
	}
	if !b1 {
		out = append(out, b[len(b)-1])
	}
	return out, nil
}

func inferMatMul(n *Node) error {
	s, err := matMulShape(n.in(0), n.in(1))
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), s)
	return nil
}

func inferMatMulInteger(n *Node) error {
	s, err := matMulShape(n.in(0), n.in(1))
	if err != nil {
		return err
	}
	n.set(0, tensor.Int32, s)
	return nil
}

func inferQLinearMatMul(n *Node) error {
	s, err := matMulShape(n.in(0), n.in(3))
	if err != nil {
		return err
	}
	n.set(0, n.inType(7), s)
	return nil
}

// matMulMACs: the elements of the output times the inner dimension.
func matMulMACs(n *Node) int64 {
	o, a := n.Out(0), n.in(0)
	if o == nil || o.Shape == nil || len(a) == 0 {
		return 0
	}
	return productOf(o.Shape, Shape{a[len(a)-1]})
}

// inferQGemm: a, its scale and zero point, b, its scale and zero point, bias,
// output scale and zero point; without the latter the output is float32.
func inferQGemm(n *Node) error {
	s, err := gemmShape(n, n.in(0), n.in(3))
	if err != nil {
		return err
	}
	if err := checkGemmBias(s, n.in(6)); err != nil {
		return err
	}
	t := n.inType(8)
	if n.In(8) == nil {
		t = tensor.Float32
	}
	n.set(0, t, s)
	return nil
}
