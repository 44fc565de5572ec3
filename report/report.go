// Package report explains a compression to people: one self-contained HTML
// page with every table and chart, and the plain table a terminal shows.
package report

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/drawknife/drawknife/compress"
)

//go:embed page.html style.css sort.js
var files embed.FS

var pageTemplate = template.Must(template.New("page.html").Funcs(template.FuncMap{"breaks": breaks}).ParseFS(files, "page.html"))

// HTML writes r as one web page that needs nothing else: no network, fonts or
// scripts from elsewhere. Its content security policy forbids them too. The
// page is complete without its script, which only sorts tables. Sections
// without data are left out. Names from the model are escaped, whatever they
// contain.
func HTML(w io.Writer, r *compress.Result) error {
	if err := pageTemplate.Execute(w, newPage(r)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// breaks cuts a name where a line may end: after dots, slashes, colons and
// underscores.
func breaks(name string) []string {
	var parts []string
	for {
		i := strings.IndexAny(name, "./:_")
		if i < 0 || i == len(name)-1 {
			return append(parts, name)
		}
		parts = append(parts, name[:i+1])
		name = name[i+1:]
	}
}

// asset returns an embedded file. The names are fixed, so it cannot fail.
func asset(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// scriptPolicy is the source expression of a content security policy that
// allows this script alone.
func scriptPolicy(script string) string {
	sum := sha256.Sum256([]byte(script))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
