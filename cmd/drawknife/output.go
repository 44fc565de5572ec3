package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// emit prints v as JSON if --json was given, else calls text.
func (a *app) emit(v any, text func(w io.Writer) error) error {
	if a.JSON {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	return text(a.out)
}

// table prints rows of tab-separated cells; the first row is the heading.
// Columns are right-aligned except those whose heading ends in a space.
func table(w io.Writer, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	left := make([]bool, len(rows[0]))
	width := make([]int, len(rows[0]))
	for i, h := range rows[0] {
		left[i] = strings.HasSuffix(h, " ")
	}
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len([]rune(strings.TrimRight(c, " "))))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r {
			c = strings.TrimRight(c, " ")
			pad := strings.Repeat(" ", width[i]-len([]rune(c)))
			if i > 0 {
				line.WriteString("  ")
			}
			if left[i] {
				line.WriteString(c + pad)
			} else {
				line.WriteString(pad + c)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// pairs prints name: value lines.
func pairs(w io.Writer, kv ...string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(kv); i += 2 {
		fmt.Fprintf(t, "%s\t%s\n", kv[i], kv[i+1])
	}
	return t.Flush()
}

// progress returns a function to report how much of total is done. It draws a
// bar with the time left when stderr is a terminal, once the work has taken
// two seconds; otherwise it does nothing.
func (a *app) progress(what string, total int) (step func(done int), end func()) {
	if !a.tty || a.Quiet || total <= 0 {
		return func(int) {}, func() {}
	}
	start := time.Now()
	var bar *progressbar.ProgressBar
	return func(done int) {
			if bar == nil {
				if time.Since(start) < 2*time.Second {
					return
				}
				bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(what),
					progressbar.OptionSetPredictTime(true), progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond),
					progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
			}
			_ = bar.Set(min(done, total))
		}, func() {
			if bar != nil {
				_ = bar.Finish()
			}
		}
}

// note writes a line to stderr unless --quiet.
func (a *app) note(format string, args ...any) {
	if !a.Quiet {
		fmt.Fprintln(a.err, oneline(fmt.Sprintf(format, args...)))
	}
}

// count prints a number with a unit that keeps it short: 1.25 M, 40.6 k.
func count(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f G", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2f M", float64(n)/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1f k", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}

// size prints a number of bytes.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
