package compress

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/onnx"
)

// screenImages is the number of images that ideas are compared on.
const screenImages = 1000

// Screened is what a quick look at a method showed: the original with the
// method applied once, batch normalization measured again and, unless the
// method cannot do without, nothing trained.
type Screened struct {
	Method string  `json:"method"` // FAMILY/NAME
	Top1   float64 `json:"top1"`   // on a part of the images that the search selects by
	Loss   float64 `json:"loss"`
	// Ms is the latency, of channels and blocks removed that of the network
	// they leave in 8-bit integers; File the size of the file, the same way.
	Ms      float64 `json:"ms"`
	File    int64   `json:"file_bytes"`
	Use     string  `json:"use"` // what the search makes of it
	Entered bool    `json:"entered"`

	price float64 // loss for each e-fold of latency saved
}

// screening is what the looks at all ideas decided.
type screening struct {
	List []Screened `json:"list"`
	// Score and Allocation of the channels that the walk removes.
	Score      string   `json:"score"`
	Allocation string   `json:"allocation"`
	Calibrator string   `json:"calibrator"`
	Starts     []string `json:"starts"`   // ideas that the walk may begin with
	Finishes   []string `json:"finishes"` // quantization besides the 8-bit one
	Endings    []string `json:"endings"`  // sparse networks
	Trained    []string `json:"trained"`  // quantized training
}

// screen takes a quick look at every idea and decides which of them enter the
// walk. How well a network does once its normalization is measured again tells
// how well it will do after training (Li et al., EagleEye, ECCV 2020). The
// looks take an eighth of the time at most; ideas left then are passed over.
func (s *search) screen(ctx context.Context) error {
	var err error
	s.screened, err = decide(s, "screening", func() (screening, error) { return s.look(ctx) })
	if err != nil {
		return err
	}
	if s.screened.Calibrator != "" {
		s.calibrator = s.screened.Calibrator
	}
	for _, r := range s.screened.List {
		if r.Entered {
			s.job.say("%s: %s", r.Method, r.Use)
		}
	}
	return nil
}

func (s *search) look(ctx context.Context) (screening, error) {
	out := screening{Score: "l1"}
	ideas := s.ideas(families...)
	// int8 is measured as a candidate of its own.
	ideas = slices.DeleteFunc(ideas, func(i idea) bool { return i.String() == "quantize/int8" })
	if s.groups == nil {
		ideas = slices.DeleteFunc(ideas, func(i idea) bool {
			return slices.Contains([]method.Family{method.Prune, method.Allocate, method.Sparsify}, i.Family)
		})
	} else if scores := s.ideas(method.Prune); len(scores) == 1 && len(s.ideas(method.Allocate, method.Sparsify, method.Layers)) == 0 {
		out.Score = scores[0].Name // nothing to compare it with
		ideas = slices.DeleteFunc(ideas, func(i idea) bool { return i.Family == method.Prune })
	} else if len(scores) > 0 {
		out.Score = scores[0].Name
	}
	if len(ideas) == 0 {
		return out, nil
	}
	s.job.say("a quick look at %d methods", len(ideas))
	base, err := s.reference(ctx)
	if err != nil {
		return out, err
	}
	deadline := time.Now().Add(s.job.Time / 8)
	for k, i := range ideas {
		if time.Now().After(deadline) {
			s.warnings = append(s.warnings, fmt.Sprintf("there was no time to look at %d of %d methods; give more with --time", len(ideas)-k, len(ideas)))
			break
		}
		r, err := s.glance(ctx, i, base, time.Until(deadline)/time.Duration(len(ideas)-k))
		if err != nil {
			if ctx.Err() != nil {
				return out, err
			}
			// A method that cannot do this network is no reason to stop.
			r = Screened{Method: i.String(), Use: "cannot be applied: " + firstLine(rootOf(err).Error())}
		}
		out.List = append(out.List, r)
		s.job.progress("methods", k+1, len(ideas))
	}
	s.judge(&out, base)
	return out, nil
}

func rootOf(err error) error {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}

// reference is the original, float and in 8-bit integers, on the images of the
// screening.
type reference struct {
	images  sample
	float   score
	intMs   float64 // of the network in integers, if these are allowed
	intFile int64
	int8    *graph.Graph // nil if they are not
	// pruned is the latency of the network that scores of channels are compared
	// on; all leave the same shape.
	pruned float64
}

