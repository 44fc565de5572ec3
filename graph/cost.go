package graph

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// NodeCost is what one node costs. Unknown dimensions (a symbolic batch)
// count as 1.
type NodeCost struct {
	Node *Node  `json:"-"`
	Name string `json:"name"`
	Op   string `json:"op"`
	// Output is the shape of the first output.
	Output string `json:"output"`
	// Params counts the elements of weights, biases and normalization scales
	// and shifts; running statistics are not parameters. A tensor shared by
	// several nodes counts at the first.
	Params      int64 `json:"params"`
	WeightBytes int64 `json:"weight_bytes"`
	// MACs counts multiply-accumulates of convolutions and matrix products;
	// biases, normalization, activations and pooling are left out.
	MACs int64 `json:"macs"`
	// ReadBytes and WriteBytes are the sizes of all inputs and all outputs.
	ReadBytes  int64 `json:"read_bytes"`
	WriteBytes int64 `json:"write_bytes"`
	// ActivationBytes is what the outputs take in an executor that works in
	// place where it can and keeps quantized values as integers (see Cost).
	ActivationBytes int64 `json:"activation_bytes"`
	// Sparsity is the share of zeros in the weight (biases left out).
	Sparsity float64 `json:"sparsity"`
	// Bits are the bits of one stored weight, ActivationBits those of the
	// first input; BOPs = MACs·Bits·ActivationBits.
	Bits           int   `json:"bits"`
	ActivationBits int   `json:"activation_bits,omitempty"`
	BOPs           int64 `json:"bops"`
}

// Cost is what a graph costs.
type Cost struct {
	Params      int64 `json:"params"`
	MACs        int64 `json:"macs"`
	WeightBytes int64 `json:"weight_bytes"`
	// PeakActivationBytes is the largest sum of values alive at one node, in
	// the graph's order: inputs and node outputs from their computation to
	// their last use. Reshapes share their input's memory, an elementwise
	// operator overwrites an input that nobody else reads, and a value that is
	// only quantized or that was only dequantized takes its integer size.
	PeakActivationBytes int64 `json:"peak_activation_bytes"`
	ReadBytes           int64 `json:"read_bytes"`
	WriteBytes          int64 `json:"write_bytes"`
	BOPs                int64 `json:"bops"`
	// Sparsity is the share of zeros among all weights.
	Sparsity float64    `json:"sparsity"`
	Nodes    []NodeCost `json:"nodes"`
}

// Cost counts every node and the whole. Shapes must have been inferred.
func (g *Graph) Cost() *Cost {
	c := &Cost{}
	seen := map[*Value]bool{}
	var zeros, weights int
	memory := newMemory(g)
	for _, n := range g.Nodes {
		nc, z, w := n.cost(seen)
		zeros, weights = zeros+z, weights+w
		for _, o := range n.Outputs {
			if o != nil && memory.of(o).first == o {
				nc.ActivationBytes += memory.of(o).bytes
			}
		}
		c.Params = clampAdd(c.Params, nc.Params)
		c.MACs = clampAdd(c.MACs, nc.MACs)
		c.WeightBytes = clampAdd(c.WeightBytes, nc.WeightBytes)
		c.ReadBytes = clampAdd(c.ReadBytes, nc.ReadBytes)
		c.WriteBytes = clampAdd(c.WriteBytes, nc.WriteBytes)
		c.BOPs = clampAdd(c.BOPs, nc.BOPs)
		c.Nodes = append(c.Nodes, nc)
	}
	c.PeakActivationBytes = memory.peak(g)
	if weights > 0 {
		c.Sparsity = float64(zeros) / float64(weights)
	}
	return c
}

// Cost counts one node on its own.
func (n *Node) Cost() NodeCost {
	c, _, _ := n.cost(map[*Value]bool{})
	return c
}

