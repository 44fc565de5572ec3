package prune

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/drawknife/drawknife/autodiff"
	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/tensor"
	"github.com/drawknife/drawknife/train"
)

// Data is what methods that look at images are given.
type Data struct {
	// Loader gives images prepared for the model, in full batches for scores
	// that need gradients.
	Loader *data.Loader
	// Images is how many of them to look at; 0 is UsualImages.
	Images int
	// Threads is the number of workers; 0 is one per CPU.
	Threads int
	// Progress, if not nil, is told how much of what takes long is done.
	Progress func(what string, done, total int)
}

// UsualImages is how many images methods look at that do not need more.
const UsualImages = 512

// LabelledImages is how many images methods want that judge by gradients of the loss
// of labels: a trained network is right about nearly all of its training images, and
// the gradients are those of the few that it is not sure of.
const LabelledImages = 4096

// Looks is how many images methods of those needs look at in a network of so many
// multiply-accumulates an image: as many as are asked for, if any are, else the usual
// number, or as many more as they want while that costs little.
func Looks(asked int, n method.Needs, macs int64) int {
	const little = 400e9 // multiply-accumulates
	if asked > 0 {
		return asked
	}
	return max(UsualImages, min(n.Images, int(little/max(macs, 1))))
}

// Step reports progress. d may be nil.
func (d *Data) Step(what string, done, total int) {
	if d != nil && d.Progress != nil {
		d.Progress(what, done, total)
	}
}

// ErrNoData is the cause when a method needs images and has none.
var ErrNoData = errors.New("it needs images; give a data set")

// ErrNoLabels is the cause when a method needs labels and the images have none.
var ErrNoLabels = errors.New("it needs labelled images; these have no labels")

func (d *Data) check() error {
	if d == nil || d.Loader == nil {
		return ErrNoData
	}
	return nil
}

func (d *Data) images() int {
	n := d.Images
	if n <= 0 {
		n = UsualImages
	}
	return min(n, d.Loader.Dataset().Len())
}

// shape is that of a tensor of n images as the loader gives them.
func (d *Data) shape(n int) []int {
	c, h, w := d.Loader.Shape()
	if d.Loader.Options().Preprocess.Layout == data.HWC {
		return []int{n, h, w, c}
	}
	return []int{n, c, h, w}
}

// Run computes the named values of g for the images, batch by batch. visit
// gets them by name, [N, …] each; they are valid during the call alone. A
// model of a fixed batch size passes over batches that are not full.
func (d *Data) Run(ctx context.Context, g *graph.Graph, names []string, visit func(n int, values map[string]*tensor.Tensor) error) error {
	if err := d.check(); err != nil {
		return err
	}
	if len(g.Inputs) != 1 {
		return fmt.Errorf("the model has %d inputs; images are fed to one", len(g.Inputs))
	}
	input := g.Inputs[0]
	var keep []string
	for _, name := range names {
		if v := g.Value(name); v != nil && !v.IsInput() {
			keep = append(keep, name)
		}
	}
	m := engine.NewModel(g, engine.Options{Threads: d.Threads, Keep: keep})
	seen := 0
	for b, err := range d.Loader.Batches(ctx, 0) {
		if err != nil {
			return err
		}
		if first := input.Shape[0]; first.Known() && first.Size != b.N {
			continue
		}
		x := tensor.Of(b.X, d.shape(b.N)...)
		out, err := m.Run(ctx, map[string]*tensor.Tensor{input.Name: x})
		if err != nil {
			return err
		}
		out[input.Name] = x
		if err := visit(b.N, out); err != nil {
			return err
		}
		seen += b.N
		d.Step("rate", min(seen, d.images()), d.images())
		if seen >= d.images() {
			break
		}
	}
	if seen == 0 {
		return fmt.Errorf("no batch of images fits the model's batch of %v", input.Shape[0])
	}
	return nil
}

// Gradients computes, batch by batch, the gradients of the cross-entropy loss
// (its mean over the batch) with respect to the parameters of g, with batch
// normalization in inference mode. visit gets a function from a parameter's
// name to its gradient, nil if it has none.
func (d *Data) Gradients(ctx context.Context, g *graph.Graph, visit func(grad func(name string) []float32) error) error {
	if err := d.check(); err != nil {
		return err
	}
	if d.Loader.Dataset().Label(0) < 0 {
		return ErrNoLabels
	}
	batch := min(d.Loader.Options().Batch, d.Loader.Dataset().Len())
	steps := max(d.images()/batch, 1)
	perEpoch := max(d.Loader.Dataset().Len()/batch, 1)
	// Training at rate zero: every step has its gradients, and changes nothing.
	_, err := train.Run(ctx, g, d.Loader, train.Config{Epochs: (steps + perEpoch - 1) / perEpoch, Steps: steps, Threads: d.Threads,
		FreezeNorm: true, Hooks: []train.Hook{&gradientHook{data: d, steps: steps, visit: visit}}})
	return err
}