func (s *search) reference(ctx context.Context) (*reference, error) {
	r := &reference{images: s.selection.part(screenImages), intMs: s.before.MedianMs, intFile: s.before.FileBytes}
	var err error
	if r.float, err = s.score(ctx, s.job.Graph, r.images); err != nil {
		return nil, err
	}
	if !s.tries("quantize/int8") {
		return r, nil
	}
	steps := []Step{s.quantizeStep(nil)}
	if r.int8, err = s.apply(ctx, steps); err != nil {
		return nil, err
	}
	if r.intMs, err = s.pace(ctx, r.int8); err != nil {
		return nil, err
	}
	file, err := onnx.Encode(r.int8)
	r.intFile = int64(len(file))
	return r, err
}

// pace is a network's latency in milliseconds, timed beside the original.
func (s *search) pace(ctx context.Context, g *graph.Graph) (float64, error) {
	ms, err := measure.Fastest(ctx, s.job.Threads, s.job.Graph, g)
	if err != nil {
		return 0, err
	}
	return s.before.MedianMs * float64(ms[1]) / float64(ms[0]), nil
}

// glance applies an idea to the original and measures what it gives.
func (s *search) glance(ctx context.Context, i idea, base *reference, time time.Duration) (Screened, error) {
	r := Screened{Method: i.String()}
	epochs := 0.0
	if i.Needs.Train {
		epochs = s.epochs(ctx, s.job.Graph, time*3/4)
	}
	steps, err := s.plan(i, epochs)
	if err != nil {
		return r, err
	}
	g, err := s.apply(ctx, steps)
	if err != nil {
		return r, err
	}
	timed := g
	known := 0.0
	if i.Family == method.Prune {
		known = base.pruned
	}
	if structural(i) && base.int8 != nil {
		if timed, err = s.integer(ctx, g); err != nil {
			return r, err
		}
	}
	if r.Ms = known; known == 0 {
		if r.Ms, err = s.pace(ctx, timed); err != nil {
			return r, err
		}
	}
	if i.Family == method.Prune {
		base.pruned = r.Ms
	}
	file, err := onnx.Encode(timed)
	if err != nil {
		return r, err
	}
	r.File = int64(len(file))
	if i.Family == method.Weights && r.Ms > 0.97*base.intMs {
		// Zeros alone make no file smaller: only speed speaks for them.
		r.Use = fmt.Sprintf("%.0f %% zeros run in %.3f ms, integers in %.3f", 100*screenSparsity, r.Ms, base.intMs)
		return r, nil
	}
	sc, err := s.score(ctx, g, base.images)
	r.Top1, r.Loss = sc.Top1, sc.Loss
	return r, err
}

// structural reports that an idea leaves a smaller float network, of which
// integers are made in the end.
func structural(i idea) bool {
	return i.Family == method.Layers || slices.Contains(channelFamilies, i.Family)
}

// judge decides what enters the walk.
func (s *search) judge(out *screening, base *reference) {
	by := map[method.Family][]*Screened{}
	for k := range out.List {
		r := &out.List[k]
		if r.Use != "" {
			continue
		}
		r.price = price(r.Loss-base.float.Loss, base.intMs, r.Ms)
		f, _, _ := strings.Cut(r.Method, "/")
		by[method.Family(f)] = append(by[method.Family(f)], r)
	}
	cheapest := s.judgeChannels(out, by[method.Prune], by[method.Allocate])
	s.judgeStarts(out, append(by[method.Layers], by[method.Sparsify]...), cheapest)
	s.judgeBits(out, by[method.Quantize], base)
	s.judgeZeros(out, append(by[method.Weights], by[method.Schedule]...), base)
	if best := least(by[method.Calibrate], byLoss); best != nil {
		for _, r := range by[method.Calibrate] {
			r.Use = "another calibrator loses less"
		}
		best.Use, best.Entered, out.Calibrator = "calibrates all quantization", true, nameOf(best.Method)
	}
}

func byLoss(r *Screened) float64  { return r.Loss }
func byPrice(r *Screened) float64 { return r.price }

// least is the first of the smallest, nil of none.
func least(list []*Screened, by func(*Screened) float64) *Screened {
	if len(list) == 0 {
		return nil
	}
	return slices.MinFunc(list, func(a, b *Screened) int { return cmp.Compare(by(a), by(b)) })
}

