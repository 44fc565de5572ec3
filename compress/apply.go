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

	"github.com/drawknife/drawknife/data"
	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/onnx"
	"github.com/drawknife/drawknife/prune"
	"github.com/drawknife/drawknife/quantize"
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
		next, err := s.step(ctx, g, steps[n], r.key(n+1))
		if err != nil {
			return nil, fmt.Errorf("compress: step %d (%s): %w", n+1, steps[n].name(), err)
		}
		// What follows must not depend on whether this came from the disk.
		file := s.file(r.key(n + 1))
		if err := onnx.Write(file, next); err != nil {
			return nil, err
		}
		if g, err = read(file); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func read(file string) (*graph.Graph, error) {
	g, err := onnx.Read(file)
	if err != nil {
		return nil, err
	}
	return g, g.InferShapes()
}

func (s *search) file(key string) string { return filepath.Join(s.job.Dir, workDir, key+".onnx") }

func (s *search) step(ctx context.Context, g *graph.Graph, st Step, key string) (*graph.Graph, error) {
	switch {
	case st.Prune != nil:
		p, _, err := prune.To(g, st.Prune.Score, st.Prune.Keep)
		return p, err
	case st.Norm != nil:
		return s.reestimate(ctx, g, st.Norm.Images)
	case st.Finetune != nil:
		return s.finetune(ctx, g, st.Finetune, s.file(key)+".checkpoint")
	}
	q := st.Quantize
	l, err := s.loader(q.Images, g)
	if err != nil {
		return nil, err
	}
	out, report, err := quantize.Static(ctx, g, l.Batches(ctx, 0), quantize.Options{
		Calibrator: q.Calibrator, Target: q.Target, PerChannel: true, ReduceRange: q.ReduceRange, Equalize: q.Equalize, BiasCorrection: q.BiasCorrection,
		Float: q.Float, Threads: s.job.Threads,
	})
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(report)
	if err != nil {
		return nil, err
	}
	if err := writeFile(s.file(key)+".json", b); err != nil {
		return nil, err
	}
	out.Metadata[data.MetadataKey] = s.job.Pre.String()
	return out, nil
}

// loader gives n training images, prepared for g, without augmentation.
func (s *search) loader(n int, g *graph.Graph) (*data.Loader, error) {
	batch := 16
	if d := g.Inputs[0].Shape; len(d) > 0 && d[0].Known() {
		batch = d[0].Size
	}
	return data.NewLoader(data.Spread(s.job.Train, min(n, s.job.Train.Len())), data.LoaderOptions{
		Batch: batch, Preprocess: s.pre, DropLast: batch != 16 && batch > 1,
	})
}
