package loopnest

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// maxBases bounds how many descriptions may build on each other.
const maxBases = 16

// base reads the description that a file builds on, an empty one if it names
// none. Names are those of the library, or of files beside the one that names
// them.
func base(file string, b []byte, stack []string) (*Arch, error) {
	var head struct {
		Base string `yaml:"base"`
	}
	tree, err := decode(b, &head)
	if err != nil || head.Base == "" {
		return new(Arch), nil // the strict reading tells the error
	}
	stack = append(slices.Clip(stack), file)
	name := head.Base
	if _, ok := Source(name); !ok && !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(file), name)
	}
	var wrong error
	switch {
	case slices.ContainsFunc(stack, func(s string) bool { return filepath.Clean(s) == filepath.Clean(name) }):
		wrong = at("base", "goes round in a circle: %s", strings.Join(append(stack, name), " builds on "))
	case len(stack) > maxBases:
		wrong = at("base", "more than %d descriptions build on each other", maxBases)
	default:
		a, err := load(name, stack)
		if err == nil {
			return a, nil
		}
		if strings.HasPrefix(err.Error(), name+":") { // it names its own file and line
			return nil, err
		}
		wrong = at("base", "%w", err)
	}
	return nil, located(file, tree, wrong)
}

// noZeroBandwidth rejects a bandwidth that is given as 0, through which nothing
// could move; one that is left out is unlimited.
func noZeroBandwidth(tree *ast.File) error {
	f := &zeroFinder{}
	ast.Walk(f, tree.Docs[0].Body)
	return f.err
}

type zeroFinder struct{ err error }

// Visit implements ast.Visitor.
func (f *zeroFinder) Visit(n ast.Node) ast.Visitor {
	v, ok := n.(*ast.MappingValueNode)
	if !ok || f.err != nil {
		return f
	}
	key := v.Key.GetToken().Value
	if key != "read_words_per_cycle" && key != "write_words_per_cycle" {
		return f
	}
	var words float64
	if err := yaml.NodeToValue(v.Value, &words); err == nil && words == 0 {
		f.err = &lineError{v.Key.GetToken().Position.Line, key + " is 0: nothing could move; leave it out for no limit"}
	}
	return f
}
