//go:build !((linux || darwin) && (amd64 || arm64))

package ort

import (
	"fmt"
	"runtime"

	"github.com/drawknife/drawknife/tensor"
)

var errPlatform = fmt.Errorf("ort: ONNX Runtime cannot be loaded on %s/%s; use Linux or macOS on amd64 or arm64", runtime.GOOS, runtime.GOARCH)

// Runtime is a loaded ONNX Runtime; there is none on this platform.
type Runtime struct{}

// Open fails on this platform.
func Open(string) (*Runtime, error) { return nil, errPlatform }

// Version is empty on this platform.
func (r *Runtime) Version() string { return "" }

// Close does nothing on this platform.
func (r *Runtime) Close() {}

// Load fails on this platform.
func (r *Runtime) Load(string, Options) (*Session, error) { return nil, errPlatform }

// LoadBytes fails on this platform.
func (r *Runtime) LoadBytes([]byte, Options) (*Session, error) { return nil, errPlatform }

// Session is a loaded model; there is none on this platform.
type Session struct{}

// Inputs is empty on this platform.
func (s *Session) Inputs() []Info { return nil }

// Outputs is empty on this platform.
func (s *Session) Outputs() []Info { return nil }

// Run fails on this platform.
func (s *Session) Run(map[string]*tensor.Tensor, ...string) (map[string]*tensor.Tensor, error) {
	return nil, errPlatform
}

// Bind fails on this platform.
func (s *Session) Bind(map[string]*tensor.Tensor, ...string) (*Bound, error) { return nil, errPlatform }

// Close does nothing on this platform.
func (s *Session) Close() {}

// Bound is a session with its inputs in place; there is none on this platform.
type Bound struct{}

// Run fails on this platform.
func (b *Bound) Run() error { return errPlatform }

// Outputs fails on this platform.
func (b *Bound) Outputs() (map[string]*tensor.Tensor, error) { return nil, errPlatform }

// Close does nothing on this platform.
func (b *Bound) Close() {}
