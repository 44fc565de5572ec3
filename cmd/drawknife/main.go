// Command drawknife turns convolutional networks down to size: it takes an
// ONNX CNN, prunes and quantizes it within a budget, measures the result on
// this machine, and writes an ONNX model that runs anywhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"github.com/drawknife/drawknife/internal/cpu"
)

// globals are the flags that mean the same for every verb.
type globals struct {
	JSON    bool   `help:"Print one JSON object on stdout and nothing else (progress goes to stderr)."`
	Threads int    `help:"Worker threads; 0 is one per CPU." default:"0" placeholder:"N"`
	Seed    uint64 `help:"Seed of everything random." default:"1"`
	Quiet   bool   `short:"q" help:"No progress."`
}

type cli struct {
	globals
	Inspect  inspectCmd  `cmd:"" help:"Show a model's layers, parameters, MACs, memory and metadata."`
	Diff     diffCmd     `cmd:"" help:"Compare two models' graphs, costs and outputs."`
	Run      runCmd      `cmd:"" help:"Run a model on arrays or images."`
	Eval     evalCmd     `cmd:"" help:"Measure a model's accuracy on a data set."`
	Bench    benchCmd    `cmd:"" help:"Measure a model's latency, alone or beside ONNX Runtime."`
	Data     dataCmd     `cmd:"" help:"List, check and download data sets."`
	Train    trainCmd    `cmd:"" help:"Train a network of the zoo, or fine-tune a model."`
	Quantize quantizeCmd `cmd:"" help:"Quantize a model to 8-bit integers."`
	Prune    pruneCmd    `cmd:"" help:"Remove channels, single weights or whole blocks of a model."`
	Compress compressCmd `cmd:"" help:"Find the best smaller model within a budget: the main job."`
	Simulate simulateCmd `cmd:"" help:"Estimate a model's time and energy on accelerators of the literature or described in a file."`
	Methods  methodsCmd  `cmd:"" help:"List the methods, their papers and what they need."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

// app is what a verb works with.
type app struct {
	context.Context
	globals
	out, err io.Writer
	tty      bool     // err is a terminal
	args     []string // that were given
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// exitCode carries the status through kong's Exit hook.
type exitCode int

// run is main without the process: it returns the exit code, 0 for success, 1
// for a failure, 2 for wrong usage, 130 for an interruption.
func run(args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if v := recover(); v != nil {
			c, ok := v.(exitCode)
			if !ok {
				panic(v)
			}
			code = int(c)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("drawknife"),
		kong.Description("Turns convolutional networks down to size: prune, quantize, search, measure."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { panic(exitCode(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(stderr, "drawknife:", err)
		return 2
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "drawknife: %s\nTry: drawknife --help\n", oneline(err.Error()))
		return 2
	}
	if err := cpu.Check(); err != nil {
		fmt.Fprintln(stderr, "drawknife:", err)
		return 2
	}
	if c.Threads < 0 || c.Threads > 1024 {
		fmt.Fprintln(stderr, "drawknife: --threads must lie between 0 (one per CPU) and 1024")
		return 2
	}
	if c.Threads == 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{Context: ctx, globals: c.globals, out: stdout, err: stderr, tty: isTerminal(stderr), args: args}
	if err := k.Run(a); err != nil {
		fmt.Fprintln(stderr, "drawknife:", oneline(err.Error()))
		var usage usageError
		switch {
		case errors.As(err, &usage):
			return 2
		case errors.Is(err, context.Canceled):
			return 130
		}
		return 1
	}
	return 0
}

// oneline is a message on one line, whatever names a hostile file puts into it.
func oneline(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ReplaceAll(s, "\n", "; "))
}

// usageError is a mistake in the command line that parsing cannot see.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