// LossOption is the option of methods that ask for GradientsOf.
func LossOption() method.Option {
	return method.Option{Name: "loss", Default: "labels",
		Help: "what may change little: the loss of the labels, or outputs (for networks that know their training images by heart)"}
}

// GradientsOf is Gradients or OutputGradients, as a LossOption says.
func (d *Data) GradientsOf(ctx context.Context, loss string, g *graph.Graph, visit func(grad func(name string) []float32) error) error {
	switch loss {
	case "labels":
		return d.Gradients(ctx, g, visit)
	case "outputs":
		return d.OutputGradients(ctx, g, visit)
	}
	return fmt.Errorf("loss %q: there are labels, outputs", loss)
}

// OutputGradients is Gradients of Σ v·z instead of a loss, where z are the
// model's first output for a batch of images and v are signs drawn at random:
// the mean of the squares of such a gradient is that of the squared change of
// all outputs. It does not vanish on images that the model has learned by
// heart, and needs no labels.
func (d *Data) OutputGradients(ctx context.Context, g *graph.Graph, visit func(grad func(name string) []float32) error) error {
	if err := d.check(); err != nil {
		return err
	}
	l := g.Clone()
	batch := min(d.Loader.Options().Batch, d.Loader.Dataset().Len())
	if err := l.BindInputs(map[string][]int{l.Inputs[0].Name: d.shape(batch)}); err != nil {
		return err
	}
	out := l.Outputs[0]
	signs := tensor.New(tensor.Float32, out.Shape.Ints()...)
	name := l.UniqueName("signs")
	loss := l.Add("Mul", "", nil, out, l.AddInput(name, tensor.Float32, out.Shape))
	if err := l.InferShapes(); err != nil {
		return err
	}
	var wrt []*graph.Value
	for _, n := range l.Nodes {
		for _, i := range graph.ParamInputs(n) {
			if v := n.In(i); v.IsConst() && v.Type == tensor.Float32 && !slices.Contains(wrt, v) {
				wrt = append(wrt, v)
			}
		}
	}
	grads, err := autodiff.Gradient(l, loss, wrt)
	if err != nil {
		return err
	}
	of := map[string]string{}
	l.Outputs = nil
	for v, dv := range grads {
		if dv != nil {
			of[v.Name] = dv.Name
		}
	}
	for _, v := range slices.Sorted(maps.Keys(of)) {
		if dv := l.Value(of[v]); !dv.IsOutput() {
			l.AddOutput(dv)
		}
	}
	l.RemoveDead()
	r := rand.New(rand.NewPCG(17, 18))
	input := l.Inputs[0].Name
	m := engine.NewModel(l, engine.Options{Threads: d.Threads})
	seen := 0
	for b, err := range d.Loader.Batches(ctx, 0) {
		if err != nil {
			return err
		}
		if b.N != batch {
			continue
		}
		for i, x := 0, tensor.Data[float32](signs); i < len(x); i++ {
			x[i] = float32(2*r.IntN(2) - 1)
		}
		v, err := m.Run(ctx, map[string]*tensor.Tensor{input: tensor.Of(b.X, d.shape(b.N)...), name: signs})
		if err != nil {
			return err
		}
		err = visit(func(name string) []float32 {
			if t := v[of[name]]; t != nil {
				return tensor.Data[float32](t)
			}
			return nil
		})
		if err != nil {
			return err
		}
		seen += b.N
		d.Step("rate", min(seen, d.images()), d.images())
		if seen >= d.images() {
			break
		}
	}
	return nil
}

// gradientHook shows the gradients of each step.
type gradientHook struct {
	train.NoHook
	data        *Data
	done, steps int
	visit       func(grad func(name string) []float32) error
}

func (h *gradientHook) AfterBackward(s *train.State) error {
	h.done++
	h.data.Step("rate", h.done, h.steps)
	return h.visit(func(name string) []float32 {
		if t := s.Grad(name); t != nil {
			return tensor.Data[float32](t)
		}
		return nil
	})
}
