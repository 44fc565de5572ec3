// Package codebook stores weights as few shared values: clusters of one
// dimension, entropy-coded (Han et al., "Deep Compression: compressing deep
// neural networks with pruning, trained quantization and Huffman coding", ICLR
// 2016).
package codebook

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	method.Register(method.Method{
		Name: "deep-compression", Family: method.Quantize, Summary: "weights become few shared values, found by clustering; zeros stay zero, and what Huffman coding makes of the file is computed",
		Paper: "Han et al., Deep Compression: compressing deep neural networks with pruning, trained quantization and Huffman coding, ICLR", Year: 2016,
		Options: []method.Option{
			{Name: "conv", Default: "8", Help: "bits of an index into the shared values of a convolution"},
			{Name: "fc", Default: "5", Help: "bits of those of a matrix product"}},
		New: func(o map[string]string) (any, error) {
			var bits [2]int
			for i, name := range []string{"conv", "fc"} {
				b, err := strconv.Atoi(o[name])
				if err != nil || b < 1 || b > 8 {
					return nil, fmt.Errorf("%s=%s: want bits from 1 to 8", name, o[name])
				}
				bits[i] = b
			}
			return &Sharing{bits[0], bits[1]}, nil
		},
	})
}

// Sharing shares the weights of every layer among 2^Conv or 2^FC values.
type Sharing struct{ Conv, FC int }

// Layer tells what became of one layer's weights.
type Layer struct {
	Node     string  `json:"node"`
	Weights  int     `json:"weights"`
	Nonzero  int     `json:"nonzero"`
	Values   int     `json:"values"`
	Bytes    int     `json:"bytes"` // of its coded stream
	MeanBits float64 `json:"mean_bits"`
	SQNR     float64 `json:"sqnr_db"`
}

// Report is what Share did. Bytes is the size of all coded streams, and of what
// else the model holds, as float32.
type Report struct {
	Layers []Layer `json:"layers"`
	Bytes  int     `json:"bytes"`
	Float  int     `json:"float_bytes"` // of all parameters as float32
}

// Share returns a copy of g whose convolutions and matrix products take their
// weights out of a table by 8-bit indices (Gather), which any runtime can do
// beforehand.
func (s *Sharing) Share(g *graph.Graph) (*graph.Graph, *Report, error) {
	g = g.Clone()
	r := &Report{}
	for _, v := range g.Constants() {
		r.Float += v.Data.NBytes()
	}
	r.Bytes = r.Float
	done := map[*graph.Value]*graph.Value{}
	for _, n := range slices.Clone(g.Nodes) {
		if !n.Is("Conv", "Gemm", "MatMul") {
			continue
		}
		v := n.Inputs[1]
		if shared := done[v]; shared != nil {
			n.SetInput(1, shared)
			continue
		}
		if v.Data == nil || v.Type != tensor.Float32 || v.Data.Len() == 0 {
			continue
		}
		if v.Data.HasNaN() {
			return nil, nil, fmt.Errorf("codebook: %w", n.Errorf("its weights hold NaN or infinity"))
		}
		bits := s.FC
		if n.Is("Conv") {
			bits = s.Conv
		}
		w := v.Data.Float32s()
		book, index := Cluster(w, 1<<bits)
		stream, err := Encode(book, index)
		if err != nil {
			return nil, nil, fmt.Errorf("codebook: %w", n.Errorf("%w", err))
		}
		l := Layer{Node: n.Name, Weights: len(w), Values: len(book), Bytes: len(stream), MeanBits: 8 * float64(len(stream)) / float64(len(w)), SQNR: sqnr(w, book, index)}
		for _, x := range w {
			if x != 0 {
				l.Nonzero++
			}
		}
		r.Layers = append(r.Layers, l)
		r.Bytes += len(stream) - 4*len(w)
		done[v] = gather(g, n, v, book, index)
		n.SetInput(1, done[v])
	}
	if len(r.Layers) == 0 {
		return nil, nil, fmt.Errorf("codebook: the model has no float weights to share")
	}
	g.RemoveDead()
	if err := g.Sort(); err != nil {
		return nil, nil, err
	}
	g.Record("quantize", fmt.Sprintf("weights of %d layers shared; %d bytes after Huffman coding", len(r.Layers), r.Bytes))
	return g, r, g.InferShapes()
}

