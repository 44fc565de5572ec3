package quantize

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
)

func init() {
	options := []method.Option{
		{Name: "iterations", Default: "1000", Help: "steps for each part of the network"},
		{Name: "lr", Default: "0.01", Help: "learning rate of Adam"},
		{Name: "batch", Default: "32", Help: "images a step"}}
	add := func(name, summary, paper string, year int, byBlock bool, more ...method.Option) {
		method.Register(method.Method{
			Name: name, Family: method.Quantize, Summary: summary, Paper: paper, Year: year, Needs: method.Needs{Data: true},
			Options: append(slices.Clone(options), more...),
			New: func(o map[string]string) (any, error) {
				m := &adaRound{byBlock: byBlock}
				if _, has := o["fisher"]; has {
					var err error
					if m.fisher, err = boolean(o, "fisher"); err != nil {
						return nil, err
					}
				}
				steps, err := number(o, "iterations", 1, 1e6)
				if err != nil {
					return nil, err
				}
				batch, err := number(o, "batch", 1, 1024)
				if err != nil {
					return nil, err
				}
				m.steps, m.batch = int(steps), int(batch)
				m.lr, err = number(o, "lr", 1e-6, 1)
				return Preset(func(p *Options) { p.Rounding, p.BiasCorrection = m, false }), err
			},
		})
	}
	add("adaround", "learn for each weight whether to round up or down so that its layer's output stays",
		"Nagel et al., Up or down? Adaptive rounding for post-training quantization, ICML", 2020, false)
	add("brecq", "learn the rounding of all weights of a residual block together so that the block's output stays",
		"Li et al., BRECQ: pushing the limit of post-training quantization by block reconstruction, ICLR", 2021, true,
		method.Option{Name: "fisher", Default: "false", Help: "weigh each element of a block's output by the gradient of the network's loss (diagonal Fisher information)"})
}

// adaRound learns h(V) in W̃ = s·clip(⌊W/s⌋ + h(V)), which starts at the
// fraction of W/s and is driven to 0 or 1 (Nagel et al. 2020, eq. 21 to 24).
type adaRound struct {
	byBlock      bool
	fisher       bool
	steps, batch int
	lr           float64
}

func (m *adaRound) blocks() bool { return m.byBlock }

// strength of the term that drives h(V) to 0 or 1, and the share of the steps
// before it sets in.
const (
	roundingStrength = 0.01
	roundingWarmup   = 0.2
)

// rectified is h(V) = clip(1.2·σ(V) − 0.1, 0, 1).
func rectified(v float64) float64 { return min(max(1.2/(1+math.Exp(-v))-0.1, 0), 1) }

// unrectified is the V at which h(V) is f, for 0 ≤ f < 1.
func unrectified(f float64) float64 { return -math.Log(1.2/(f+0.1) - 1) }

// pressure is λ·(1 − |2h−1|^β) and its derivative in V.
func pressure(v, beta float64) (value, slope float64) {
	h := rectified(v)
	d := 2*h - 1
	p := math.Pow(math.Abs(d), beta)
	value = 1 - p
	if h <= 0 || h >= 1 || d == 0 {
		return value, 0
	}
	sigma := 1 / (1 + math.Exp(-v))
	slope = -beta * p / d * 2 * 1.2 * sigma * (1 - sigma)
	return value, slope
}

// slopes tabulates the derivative of the pressure, times its strength, where it
// is not zero: each step asks for it once a weight.
type slopes [slopeSteps + 2]float32

const slopeSteps = 2048

var slopeReach = math.Log(11) // h(V) is 0 below minus it, 1 above it

func newSlopes(beta float64) *slopes {
	var s slopes
	for i := range slopeSteps + 1 {
		v := slopeReach * (1 - 1e-9) * (2*float64(i)/slopeSteps - 1) // within: at the ends it jumps to 0
		_, slope := pressure(v, beta)
		s[i] = float32(roundingStrength * slope)
	}
	s[slopeSteps+1] = s[slopeSteps]
	return &s
}

