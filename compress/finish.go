package compress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/data/metrics"
	"github.com/drawknife/drawknife/engine"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/quantize"
	"github.com/drawknife/drawknife/tensor"
)

// metadata keys of a compressed model's provenance.
const (
	recipeKey  = "drawknife.recipe"
	versionKey = "drawknife.version"
)

// final is the model that a recipe's steps make, with its provenance.
func (s *search) final(ctx context.Context, steps []Step) (*graph.Graph, []byte, error) {
	r := s.recipe
	r.Steps = steps
	text, err := r.Bytes()
	if err != nil {
		return nil, nil, err
	}
	g, err := s.apply(ctx, steps)
	if err != nil {
		return nil, nil, err
	}
	g.Metadata[recipeKey] = string(text)
	g.Metadata[versionKey] = s.job.Version
	return g, text, nil
}

// finish measures the best candidate against the original on all test images,
// writes the model and its recipe, and fills in the report.
func (s *search) finish(ctx context.Context) (*Result, error) {
	j := s.job
	j.say("measuring all candidates in turn")
	if err := s.retime(ctx); err != nil {
		return nil, err
	}
	best, acc, err := s.confirm(ctx)
	if err != nil {
		return nil, err
	}
	best.Chosen = true
	j.say("chosen: %s", best.Name)
	g, recipe, err := s.final(ctx, best.steps)
	if err != nil {
		return nil, err
	}
	r := &Result{Version: j.Version, Command: j.Command, Model: j.Model, Data: j.Data, Digest: s.recipe.Data, Images: s.test.Len(),
		Machine: machine(), Threads: j.Threads, Seed: j.Seed, Budget: j.Budget, Before: s.before, Recipe: string(recipe),
		Warnings: append([]string{}, s.warnings...), Sensitivity: s.curves}
	r.After.Top1, r.After.Top5, r.After.Loss = acc.Top1(), acc.Top5(), acc.Loss()
	if err := r.After.Cost(g); err != nil {
		return nil, err
	}
	r.Selection = Selection{s.selection.images.Len(), s.chosenFrom, s.baseline, best.Top1}
	r.Screened = s.screened.List
	if j.countsEnergy() {
		e := &EnergyOf{Machine: s.machine(), Before: s.beforeMJ}
		if e.After, err = s.energy(g); err != nil {
			return nil, err
		}
		r.Energy = e
	}
	// Both latencies anew, in turn: a fair pair.
	if err := measure.Latencies(ctx, j.Threads, j.Graph, g, &r.Before, &r.After); err != nil {
		return nil, err
	}
	s.confusion(r, acc)
	for _, t := range s.trials {
		r.Trials = append(r.Trials, t.Trial)
	}
	pareto(r.Trials)
	r.Feasibility = s.feasibility()
	for _, f := range s.frozen {
		r.Sensitivity = append(r.Sensitivity, Curve{Group: f.Group, Channels: f.Before, Frozen: f.Reason})
	}
	if q := s.quantizeReport(best); q != nil {
		r.Ranges = q.Ranges
		for _, f := range q.Float {
			if f.Reason == quantize.ByRequest { // by the search: the layers' table says so
				continue
			}
			r.Warnings = append(r.Warnings, fmt.Sprintf("%s (%s) stays float: %s", f.Node, f.Op, f.Reason))
		}
	}
	if r.Layers, err = s.layers(ctx, g, best.steps); err != nil {
		return nil, err
	}
	path := filepath.Join(j.Dir, ModelFile)
	if err := onnx.Write(path, g); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(j.Dir, RecipeFile), recipe); err != nil {
		return nil, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	r.After.FileBytes = st.Size()
	r.Met = r.missed() == ""
	r.Outputs = []string{path, filepath.Join(j.Dir, RecipeFile), filepath.Join(j.Dir, JSONFile), filepath.Join(j.Dir, HTMLFile)}
	return r, nil
}

// mostConfirmed is the number of candidates that may be measured on the test
// images before the first is handed over after all.
const mostConfirmed = 3

