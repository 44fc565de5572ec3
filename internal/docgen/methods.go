package docgen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/method"
)

// families introduces each family, in the order in which they are used.
var families = []struct {
	family       method.Family
	title, about string
}{
	{method.Prune, "Pruning scores", "A score says how much each channel matters. `drawknife prune` and `compress` remove the channels that score least, " +
		"over whole dependency groups, so that the layers that share them shrink together."},
	{method.Sparsify, "Sparsifying training", "Training that makes channels unimportant before a score removes them: `drawknife prune --sparsify NAME` trains with it first."},
	{method.Weights, "Pruning weights", "These choose single weights, not channels: `drawknife prune --method NAME --sparsity S` makes them zero and keeps them so while it " +
		"fine-tunes. The network keeps its shapes; the engine's sparse kernels and compressed files use the zeros."},
	{method.Layers, "Pruning layers", "These rate whole residual blocks: `drawknife prune --method NAME --blocks N` removes the N least important."},
	{method.Allocate, "Allocation", "An allocation turns one strength of pruning for the whole network into a number of channels for every group, or of weights for every layer."},
	{method.Schedule, "Schedules", "A schedule says how much is gone when: at once, in rounds with fine-tuning between them, or little by little during training."},
	{method.Quantize, "Quantization", "These turn a float network into one that computes in integers, or prepare it so that less accuracy is lost."},
	{method.Calibrate, "Calibration", "A calibrator watches the activations of the float network on a few hundred images and chooses the range that the integer " +
		"grid covers: a wide one clips nothing, a narrow one has finer steps."},
	{method.Train, "Training", "Optimizers, schedules and losses of `drawknife train` and of the fine-tuning that `prune` and `compress` do."},
}

// Methods returns the pages of the methods by file name: one a family, and
// README.md, which lists them all. A family without an introduction here is an
// error.
func Methods(all []method.Method) (map[string]string, error) {
	by := map[method.Family][]method.Method{}
	for _, m := range all {
		by[m.Family] = append(by[m.Family], m)
	}
	pages := map[string]string{}
	var index strings.Builder
	index.WriteString(generated + "# Methods\n\nEvery method that can be named on the command line or in a recipe: `NAME`, or `NAME:option=value,option=value`. " +
		"`drawknife methods` prints the same list, with `--json` for programs.\n\n")
	for _, f := range families {
		ms := by[f.family]
		delete(by, f.family)
		if len(ms) == 0 {
			continue
		}
		file := string(f.family) + ".md"
		pages[file] = familyPage(f.title, f.about, ms)
		fmt.Fprintf(&index, "## [%s](%s)\n\n", f.title, file)
		rows := [][]string{{"method", "what", "needs", "paper"}}
		for _, m := range ms {
			rows = append(rows, []string{fmt.Sprintf("[%s](%s#%s)", m.Name, file, anchor(m.Name)), m.Summary, m.Needs.String(), year(m)})
		}
		table(&index, rows)
	}
	for f := range by {
		return nil, fmt.Errorf("docgen: family %q has no introduction (internal/docgen/methods.go)", f)
	}
	pages["README.md"] = strings.TrimRight(index.String(), "\n") + "\n"
	return pages, nil
}

func familyPage(title, about string, ms []method.Method) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s# %s\n\n%s\n\n", generated, title, about)
	slices.SortFunc(ms, func(a, b method.Method) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range ms {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", m.Name, sentence(m.Summary))
		if m.Paper != "" {
			fmt.Fprintf(&b, "- Source: %s", m.Paper)
			if m.Year != 0 {
				fmt.Fprintf(&b, ", %d", m.Year)
			}
			b.WriteString(".\n")
		}
		fmt.Fprintf(&b, "- Needs: %s.\n\n", m.Needs)
		rows := [][]string{{"option", "default", "meaning"}}
		for _, o := range m.Options {
			rows = append(rows, []string{code(o.Name), code(o.Default), o.Help})
		}
		table(&b, rows)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// year names the paper's first author and year in short.
func year(m method.Method) string {
	author, _, _ := strings.Cut(m.Paper, ",")
	if author == "" {
		return ""
	}
	if m.Year == 0 {
		return author
	}
	return fmt.Sprintf("%s %d", author, m.Year)
}

// anchor is the fragment that a heading gets.
func anchor(heading string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z':
			return c
		}
		return -1
	}, strings.ToLower(heading))
}
