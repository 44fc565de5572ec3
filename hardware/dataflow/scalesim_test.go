package dataflow

import (
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

const topology = `Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
Conv1, 227, 227, 11, 11, 3, 96, 4,
Conv3, 15, 15, 3, 3, 256, 384, 1,
`

const config = `[general]
run_name = alexnet
[architecture_presets]
ArrayHeight:    32
ArrayWidth:     32
IfmapSramSzkB:  64
Dataflow : os
[run_presets]
InterfaceBandwidth: CALC
`

func TestScaleSim(t *testing.T) {
	w, err := ReadTopology(strings.NewReader(topology), "alexnet.csv")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadConfig(strings.NewReader(config), "scale.cfg")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Report("scale", 1000, w)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"Conv1": 121_124, "Conv3": 170_351} {
		if c := r.Layer(name); c == nil || c.Cycles != want {
			t.Errorf("%s: %+v, want %v cycles", name, c, want)
		}
	}
	if n := w.Layers[0].MACs(); n != 105_415_200 {
		t.Errorf("Conv1: %d MACs", n)
	}
}

// TestScaleSimBandwidth: the bandwidth counts only where it is the user's.
func TestScaleSimBandwidth(t *testing.T) {
	for mode, want := range map[string]float64{"CALC": 0, "USER": 10} {
		s, err := ReadConfig(strings.NewReader("ArrayHeight: 4\nArrayWidth: 4\nBandwidth : 10\nDataflow : ws\nInterfaceBandwidth: "+mode), "a.cfg")
		if err != nil || s.Words != want {
			t.Errorf("%s: %v words a cycle, %v", mode, s.Words, err)
		}
	}
}

// TestScaleSimProducts reads products of matrices: the folds are those of 5.1.
func TestScaleSimProducts(t *testing.T) {
	w, err := ReadTopology(strings.NewReader("Layer, M, N, K,\nfc, 64, 40, 100,\n"), "gemm.csv")
	if err != nil {
		t.Fatal(err)
	}
	s := Systolic{Rows: 32, Cols: 32, Flow: OutputStationary, Convention: true}
	r, err := s.Report("a", 1000, w)
	if err != nil {
		t.Fatal(err)
	}
	if want := 2*2*(32+32+100-2) - 1.0; r.MACs != 64*40*100 || r.Cycles != want {
		t.Errorf("%d MACs in %v cycles, want %v", r.MACs, r.Cycles, want)
	}
}

func TestScaleSimErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "a.csv:1: there are no layers"},
		{"head\n\"c,1,2\n", "a.csv:2: extraneous"},
		{"Layer, M, N, K,\nfc, 1, 2\n", "a.csv:2: 3 columns; want name, M, N, K"},
		{"Layer, M, N, K,\nfc, 1, 2, none\n", "a.csv:2: column 4"},
		{"head\n", "no layers"},
		{"head\nc,1,2\n", "a.csv:2: 3 columns"},
		{"head\nc,8,8,3,3,x,4,1\n", "column 6"},
		{"head\nc,8,8,9,3,1,4,1\n", "larger than the input"},
		{"head\nc,8,8,3,3,1,0,1\n", "column 7"},
	} {
		if _, err := ReadTopology(strings.NewReader(c.text), "a.csv"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"", "a.cfg:1: ArrayHeight or ArrayWidth is missing"},
		{"ArrayHeight: 0", "a.cfg:1: arrayheight"},
		{"ArrayHeight: 4\nDataflow: xs", "a.cfg:2: no dataflow"},
	} {
		if _, err := ReadConfig(strings.NewReader(c.text), "a.cfg"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func FuzzTopology(f *testing.F) {
	f.Add(topology)
	f.Add("a\nb,1,1,1,1,1,1,1\n")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ReadTopology(strings.NewReader(text), "x.csv")
		if err != nil {
			return
		}
		for _, l := range w.Layers {
			if l.MACs() < 1 || l.Size[hardware.P] < 1 {
				t.Fatalf("%s is accepted as %s", text, l.Shape())
			}
			if _, err := (Systolic{Rows: 8, Cols: 8, Flow: OutputStationary}).Closed(l); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add(config)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadConfig(strings.NewReader(text), "x.cfg")
		if err != nil {
			return
		}
		if _, err := s.Closed(hardware.FC("fc", 1, 10, 10)); err != nil {
			t.Fatal(err)
		}
	})
}
