package graph_test

import (
	"bytes"
	"flag"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/drawknife/drawknife/eval"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/testdata"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/zoo"
)

// fullSize proves removal on networks as they are, which takes minutes:
// go test ./graph -run EveryGroup -args -full-size
var fullSize = flag.Bool("full-size", false, "prove the removal of channels on networks of full width and resolution")

// prover proves removal group by group on one network.
type prover struct {
	t      *testing.T
	g      *graph.Graph
	r      *rand.Rand
	inputs []*tensor.Tensor
	base   *lazy
	// proved counts the groups that were; frozen and inexact hold the reasons of
	// the others, by group.
	proved          int
	frozen, inexact map[string]string
}

func newProver(t *testing.T, g *graph.Graph) *prover {
	r := rand.New(rand.NewPCG(11, 12))
	p := &prover{t: t, g: g, r: r, inputs: images(g, r), frozen: map[string]string{}, inexact: map[string]string{}}
	p.base = p.execute(g, nil)
	return p
}

// images fills the inputs of g with one image each, of colours from 0 to 1.
func images(g *graph.Graph, r *rand.Rand) []*tensor.Tensor {
	var list []*tensor.Tensor
	for _, v := range g.Inputs {
		shape := v.Shape.Ints()
		shape[0] = 1
		x := tensor.New(tensor.Float32, shape...)
		for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
			d[i] = r.Float32()
		}
		list = append(list, x)
	}
	return list
}

// lazy computes the values of a graph as they are asked for. What depends on
// nothing that differs in a bit from another execution, last, is taken from
// there.
type lazy struct {
	p    *prover
	g    *graph.Graph
	last *lazy
	at   map[*graph.Value]*tensor.Tensor
	// new tells, once a value is known, whether it differs from last.
	new map[*graph.Value]bool
	// met is set once a value is the same as in last, but not as in last's last:
	// from there on, whatever changed has met again.
	met bool
}

func (p *prover) execute(g *graph.Graph, last *lazy) *lazy {
	l := &lazy{p: p, g: g, last: last, at: map[*graph.Value]*tensor.Tensor{}, new: map[*graph.Value]bool{}}
	for i, v := range g.Inputs {
		l.at[v], l.new[v] = p.inputs[i], last == nil
	}
	return l
}

// before is the value of the same name in last, nil if there is none.
func (l *lazy) before(v *graph.Value) *graph.Value {
	if l.last == nil {
		return nil
	}
	return l.last.g.Value(v.Name)
}

// differs reports that a value is not what it was in last.
func (l *lazy) differs(v *graph.Value) bool {
	if is, known := l.new[v]; known {
		return is
	}
	old := l.before(v)
	n := v.Producer()
	if n == nil {
		l.at[v], l.new[v] = v.Data, old == nil || old.Data != v.Data
		return l.new[v]
	}
	again := old == nil
	for _, in := range n.Inputs {
		again = in != nil && l.differs(in) || again
	}
	if !again {
		l.new[v] = false
		return false
	}
	in := make([]*tensor.Tensor, len(n.Inputs))
	for i, v := range n.Inputs {
		if v != nil {
			in[i] = l.value(v)
		}
	}
	out, err := eval.Node(n, in)
	if err != nil {
		l.p.t.Fatal(err)
	}
	for i, o := range n.Outputs {
		if o == nil {
			continue
		}
		l.at[o], l.new[o] = out[i], true
		if old := l.before(o); old != nil && same(out[i], l.last.value(old)) {
			l.new[o] = false
			l.met = l.met || l.last.differs(old)
		}
	}
	return l.new[v]
}

func same(a, b *tensor.Tensor) bool {
	return a.DType == b.DType && slices.Equal(a.Shape, b.Shape) && bytes.Equal(a.Bytes(), b.Bytes())
}

func (l *lazy) value(v *graph.Value) *tensor.Tensor {
	if !l.differs(v) && l.at[v] == nil {
		return l.last.value(l.before(v))
	}
	return l.at[v]
}

// apart is the largest difference of an output from last, relative to its
// largest value. It is 0, without computing more, if the two have met.
func (l *lazy) apart() float64 {
	worst := 0.0
	for i, v := range l.g.Outputs {
		if l.differs(v) {
			l.met = true
			worst = max(worst, difference(l.p.t, []*tensor.Tensor{l.value(v)}, []*tensor.Tensor{l.last.value(l.last.g.Outputs[i])}))
		}
	}
	return worst
}

// every proves the removal of channels from each group by itself: the group's
// channels are zeroed, which must change what comes after them, and then
// removed, which must not.
func (p *prover) every() {
	groups, err := p.g.Groups()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, gr := range groups {
		switch {
		case gr.Frozen != "":
			p.frozen[gr.Name] = gr.Frozen
		case gr.Size < 2:
			p.frozen[gr.Name] = "it has a single channel"
		default:
			p.one(gr)
		}
	}
}

// one proves a group. Channels that happen to be silent prove nothing: then
// more are tried.
func (p *prover) one(gr *graph.Group) {
	for share := 0.4; share < 1; share += 0.1 {
		n := max(int(math.Ceil(share*float64(gr.Size))), gr.Divisor())
		gone := gr.Choose(p.r.Perm(gr.Size), n)
		if len(gone) == 0 {
			p.t.Errorf("group %q of %d channels (divisor %d) is not frozen, but none can go", gr.Name, gr.Size, gr.Divisor())
			return
		}
		if p.without(gr, gone) {
			return
		}
	}
	p.t.Errorf("group %q: the proof says nothing: whatever channels are zeroed, nothing changes", gr.Name)
}