func (s *slopes) at(v float32) float32 {
	x := (v + float32(slopeReach)) * float32(slopeSteps/2/math.Log(11))
	if !(x >= 0 && x <= slopeSteps) {
		return 0
	}
	i := int(x)
	return s[i] + (x-float32(i))*(s[i+1]-s[i])
}

// annealed is β after that share of the steps: 20 falling to 2.
func annealed(share float64) float64 {
	t := min(max((share-roundingWarmup)/(1-roundingWarmup), 0), 1)
	return 20 + (2-20)*t
}

func (m *adaRound) round(ctx context.Context, r *reconstruction, u *unit) error {
	t, err := newTask(ctx, r, u, m)
	if err != nil {
		return err
	}
	before, err := t.hardLoss(ctx, func(l *layer, i int) bool { return l.codes[i] > t.floors[l][i] })
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(r.seed, uint64(len(r.done))+0x5eed))
	t.start()
	for step := range m.steps {
		t.draw(rng)
		if err := t.run(ctx); err != nil {
			return err
		}
		var push func(v float32) float32
		if share := float64(step) / float64(m.steps); share >= roundingWarmup {
			push = newSlopes(annealed(share)).at
		}
		for _, p := range t.params {
			p.adam(m.lr, step+1, push)
		}
	}
	up := map[*layer][]bool{}
	for _, p := range t.params {
		for _, v := range p.v {
			up[p.l] = append(up[p.l], v >= 0)
		}
	}
	after, err := t.hardLoss(ctx, func(l *layer, i int) bool { return up[l][i] })
	if err != nil || !(after < before) {
		return err // nearest is as good
	}
	for _, p := range t.params {
		for i := range p.l.codes {
			g := p.l.at(i)
			q := t.floors[p.l][i]
			if up[p.l][i] {
				q++
			}
			p.l.codes[i] = min(max(q, g.Min), g.Max)
		}
	}
	return nil
}

// task is the reconstruction of one unit: its program from the quantized
// inputs and the variables V to the loss and the gradients of V.
type task struct {
	u      *unit
	params []*roundParam
	floors map[*layer][]int
	inputs [][]float32 // for each of the unit's inputs, all images
	target []float32
	weight []float32 // of the output's elements, if they are weighed
	images int
	batch  int

	program *engine.Program
	in, out []*tensor.Tensor
	feeds   []feed
}

// feed connects an input of the program with the values of all images.
type feed struct {
	to   []float32
	from []float32
	per  int
}

// roundParam is V of one layer.
type roundParam struct {
	l          *layer
	v, g, a, b []float32 // V, its gradient, Adam's two averages
}

// adam does one step; push, unless nil, tells a further gradient.
func (p *roundParam) adam(lr float64, step int, push func(v float32) float32) {
	rate := float32(lr / (1 - math.Pow(0.9, float64(step))))
	inverse := float32(1 / (1 - math.Pow(0.999, float64(step))))
	for i, v := range p.v {
		g := p.g[i]
		if push != nil {
			g += push(v)
		}
		p.a[i] += 0.1 * (g - p.a[i])
		p.b[i] += 0.001 * (g*g - p.b[i])
		p.v[i] -= rate * p.a[i] / (float32(math.Sqrt(float64(p.b[i]*inverse))) + 1e-8)
	}
}