func (n *Node) cost(seen map[*Value]bool) (c NodeCost, zeros, weights int) {
	c = NodeCost{Node: n, Name: n.Name, Op: n.Op}
	if n.Domain != "" {
		c.Op = n.Domain + "." + n.Op
	}
	if o := n.Out(0); o != nil {
		c.Output = o.Shape.String()
	}
	for _, v := range n.Inputs {
		c.ReadBytes = clampAdd(c.ReadBytes, v.bytes())
	}
	for _, v := range n.Outputs {
		c.WriteBytes = clampAdd(c.WriteBytes, v.bytes())
	}
	for _, i := range ParamInputs(n) {
		src := Source(n.In(i))
		bits, elements := StoredBits(n.In(i)), src.Data.Len()
		binary, isBinary := binaryWeight(n, i)
		if isBinary {
			bits, elements = 1, binary
		}
		if n.weightInput() == i {
			c.Bits = bits
			if zeros, weights = 0, elements; !isBinary {
				zeros, weights = countZeros(n.In(i))
			}
			c.Sparsity = float64(zeros) / float64(max(weights, 1))
		}
		if seen[src] {
			continue
		}
		seen[src] = true
		c.Params += int64(elements)
		c.WeightBytes += (int64(elements)*int64(bits) + 7) / 8
	}
	if op := n.Lookup(); op != nil && op.MACs != nil {
		c.MACs = op.MACs(n)
		c.ActivationBits = StoredBits(n.In(0))
		if IsBinaryConv(n) {
			c.ActivationBits = 1
		}
		wbits := c.Bits
		if wbits == 0 { // a product of two activations
			wbits = StoredBits(n.In(1))
		}
		c.BOPs = clampMul(int(c.MACs), wbits, c.ActivationBits)
	}
	return c, zeros, weights
}

// weightInput is the index of the weight of an operator that multiplies, else
// -1.
func (n *Node) weightInput() int {
	switch {
	case n.Is("QLinearConv", "QLinearMatMul"), n.Domain == MicrosoftDomain && n.Op == "QGemm":
		return 3
	case n.Is("MatMul", "Gemm", "MatMulInteger") && Source(n.In(1)) == nil && Source(n.In(0)) != nil:
		return 0
	case n.Is("Conv", "ConvTranspose", "Gemm", "ConvInteger", "MatMulInteger", "MatMul"),
		n.Domain == MicrosoftDomain && n.Op == "FusedConv", IsBinaryConv(n):
		return 1
	}
	return -1
}

// bytes is the size of a value, an unknown dimension counting as 1, an unknown
// type as 4 bytes.
func (v *Value) bytes() int64 {
	if v == nil || v.Shape == nil {
		return 0
	}
	bits := v.Type.Bits()
	if bits == 0 {
		bits = 32
	}
	n := productOf(v.Shape)
	if n > 1<<56 {
		return n
	}
	return (n*int64(bits) + 7) / 8
}

// clampAdd adds counts without wrapping around.
func clampAdd(a, b int64) int64 {
	if s := a + b; s >= a {
		return s
	}
	return 1<<63 - 1
}

// WriteTable prints the costs as a table, one node a line, with totals.
func (c *Cost) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "node\toperator\toutput\tparams\tMACs\tactivation bytes\tsparsity\tbits\t")
	for _, n := range c.Nodes {
		sparsity, bits := "", ""
		if n.Bits > 0 {
			sparsity, bits = fmt.Sprintf("%.1f%%", 100*n.Sparsity), fmt.Sprint(n.Bits)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", n.Name, n.Op, n.Output,
			Thousands(n.Params), Thousands(n.MACs), Thousands(n.ActivationBytes), sparsity, bits)
	}
	fmt.Fprintf(t, "total\t%d nodes\t\t%s\t%s\t%s peak\t%.1f%%\t\t\n", len(c.Nodes),
		Thousands(c.Params), Thousands(c.MACs), Thousands(c.PeakActivationBytes), 100*c.Sparsity)
	return t.Flush()
}

// Thousands writes a number with a comma after every three digits; zero is "".
func Thousands(n int64) string {
	if n == 0 {
		return ""
	}
	s := fmt.Sprint(n)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	var parts []string
	for len(s) > 3 {
		parts = append(parts, s[len(s)-3:])
		s = s[:len(s)-3]
	}
	parts = append(parts, s)
	slices.Reverse(parts)
	return sign + strings.Join(parts, ",")
}
