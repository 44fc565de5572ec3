package main

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/drawknife/drawknife/internal/docgen"
	"github.com/drawknife/drawknife/method"
)

//go:generate go test . -run TestDocs -update

var update = flag.Bool("update", false, "write the generated pages of docs")

// TestDocs keeps docs/cli.md and docs/methods equal to what the program says
// of itself.
func TestDocs(t *testing.T) {
	parser, err := kong.New(new(cli), kong.Name("drawknife"))
	if err != nil {
		t.Fatal(err)
	}
	methods, err := docgen.Methods(method.All())
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{"cli.md": docgen.CLI(parser.Model)}
	for name, text := range methods {
		pages[filepath.Join("methods", name)] = text
	}
	docs := filepath.Join("..", "..", "docs")
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		path := filepath.Join(docs, name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(pages[name]), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != pages[name] {
			t.Errorf("docs/%s is stale (%v); run: go generate ./cmd/drawknife", name, err)
		}
	}
	present, err := filepath.Glob(filepath.Join(docs, "methods", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range present {
		if _, ok := methods[filepath.Base(p)]; !ok {
			t.Errorf("docs/methods/%s belongs to no family; remove it", filepath.Base(p))
		}
	}
}
