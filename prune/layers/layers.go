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
)

// A Score rates blocks; higher is more important. It is what the family
// "layers" of the method registry makes.
type Score interface {
	Rate(ctx context.Context, g *graph.Graph, blocks []*Block, d *prune.Data) ([]float64, error)
}

// Options of Prune.
type Options struct {
	Method string // of the family "layers"; default norm
	Blocks int    // how many blocks to remove
	// Skip holds patterns (path.Match) of names of blocks that stay.
	Skip []string
}

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
	s, err := method.New[Score](method.Layers, o.Method)
	if err != nil {
		return nil, nil, err
	}
	c := g.Clone()
	if err := c.InferShapes(); err != nil {
		return nil, nil, err
	}
	blocks, rows, err := free(c, o.Skip)
	if err != nil {
		return nil, nil, fmt.Errorf("layers: %w", err)
	}
	if o.Blocks > len(blocks) {
		return nil, nil, fmt.Errorf("layers: only %d blocks of this model can be removed, not %d", len(blocks), o.Blocks)
	}
	score, err := s.Rate(ctx, c, blocks, d)
	if err != nil {
		return nil, nil, fmt.Errorf("layers: method %s: %w", o.Method, err)
	}
	for i, v := range score {
		if math.IsNaN(v) {
			return nil, nil, fmt.Errorf("layers: block %q: its score is NaN", blocks[i].Name)
		}
	}
	order := make([]int, len(blocks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[a], score[b]) })
	gone := order[:o.Blocks]
	r := &Report{}
	for i, b := range blocks {
		r.Blocks = append(r.Blocks, Row{b.Name, weighted(b), score[i], slices.Contains(gone, i), ""})
	}
	r.Blocks = append(r.Blocks, rows...)
	slices.Sort(gone) // later blocks first: a block's input may be the output of one that goes
	for _, i := range slices.Backward(gone) {
		blocks[i].remove(c)
	}
	c.RemoveDead()
	c.ClearShapes()
	if err := c.InferShapes(); err != nil {
		return nil, nil, fmt.Errorf("layers: %w", err)
	}
	c.Record("prune layers", fmt.Sprintf("removed %d blocks by %s", o.Blocks, o.Method))
	before, after := g.Cost(), c.Cost()
	r.MACs, r.MACsAfter, r.Params, r.ParamsAfter = before.MACs, after.MACs, before.Params, after.Params
	return c, r, c.Verify()
}

// free lists the blocks that may go, and why others may not.
func free(g *graph.Graph, skip []string) ([]*Block, []Row, error) {
	used := make([]bool, len(skip))
	var blocks []*Block
	var rows []Row
	for _, b := range Find(g) {
		reason := ""
		for i, p := range skip {
			ok, err := path.Match(p, b.Name)
			if err != nil {
				return nil, nil, fmt.Errorf("pattern %q: %w", p, err)
			}
			if ok {
				used[i], reason = true, "skipped by request"
			}
		}
		if reason != "" {
			rows = append(rows, Row{Block: b.Name, Layers: weighted(b), Reason: reason})
			continue
		}
		blocks = append(blocks, b)
	}
	for i, u := range used {
		if !u {
			return nil, nil, fmt.Errorf("no block's name matches %q", skip[i])
		}
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