// gather adds the nodes that look the weights up.
func gather(g *graph.Graph, at *graph.Node, v *graph.Value, book []float32, index []uint8) *graph.Value {
	name := v.Name
	c := g.NewNode("", "Cast", name+"_index", []*graph.Value{g.AddConst(name+"_codes", tensor.Of(index, v.Data.Shape...))}, []string{name + "_index"},
		graph.Attrs{"to": int64(tensor.Int32)})
	n := g.NewNode("", "Gather", name+"_lookup", []*graph.Value{g.AddConst(name+"_values", tensor.Of(book, len(book))), c.Outputs[0]}, []string{name + "_shared"},
		graph.Attrs{"axis": int64(0)})
	g.InsertBefore(at, c)
	g.InsertBefore(at, n)
	return n.Outputs[0]
}

func sqnr(w, book []float32, index []uint8) float64 {
	signal, noise := 0.0, 0.0
	for i, v := range w {
		d := float64(v - book[index[i]])
		signal += float64(v) * float64(v)
		noise += d * d
	}
	if noise == 0 {
		return 300
	}
	return min(10*math.Log10(signal/noise), 300)
}

// Cluster shares w among at most k values (k ≤ 256): Lloyd's algorithm on the
// non-zero weights from centroids evenly spread over their range, as the paper
// advises. If there are zeros, value 0 is an exact zero of theirs. k values or
// fewer are kept as they are.
func Cluster(w []float32, k int) (book []float32, index []uint8) {
	index = make([]uint8, len(w))
	sorted := make([]float32, 0, len(w))
	zeros := false
	for _, v := range w {
		if v == 0 {
			zeros = true
			continue
		}
		sorted = append(sorted, v)
	}
	slices.Sort(sorted)
	if zeros && k > 1 {
		k--
	}
	centers := slices.Compact(slices.Clone(sorted))
	if len(centers) > k {
		centers = lloyd(sorted, k)
	}
	if zeros {
		book = append(book, 0)
	}
	book = append(book, centers...)
	for i, v := range w {
		if v == 0 && zeros {
			continue
		}
		at := nearest(centers, v)
		if zeros {
			at++
		}
		index[i] = uint8(at)
	}
	return book, index
}

// nearest is the place of the center next to v in an ascending list.
func nearest(centers []float32, v float32) int {
	i, _ := slices.BinarySearch(centers, v)
	if i == len(centers) || i > 0 && v-centers[i-1] <= centers[i]-v {
		return max(i-1, 0)
	}
	return i
}

// lloyd clusters a sorted list, which in one dimension means to move the
// borders, midway between centers, until they stay.
func lloyd(sorted []float32, k int) []float32 {
	lo, hi := sorted[0], sorted[len(sorted)-1]
	sums := make([]float64, len(sorted)+1)
	for i, v := range sorted {
		sums[i+1] = sums[i] + float64(v)
	}
	centers := make([]float32, k)
	for i := range centers {
		centers[i] = lo
		if k > 1 {
			centers[i] += (hi - lo) * float32(i) / float32(k-1)
		}
	}
	for range 300 {
		moved, from := false, 0
		for i := range centers {
			to := len(sorted)
			if i+1 < k {
				border := (centers[i] + centers[i+1]) / 2
				to, _ = slices.BinarySearchFunc(sorted, border, func(v, b float32) int {
					if v <= b {
						return -1
					}
					return 1
				})
			}
			if to = max(to, from); to > from {
				c := float32((sums[to] - sums[from]) / float64(to-from))
				moved = moved || c != centers[i]
				centers[i] = c
			}
			from = to
		}
		if !moved {
			break
		}
	}
	return slices.Compact(centers)
}

// Rate is the compression that sharing k values of b bits each among n weights
// gives without entropy coding: n·b/(n·log2 k + k·b).
func Rate(n, k, b int) float64 {
	return float64(n) * float64(b) / (float64(n)*math.Log2(float64(k)) + float64(k)*float64(b))
}
