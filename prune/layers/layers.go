package layers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/train"
)

// A Score rates blocks; higher is more important. It is what the family
// "layers" of the method registry makes.
type Score interface {
	Rate(ctx context.Context, g *graph.Graph, blocks []*Block, d *prune.Data) ([]float64, error)
}

// A Learner is a method that trains before it removes anything.
type Learner interface {
	// Grow changes g so that training can tell what is needed, leaving alone what
	// is skipped. It returns the hook of that training and how many layers may go.
	Grow(g *graph.Graph, skipped func(name string) bool) (train.Hook, int, error)
	// Shed takes what was grown away again, and with it n layers.
	Shed(g *graph.Graph, n int) ([]Row, error)
}

// Options of Prune.
type Options struct {
	Method string // of the family "layers"; default norm
	Blocks int    // how many blocks to remove
	// Skip holds patterns (path.Match) of names of blocks that stay.
	Skip []string
	// Fit trains a copy of g with a hook, for methods that learn; nil if there is
	// to be no training.
	Fit func(ctx context.Context, g *graph.Graph, h train.Hook) (*graph.Graph, error)
}

// ErrTraining is the cause when a method needs training and there is none.
var ErrTraining = errors.New("it needs training; give data and epochs")

// Row tells what happened to one block.
type Row struct {
	Block   string  `json:"block"`
	Layers  int     `json:"layers"` // with weights
	Score   float64 `json:"score"`
	Removed bool    `json:"removed"`
	Reason  string  `json:"reason,omitempty"`
}

// Report tells what Prune did.
type Report struct {
	Blocks      []Row `json:"blocks"`
	MACs        int64 `json:"macs_before"`
	MACsAfter   int64 `json:"macs_after"`
	Params      int64 `json:"params_before"`
	ParamsAfter int64 `json:"params_after"`
}

// Prune removes the blocks of the lowest scores from a copy of g. d may be nil
// if the score needs no images.
func Prune(ctx context.Context, g *graph.Graph, o Options, d *prune.Data) (*graph.Graph, *Report, error) {
	if o.Method == "" {
		o.Method = "norm"
	}
	if o.Blocks < 1 {
		return nil, nil, fmt.Errorf("layers: %d blocks: want at least 1", o.Blocks)
	}
	m, err := method.New[any](method.Layers, o.Method)
	if err != nil {
		return nil, nil, err
	}
	c := g.Clone()
	if err := c.InferShapes(); err != nil {
		return nil, nil, err
	}
	r := &Report{}
	switch m := m.(type) {
	case Learner:
		c, r.Blocks, err = learn(ctx, c, m, o)
	case Score:
		r.Blocks, err = score(ctx, c, m, o, d)
	default:
		err = fmt.Errorf("method %s: %T is neither a score nor a learner", o.Method, m)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("layers: %w", err)
	}
	c.Record("prune layers", fmt.Sprintf("removed %d blocks by %s", o.Blocks, o.Method))
	before, after := g.Cost(), c.Cost()
	r.MACs, r.MACsAfter, r.Params, r.ParamsAfter = before.MACs, after.MACs, before.Params, after.Params
	return c, r, c.Verify()
}

// learn grows, trains and sheds.
func learn(ctx context.Context, g *graph.Graph, m Learner, o Options) (*graph.Graph, []Row, error) {
	if o.Fit == nil {
		return nil, nil, fmt.Errorf("method %s: %w", o.Method, ErrTraining)
	}
	skip := skipper{patterns: o.Skip, used: make([]bool, len(o.Skip))}
	h, n, err := m.Grow(g, skip.match)
	if err == nil {
		err = skip.check()
	}
	if err == nil && o.Blocks > n {
		err = fmt.Errorf("only %d layers of this model can be removed by method %s, not %d", n, o.Method, o.Blocks)
	}
	if err != nil {
		return nil, nil, err
	}
	if g, err = o.Fit(ctx, g, h); err != nil {
		return nil, nil, err
	}
	rows, err := m.Shed(g, o.Blocks)
	return g, rows, err
}

// score rates the blocks of g and removes those of the lowest scores.
func score(ctx context.Context, g *graph.Graph, s Score, o Options, d *prune.Data) ([]Row, error) {
	blocks, rows, err := free(g, o.Skip)
	if err != nil {
		return nil, err
	}
	if o.Blocks > len(blocks) {
		return nil, fmt.Errorf("only %d blocks of this model can be removed, not %d", len(blocks), o.Blocks)
	}
	rated, err := s.Rate(ctx, g, blocks, d)
	if err != nil {
		return nil, fmt.Errorf("method %s: %w", o.Method, err)
	}
	for i, v := range rated {
		if math.IsNaN(v) {
			return nil, fmt.Errorf("block %q: its score is NaN", blocks[i].Name)
		}
	}
	order := make([]int, len(blocks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rated[a], rated[b]) })
	gone := order[:o.Blocks]
	var all []Row
	for i, b := range blocks {
		all = append(all, Row{b.Name, weighted(b), rated[i], slices.Contains(gone, i), ""})
	}
	slices.Sort(gone) // later blocks first: a block's input may be the output of one that goes
	for _, i := range slices.Backward(gone) {
		blocks[i].remove(g)
	}
	g.RemoveDead()
	g.ClearShapes()
	return append(all, rows...), g.InferShapes()
}

// skipper finds names that match patterns, and patterns that match none.
type skipper struct {
	patterns []string
	used     []bool
	bad      error
}

func (s *skipper) match(name string) bool {
	found := false
	for i, p := range s.patterns {
		ok, err := path.Match(p, name)
		if err != nil {
			s.bad = fmt.Errorf("pattern %q: %w", p, err)
		}
		if ok {
			s.used[i], found = true, true
		}
	}
	return found
}

func (s *skipper) check() error {
	for i, u := range s.used {
		if !u && s.bad == nil {
			s.bad = fmt.Errorf("no block's name matches %q", s.patterns[i])
		}
	}
	return s.bad
}

// free lists the blocks that may go, and why others may not.
func free(g *graph.Graph, skip []string) ([]*Block, []Row, error) {
	skipped := skipper{patterns: skip, used: make([]bool, len(skip))}
	var blocks []*Block
	var rows []Row
	for _, b := range Find(g) {
		if skipped.match(b.Name) {
			rows = append(rows, Row{Block: b.Name, Layers: weighted(b), Reason: "skipped by request"})
			continue
		}
		blocks = append(blocks, b)
	}
	if err := skipped.check(); err != nil {
		return nil, nil, err
	}
	if blocks == nil {
		return nil, nil, errors.New("no block of this model can be left out: none computes the shape that it reads")
	}
	return blocks, rows, nil
}

func weighted(b *Block) int {
	n := 0
	for _, m := range b.Nodes {
		if m.Is("Conv", "Gemm", "MatMul") {
			n++
		}
	}
	return n
}
