package compress

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/method"
	"github.com/drawknife/drawknife/prune"
)

// A Step is one method of a recipe with its options: a *PruneStep,
// *SparsifyStep, *LayersStep, *QuantizeStep, *NormStep or *FinetuneStep. Which
// methods there are, and which options they take, is not known here: a step
// names its method as the command line does, NAME or NAME:option=value, and
// the registry of package method makes it. Options that are left out have the
// defaults of the verbs `drawknife prune`, `quantize` and `train`.
type Step interface {
	// kind is the step's name in a recipe.
	kind() string
	// check finds options that cannot be.
	check() error
	// needs says what the step's methods need.
	needs() (method.Needs, error)
	// apply carries the step out on a copy of g.
	apply(ctx context.Context, w *work, g *graph.Graph) (*graph.Graph, error)
}

// named checks that the registry has a method, spelled NAME or
// NAME:option=value; an empty spec stands for the family's default.
func named(f method.Family, spec string) error {
	if spec == "" {
		return nil
	}
	_, err := method.New[any](f, spec)
	return err
}

// budgetOf reads KIND=SHARE; an empty string is no budget.
func budgetOf(s string) (kind string, share float64, err error) {
	if s == "" {
		return "", 0, nil
	}
	kind, text, _ := strings.Cut(s, "=")
	share, err = strconv.ParseFloat(text, 64)
	switch {
	case err != nil || !slices.Contains(prune.Budgets(), kind) || !(share > 0 && share <= 1):
		return "", 0, fmt.Errorf("budget %q: want KIND=SHARE, where KIND is one of %s and SHARE the part to keep, up to 1", s, strings.Join(prune.Budgets(), ", "))
	case kind == "latency":
		return "", 0, fmt.Errorf("budget %q: what a clock measures does not replay; keep a share of the macs, or name the channels to keep", s)
	}
	return kind, share, nil
}

func orElse[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}
