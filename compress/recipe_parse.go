package compress

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// kinds makes the steps that a recipe can name.
var kinds = map[string]func() Step{
	"prune":           func() Step { return &PruneStep{} },
	"sparsify":        func() Step { return &SparsifyStep{} },
	"layers":          func() Step { return &LayersStep{} },
	"reestimate-norm": func() Step { return &NormStep{} },
	"finetune":        func() Step { return &FinetuneStep{} },
	"quantize":        func() Step { return &QuantizeStep{} },
}

// mostSteps bounds a recipe.
const mostSteps = 1000

// ParseRecipe reads a recipe and rejects what it does not know. Errors name
// the line and the step.
func ParseRecipe(b []byte) (r *Recipe, err error) {
	if len(b) > 16<<20 {
		return nil, fmt.Errorf("compress: recipe of %d bytes is too large", len(b))
	}
	// Malformed input can make the YAML decoder panic.
	defer func() {
		if v := recover(); v != nil {
			r, err = nil, fmt.Errorf("compress: recipe: malformed YAML: %v", v)
		}
	}()
	if r, err = parseRecipe(b); err != nil {
		return nil, fmt.Errorf("compress: recipe: %w", err)
	}
	return r, nil
}

// raw keeps a part of the document as it stands, to be decoded when it is
// known what it is.
type raw struct{ node ast.Node }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (r *raw) UnmarshalYAML(n ast.Node) error {
	r.node = n
	return nil
}

// line is where the part begins.
func (r *raw) line() int {
	if r.node == nil || r.node.GetToken() == nil {
		return 0
	}
	return r.node.GetToken().Position.Line
}

func parseRecipe(b []byte) (*Recipe, error) {
	var doc document[raw]
	// The version first: the fields of others are not known.
	var version struct {
		Version int `yaml:"drawknife"`
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, errors.New("it is empty")
	}
	if err := yaml.Unmarshal(b, &version); err == nil && version.Version != recipeVersion {
		return nil, fmt.Errorf("recipe of version %d; this program reads version %d", version.Version, recipeVersion)
	}
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&doc); err != nil {
		return nil, plain(err)
	}
	if len(doc.Steps) > mostSteps {
		return nil, fmt.Errorf("%d steps; at most %d", len(doc.Steps), mostSteps)
	}
	if doc.Holdout < 0 {
		return nil, fmt.Errorf("holdout: %d images", doc.Holdout)
	}
	r := &Recipe{Version: doc.Version, Model: doc.Model, Digest: doc.Digest, Data: doc.Data, Holdout: doc.Holdout, Seed: doc.Seed}
	for i := range doc.Steps {
		s, err := parseStep(&doc.Steps[i])
		if err != nil {
			var at *atLine
			if !errors.As(err, &at) {
				at = &atLine{doc.Steps[i].line(), err}
			}
			return nil, fmt.Errorf("line %d: step %d: %w", at.line, i+1, at.err)
		}
		r.Steps = append(r.Steps, s)
	}
	return r, nil
}

// parseStep reads a step: its name, and its options under it.
func parseStep(r *raw) (Step, error) {
	names := strings.Join(slices.Sorted(maps.Keys(kinds)), ", ")
	var parts map[string]raw
	if r.node == nil {
		return nil, fmt.Errorf("it is empty; want one of %s", names)
	}
	if err := yaml.NodeToValue(r.node, &parts); err != nil {
		return nil, plain(err)
	}
	if len(parts) != 1 {
		return nil, fmt.Errorf("it has %d methods, want one of %s", len(parts), names)
	}
	for name, options := range parts {
		fresh, ok := kinds[name]
		if !ok {
			return nil, fmt.Errorf("no step is called %q (there are: %s)", name, names)
		}
		s := fresh()
		if options.node != nil && options.node.Type() != ast.NullType {
			if err := yaml.NodeToValue(options.node, s, yaml.Strict()); err != nil {
				return nil, plain(err)
			}
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return s, nil
	}
	return nil, nil // not reached: there is one part
}

// atLine is an error with its place.
type atLine struct {
	line int
	err  error
}

func (e *atLine) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }

// plain brings the decoder's errors, which quote the text, to one line.
func plain(err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		return &atLine{y.GetToken().Position.Line, errors.New(firstLine(y.GetMessage()))}
	}
	return errors.New(firstLine(err.Error()))
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