func newTask(ctx context.Context, r *reconstruction, u *unit, m *adaRound) (*task, error) {
	sim, err := r.simulated()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range u.inputs {
		names = append(names, v.Name)
	}
	given, err := r.observe(ctx, sim, r.quantized, names...)
	if err != nil {
		return nil, err
	}
	wanted, err := r.observe(ctx, r.s.g, r.float, u.output.Name)
	if err != nil {
		return nil, err
	}
	t := &task{u: u, floors: map[*layer][]int{}}
	for _, x := range r.images {
		t.images += x.Shape[0]
	}
	t.batch = min(m.batch, t.images)
	for _, name := range names {
		t.inputs = append(t.inputs, joined(given[name]))
	}
	t.target = joined(wanted[u.output.Name])
	if m.fisher {
		if t.weight, err = importance(ctx, r.s.g, u.output.Name, r.images, r.threads); err != nil {
			return nil, err
		}
	}
	return t, t.build(sim, given, wanted[u.output.Name][0].Shape, r.threads)
}

func joined(list []*tensor.Tensor) []float32 {
	var all []float32
	for _, t := range list {
		all = append(all, t.Float32s()...)
	}
	return all
}

// batched is a shape with the batch in front.
func batched(shape []int, n int) graph.Shape { return graph.ShapeOf(append([]int{n}, shape[1:]...)) }

// build cuts the unit out of the simulated network and adds soft weights, the
// loss and the gradients.
func (t *task) build(g *graph.Graph, given map[string][]*tensor.Tensor, out []int, threads int) error {
	end := g.Value(t.u.output.Name)
	if end == nil {
		return fmt.Errorf("there is no value %q", t.u.output.Name)
	}
	var inputs []*graph.Value
	for _, v := range t.u.inputs {
		w := g.Value(v.Name)
		in := g.AddInput(v.Name+"_given", tensor.Float32, batched(given[v.Name][0].Shape, t.batch))
		for len(w.Uses()) > 0 {
			use := w.Uses()[0]
			use.Node.SetInput(use.Index, in)
		}
		inputs = append(inputs, in)
	}
	g.Inputs = inputs
	g.Outputs = []*graph.Value{end}
	var vs []*graph.Value
	for _, l := range t.u.layers {
		vs = append(vs, t.soften(g, l))
	}
	g.RemoveDead()
	if err := g.Sort(); err != nil {
		return err
	}
	if err := g.InferShapes(); err != nil {
		return err
	}
	want := g.AddInput("wanted", tensor.Float32, batched(out, t.batch))
	d := g.Add("Sub", "loss_difference", nil, end, want)
	if t.weight != nil {
		d = g.Add("Mul", "loss_weighted", nil, d, g.AddInput("importance", tensor.Float32, batched(out, t.batch)))
	}
	sum := g.Add("ReduceSumSquare", "loss_sum", graph.Attrs{"keepdims": int64(0)}, d)
	positions := t.batch
	for _, n := range out[min(2, len(out)):] {
		positions *= n
	}
	loss := g.Add("Mul", "loss", nil, sum, g.AddConst("loss_weight", tensor.Scalar(1/float32(positions))))
	grads, err := autodiff.Gradient(g, loss, vs)
	if err != nil {
		return err
	}
	g.Outputs = []*graph.Value{loss}
	var variables []string
	for _, v := range vs {
		if grads[v] == nil {
			return fmt.Errorf("the output %q does not depend on the weights of %q", end.Name, v.Name)
		}
		g.AddOutput(grads[v])
		variables = append(variables, v.Name)
	}
	g.RemoveDead()
	if t.program, err = engine.Compile(g, engine.Options{Threads: threads, Variables: variables}); err != nil {
		return err
	}
	t.out = t.program.NewOutputs()
	t.in = make([]*tensor.Tensor, len(t.program.Inputs()))
	for i, name := range t.program.Inputs() {
		x := tensor.New(tensor.Float32, g.Value(name).Shape.Ints()...)
		t.in[i] = x
		from := t.target
		if name == "importance" {
			from = t.weight
		}
		for k, in := range inputs {
			if in.Name == name {
				from = t.inputs[k]
			}
		}
		t.feeds = append(t.feeds, feed{tensor.Data[float32](x), from, x.Len() / t.batch})
	}
	for i, v := range vs {
		p := &roundParam{l: t.u.layers[i], v: tensor.Data[float32](t.program.Variable(v.Name)), g: tensor.Data[float32](t.out[1+i])}
		p.a, p.b = make([]float32, len(p.v)), make([]float32, len(p.v))
		t.params = append(t.params, p)
	}
	return nil
}

