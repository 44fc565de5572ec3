package codebook

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
)

// Extension is that of files of this format.
const Extension = ".huff"

// A file is
//
//	magic, uint32 bytes of the deflated skeleton, uint32 bytes when inflated,
//	the skeleton, uint32 number of streams; for each stream a uint16 and the name
//	of its indices in the skeleton, a uint16 and that of its values, a uint32 and
//	the stream; the CRC-32 (IEEE) of all before.
//
// The skeleton is an ONNX model in which the indices and values of the shared
// weights are inputs. Numbers are little-endian.
const fileMagic = "DRAWKNIFE-HUFF1\n"

// maxSkeleton bounds the inflated skeleton.
const maxSkeleton = 1 << 30

// Lookup reports whether n takes shared weights out of a table, as Share
// leaves it: Gather(values, Cast(indices)) of constants. It returns the two.
func Lookup(n *graph.Node) (values, indices *graph.Value, ok bool) {
	if !n.Is("Gather") || n.Int("axis", 0) != 0 || n.In(0) == nil || n.In(1) == nil {
		return nil, nil, false
	}
	cast := n.Inputs[1].Producer()
	if !cast.Is("Cast") || len(n.Inputs[1].Uses()) != 1 || cast.In(0) == nil {
		return nil, nil, false
	}
	values, indices = n.Inputs[0], cast.Inputs[0]
	ok = !values.IsOutput() && !indices.IsOutput() && values.Data != nil && values.Type == tensor.Float32 && len(values.Data.Shape) == 1 && values.Data.Len() > 0 && values.Data.Len() <= 256 &&
		indices.Data != nil && indices.Type == tensor.Uint8 && len(values.Uses()) == 1 && len(indices.Uses()) == 1
	return values, indices, ok
}

// Marshal is the file of a model that Share has made.
func Marshal(g *graph.Graph) ([]byte, error) {
	g = g.Clone()
	var streams bytes.Buffer
	count := uint32(0)
	text := func(s string) {
		streams.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(s))))
		streams.WriteString(s)
	}
	for _, n := range g.Nodes {
		values, indices, ok := Lookup(n)
		if !ok {
			continue
		}
		if len(values.Name) > 1<<15 || len(indices.Name) > 1<<15 {
			return nil, fmt.Errorf("codebook: %w", n.Errorf("has a name that is too long"))
		}
		stream, err := Encode(values.Data.Float32s(), tensor.Data[uint8](indices.Data))
		if err != nil {
			return nil, fmt.Errorf("codebook: %w", n.Errorf("%w", err))
		}
		text(outside(g, indices))
		text(outside(g, values))
		streams.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(stream))))
		streams.Write(stream)
		count++
	}
	if count == 0 {
		return nil, errors.New("codebook: the model shares no weights; quantize it by deep-compression first")
	}
	skeleton, err := onnx.Encode(g)
	if err != nil {
		return nil, err
	}
	if len(skeleton) > maxSkeleton {
		return nil, fmt.Errorf("codebook: what the model holds besides shared weights takes %d bytes, more than %d", len(skeleton), maxSkeleton)
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(skeleton); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	out := []byte(fileMagic)
	out = binary.LittleEndian.AppendUint32(out, uint32(packed.Len()))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(skeleton)))
	out = append(out, packed.Bytes()...)
	out = binary.LittleEndian.AppendUint32(out, count)
	out = append(out, streams.Bytes()...)
	return binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(out)), nil
}

// outside makes the constant v an input of the graph and returns its name.
func outside(g *graph.Graph, v *graph.Value) string {
	in := g.AddInput(v.Name+"_stream", v.Type, graph.ShapeOf(v.Data.Shape))
	g.ReplaceUses(v, in)
	g.RemoveConst(v)
	return in.Name
}

// Unmarshal reads what Marshal wrote: a model that any runtime can run.
func Unmarshal(data []byte) (*graph.Graph, error) {
	fail := func(err error) (*graph.Graph, error) { return nil, fmt.Errorf("codebook: %w", err) }
	if len(data) < len(fileMagic)+16 || string(data[:len(fileMagic)]) != fileMagic {
		return fail(errors.New("this is not a file of shared weights"))
	}
	body := data[:len(data)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(data[len(body):]) {
		return fail(errors.New("the file is damaged: its checksum does not fit"))
	}
	r := &reader{b: body[len(fileMagic):]}
	packed, size := int(binary.LittleEndian.Uint32(r.take(4))), int(binary.LittleEndian.Uint32(r.take(4)))
	if r.err != nil || packed > len(r.b) || size > maxSkeleton || size/1100 > packed { // deflate gains a factor of 1032 at most
		return fail(errStream)
	}
	skeleton, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(r.take(packed))), int64(size)+1))
	if err != nil || len(skeleton) != size {
		return fail(errors.Join(errStream, err))
	}
	g, err := onnx.Decode(skeleton)
	if err != nil {
		return fail(err)
	}
	total := 0
	for count := int(binary.LittleEndian.Uint32(r.take(4))); count > 0 && r.err == nil; count-- {
		indices, values := r.text(), r.text()
		stream := r.take(int(binary.LittleEndian.Uint32(r.take(4))))
		if r.err == nil {
			r.err = inside(g, indices, values, stream, &total)
		}
	}
	if r.err != nil {
		return fail(r.err)
	}
	if len(r.b) > 0 {
		return fail(errStream)
	}
	if err := g.Verify(); err != nil {
		return fail(err)
	}
	return g, nil
}

// text reads a name.
func (r *reader) text() string { return string(r.take(int(binary.LittleEndian.Uint16(r.take(2))))) }

// inside replaces two inputs of the graph by the constants of a stream.
func inside(g *graph.Graph, indices, values string, stream []byte, total *int) error {
	at, table := g.Value(indices), g.Value(values)
	if at == nil || table == nil || at == table || !at.IsInput() || !table.IsInput() {
		return fmt.Errorf("the skeleton has no inputs %q and %q", indices, values)
	}
	shape := at.Shape.Ints()
	n, ok := tensor.NumElements(shape)
	if !ok || !at.Shape.Known() || len(stream) < 4 || n != int(binary.LittleEndian.Uint32(stream)) || at.Type != tensor.Uint8 || table.Type != tensor.Float32 {
		return fmt.Errorf("the stream of %q does not fit its shape %v", indices, at.Shape)
	}
	if *total += n; *total > maxWeights {
		return fmt.Errorf("the streams hold more than %d weights", maxWeights)
	}
	book, index, err := Decode(stream)
	if err != nil {
		return fmt.Errorf("the weights %q: %w", indices, err)
	}
	settle(g, at, tensor.Of(index, shape...))
	settle(g, table, tensor.Of(book, len(book)))
	return nil
}

// settle replaces the input v by a constant.
func settle(g *graph.Graph, v *graph.Value, t *tensor.Tensor) {
	g.ReplaceUses(v, g.AddConst(strings.TrimSuffix(v.Name, "_stream"), t))
	g.Inputs = slices.DeleteFunc(g.Inputs, func(in *graph.Value) bool { return in == v })
}

// Write writes g, which Share has made, to a file.
func Write(path string, g *graph.Graph) error {
	data, err := Marshal(g)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Read reads a file of Write.
func Read(path string) (*graph.Graph, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g, err := Unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}