// confirm measures the candidate that was chosen on the test images. They have
// no part in choosing but for a veto: a network that loses more on them than
// the budget allows is put aside, with a warning, for the next one in rank.
func (s *search) confirm(ctx context.Context) (*candidate, *metrics.Classification, error) {
	list := s.ranked()
	if len(list) == 0 {
		return nil, nil, errors.New("compress: no candidate was found")
	}
	var first *metrics.Classification
	var aside []string
	for i, c := range list[:min(len(list), mostConfirmed)] {
		if i > 0 && !s.meets(&c.Trial) {
			break
		}
		g, err := s.apply(ctx, c.steps)
		if err != nil {
			return nil, nil, err
		}
		acc, err := s.accuracyOf(ctx, g, "final measurement")
		if err != nil {
			return nil, nil, err
		}
		drop := s.before.Top1 - acc.Top1()
		if drop <= s.job.Budget.MaxDrop+1e-9 {
			s.warnings = append(s.warnings, aside...)
			return c, acc, nil
		}
		s.job.say("%s: loses %.2f points on the test images", c.Name, drop)
		aside = append(aside, fmt.Sprintf("%q was chosen first, but lost %.2f points on the test images: the next in rank took its place", c.Name, drop))
		if i == 0 {
			first = acc
		}
	}
	return list[0], first, nil
}

// quantizeReport is what quantization said of a candidate, nil if it is float.
func (s *search) quantizeReport(c *candidate) *quantize.Report {
	b, err := os.ReadFile(s.file(c.Key) + ".json")
	if err != nil {
		return nil
	}
	var r quantize.Report
	if json.Unmarshal(b, &r) != nil {
		return nil
	}
	return &r
}

// write stores the report as JSON.
func (r *Result) write(dir string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return writeFile(filepath.Join(dir, JSONFile), b.Bytes())
}

// missed says which limits were not met.
func (r *Result) missed() string {
	var parts []string
	b := r.Budget
	if d := r.Before.Top1 - r.After.Top1; d > b.MaxDrop+1e-9 {
		parts = append(parts, fmt.Sprintf("top-1 fell by %.2f points, %.2f were allowed", d, b.MaxDrop))
	}
	if b.LatencyMs > 0 && r.After.MedianMs > b.LatencyMs {
		parts = append(parts, fmt.Sprintf("latency is %.3f ms, asked for %.3f", r.After.MedianMs, b.LatencyMs))
	}
	if b.Bytes > 0 && r.After.FileBytes > b.Bytes {
		parts = append(parts, fmt.Sprintf("the file has %d bytes, asked for %d", r.After.FileBytes, b.Bytes))
	}
	if b.MACs > 0 && r.After.MACs > b.MACs {
		parts = append(parts, fmt.Sprintf("%d MACs are left, asked for %d", r.After.MACs, b.MACs))
	}
	if e := r.Energy; b.EnergyMJ > 0 && e != nil && e.After > b.EnergyMJ {
		parts = append(parts, fmt.Sprintf("an image takes %.4g mJ on %s, asked for %.4g", e.After, e.Machine, b.EnergyMJ))
	}
	return strings.Join(parts, "; ")
}

// feasibility compares each limit with the best that any candidate reached.
func (s *search) feasibility() []Feasible {
	b := s.job.Budget
	least := func(f func(*Trial) float64) float64 {
		best := f(&s.trials[0].Trial)
		for _, t := range s.trials {
			best = min(best, f(&t.Trial))
		}
		return best
	}
	drop := func(t *Trial) float64 { return s.baseline - t.Top1 }
	rows := []Feasible{{Limit: "accuracy lost", Asked: b.MaxDrop, Unit: "points", Best: least(func(t *Trial) float64 {
		if t.Original {
			return 100
		}
		return drop(t)
	})}}
	if b.LatencyMs > 0 {
		rows = append(rows, Feasible{Limit: "latency", Asked: b.LatencyMs, Original: s.before.MedianMs, Unit: "ms", Best: least(func(t *Trial) float64 { return t.Ms })})
	}
	if b.Bytes > 0 {
		rows = append(rows, Feasible{Limit: "size", Asked: float64(b.Bytes), Original: float64(s.before.FileBytes), Unit: "bytes", Best: least(func(t *Trial) float64 { return float64(t.File) })})
	}
	if b.MACs > 0 {
		rows = append(rows, Feasible{Limit: "MACs", Asked: float64(b.MACs), Original: float64(s.before.MACs), Best: least(func(t *Trial) float64 { return float64(t.MACs) })})
	}
	if b.EnergyMJ > 0 {
		rows = append(rows, Feasible{Limit: "energy", Asked: b.EnergyMJ, Original: s.beforeMJ, Unit: "mJ", Best: least(func(t *Trial) float64 { return t.EnergyMJ })})
	}
	for i := range rows {
		rows[i].Possible = rows[i].Best <= rows[i].Asked
	}
	return rows
}

