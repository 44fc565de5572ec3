package compress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/onnx"
)

// writeFile stores b under path, whole or not at all.
func writeFile(path string, b []byte) error {
	err := atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return nil
}

// digest is a short name for the bytes of a file form.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

// apply carries out steps on the job's model. The result of every prefix that
// took work is kept on disk under its key, so that variants share it and an
// interrupted search goes on where it was.
func (s *search) apply(ctx context.Context, steps []Step) (*graph.Graph, error) {
	r := s.recipe
	r.Steps = steps
	g := s.job.Graph
	done := 0
	for n := len(steps); n > 0; n-- {
		file := s.file(r.key(n))
		if _, err := os.Stat(file); err != nil {
			continue
		}
		if kept, err := read(file); err == nil {
			g, done = kept, n
			break
		}
		os.Remove(file) // unreadable: make it again
	}
	for n := done; n < len(steps); n++ {
		next, err := s.step(ctx, g, steps[n], s.file(r.key(n+1)))
		if err != nil {
			return nil, fmt.Errorf("compress: step %d (%s): %w", n+1, steps[n].kind(), err)
		}
		g = next
	}
	return g, nil
}

// step carries out one step and keeps its result in a file. What follows must
// not depend on whether it came from there, so it always does.
func (s *search) step(ctx context.Context, g *graph.Graph, st Step, file string) (*graph.Graph, error) {
	w := s.work()
	w.scratch = file
	next, err := st.apply(ctx, w, g)
	if err != nil {
		return nil, err
	}
	if w.report != nil {
		b, err := json.Marshal(w.report)
		if err != nil {
			return nil, err
		}
		if err := writeFile(file+".json", b); err != nil {
			return nil, err
		}
	}
	if err := onnx.Write(file, next); err != nil {
		return nil, err
	}
	w.tidy()
	return read(file)
}

// work is what steps work with.
func (s *search) work() *work {
	return &work{images: s.trainset, pre: s.pre, original: s.job.Graph, augment: s.job.Augment, seed: s.recipe.Seed, threads: s.job.Threads, progress: s.job.Progress}
}

func read(file string) (*graph.Graph, error) {
	g, err := onnx.Read(file)
	if err != nil {
		return nil, err
	}
	return g, g.InferShapes()
}

func (s *search) file(key string) string { return filepath.Join(s.job.Dir, workDir, key+".onnx") }