// without compares what is computed with channels zeroed and removed. It
// reports that there was something to compare, or an error.
func (p *prover) without(gr *graph.Group, gone []int) bool {
	masked, sets := onClone(p.t, p.g, map[*graph.Group][]int{gr: gone})
	if err := masked.ZeroChannels(sets); err != nil {
		p.t.Fatal(err)
	}
	small, sets := onClone(p.t, masked, map[*graph.Group][]int{gr: gone})
	err := small.RemoveChannels(sets)
	if err == nil {
		err = small.Verify()
	}
	if err != nil {
		p.t.Errorf("group %q: %v", gr.Name, err)
		return true
	}
	left := p.execute(small, p.execute(masked, p.base))
	d := left.apart()
	switch {
	case gr.Inexact != "":
		p.inexact[gr.Name] = gr.Inexact
	case !(d <= 1e-4):
		p.t.Errorf("group %q: removing %d of %d channels changes the output by %.3g of its largest value", gr.Name, len(gone), gr.Size, d)
	case !left.met:
		return false
	default:
		p.proved++
	}
	return true
}

// expect holds the reasons of what was not proved to those that are right for
// a classifier: its outputs are frozen, and local response normalization mixes
// neighbours.
func (p *prover) expect(inexact int) {
	p.t.Helper()
	for name, why := range p.frozen {
		if !strings.HasSuffix(why, "is an output of the graph") {
			p.t.Errorf("group %q is frozen: %s", name, why)
		}
	}
	if p.proved == 0 || len(p.frozen) != 1 || len(p.inexact) != inexact {
		p.t.Errorf("%d groups proved; frozen are %v, want the outputs alone; removal is not exact for %v, want %d", p.proved, p.frozen, p.inexact, inexact)
	}
	p.t.Logf("%d groups proved", p.proved)
}

// unsettle gives biases and normalizations values that matter: in a new
// network they add zero.
func unsettle(g *graph.Graph, r *rand.Rand) {
	random := func(v *graph.Value, least, spread float64) {
		if v == nil || v.Data == nil || v.Data.DType != tensor.Float32 {
			return
		}
		t := tensor.New(tensor.Float32, v.Data.Shape...)
		for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
			d[i] = float32(least + spread*r.Float64())
		}
		v.SetData(t)
	}
	for _, n := range g.Nodes {
		switch {
		case n.Is("BatchNormalization"):
			random(n.In(1), 0.5, 1)
			random(n.In(2), -0.5, 1)
			random(n.In(3), -0.5, 1)
			random(n.In(4), 0.5, 1)
		case n.Is("Conv", "Gemm"):
			random(n.In(2), -0.5, 1)
		}
	}
}

// proofSpecs are what makes networks of the zoo small where width=0.125 and
// size=32 do not do: groups, and pools without end, need more.
var proofSpecs = map[string]string{
	"lenet5": "", "dscnn": "", "vww": "size=32", "resnet8-mlperf": "", "resnet8": "width=0.5", "resnet20": "width=0.5", "resnet32": "width=0.25",
	"resnet44": "width=0.25", "resnet56": "width=0.25", "resnet110": "width=0.25", "alexnet": "size=64&width=0.125", "alexnet-2012": "size=67&width=0.125",
	"shufflenetv1": "size=32", "shufflenetv2": "size=32&width=0.5", "squeezenet1.0": "size=32&width=0.5", "squeezenet1.1": "size=32&width=0.5",
}

// TestEveryGroupZoo proves by execution the removal of channels from every
// group of every network of the zoo. What is frozen must be so for a reason
// that this test knows.
func TestEveryGroupZoo(t *testing.T) {
	for _, m := range zoo.List() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			options, ok := proofSpecs[m.Name]
			switch {
			case *fullSize:
				options = ""
			case !ok:
				options = "size=32&width=0.125"
			}
			g := build(t, m.Name+"?"+options)
			unsettle(g, rand.New(rand.NewPCG(13, 14)))
			p := newProver(t, g)
			p.every()
			p.expect(inexactZoo[m.Name])
		})
	}
}

// inexactZoo counts the groups that local response normalization reads.
var inexactZoo = map[string]int{"alexnet-2012": 2}

// TestEveryGroupRealModels does the same with the pretrained models, in
// float32 and in 8 bits.
func TestEveryGroupRealModels(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testdata.Dir(t), "models", "*", "*.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	slices.Sort(files)
	for _, f := range files {
		name := filepath.Base(filepath.Dir(f)) + "/" + filepath.Base(f)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := read(t, name)
			if !*fullSize {
				shrink(t, g)
			}
			p := newProver(t, g)
			p.every()
			p.expect(0)
		})
	}
}

// shrink gives a model of large images smaller ones, if it takes them.
func shrink(t *testing.T, g *graph.Graph) {
	t.Helper()
	in := g.Inputs[0]
	whole := slices.Clone(in.Shape)
	in.Shape[0] = graph.D(1)
	if in.Shape[1].Size == 3 {
		in.Shape[2], in.Shape[3] = graph.D(32), graph.D(32)
	}
	g.ClearShapes()
	if g.InferShapes() == nil {
		return
	}
	in.Shape = whole
	g.ClearShapes()
	if err := g.InferShapes(); err != nil {
		t.Fatal(err)
	}
}