func (s *search) confusion(r *Result, after *metrics.Classification) {
	classes := s.test.Classes()
	if len(classes) == 0 || len(classes) > 100 {
		return
	}
	offset := s.pre.LabelOffset
	count := func(c *metrics.Classification) [][]int {
		m := make([][]int, len(classes))
		for i := range m {
			m[i] = make([]int, len(classes))
			for k := range m[i] {
				m[i][k] = int(c.Confusion(i+offset, k+offset))
			}
		}
		return m
	}
	r.Confusion = &Confusion{Classes: slices.Clone(classes), Before: count(s.original), After: count(after)}
}

// layers compares the layers with weights, by name.
func (s *search) layers(ctx context.Context, after *graph.Graph, steps []Step) ([]Layer, error) {
	before := s.inferred()
	costs := [2]map[string]graph.NodeCost{{}, {}}
	times, err := nodeTimes(ctx, s.job.Threads, before, after)
	if err != nil {
		return nil, err
	}
	for i, g := range []*graph.Graph{before, after} {
		for _, c := range g.Cost().Nodes {
			costs[i][c.Name] = c
		}
	}
	var prunedGroups map[string]int
	for _, st := range steps {
		if p, ok := st.(*PruneStep); ok {
			prunedGroups = p.Keep
		}
	}
	var out []Layer
	for _, n := range before.Nodes {
		c := costs[0][n.Name]
		if c.MACs == 0 {
			continue
		}
		l := Layer{Name: n.Name, Op: n.Op, Before: weightShape(n), MACs: c.MACs, Bytes: c.WeightBytes, Ms: times[0][n.Name]}
		m := after.Node(n.Name)
		if m == nil {
			l.What, l.Why = "removed", "the network does without it"
			out = append(out, l)
			continue
		}
		a := costs[1][n.Name]
		l.After, l.MACsAfter, l.BytesAft, l.MsAfter, l.Bits = weightShape(m), a.MACs, a.WeightBytes, times[1][n.Name], a.Bits
		l.What, l.Why = s.reason(n.Name, l, prunedGroups)
		out = append(out, l)
	}
	return out, nil
}

func (s *search) reason(name string, l Layer, pruned map[string]int) (what, why string) {
	var whats, whys []string
	if l.Before != l.After {
		whats = append(whats, "pruned")
		if _, ok := pruned[name]; ok {
			whys = append(whys, "its channels cost little accuracy for the operations they take")
		} else {
			whys = append(whys, "follows the channels it reads or is tied to")
		}
	}
	if l.Bits > 0 && l.Bits <= 8 {
		whats = append(whats, fmt.Sprintf("int%d", l.Bits))
		why := fmt.Sprintf("%d bits of 32; ", l.Bits)
		if l.MsAfter < l.Ms {
			whys = append(whys, why+fmt.Sprintf("measured %.1f times as fast", l.Ms/max(l.MsAfter, 1e-6)))
		} else {
			whys = append(whys, why+"not faster here")
		}
	}
	if whats == nil {
		return "kept", "sensitive, frozen, or already small"
	}
	return strings.Join(whats, ", "), strings.Join(whys, "; ")
}

// weightShape is the shape of n's weights, looking through a DequantizeLinear.
func weightShape(n *graph.Node) string {
	w := n.In(1)
	if w == nil {
		return ""
	}
	return w.Shape.String()
}

// nodeTimes is how long each node of each graph takes, in milliseconds: the
// shortest of many runs, the graphs in turn, since a busy machine only ever
// makes a kernel slower.
func nodeTimes(ctx context.Context, threads int, graphs ...*graph.Graph) ([]map[string]float64, error) {
	programs := make([]*engine.Program, len(graphs))
	inputs := make([][]*tensor.Tensor, len(graphs))
	best := make([][]engine.StepTime, len(graphs))
	for i, g := range graphs {
		p, err := engine.Compile(g, engine.Options{Threads: threads})
		if err != nil {
			return nil, err
		}
		programs[i] = p
		inputs[i] = []*tensor.Tensor{tensor.New(tensor.Float32, p.InputShape(0)...)}
	}
	for range 4 {
		for i, p := range programs {
			rows, err := p.Profile(ctx, inputs[i], 15)
			if err != nil {
				return nil, err
			}
			if best[i] == nil {
				best[i] = rows
			}
			for k := range rows {
				best[i][k].Min = min(best[i][k].Min, rows[k].Min)
			}
		}
	}
	times := make([]map[string]float64, len(graphs))
	for i, rows := range best {
		times[i] = map[string]float64{}
		for _, r := range rows {
			times[i][r.Node] += float64(r.Min.Nanoseconds()) / 1e6
		}
	}
	return times, nil
}

func hasNorm(g *graph.Graph) bool {
	return slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool { return n.Is("BatchNormalization") })
}
