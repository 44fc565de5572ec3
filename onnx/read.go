// Package onnx reads and writes ONNX models.
//
//	g, err := onnx.Read("model.onnx")
//	…
//	err = onnx.Write("smaller.onnx", g)
//
// A file of any operator set from 7 on becomes a graph.Graph in canonical
// form: operators in the newest version of their definition, Constant nodes as
// constants, sparse constants dense. Writing converts back to the operator set
// the file had, or the lowest one that can carry the content. Names, metadata,
// dynamic axes and everything that is not understood are kept, so that a model
// read and written unchanged computes the same bits.
//
// The codec works on protobuf's wire format and registers nothing, so it can
// live in one program with other ONNX bindings.
package onnx

import (
	stdbytes "bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/drawknife/drawknife/graph"
)

// Options control reading.
type Options struct {
	// Dir is the folder in which weights stored outside the model are looked
	// for. Read sets it to the model's folder. If it is empty, a model with
	// such weights is refused.
	Dir string
	// KeepTypes leaves float16, bfloat16 and float64 as they are. By default
	// they become float32, in which models are computed, and the graph's log
	// says so.
	KeepTypes bool
	// KeepFunctions leaves calls of functions that the model defines for
	// itself as they are, nodes of an operator that nothing here knows. By
	// default they are replaced by the functions' bodies.
	KeepFunctions bool
}

// Read reads a model from a file, gzip'd or not.
func Read(path string, opts ...Options) (*graph.Graph, error) {
	o := option(opts)
	if o.Dir == "" {
		o.Dir = filepath.Dir(path)
	}
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	g, err := decode(data, true, o)
	if err != nil {
		return nil, fmt.Errorf("onnx: %s: %w", path, err)
	}
	return g, nil
}

// Decode reads a model from memory, gzip'd or not. The graph's constants may
// view data, which must not change while the graph is in use.
func Decode(data []byte, opts ...Options) (*graph.Graph, error) {
	g, err := decode(data, false, option(opts))
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return g, nil
}

func option[T any](list []T) (o T) {
	if len(list) > 0 {
		o = list[0]
	}
	return o
}

func decode(data []byte, own bool, o Options) (*graph.Graph, error) {
	if isGzip(data) {
		var err error
		if data, err = gunzip(data, int64(len(data))*100+256<<20); err != nil {
			return nil, err
		}
		own = true
	}
	if len(data) == 0 {
		return nil, errors.New("the file is empty")
	}
	p, err := decodeModel(data)
	if err != nil {
		return nil, fmt.Errorf("not a complete ONNX model: %w", err)
	}
	im := &importer{opts: o, data: data, own: own}
	im.ext.dir = o.Dir
	defer im.ext.close()
	return im.model(p)
}

// readFile reads a whole file; a regular one without growing the buffer.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a folder, not an ONNX file", path)
	}
	return os.ReadFile(path)
}

func isGzip(b []byte) bool { return len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b }

// gunzip decompresses a file of at most limit bytes. Weights hardly compress,
// so a file that grows out of proportion is refused.
func gunzip(b []byte, limit int64) ([]byte, error) {
	z, err := gzip.NewReader(stdbytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if int64(len(out)) > limit {
		return nil, fmt.Errorf("gzip: a file of %d bytes holds more than %d bytes", len(b), limit)
	}
	return out, nil
}