// price is the loss that each e-fold of latency costs; what saves no time has
// an infinite one.
func price(loss, before, after float64) float64 {
	saved := math.Log(before / max(after, 1e-9))
	if saved < 0.03 {
		return math.Inf(1)
	}
	return max(loss, 0) / saved
}

func nameOf(s string) string {
	_, name, _ := strings.Cut(s, "/")
	return name
}

// judgeChannels picks the score and the allocation of the channels to remove,
// and returns the best price. All scores remove the same numbers of channels:
// they are compared by their loss.
func (s *search) judgeChannels(out *screening, scores, allocations []*Screened) float64 {
	cheapest := math.Inf(1)
	if best := least(scores, byLoss); best != nil {
		for _, r := range scores {
			r.Use = "another score keeps better channels"
			cheapest = min(cheapest, r.price)
		}
		best.Use, best.Entered, out.Score = "rates the channels", true, nameOf(best.Method)
	}
	for _, r := range allocations {
		r.Use = "shares the removal out less well than what was measured does"
	}
	if best := least(allocations, byPrice); best != nil && best.price < cheapest {
		best.Use, best.Entered, out.Allocation = "shares the removal out", true, nameOf(best.Method)
		cheapest = best.price
	}
	return cheapest
}

// judgeStarts lets the walk begin with what costs less for the time it saves
// than channels do.
func (s *search) judgeStarts(out *screening, starts []*Screened, cheapest float64) {
	for _, r := range starts {
		switch {
		case math.IsInf(r.price, 1):
			r.Use = "saves no time"
		case r.price >= cheapest:
			r.Use = "channels cost less for the time they save"
		default:
			r.Use = "costs less than channels for the time it saves"
		}
	}
	if best := least(starts, byPrice); best != nil && best.price < cheapest && s.canTrain {
		best.Use, best.Entered = "tried first: it costs less than channels for the time it saves", true
		out.Starts = []string{best.Method}
	}
}

// mostFinishes is the number of quantization methods besides int8 that every
// network of the walk is finished by.
const mostFinishes = 2

// judgeBits lists the quantization that makes a better network than 8 bits do if
// its accuracy holds. What training may still repair can lose more than what is
// final.
func (s *search) judgeBits(out *screening, bits []*Screened, base *reference) {
	slices.SortStableFunc(bits, func(a, b *Screened) int { return cmp.Compare(s.worth(a.Ms, a.File), s.worth(b.Ms, b.File)) })
	for _, r := range bits {
		lost := base.float.Top1 - r.Top1
		gain := s.worth(base.intMs, base.intFile) - s.worth(r.Ms, r.File)
		trains := s.trains(r.Method)
		room := 0.5 + 3*s.job.Budget.MaxDrop
		if trains {
			room *= 4
		}
		switch {
		case gain < 0.02:
			r.Use = "neither smaller nor faster than 8 bits"
		case lost > room:
			r.Use = fmt.Sprintf("loses %.1f points", lost)
		case trains:
			r.Use, r.Entered = "trains the best network at the end", true
			out.Trained = append(out.Trained, r.Method)
		case len(out.Finishes) >= mostFinishes:
			r.Use = "others are smaller or faster"
		default:
			r.Use, r.Entered = "finishes the networks of the walk", true
			out.Finishes = append(out.Finishes, r.Method)
		}
	}
}

// judgeZeros lets the sparse network end the search that runs fastest, if it is
// faster than integers.
func (s *search) judgeZeros(out *screening, zeros []*Screened, base *reference) {
	for _, r := range zeros {
		r.Use = fmt.Sprintf("%.0f %% zeros run in %.3f ms, integers in %.3f", 100*screenSparsity, r.Ms, base.intMs)
	}
	if best := least(zeros, byLoss); best != nil && best.Ms <= 0.97*base.intMs && s.canTrain {
		best.Use, best.Entered = best.Use+": trained at the end", true
		out.Endings = []string{best.Method}
	}
}

// trains reports whether a method, FAMILY/NAME, trains.
func (s *search) trains(name string) bool {
	i, ok := s.idea(name)
	return ok && i.Needs.Train
}

// idea finds a method by FAMILY/NAME.
func (s *search) idea(name string) (idea, bool) {
	f, short, _ := strings.Cut(name, "/")
	for _, m := range method.Of(method.Family(f)) {
		if m.Name == short {
			return idea{m}, true
		}
	}
	return idea{}, false
}
