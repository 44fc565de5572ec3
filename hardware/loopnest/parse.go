package loopnest

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds a description, maxNesting its brackets and indentation.
const (
	maxFile    = 64 << 10
	maxNesting = 64
)

//go:embed arch/*.yaml
var library embed.FS

// Library lists the names of the descriptions inside the program.
func Library() []string {
	entries, err := library.ReadDir("arch")
	if err != nil {
		panic(err) // the files are inside the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Source returns the text of a description of the library.
func Source(name string) ([]byte, bool) {
	b, err := library.ReadFile(path.Join("arch", name+".yaml"))
	return b, err == nil
}

// Load reads a description: one of the library by its name, or a file.
func Load(name string) (*Arch, error) {
	if b, ok := Source(name); ok {
		return Parse(name, b)
	}
	f, err := os.Open(name)
	if err != nil {
		if !strings.ContainsAny(name, "./\\") {
			return nil, fmt.Errorf("no architecture is called %q; there are %s, or give a file", name, strings.Join(Library(), ", "))
		}
		return nil, err
	}
	defer f.Close()
	b := make([]byte, maxFile+1)
	n := 0
	for n < len(b) {
		k, err := f.Read(b[n:])
		n += k
		if k == 0 || err != nil {
			break
		}
	}
	return Parse(name, b[:n])
}

// Parse reads a description. Keys that it does not know are errors, and every
// error names the file and the line.
func Parse(file string, b []byte) (*Arch, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: a description has at most %d bytes", file, maxFile)
	}
	if line := tooDeep(b); line > 0 {
		return nil, fmt.Errorf("%s:%d: nested more than %d deep", file, line, maxNesting)
	}
	a := new(Arch)
	tree, err := decode(b, a, yaml.Strict())
	if err != nil {
		return nil, located(file, tree, err)
	}
	if err := a.Check(); err != nil {
		return nil, located(file, tree, err)
	}
	return a, nil
}

// tooDeep returns the first line whose nesting is out of bounds, else 0.
func tooDeep(b []byte) int {
	depth, line, indent, start := 0, 1, 0, true
	for _, c := range b {
		switch {
		case c == '\n':
			line, indent, start = line+1, 0, true
			continue
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth = max(depth-1, 0)
		}
		if start && (c == ' ' || c == '-' || c == '\t' || c == '?' || c == ':') {
			indent++
		} else {
			start = false
		}
		if depth > maxNesting || indent > 4*maxNesting {
			return line
		}
	}
	return 0
}

// decode turns the panics of the YAML decoder, which malformed input can
// cause, into errors.
func decode(b []byte, into any, options ...yaml.DecodeOption) (tree *ast.File, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("malformed YAML: %v", v)
		}
	}()
	tree, err = parser.ParseBytes(b, 0)
	if err != nil {
		return nil, err
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return tree, errors.New("want one YAML document")
	}
	if err := noAliases(tree.Docs[0].Body); err != nil {
		return tree, err
	}
	return tree, yaml.NodeToValue(tree.Docs[0].Body, into, options...)
}

// noAliases rejects anchors and aliases, which can make a small file huge.
func noAliases(n ast.Node) error {
	v := &aliasFinder{}
	ast.Walk(v, n)
	return v.err
}

type aliasFinder struct{ err error }

// Visit implements ast.Visitor.
func (v *aliasFinder) Visit(n ast.Node) ast.Visitor {
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType, ast.TagType:
		if v.err == nil {
			v.err = &lineError{n.GetToken().Position.Line, "anchors, aliases, merge keys and tags are not part of the format"}
		}
	}
	return v
}

type lineError struct {
	line    int
	message string
}

func (e *lineError) Error() string { return e.message }

// located puts file and line before an error.
func located(file string, tree *ast.File, err error) error {
	var unknown *yaml.UnknownFieldError
	var line *lineError
	var field *fieldError
	var y yaml.Error
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%s:%d: %s", file, unknown.Token.Position.Line, suggest(unknown.Token.Value))
	case errors.As(err, &line):
		return fmt.Errorf("%s:%d: %w", file, line.line, err)
	case errors.As(err, &field):
		return fmt.Errorf("%s:%d: %w", file, lineOf(tree, field.path), err)
	case errors.As(err, &y) && y.GetToken() != nil:
		return fmt.Errorf("%s:%d: %s", file, y.GetToken().Position.Line, y.GetMessage())
	}
	return fmt.Errorf("%s: %w", file, err)
}

// lineOf finds the line of a place such as levels[1].bytes, or of the nearest
// place around it that the file has.
func lineOf(tree *ast.File, place string) int {
	for place != "" {
		if p, err := yaml.PathString("$." + place); err == nil {
			if n, err := p.FilterFile(tree); err == nil && n != nil && n.GetToken() != nil {
				return n.GetToken().Position.Line
			}
		}
		place = place[:max(strings.LastIndexAny(place, ".["), 0)]
	}
	return 1
}

// suggest is the message for an unknown key.
func suggest(key string) string {
	if len(key) > 80 {
		return "unknown key"
	}
	best, distance := "", len(key)/2+1
	for _, k := range keys(reflect.TypeFor[Arch](), nil) {
		if d := editDistance(key, k); d < distance {
			best, distance = k, d
		}
	}
	switch best {
	case "":
		return fmt.Sprintf("unknown key %q", key)
	case key:
		return fmt.Sprintf("unknown key %q here; it belongs elsewhere", key)
	}
	return fmt.Sprintf("unknown key %q; did you mean %q?", key, best)
}

// keys lists every key of the format.
func keys(t reflect.Type, list []string) []string {
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer, reflect.Map:
		return keys(t.Elem(), list)
	case reflect.Struct:
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			if !slices.Contains(list, name) {
				list = append(list, name)
			}
			list = keys(t.Field(i).Type, list)
		}
	}
	return list
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
