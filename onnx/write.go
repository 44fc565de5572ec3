package onnx

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// WriteOptions control writing.
type WriteOptions struct {
	// Opset is the version of ONNX's operator set to write; 0 means the
	// file's own, or the lowest one that can carry the content.
	Opset int64
	// External stores the weights in a second file beside the model, as
	// always happens when they exceed what protobuf can carry (2 GiB).
	External bool
}

// maxProto is the size that protobuf implementations accept.
const maxProto = 1<<31 - 1

// externalFrom is the number of bytes from which a tensor is stored in the
// second file.
const externalFrom = 1024

// Encode returns the model as bytes.
func Encode(g *graph.Graph, opts ...WriteOptions) ([]byte, error) {
	r, err := export(g, option(opts), nil)
	if err == nil && r.size > maxProto {
		err = fmt.Errorf("%d bytes are more than protobuf can carry; write to a file with external data", r.size)
	}
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return r.bytes(), nil
}

// Write writes the model to a file. It appears under its name only when it is
// complete; a failure leaves what was there before. Weights stored outside go
// to a file beside it, whose name has the model's name and a digest of the
// weights in it.
func Write(path string, g *graph.Graph, opts ...WriteOptions) error {
	if err := write(path, g, option(opts)); err != nil {
		return fmt.Errorf("onnx: write %s: %w", path, err)
	}
	return nil
}

func write(path string, g *graph.Graph, o WriteOptions) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if !o.External {
		r, err := export(g, o, nil)
		if err != nil {
			return err
		}
		if r.size <= maxProto {
			return replace(path, r)
		}
	}
	x, err := newExternal(path)
	if err != nil {
		return err
	}
	defer x.discard()
	// The first pass writes the weights and learns their digest, the second
	// one makes the model that names their file.
	if _, err := export(g, o, x); err != nil {
		return err
	}
	if err := x.finish(); err != nil {
		return err
	}
	r, err := export(g, o, x)
	if err != nil {
		return err
	}
	if r.size > maxProto {
		return errors.New("too large for protobuf even without its weights")
	}
	if err := x.commit(); err != nil {
		return err
	}
	return replace(path, r)
}

// replace writes a file by way of a temporary one in the same folder. What is
// not a regular file (a pipe, /dev/stdout) is written directly.
func replace(path string, r *rope) (err error) {
	info, statErr := os.Stat(path)
	if statErr == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return errors.New("is a folder")
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = r.WriteTo(f)
		return errors.Join(err, f.Close())
	}
	f, err := tempFile(path)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing left to remove
	w := bufio.NewWriterSize(f, 1<<16)
	if _, err = r.WriteTo(w); err == nil {
		err = w.Flush()
	}
	return install(f, path, err)
}

// tempFile creates a temporary file beside path, with path's mode.
func tempFile(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return nil, err
	}
	mode := os.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}

// install syncs f and renames it to path, unless writing it failed.
func install(f *os.File, path string, err error) error {
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		_ = d.Sync() // not every file system can sync a folder
		d.Close()
	}
	return nil
}

// externalWriter stores weights in a second file.
type externalWriter struct {
	model  string // path of the model
	f      *os.File
	w      *bufio.Writer
	sum    hash.Hash
	offset int64
	name   string // of the finished file
	done   bool
}

func newExternal(model string) (*externalWriter, error) {
	f, err := tempFile(model)
	if err != nil {
		return nil, err
	}
	x := &externalWriter{model: model, f: f, sum: sha256.New()}
	x.w = bufio.NewWriterSize(io.MultiWriter(f, x.sum), 1<<16)
	return x, nil
}

// add stores a tensor at the next multiple of 64 bytes and returns the message
// that refers to it. Once the file is finished it only makes the message.
func (x *externalWriter) add(name string, t *tensor.Tensor) (*rope, error) {
	b := t.Bytes()
	pad := -x.offset & 63
	if x.name == "" {
		if _, err := x.w.Write(make([]byte, pad)); err != nil {
			return nil, err
		}
		if _, err := x.w.Write(b); err != nil {
			return nil, err
		}
	}
	at := x.offset + pad
	x.offset = at + int64(len(b))
	r := tensorHead(name, t)
	for _, e := range []entry{{"location", x.name}, {"offset", strconv.FormatInt(at, 10)}, {"length", strconv.Itoa(len(b))}} {
		m := &rope{}
		m.str(1, e.key)
		m.str(2, e.value)
		r.message(13, m)
	}
	r.int(14, 1)
	return r, nil
}

// finish flushes the weights and names their file.
func (x *externalWriter) finish() error {
	if err := x.w.Flush(); err != nil {
		return err
	}
	base := filepath.Base(x.model)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	x.name = fmt.Sprintf("%s.%x.data", base, x.sum.Sum(nil)[:6])
	x.offset = 0
	return nil
}

// commit gives the file its name.
func (x *externalWriter) commit() error {
	x.done = true
	return install(x.f, filepath.Join(filepath.Dir(x.model), x.name), nil)
}

// discard removes the temporary file unless it was committed.
func (x *externalWriter) discard() {
	if !x.done {
		x.f.Close()
	}
	os.Remove(x.f.Name())
}
