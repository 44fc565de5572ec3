package loopnest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// tree is a node of a YAML file with what reading Timeloop's needs: lines for
// errors, keys in their order, and the tags that version 0.4 tells kinds of
// nodes apart by.
type tree struct {
	node ast.Node
	tag  string // such as "!Component"
}

func newTree(n ast.Node) tree {
	if t, ok := n.(*ast.TagNode); ok {
		return tree{t.Value, t.Start.Value}
	}
	return tree{node: n}
}

// line is where the node begins, 1 if there is none.
func (t tree) line() int {
	if t.node == nil || t.node.GetToken() == nil {
		return 1
	}
	return t.node.GetToken().Position.Line
}

func (t tree) errorf(format string, args ...any) error {
	return &lineError{t.line(), fmt.Sprintf(format, args...)}
}

// pair is an entry of a mapping.
type pair struct {
	key   string
	value tree
}

// pairs lists a mapping's entries.
func (t tree) pairs() (list []pair, err error) {
	var values []*ast.MappingValueNode
	switch n := t.node.(type) {
	case nil, *ast.NullNode:
		return nil, nil
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return nil, t.errorf("want keys and values here")
	}
	for _, v := range values {
		list = append(list, pair{strings.Trim(v.Key.GetToken().Value, `"'`), newTree(v.Value)})
	}
	return list, nil
}

// get finds an entry; its node is nil if there is none.
func (t tree) get(key string) (tree, error) {
	list, err := t.pairs()
	if err != nil {
		return tree{}, err
	}
	for _, p := range list {
		if p.key == key {
			return p.value, nil
		}
	}
	return tree{}, nil
}

// items lists a sequence.
func (t tree) items() (list []tree, err error) {
	switch n := t.node.(type) {
	case nil, *ast.NullNode:
		return nil, nil
	case *ast.SequenceNode:
		for _, v := range n.Values {
			list = append(list, newTree(v))
		}
		return list, nil
	}
	return nil, t.errorf("want a list here")
}

// text is a scalar as it stands in the file.
func (t tree) text() (string, error) {
	switch t.node.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.LiteralNode:
		return strings.TrimSpace(strings.Trim(t.node.GetToken().Value, `"'`)), nil
	}
	return "", t.errorf("want one word or number here")
}

// is reports a scalar of that text.
func (t tree) is(text string) bool {
	s, err := t.text()
	return err == nil && s == text
}

// number reads a positive number, behind which a unit may stand that says
// nothing new, such as 45nm.
func (t tree) number(what, unit string) (float64, error) {
	s, err := t.text()
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, unit), 64)
	if err != nil || !(v > 0 && v < 1e15) {
		return 0, t.errorf("%s is %q; want a positive number (expressions are not evaluated)", what, short(s))
	}
	return v, nil
}

// short cuts a text for messages.
func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
