package loopnest

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
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
func Load(name string) (*Arch, error) { return load(name, nil) }

// load is Load for a description that others build on: stack lists these.
func load(name string, stack []string) (*Arch, error) {
	if b, ok := Source(name); ok {
		return parse(name, b, stack)
	}
	st, err := os.Stat(name)
	if err != nil {
		if !strings.ContainsAny(name, "./\\") {
			return nil, fmt.Errorf("no architecture is called %q; there are %s, or give a file", name, strings.Join(Library(), ", "))
		}
		return nil, err
	}
	if st.IsDir() {
		return nil, fmt.Errorf("%s is a folder; want an architecture file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return parse(name, b, stack)
}

// Parse reads a description, in our own form or in Timeloop's. Keys of ours
// that it does not know are errors, and every error names the file and the
// line.
func Parse(file string, b []byte) (*Arch, error) { return parse(file, b, nil) }

func parse(file string, b []byte, stack []string) (*Arch, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: a description has at most %d bytes", file, maxFile)
	}
	if line := tooDeep(b); line > 0 {
		return nil, fmt.Errorf("%s:%d: nested more than %d deep", file, line, maxNesting)
	}
	if timeloopFile.Match(b) {
		return parseTimeloop(file, b)
	}
	a, err := base(file, b, stack)
	if err != nil {
		return nil, err
	}
	tree, err := decode(b, a, yaml.Strict())
	if err == nil {
		err = a.Check()
	}
	if err == nil {
		err = noZeroBandwidth(tree)
	}
	if err != nil {
		return nil, located(file, tree, err)
	}
	a.file = file
	if own := (struct{ Levels []any }{}); yaml.NodeToValue(tree.Docs[0].Body, &own) == nil && own.Levels != nil {
		a.places = nil
		for i := range own.Levels {
			a.places = append(a.places, fmt.Sprintf("%s:%d", file, lineOf(tree, fmt.Sprintf("levels[%d].name", i))))
		}
	}
	return a, nil
}

// parseTimeloop reads an architecture in Timeloop's form.
func parseTimeloop(file string, b []byte) (*Arch, error) {
	tree, err := parseTree(b)
	var a *Arch
	if err == nil {
		a, err = readTimeloop(tree.Docs[0].Body)
	}
	if err != nil {
		return nil, located(file, tree, err)
	}
	a.file, a.Name = file, strings.TrimSuffix(path.Base(filepath.ToSlash(file)), ".yaml")
	for i, line := range a.places {
		a.places[i] = file + ":" + line
	}
	if err := a.Check(); err != nil {
		return nil, fmt.Errorf("%s: as read from Timeloop: %w", a.placeOf(err), err)
	}
	return a, nil
}

// placeOf is the file and line of the level that an error is about, else of the
// description's beginning.
func (a *Arch) placeOf(err error) string {
	var field *fieldError
	level := 0
	if errors.As(err, &field) {
		if n, _ := fmt.Sscanf(field.path, "levels[%d]", &level); n == 1 && level < len(a.places) {
			return a.places[level]
		}
	}
	return a.file + ":1"
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

// decode reads YAML into a value.
func decode(b []byte, into any, options ...yaml.DecodeOption) (tree *ast.File, err error) {
	defer recovered(&err)
	if tree, err = parseTree(b); err != nil {
		return tree, err
	}
	if err := noTags(tree.Docs[0].Body); err != nil {
		return tree, err
	}
	return tree, yaml.NodeToValue(tree.Docs[0].Body, into, options...)
}

// recovered turns the panics of the YAML parser, which malformed input can
// cause, into errors.
func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("malformed YAML: %v", v)
	}
}

// parseTree reads one YAML document without anchors and aliases.
func parseTree(b []byte) (tree *ast.File, err error) {
	defer recovered(&err)
	tree, err = parser.ParseBytes(b, 0)
	if err != nil {
		return nil, err
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return tree, &lineError{1, "want one YAML document"}
	}
	return tree, noAliases(tree.Docs[0].Body)
}

// noAliases rejects anchors and aliases, which can make a small file huge.
func noAliases(n ast.Node) error {
	v := &finder{types: []ast.NodeType{ast.AnchorType, ast.AliasType, ast.MergeKeyType}}
	ast.Walk(v, n)
	return v.err
}

// noTags rejects tags.
func noTags(n ast.Node) error {
	v := &finder{types: []ast.NodeType{ast.TagType}}
	ast.Walk(v, n)
	return v.err
}

// finder looks for nodes that may not be.
type finder struct {
	types []ast.NodeType
	err   error
}

// Visit implements ast.Visitor.
func (v *finder) Visit(n ast.Node) ast.Visitor {
	if v.err == nil && slices.Contains(v.types, n.Type()) {
		v.err = &lineError{n.GetToken().Position.Line, "anchors, aliases, merge keys and tags are not part of the format"}
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
	var kind *yaml.TypeError
	var large *yaml.OverflowError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%s:%d: %s", file, unknown.Token.Position.Line, suggest(unknown.Token.Value))
	case errors.As(err, &line):
		return fmt.Errorf("%s:%d: %w", file, line.line, err)
	case errors.As(err, &field):
		return fmt.Errorf("%s:%d: %w", file, lineOf(tree, field.path), err)
	case errors.As(err, &kind):
		return fmt.Errorf("%s:%d: want %s", file, kind.Token.Position.Line, wanted(kind.DstType))
	case errors.As(err, &large):
		return fmt.Errorf("%s:%d: %.40s is out of range", file, large.Token.Position.Line, large.SrcNum)
	case errors.As(err, &y) && y.GetToken() != nil:
		return fmt.Errorf("%s:%d: %s", file, y.GetToken().Position.Line, y.GetMessage())
	}
	return fmt.Errorf("%s: %w", file, err)
}

// wanted says what a value of a type looks like in YAML.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "keys and their values"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
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
			if name != "" && !slices.Contains(list, name) {
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
