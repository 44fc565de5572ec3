package train

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// golden holds the gradients of a small residual network as PyTorch 1.13
// computes them in double precision: of each parameter the norm, and the
// product with cos(0.7·i). Parameter k is filled by 0.4·sin(1.7·i + 0.9·k + 0.5)
// (scales of normalizations plus 1), the four pictures by
// sin(1.7·i + 45.5); labels 2, 0, 1, 1, label smoothing 0.1.
var golden = []struct {
	name      string
	norm, dot float64
}{
	{"conv1.weight", 3.83573388318, 1.46033960691},
	{"bn1.weight", 0.321588817997, 0.209887199505},
	{"bn1.bias", 0.169136220041, 0.084636132461},
	{"layer1.0.conv1.weight", 1.28263735795, -0.149647141814},
	{"layer1.0.bn1.weight", 0.0818930876892, 0.0253923721193},
	{"layer1.0.bn1.bias", 0.136933712163, -0.131700630237},
	{"layer1.0.conv2.weight", 1.09887192668, -0.223721505089},
	{"layer1.0.bn2.weight", 0.328186464858, -0.369550134216},
	{"layer1.0.bn2.bias", 0.268751150484, -0.296056753079},
	{"layer2.0.conv1.weight", 1.03819467905, 0.312576707862},
	{"layer2.0.bn1.weight", 0.257271899937, -0.152184831084},
	{"layer2.0.bn1.bias", 0.120328464495, -0.0234882003635},
	{"layer2.0.conv2.weight", 0.765644813282, 0.859919162154},
	{"layer2.0.bn2.weight", 0.189054509001, -0.230762068961},
	{"layer2.0.bn2.bias", 0.206546639627, -0.164692155665},
	{"layer3.0.conv1.weight", 0.425746544471, -0.602295280595},
	{"layer3.0.bn1.weight", 0.146413842609, -0.0197697105306},
	{"layer3.0.bn1.bias", 0.204573313222, -0.107771748854},
	{"layer3.0.conv2.weight", 0.950027226524, -0.878553938946},
	{"layer3.0.bn2.weight", 0.253815259404, 0.014757539921},
	{"layer3.0.bn2.bias", 0.411763154919, 0.110519071136},
	{"fc.weight", 1.62406470834, 0.0184335307228},
	{"fc.bias", 0.497864986007, -0.0467536290881},
}

const goldenLoss = 1.603624512377841

func sines(n, k int, by float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(by * math.Sin(1.7*float64(i)+0.9*float64(k)+0.5))
	}
	return v
}

// goldenNet is the network with its formula weights.
func goldenNet(t *testing.T) *graph.Graph {
	t.Helper()
	g, err := zoo.Build("resnet8?classes=3&channels=2&size=8&width=0.25", 1)
	if err != nil {
		t.Fatal(err)
	}
	for k, p := range golden {
		v := g.Value(p.name)
		d := sines(v.Data.Len(), k, 0.4)
		if strings.Contains(p.name, "bn") && strings.HasSuffix(p.name, "weight") {
			for i := range d {
				d[i]++
			}
		}
		v.SetData(tensor.Of(d, v.Data.Shape...))
	}
	return g
}

// gradients collects norm and product of every gradient.
type gradients struct {
	NoHook
	loss float64
	got  map[string][2]float64
}

func (c *gradients) AfterBackward(s *State) error {
	c.loss = s.Loss
	for _, name := range s.Params() {
		norm, dot := 0.0, 0.0
		for i, v := range s.Grad(name).Float32s() {
			norm += float64(v) * float64(v)
			dot += float64(v) * math.Cos(0.7*float64(i))
		}
		c.got[name] = [2]float64{math.Sqrt(norm), dot}
	}
	return nil
}

func TestGradientsEqualPyTorch(t *testing.T) {
	ds, err := data.FromFloats(sines(4*2*8*8, 50, 1), 2, 8, 8, []int32{2, 0, 1, 1}, []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := data.NewLoader(ds, data.LoaderOptions{Batch: 4})
	if err != nil {
		t.Fatal(err)
	}
	c := &gradients{got: map[string][2]float64{}}
	if _, err := Run(context.Background(), goldenNet(t), l, Config{LabelSmoothing: 0.1, Hooks: []Hook{c}}); err != nil {
		t.Fatal(err)
	}
	if math.Abs(c.loss-goldenLoss) > 1e-5 {
		t.Errorf("loss %v, want %v", c.loss, goldenLoss)
	}
	for _, p := range golden {
		got, ok := c.got[p.name]
		if !ok {
			t.Errorf("no gradient of %s", p.name)
		}
		if tolerance := 2e-5 * (1 + p.norm); math.Abs(got[0]-p.norm) > tolerance || math.Abs(got[1]-p.dot) > tolerance {
			t.Errorf("gradient of %s: norm %v and product %v, want %v and %v", p.name, got[0], got[1], p.norm, p.dot)
		}
	}
}
