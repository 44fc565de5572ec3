package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/alecthomas/kong"
)

// impatient is a context that ends once it has been asked a number of times.
type impatient struct {
	context.Context
	end  context.CancelFunc
	left atomic.Int64
}

func newImpatient(times int) *impatient {
	c := &impatient{}
	c.Context, c.end = context.WithCancel(context.Background())
	c.left.Store(int64(times))
	return c
}

func (c *impatient) asked() {
	if c.left.Add(-1) == 0 {
		c.end()
	}
}

func (c *impatient) Err() error {
	c.asked()
	return c.Context.Err()
}

func (c *impatient) Done() <-chan struct{} {
	c.asked()
	return c.Context.Done()
}

// TestPruneResumes interrupts every kind of pruning again and again: what
// comes out is, to the byte, what comes out in one go, and nothing else stays.
func TestPruneResumes(t *testing.T) {
	dir := t.TempDir()
	if err := writeFixtures(dir); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"channels": {"--macs", "0.6", "--schedule", "iterative:rounds=2", "--epochs", "2"},
		"sparsify": {"--macs", "0.6", "--sparsify", "sfp", "--sparsify-epochs", "1", "--epochs", "1"},
		"weights":  {"--sparsity", "0.6", "--schedule", "gradual", "--epochs", "2"},
		"rounds":   {"--sparsity", "0.6", "--schedule", "iterative:rounds=2", "--epochs", "2"},
		"dense":    {"--pattern", "2:4", "--permute", "--compare-dense", "--epochs", "1"},
		"layers":   {"--blocks", "1", "--method", "resconv", "--sparsify-epochs", "1", "--epochs", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			whole, part := filepath.Join(dir, name), filepath.Join(dir, name+"-resumed")
			prune := func(to string, asks int) error {
				if err := os.MkdirAll(to, 0o755); err != nil {
					t.Fatal(err)
				}
				var c cli
				parser, err := kong.New(&c)
				if err != nil {
					t.Fatal(err)
				}
				k, err := parser.Parse(append([]string{"--threads", "1", "prune", filepath.Join(dir, "net.onnx"), "--data", filepath.Join(dir, "blobs.npz"),
					"--limit", "16", "--images", "32", "--batch", "32", "--round-to", "1", "--resume", "-o", filepath.Join(to, "p.onnx")}, args...))
				if err != nil {
					t.Fatal(err)
				}
				ctx := newImpatient(asks)
				defer ctx.end()
				return k.Run(&app{Context: ctx, globals: c.globals, out: io.Discard, err: io.Discard})
			}
			if err := prune(whole, 1<<40); err != nil {
				t.Fatal(err)
			}
			interruptions := 0
			for asks := 400; ; asks *= 3 {
				err := prune(part, asks)
				if err == nil {
					break
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				interruptions++
			}
			if interruptions < 2 {
				t.Errorf("it was interrupted %d times only", interruptions)
			}
			want, err := os.ReadDir(whole)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadDir(part)
			if err != nil {
				t.Fatal(err)
			}
			if len(want) != len(got) || len(want) == 0 {
				t.Fatalf("in one go there are %v, resumed %v", want, got)
			}
			for _, f := range want {
				a, err := os.ReadFile(filepath.Join(whole, f.Name()))
				if err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(filepath.Join(part, f.Name()))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(a, b) {
					t.Errorf("%s: interrupted %d times, another network came out", f.Name(), interruptions)
				}
			}
		})
	}
}
