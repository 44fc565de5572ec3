package engine

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// TestAloneChangesNoBit runs small networks with every step shared, every step
// left to one worker, and every other one.
func TestAloneChangesNoBit(t *testing.T) {
	for _, spec := range []string{"lenet5", "dscnn", "vww"} {
		g, err := zoo.Build(spec, 1)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Compile(g, Options{Threads: 3})
		if err != nil {
			t.Fatal(err)
		}
		in := tensor.New(tensor.Float32, p.InputShape(0)...)
		for i, v := range in.Float32s() {
			in.Float32s()[i] = v + float32(i%17)/8 - 1
		}
		var want []byte
		for name, alone := range map[string]func(int) bool{
			"shared": func(int) bool { return false }, "alone": func(int) bool { return true }, "mixed": func(i int) bool { return i%2 == 0 },
		} {
			for i := range p.steps {
				p.steps[i].alone = alone(i)
			}
			out := p.NewOutputs()
			if err := p.RunInto(context.Background(), []*tensor.Tensor{in}, out); err != nil {
				t.Fatal(err)
			}
			if got := out[0].Bytes(); want == nil {
				want = got
			} else if !slices.Equal(got, want) {
				t.Errorf("%s: %s steps give other bits", spec, name)
			}
		}
	}
}

func TestChooseAlone(t *testing.T) {
	g, err := zoo.Build("resnet20", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{Threads: 1}, {Threads: 2, NoTune: true}, {Threads: 2, Keep: []string{g.Nodes[0].Outputs[0].Name}}} {
		p, err := Compile(g, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Steps() {
			if s.Alone {
				t.Fatalf("%+v: step %s was timed", o, s.Node)
			}
		}
	}
}

func TestQuickest(t *testing.T) {
	const us = time.Microsecond
	choices := []time.Duration{0, 4 * us, 10 * us, anyStep}
	for _, c := range []struct {
		name  string
		least []time.Duration
		whole time.Duration
		want  int
	}{
		{"sharing is quickest", []time.Duration{60 * us, 62 * us, 70 * us, 100 * us}, 100 * us, 0},
		{"less than the noise", []time.Duration{60 * us, 59 * us, 59 * us, 100 * us}, 100 * us, 0},
		{"small steps alone", []time.Duration{60 * us, 55 * us, 57 * us, 100 * us}, 100 * us, 1},
		{"a tiny program alone", []time.Duration{60 * us, 59 * us, 59 * us, 57 * us}, 57 * us, 3},
		{"a larger one by a little", []time.Duration{300 * us, 299 * us, 299 * us, 280 * us}, 280 * us, 0},
		{"a larger one by much", []time.Duration{380 * us, 370 * us, 370 * us, 283 * us}, 283 * us, 3},
	} {
		if got := quickest(choices, c.least, c.whole); got != c.want {
			t.Errorf("%s: choice %d, want %d", c.name, got, c.want)
		}
	}
}
