package codebook

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// shared is a small network with shared weights, half of them zero.
func shared(t testing.TB) (*graph.Graph, *Report) {
	t.Helper()
	g, err := zoo.Build("lenet5?size=16&classes=4", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Nodes {
		if n.Is("Conv", "Gemm") {
			d := n.Inputs[1].Data.Clone()
			for i, x := 0, tensor.Data[float32](d); i < len(x); i += 2 {
				x[i] = 0
			}
			n.Inputs[1].SetData(d)
		}
	}
	q, r, err := (&Sharing{Conv: 4, FC: 3}).Share(g)
	if err != nil {
		t.Fatal(err)
	}
	return q, r
}

func run(t *testing.T, g *graph.Graph) []float32 {
	t.Helper()
	x := tensor.New(tensor.Float32, 2, g.Inputs[0].Shape[1].Size, 16, 16)
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = float32(i%7) - 3
	}
	out, err := engine.NewModel(g, engine.Options{Threads: 1}).Run(context.Background(), map[string]*tensor.Tensor{g.Inputs[0].Name: x})
	if err != nil {
		t.Fatal(err)
	}
	return out[g.Outputs[0].Name].Float32s()
}

// TestFile: what is read back computes the same bits and makes the same file,
// which is about as large as the report says.
func TestFile(t *testing.T) {
	q, r := shared(t)
	path := filepath.Join(t.TempDir(), "m"+Extension)
	if err := Write(path, q); err != nil {
		t.Fatal(err)
	}
	back, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Inputs) != 1 {
		t.Errorf("the model that was read has %d inputs", len(back.Inputs))
	}
	if !slices.Equal(run(t, q), run(t, back)) {
		t.Error("the model that was read computes something else")
	}
	first, err := Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != len(again) {
		t.Errorf("%d bytes, and %d when written again", len(first), len(again))
	}
	if len(first) > r.Bytes+8<<10 {
		t.Errorf("the file has %d bytes, the report says %d", len(first), r.Bytes)
	}
	plain, err := onnx.Encode(q)
	if err != nil {
		t.Fatal(err)
	}
	if 2*len(first) > len(plain) {
		t.Errorf("%d bytes, as ONNX %d", len(first), len(plain))
	}
}

func TestFileErrors(t *testing.T) {
	q, _ := shared(t)
	whole, err := Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":       {nil, "not a file of shared weights"},
		"another":     {bytes.Repeat([]byte("x"), 100), "not a file of shared weights"},
		"damaged":     {damaged, "checksum"},
		"cut short":   {sealed(whole[:len(whole)-40]), "cut short"},
		"too long":    {sealed(append(bytes.Clone(whole[:len(whole)-4]), 0, 0, 0, 0, 1)), "cut short"},
		"no skeleton": {sealed(append([]byte(fileMagic), make([]byte, 16)...)), "cut short"},
	} {
		if _, err := Unmarshal(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	g, err := zoo.Build("lenet5?size=16&classes=4", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Marshal(g); err == nil || !strings.Contains(err.Error(), "shares no weights") {
		t.Errorf("nothing shared: %v", err)
	}
}

// sealed replaces the last four bytes by the right checksum.
func sealed(b []byte) []byte {
	b = bytes.Clone(b[:len(b)-4])
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func FuzzUnmarshal(f *testing.F) {
	q, _ := shared(f)
	whole, err := Marshal(q)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return
		}
		g, err := Unmarshal(sealed(b))
		if err == nil && g.Verify() != nil {
			t.Error("a graph that is not sound")
		}
	})
}