// soften replaces l's weights by s·(clip(⌊w/s⌋ + z + h(V), min, max) − z) and
// returns V.
func (t *task) soften(g *graph.Graph, l *layer) *graph.Value {
	n := g.Node(l.node.Name)
	count := len(l.w)
	floor, scale, lo, hi := make([]float32, count), make([]float32, count), make([]float32, count), make([]float32, count)
	t.floors[l] = make([]int, count)
	for i, w := range l.w {
		grid := l.at(i)
		f := math.Floor(float64(w / grid.Scale))
		floor[i], scale[i] = float32(f), grid.Scale
		lo[i], hi[i] = float32(grid.Min-grid.Zero), float32(grid.Max-grid.Zero)
		t.floors[l][i] = int(f) + grid.Zero
	}
	constant := func(what string, data []float32) *graph.Value {
		return g.AddConst(l.node.Name+"_"+what, tensor.Of(data, l.shape...))
	}
	scalar := func(x float32) *graph.Value { return g.AddConst("c", tensor.Scalar(x)) }
	v := constant("V", make([]float32, count))
	h := g.Add("Mul", l.node.Name+"_h1", nil, g.Add("Sigmoid", l.node.Name+"_h0", nil, v), scalar(1.2))
	h = g.Add("Clip", l.node.Name+"_h", nil, g.Add("Sub", l.node.Name+"_h2", nil, h, scalar(0.1)), scalar(0), scalar(1))
	q := g.Add("Add", l.node.Name+"_q", nil, constant("floor", floor), h)
	q = g.Add("Min", l.node.Name+"_q1", nil, g.Add("Max", l.node.Name+"_q0", nil, q, constant("least", lo)), constant("most", hi))
	n.SetInput(1, g.Add("Mul", l.node.Name+"_soft", nil, q, constant("step", scale)))
	return v
}

// start sets V so that h(V) is the fraction of w/s.
func (t *task) start() {
	for _, p := range t.params {
		for i, w := range p.l.w {
			x := float64(w / p.l.at(i).Scale)
			p.v[i] = float32(unrectified(x - math.Floor(x)))
		}
	}
}

// draw fills the inputs with random images.
func (t *task) draw(rng *rand.Rand) {
	for b := range t.batch {
		k := rng.IntN(t.images)
		t.feed(b, k)
	}
}

func (t *task) feed(slot, image int) {
	for _, f := range t.feeds {
		copy(f.to[slot*f.per:][:f.per], f.from[image*f.per:][:f.per])
	}
}

func (t *task) run(ctx context.Context) error {
	if err := t.program.RunInto(ctx, t.in, t.out); err != nil {
		return err
	}
	if l := t.out[0].At(0); l-l != 0 {
		return fmt.Errorf("the reconstruction of %s gives no number; try a lower lr", t.u.name())
	}
	return nil
}

// hardLoss is the mean loss over all images, but for what is left of the last
// batch, when weights are rounded up or down as up says.
func (t *task) hardLoss(ctx context.Context, up func(l *layer, i int) bool) (float64, error) {
	for _, p := range t.params {
		for i := range p.v {
			p.v[i] = -10
			if up(p.l, i) {
				p.v[i] = 10
			}
		}
	}
	sum, count := 0.0, 0
	for first := 0; first+t.batch <= t.images; first += t.batch {
		for b := range t.batch {
			t.feed(b, first+b)
		}
		if err := t.run(ctx); err != nil {
			return 0, err
		}
		sum += t.out[0].At(0)
		count++
	}
	return sum / float64(count), nil
}
