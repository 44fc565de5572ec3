package docgen

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

const cliIntro = `# Command line

Models are the path of an ONNX file (gzip'd or not) or ` + "`zoo:NAME?key=value`" + `; data sets are ` + "`NAME`, `NAME:DIR`" + ` or a path.
The exit status is 0 for success, 1 for a failure, 2 for wrong usage, 130 after an interruption (Ctrl-C, or SIGTERM as schedulers send it).

`

// CLI returns the reference of a command line: the flags that every verb
// takes, then each verb with its arguments and flags.
func CLI(app *kong.Application) string {
	var b strings.Builder
	b.WriteString(generated + cliIntro)
	rows := [][]string{{"verb", "what"}}
	verbs := leaves(app.Node)
	for _, n := range verbs {
		rows = append(rows, []string{fmt.Sprintf("[%s](#%s)", path(n), anchor(app.Name+" "+path(n))), n.Help})
	}
	table(&b, rows)
	b.WriteString("## Flags of every verb\n\n")
	table(&b, flags(app.Node))
	for _, n := range verbs {
		verb(&b, app.Name, n)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// leaves lists the visible commands in the order they were declared in.
func leaves(n *kong.Node) []*kong.Node {
	var out []*kong.Node
	for _, c := range n.Children {
		switch {
		case c.Hidden:
		case len(c.Children) == 0:
			out = append(out, c)
		default:
			out = append(out, leaves(c)...)
		}
	}
	return out
}

func path(n *kong.Node) string {
	if n.Parent == nil || n.Parent.Type == kong.ApplicationNode {
		return n.Name
	}
	return path(n.Parent) + " " + n.Name
}

func verb(b *strings.Builder, app string, n *kong.Node) {
	fmt.Fprintf(b, "## %s %s\n\n%s\n\n", app, path(n), sentence(n.Help))
	if n.Detail != "" && n.Detail != n.Help {
		fmt.Fprintf(b, "%s\n\n", n.Detail)
	}
	usage := app + " " + path(n)
	arguments := [][]string{{"argument", "meaning"}}
	for _, p := range n.Positional {
		usage += " " + p.Summary()
		arguments = append(arguments, []string{code(p.Summary()), meaning(p)})
	}
	for p := n; p != nil && p.Type == kong.CommandNode; p = p.Parent {
		for _, f := range p.Flags {
			if f.Required && !f.Hidden {
				usage += " --" + flagForm(f)
			}
		}
	}
	fmt.Fprintf(b, "```\n%s [flags]\n```\n\n", usage)
	table(b, arguments)
	rows := flags(n)
	for p := n.Parent; p != nil && p.Type == kong.CommandNode; p = p.Parent {
		rows = append(rows, flags(p)[1:]...)
	}
	table(b, rows)
}

// flags is the table of n's own visible flags.
func flags(n *kong.Node) [][]string {
	rows := [][]string{{"flag", "default", "meaning"}}
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		name := "--" + flagForm(f)
		if f.Short != 0 {
			name = fmt.Sprintf("-%c, %s", f.Short, name)
		}
		rows = append(rows, []string{code(name), code(shownDefault(f.Value)), meaning(f.Value)})
	}
	return rows
}

// flagForm is the flag's name with what it takes.
func flagForm(f *kong.Flag) string {
	name := f.Name
	if f.Tag.Negatable != "" {
		name = "[no-]" + name
	}
	if f.IsBool() || f.IsCounter() {
		return name
	}
	what := f.PlaceHolder
	if what == "" {
		what = strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
	}
	if f.IsCumulative() && !strings.HasSuffix(what, "...") {
		what += ",..."
	}
	return name + "=" + what
}

func shownDefault(v *kong.Value) string {
	if !v.HasDefault || v.IsBool() && v.Default == "false" {
		return ""
	}
	return v.Default
}

// meaning is the help with what else there is to know.
func meaning(v *kong.Value) string {
	parts := []string{stop(v.Help)}
	if v.Enum != "" {
		var names []string
		for _, e := range strings.Split(v.Enum, ",") {
			if e = strings.TrimSpace(e); e != "" && !strings.Contains(v.Help, e) {
				names = append(names, code(e))
			}
		}
		if names != nil {
			parts = append(parts, "One of "+strings.Join(names, ", ")+".")
		}
	}
	if v.Required && v.Flag != nil {
		parts = append(parts, "Required.")
	}
	for _, e := range v.Tag.Envs {
		parts = append(parts, "Also from the environment variable "+code(e)+".")
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}
