package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/drawknife/drawknife/compress"
)

// Text writes the table of before and after for a terminal, followed by a
// line for the verdict and one for each warning. Control characters in names
// are shown as question marks, so that a model cannot drive the terminal.
func Text(w io.Writer, r *compress.Result) error {
	out := bufio.NewWriter(w)
	table := append([]row{{"", "before", "after", "change"}}, rows(r)...)
	var width [3]int
	for _, t := range table {
		for i, s := range []string{t.Name, t.Before, t.After} {
			width[i] = max(width[i], utf8.RuneCountInString(s))
		}
	}
	for _, t := range table {
		fmt.Fprintf(out, "%s  %s  %s  %s\n", padRight(t.Name, width[0]), padLeft(t.Before, width[1]), padLeft(t.After, width[2]), t.Change)
	}
	fmt.Fprintf(out, "\n%s\n%s.\n", headline(r), verdict(r))
	for _, s := range r.Warnings {
		fmt.Fprintf(out, "warning: %s\n", printable(s))
	}
	return out.Flush()
}

func padRight(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}

func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0)) + s
}

func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == utf8.RuneError {
			return '?'
		}
		return c
	}, s)
}
