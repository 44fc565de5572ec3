package graph

// memory tells which values share storage in an executor that works in place
// where it can, and how large each storage is.
type memory struct {
	index map[*Value]*storage // to be resolved by find
}

// storage is one piece of memory that several values take in turn.
type storage struct {
	parent *storage
	first  *Value // the value that is computed first
	bytes  int64
	last   int // position of the last node that touches it
}

func (s *storage) find() *storage {
	for s.parent != nil {
		s = s.parent
	}
	return s
}

// inPlace lists operators that can overwrite their first input.
var inPlace = map[string]bool{}

func init() {
	for _, op := range []string{"Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish",
		"Mish", "Gelu", "Erf", "Tanh", "Softplus", "Softsign", "ThresholdedRelu", "Shrink", "Swish", "Abs", "Neg", "Exp",
		"Log", "Sqrt", "Reciprocal", "Sign", "Ceil", "Floor", "Round", "Sin", "Cos", "Clip", "Not", "BatchNormalization",
		"InstanceNormalization", "LayerNormalization", "GroupNormalization", "Softmax", "LogSoftmax",
		"Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean", "QuantizeLinear"} {
		inPlace[op] = true
	}
}

// views lists operators whose output is their input seen otherwise; an integer
// executor never writes out what DequantizeLinear gives.
var views = map[string]bool{"Reshape": true, "Flatten": true, "Squeeze": true, "Unsqueeze": true, "Identity": true,
	"Dropout": true, "DequantizeLinear": true}

func newMemory(g *Graph) *memory {
	m := &memory{index: map[*Value]*storage{}}
	for _, v := range g.Inputs {
		m.index[v] = &storage{first: v, bytes: v.bytes()}
	}
	keep := map[*Value]bool{}
	for _, v := range g.Outputs {
		keep[v] = true
	}
	for i, n := range g.Nodes {
		for _, v := range n.Inputs {
			if s := m.index[v]; v != nil && s != nil {
				s.find().last = i
			}
		}
		for k, v := range n.Outputs {
			if v == nil {
				continue
			}
			s := &storage{first: v, bytes: v.bytes(), last: i}
			if Source(v) != nil { // a weight, not an activation
				s.bytes = 0
			}
			m.index[v] = s
			if from := n.overwritten(k, keep); from != nil && m.index[from] != nil {
				m.join(m.index[from].find(), s, v, n)
			}
		}
	}
	for v := range keep {
		if s := m.index[v]; s != nil {
			s.find().last = len(g.Nodes)
		}
	}
	return m
}

// overwritten is the input whose storage output k of n takes, nil if none.
func (n *Node) overwritten(k int, keep map[*Value]bool) *Value {
	if k > 0 || n.Domain != "" || n.In(0) == nil || n.In(0).Data != nil {
		return nil
	}
	if views[n.Op] {
		if n.Op == "DequantizeLinear" && keep[n.Outputs[0]] {
			return nil
		}
		return n.In(0)
	}
	if !inPlace[n.Op] {
		return nil
	}
	for i, v := range n.Inputs {
		if i > 0 && !n.Is("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean") {
			break
		}
		if v == nil || v.Data != nil || len(v.uses) != 1 || v.producer == nil || keep[v] {
			continue
		}
		if n.Op == "QuantizeLinear" || v.bytes() == n.Outputs[0].bytes() {
			return v
		}
	}
	return nil
}

// join lets s, the storage of output v of n, take the storage before it. A
// quantized value decides the size of both.
func (m *memory) join(before, s *storage, v *Value, n *Node) {
	s.parent = before
	if n.Op == "QuantizeLinear" && before.first.producer != nil {
		before.bytes = min(before.bytes, v.bytes())
	}
	before.last = max(before.last, s.last)
}

func (m *memory) of(v *Value) *storage {
	if s := m.index[v]; s != nil {
		return s.find()
	}
	return &storage{}
}

// peak is the largest sum of storages alive at one node.
func (m *memory) peak(g *Graph) int64 {
	freed := map[int]int64{}
	var alive, peak int64
	for _, v := range g.Inputs {
		alive = clampAdd(alive, m.of(v).bytes)
		freed[m.of(v).last] += m.of(v).bytes
	}
	peak = alive
	for i, n := range g.Nodes {
		for _, v := range n.Outputs {
			if s := m.of(v); v != nil && s.first == v {
				alive = clampAdd(alive, s.bytes)
				freed[s.last] += s.bytes
			}
		}
		peak = max(peak, alive)
		alive -= freed[i]
	}
	return peak
}
