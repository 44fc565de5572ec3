package dataflow

import (
	"math"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestReference checks cycles that SCALE-Sim gives for AlexNet, one group at a
// time.
func TestReference(t *testing.T) {
	for _, c := range []struct {
		layer      *hardware.Layer
		ws, os, is float64
	}{
		{hardware.Conv("conv1", 1, 1, 96, 3, 227, 11, 4, 0), 112_283, 121_124, 216_599},
		{hardware.Conv("conv2", 1, 1, 128, 48, 27, 5, 1, 2), 125_095, 116_103, 194_027},
		{hardware.Conv("conv3", 1, 1, 384, 256, 13, 3, 1, 1), 227_231, 170_351, 206_495},
		{hardware.Conv("conv4", 1, 1, 192, 192, 13, 3, 1, 1), 85_211, 64_439, 92_663},
		{hardware.Conv("conv5", 1, 1, 128, 192, 13, 3, 1, 1), 56_807, 42_959, 71_927},
	} {
		for f, want := range map[Flow]float64{WeightStationary: c.ws, OutputStationary: c.os, InputStationary: c.is} {
			s := Systolic{Rows: 32, Cols: 32, Flow: f, Convention: true}
			got, err := s.Closed(c.layer)
			if err != nil {
				t.Fatal(err)
			}
			if got.Cycles != want {
				t.Errorf("%s %s: %v cycles, want %v", c.layer.Name, f, got.Cycles, want)
			}
		}
	}
}

func TestConvention(t *testing.T) {
	if n := conventional(58, 3, 2); n != 29 {
		t.Errorf("58 rows, filter 3, stride 2: %d outputs, want 29", n)
	}
}

// TestSimulation checks that the simulation without a limit is the closed
// form, that with equal folds stalls are what can be worked out by hand, and
// that time never grows with bandwidth.
func TestSimulation(t *testing.T) {
	layers := append(hardware.AlexNet(2).Layers, hardware.Conv("depthwise", 1, 24, 24, 24, 14, 3, 1, 1))
	for _, f := range []Flow{WeightStationary, InputStationary, OutputStationary} {
		for _, l := range layers {
			s := Systolic{Rows: 17, Cols: 32, Flow: f}
			closed, err := s.Closed(l)
			if err != nil {
				t.Fatal(err)
			}
			run, err := s.Simulate(l)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(run.Mapped-closed.Mapped) > 1e-9 {
				t.Errorf("%s %s: %v of the array used, closed form %v", f, l.Name, run.Mapped, closed.Mapped)
			}
			run.Mapped = closed.Mapped
			if run != closed {
				t.Errorf("%s %s: simulated %+v, closed form %+v", f, l.Name, run, closed)
			}
			if ideal := float64(l.MACs()) / (17 * 32); run.Cycles < ideal {
				t.Errorf("%s %s: %v cycles, the peak takes %v", f, l.Name, run.Cycles, ideal)
			}
			last := math.Inf(1)
			for _, words := range []float64{1, 4, 16, 64, 1e9} {
				s.Words = words
				limited, err := s.Simulate(l)
				if err != nil {
					t.Fatal(err)
				}
				if limited.Cycles > last || limited.Cycles < closed.Cycles {
					t.Errorf("%s %s: %v cycles at %v words, %v with fewer, %v without limit", f, l.Name, limited.Cycles, words, last, closed.Cycles)
				}
				if moved := float64(limited.Weights+limited.Inputs+limited.Sums) / words; limited.Cycles < moved*(1-1e-9) {
					t.Errorf("%s %s: %v cycles at %v words a cycle, but its words take %v", f, l.Name, limited.Cycles, words, moved)
				}
				last = limited.Cycles
			}
		}
	}
}

// TestStalls works out four equal folds by hand: 2×2 elements, 8 filters, a
// window of 2 and 10 pixels. A fold takes 2+2+2+10−2 = 14 cycles and moves 4
// weights and 20 inputs in and 20 sums out.
func TestStalls(t *testing.T) {
	l := hardware.FC("fc", 1, 8, 2)
	l.Size[hardware.P] = 10
	run, err := Systolic{Rows: 2, Cols: 2, Flow: WeightStationary, Words: 2}.Simulate(l)
	if err != nil {
		t.Fatal(err)
	}
	// Memory is the limit: the last fold begins when three folds' 44 words and
	// its own 24 have passed, at 2 a cycle.
	const want = (3*44+24)/2 + 14
	if run.Cycles != want || run.Stalls != want-4*14 {
		t.Errorf("%v cycles, %v of them stalls; want %d and %d", run.Cycles, run.Stalls, want, want-4*14)
	}
}

// TestRegisters moves data through a weight-stationary array register by
// register and checks the time and the products.
func TestRegisters(t *testing.T) {
	const rows, cols, pixels = 3, 4, 5
	var w [rows][cols]int
	for i := range rows {
		for j := range cols {
			w[i][j] = 1 + i*cols + j
		}
	}
	input := func(x, i int) int { return 7*x + 3*i + 1 }
	var in, sum [rows][cols]int
	out := map[[2]int]int{}
	cycles := rows // weights shift in, a row a cycle
	for step := 0; len(out) < pixels*cols; step++ {
		var nextIn, nextSum [rows][cols]int
		for i := range rows {
			for j := range cols {
				a := 0
				if j > 0 {
					a = in[i][j-1]
				} else if x := step - i; x >= 0 && x < pixels {
					a = input(x, i)
				}
				above := 0
				if i > 0 {
					above = sum[i-1][j]
				}
				nextIn[i][j], nextSum[i][j] = a, above+w[i][j]*a
			}
		}
		in, sum = nextIn, nextSum
		cycles++
		for j := range cols {
			if x := step - (rows - 1) - j; x >= 0 && x < pixels {
				out[[2]int{x, j}] = sum[rows-1][j]
			}
		}
	}
	for x := range pixels {
		for j := range cols {
			want := 0
			for i := range rows {
				want += input(x, i) * w[i][j]
			}
			if out[[2]int{x, j}] != want {
				t.Errorf("pixel %d, filter %d: %d, want %d", x, j, out[[2]int{x, j}], want)
			}
		}
	}
	s := Systolic{Rows: rows, Cols: cols, Flow: WeightStationary}
	if want := s.foldCycles(pixels); int64(cycles) != want {
		t.Errorf("%d cycles, the closed form says %d", cycles, want)
	}
}

func TestFixed(t *testing.T) {
	l := hardware.Conv("c", 2, 1, 20, 3, 10, 3, 1, 1)
	if got := ChannelCycles(l, 16, 16); got != 2*100*9*1*2 {
		t.Errorf("channels: %v", got)
	}
	if got := PixelCycles(l, 8, 8); got != 2*20*3*9*4 {
		t.Errorf("pixels: %v", got)
	}
}

func TestBadArrays(t *testing.T) {
	l := hardware.FC("fc", 1, 8, 2)
	for _, s := range []Systolic{{Rows: 0, Cols: 1, Flow: "ws"}, {Rows: 1, Cols: 1, Flow: "xs"}, {Rows: 1, Cols: 1, Flow: "ws", Words: -1}} {
		if _, err := s.Closed(l); err == nil {
			t.Errorf("%+v is accepted", s)
		}
		if _, err := s.Simulate(l); err == nil {
			t.Errorf("%+v is simulated", s)
		}
	}
}
