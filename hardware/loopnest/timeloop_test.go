package loopnest

import (
	"strings"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

const conv1Problem = `
problem:
  shape:
    name: CNN-Layer
    dimensions: [C, K, R, S, N, P, Q]
    coefficients:
      - {name: Wstride, default: 1}
  instance: {C: 3, K: 96, R: 11, S: 11, P: 55, Q: 55, N: 4, Wstride: 4, Hstride: 4}
`

func TestProblem(t *testing.T) {
	l, err := ParseProblem("conv1.yaml", []byte(conv1Problem))
	if err != nil {
		t.Fatal(err)
	}
	want := hardware.AlexNet(4).Layer("conv1")
	if l.Size != want.Size || l.Stride != want.Stride || l.Height != want.PaddedHeight() {
		t.Errorf("%s, stride %v, height %d; want %s, %v, %d", l.Shape(), l.Stride, l.Height, want.Shape(), want.Stride, want.PaddedHeight())
	}
	if l, err = ParseProblem("p.yaml", []byte("problem: {instance: {P: 112, Q: 112, R: 3, S: 3, Wstride: 2, Hstride: 2, H: 224, W: 224, Hpad: 1, Wpad: 0}}")); err != nil {
		t.Fatal(err)
	}
	if l.Height != 224 || l.Width != 224 || l.Pad != [2]int{0, 1} {
		t.Errorf("%d×%d, padding %v", l.Height, l.Width, l.Pad)
	}
	for _, c := range []struct{ text, want string }{
		{"a: 1", "p.yaml:1: problem.instance: is missing"},
		{"problem: {instance: {C: 0}}", "p.yaml:1: problem.instance.C: 0; want"},
		{"problem: {instance: {C: x}}", "p.yaml:1: problem.instance.C: x; want"},
		{"problem:\n  instance:\n    X: 3", "p.yaml:3: problem.instance.X: is not part"},
		{"problem: {instance: {C: &a 3}}", "anchors"},
		{"problem: [", "p.yaml:1: "},
	} {
		if _, err := ParseProblem("p.yaml", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func FuzzProblem(f *testing.F) {
	f.Add([]byte(conv1Problem))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := ParseProblem("p.yaml", b); err == nil && l.MACs() < 1 {
			t.Fatalf("%q is accepted as %s", b, l.Shape())
		}
	})
}
