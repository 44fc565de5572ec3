package quantize

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// TestAnyBits quantizes to several widths, looks at the form of the result and
// compares the engine with the literal reading of the graph.
func TestAnyBits(t *testing.T) {
	for _, c := range []struct {
		w, a    int
		storage string
		group   int
		asym    bool
		net     string
		want    tensor.DType // of an inner layer's weights
		target  string
	}{
		{4, 4, "", 0, false, "residual", tensor.Int4, "ort"},
		{4, 8, Bytes, 0, false, "depthwise", tensor.Int8, "ort"},
		{2, 2, Packed2, 0, false, "residual", tensor.Int2, "ort"},
		{3, 5, "", 0, true, "concat", tensor.Int4, "ort"},
		{6, 6, "", 0, false, "residual", tensor.Int8, "tensorrt"},
		{8, 4, "", 0, false, "plain", tensor.Int8, "ort"},
		{12, 12, "", 0, false, "residual", tensor.Int16, "ort"},
		{4, 8, "", 8, false, "residual", tensor.Int4, "ort"},
	} {
		t.Run(fmt.Sprintf("W%dA%d_%s_%d_%s", c.w, c.a, c.storage, c.group, c.net), func(t *testing.T) {
			g := net(t, nets[c.net])
			o := Defaults()
			o.WBits, o.ABits, o.Storage, o.Group, o.Asymmetric, o.Target = c.w, c.a, c.storage, c.group, c.asym, c.target
			q, r := static(t, g, o)
			inner := 0
			for _, n := range q.Nodes {
				if !n.Is("Conv", "Gemm") {
					continue
				}
				w := n.Inputs[1].Producer()
				if w.Inputs[0].Type == c.want {
					inner++
				}
				if x := n.Inputs[0].Producer(); c.a < 8 && w.Inputs[0].Type == c.want && inner > 1 {
					checkNarrow(t, n, x.Inputs[0].Producer(), c.a)
				}
			}
			if inner == 0 {
				t.Errorf("no layer has weights of %v", c.want)
			}
			x := sample(g, 2, 11)
			want, got := runEval(t, q, x), runEngine(t, q, x)
			if diff, top := distance(want, got); diff > 0.05*top {
				t.Errorf("engine and interpreter differ by %g of %g", diff, top)
			}
			for i, l := range r.Layers {
				edge := i == 0 || i == len(r.Layers)-1
				if c.net == "concat" && l.Node == "fire5.expand1x1" {
					edge = true // it ends beside the last one
				}
				if !edge && (l.WBits != c.w || l.ABits != c.a) || edge && (l.WBits < min(c.w, 8) || c.w < 8 && l.WBits != 8) {
					t.Errorf("%s has %d-bit weights and %d-bit activations", l.Node, l.WBits, l.ABits)
				}
			}
		})
	}
}

// checkNarrow looks for the clamp that keeps the integers of q within bits.
func checkNarrow(t *testing.T, n *graph.Node, q *graph.Node, bits int) {
	t.Helper()
	if q == nil || !q.Is("QuantizeLinear") {
		return // behind a reshape
	}
	clip := q.Inputs[0].Producer()
	if q.Outputs[0].Type != tensor.Uint8 && q.Outputs[0].Type != tensor.Int8 {
		t.Errorf("%v reads %v", n, q.Outputs[0].Type)
	}
	if clip == nil || !clip.Is("Clip") {
		return // an 8-bit edge
	}
	scale, zero := q.Inputs[1].Data.At(0), q.Inputs[2].Data.At(0)
	lo, hi := clip.Inputs[1].Data.At(0)/scale+zero, clip.Inputs[2].Data.At(0)/scale+zero
	if hi-lo > float64(int(1)<<bits)-1+1e-3 {
		t.Errorf("%v reads integers from %g to %g, more than %d bits", n, lo, hi, bits)
	}
}

func TestBitErrors(t *testing.T) {
	g := net(t, nets["plain"])
	for _, c := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.WBits = 1 }, "1 bits for weights"},
		{func(o *Options) { o.ABits = 17 }, "17 bits for activations"},
		{func(o *Options) { o.Layers = map[string]Bits{"conv1": {Weights: 40}} }, `layer "conv1"`},
		{func(o *Options) { o.Storage = "paper" }, `storage "paper"`},
		{func(o *Options) { o.WeightRange = "guess" }, `"guess" (there are: aciq, minmax, mse)`},
		{func(o *Options) { o.Group, o.PerChannel = 8, false }, "exclude"},
		{func(o *Options) { o.Group = -1 }, "groups of -1"},
	} {
		o := Defaults()
		c.change(&o)
		if _, _, err := Static(context.Background(), g, noise(g, 1, 1, 1), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want an error with %q", err, c.want)
		}
	}
}

// TestConstantChannels quantizes a layer with an all-zero and an all-equal
// channel.
func TestConstantChannels(t *testing.T) {
	g := net(t, nets["plain"])
	v := g.Node("conv2").Inputs[1]
	d := v.Data.Clone()
	row := d.Len() / d.Shape[0]
	for i := range row {
		tensor.Data[float32](d)[i] = 0
		tensor.Data[float32](d)[row+i] = 0.25
	}
	v.SetData(d)
	for _, bits := range []int{4, 8} {
		o := Defaults()
		o.WBits = bits
		q, _ := static(t, g, o)
		for _, y := range runEngine(t, q, sample(g, 1, 3)) {
			if y != y {
				t.Fatalf("%d bits: NaN", bits)
			}
		}
	}
}

// TestFixed gives a layer its integers and finds them again, with a scale that
// the batch normalization behind it has multiplied.
func TestFixed(t *testing.T) {
	g := net(t, nets["residual"])
	var conv, bn *graph.Node
	for _, n := range g.Nodes {
		if n.Is("BatchNormalization") && n.Inputs[0].Producer().Is("Conv") {
			conv, bn = n.Inputs[0].Producer(), n
		}
	}
	gamma := bn.Inputs[1].Data.Clone()
	tensor.Data[float32](gamma)[1] *= -1
	bn.Inputs[1].SetData(gamma)
	w := conv.Inputs[1].Data.Clone()
	f := &Fixed{Codes: make([]int, w.Len())}
	row := w.Len() / w.Shape[0]
	for c := range w.Shape[0] {
		f.Grids = append(f.Grids, Grid{0.1 * float32(c+1), 0, -8, 7})
	}
	for i := range f.Codes {
		f.Codes[i] = i*7%16 - 8
		tensor.Data[float32](w)[i] = f.Grids[i/row].Value(f.Codes[i])
	}
	conv.Inputs[1].SetData(w)
	o := Defaults()
	o.BiasCorrection = false
	o.Fixed = map[string]*Fixed{conv.Name: f}
	q, r := static(t, g, o)
	for _, l := range r.Layers {
		if l.Node == conv.Name && l.SQNR < 120 {
			t.Errorf("%s: %g dB, want its weights exactly", l.Node, l.SQNR)
		}
	}
	codes := q.Node(conv.Name).Inputs[1].Producer().Inputs[0].Data.Ints()
	for i, c := range codes {
		want := f.Codes[i]
		if i/row == 1 {
			want = -want
		}
		if c != want {
			t.Fatalf("integer %d of channel %d is %d, want %d", i, i/row, c, want)
		}
	}
}
