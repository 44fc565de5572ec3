//go:build (linux || darwin) && (amd64 || arm64)

package ort

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"unsafe"

	"github.com/drawknife/drawknife/tensor"
)

// Session is a model loaded into ONNX Runtime. Several goroutines may run it
// at once; Close must come after the last of them.
type Session struct {
	r               *Runtime
	session         uintptr
	inputs, outputs []Info
}

// Load loads a model from a file.
func (r *Runtime) Load(path string, o Options) (*Session, error) {
	s, err := r.session(o, func(options uintptr, out *uintptr) error {
		p, err := cString(path)
		if err != nil {
			return err
		}
		return r.call(fnCreateSession, r.env, uintptr(unsafe.Pointer(p)), options, uintptr(unsafe.Pointer(out)))
	})
	if err != nil {
		return nil, fmt.Errorf("ort: load %s: %w", path, err)
	}
	return s, nil
}

// LoadBytes loads a model from memory.
func (r *Runtime) LoadBytes(model []byte, o Options) (*Session, error) {
	s, err := r.session(o, func(options uintptr, out *uintptr) error {
		if len(model) == 0 {
			return errors.New("the model is empty")
		}
		return r.call(fnCreateSessionFromArray, r.env, uintptr(unsafe.Pointer(&model[0])), uintptr(len(model)), options, uintptr(unsafe.Pointer(out)))
	})
	if err != nil {
		return nil, fmt.Errorf("ort: load: %w", err)
	}
	return s, nil
}

func (r *Runtime) session(o Options, create func(options uintptr, out *uintptr) error) (*Session, error) {
	if r.env == 0 {
		return nil, errors.New("the runtime is closed")
	}
	var options uintptr
	if err := r.call(fnCreateSessionOptions, uintptr(unsafe.Pointer(&options))); err != nil {
		return nil, err
	}
	defer r.release(fnReleaseSessionOptions, &options)
	if err := r.configure(options, o); err != nil {
		return nil, err
	}
	s := &Session{r: r}
	if err := create(options, &s.session); err != nil {
		return nil, err
	}
	if err := s.describe(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// configure fills in OrtSessionOptions.
func (r *Runtime) configure(options uintptr, o Options) error {
	if o.Threads < 0 {
		return fmt.Errorf("%d threads", o.Threads)
	}
	level, ok := map[Level]uintptr{None: 0, Basic: 1, Extended: 2, All: 99}[o.Optimize]
	if !ok {
		return fmt.Errorf("no such optimization level: %d", int(o.Optimize))
	}
	if err := r.call(fnSetIntraOpNumThreads, options, uintptr(o.Threads)); err != nil {
		return err
	}
	if err := r.call(fnSetInterOpNumThreads, options, 1); err != nil {
		return err
	}
	if err := r.call(fnSetSessionGraphOptimizationLevel, options, level); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(o.Config)) {
		k, err := cString(key)
		if err != nil {
			return err
		}
		v, err := cString(o.Config[key])
		if err != nil {
			return err
		}
		if err := r.call(fnAddSessionConfigEntry, options, uintptr(unsafe.Pointer(k)), uintptr(unsafe.Pointer(v))); err != nil {
			return err
		}
	}
	return nil
}

// Inputs describes the model's inputs, in its order.
func (s *Session) Inputs() []Info { return s.inputs }

// Outputs describes the model's outputs, in its order.
func (s *Session) Outputs() []Info { return s.outputs }

// Close frees the session. Closing twice does no harm.
func (s *Session) Close() { s.r.release(fnReleaseSession, &s.session) }

// describe asks for the inputs and outputs.
func (s *Session) describe() (err error) {
	s.inputs, err = s.infos(fnSessionGetInputCount, fnSessionGetInputName, fnSessionGetInputTypeInfo)
	if err != nil {
		return err
	}
	s.outputs, err = s.infos(fnSessionGetOutputCount, fnSessionGetOutputName, fnSessionGetOutputTypeInfo)
	return err
}

func (s *Session) infos(count, name, info int) ([]Info, error) {
	var n uintptr
	if err := s.r.call(count, s.session, uintptr(unsafe.Pointer(&n))); err != nil {
		return nil, err
	}
	list := make([]Info, n)
	for i := range list {
		var text, typ uintptr
		if err := s.r.call(name, s.session, uintptr(i), s.r.allocator, uintptr(unsafe.Pointer(&text))); err != nil {
			return nil, err
		}
		list[i].Name = goString(text)
		if err := s.r.call(fnAllocatorFree, s.r.allocator, text); err != nil {
			return nil, err
		}
		if err := s.r.call(info, s.session, uintptr(i), uintptr(unsafe.Pointer(&typ))); err != nil {
			return nil, err
		}
		err := s.r.describe(typ, &list[i])
		s.r.release(fnReleaseTypeInfo, &typ)
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// describe reads an OrtTypeInfo.
func (r *Runtime) describe(typ uintptr, info *Info) error {
	var t uintptr // belongs to typ
	if err := r.call(fnCastTypeInfoToTensorInfo, typ, uintptr(unsafe.Pointer(&t))); err != nil || t == 0 {
		return err
	}
	var err error
	if info.DType, info.Shape, err = r.typeAndShape(t); err != nil || len(info.Shape) == 0 {
		return err
	}
	symbols := make([]uintptr, len(info.Shape))
	if err := r.call(fnGetSymbolicDimensions, t, uintptr(unsafe.Pointer(&symbols[0])), uintptr(len(symbols))); err != nil {
		return err
	}
	info.Symbols = make([]string, len(symbols))
	for i, a := range symbols {
		info.Symbols[i] = goString(a)
	}
	return nil
}

// typeAndShape reads an OrtTensorTypeAndShapeInfo.
func (r *Runtime) typeAndShape(t uintptr) (tensor.DType, []int, error) {
	var kind int32
	var rank uintptr
	if err := r.call(fnGetTensorElementType, t, uintptr(unsafe.Pointer(&kind))); err != nil {
		return 0, nil, err
	}
	if err := r.call(fnGetDimensionsCount, t, uintptr(unsafe.Pointer(&rank))); err != nil {
		return 0, nil, err
	}
	sizes := make([]int64, rank+1)
	if err := r.call(fnGetDimensions, t, uintptr(unsafe.Pointer(&sizes[0])), rank); err != nil {
		return 0, nil, err
	}
	shape := make([]int, rank)
	for i := range shape {
		shape[i] = int(sizes[i])
	}
	return tensor.DType(kind), shape, nil // ONNX Runtime numbers types as ONNX does
}

// Run feeds the inputs, by name, and returns the outputs of the given names,
// all of them if none are named.
func (s *Session) Run(in map[string]*tensor.Tensor, outputs ...string) (map[string]*tensor.Tensor, error) {
	b, err := s.Bind(in, outputs...)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	// Bind has run the model once, to make its outputs.
	return b.Outputs()
}

// Bound is a session with its inputs and outputs in place: Run copies
// nothing.
type Bound struct {
	s               *Session
	in              []*tensor.Tensor // kept alive and in place by pin
	inNames         names
	outNames        names
	inputs, outputs []uintptr // OrtValues
	pin             runtime.Pinner
	wanted          []string
}

// Bind places the inputs and runs the model once, which makes the outputs of
// the given names (all if none are named). The tensors may be changed between
// runs, through their elements. Close the Bound before the session.
func (s *Session) Bind(in map[string]*tensor.Tensor, outputs ...string) (*Bound, error) {
	b := &Bound{s: s, wanted: outputs}
	if len(outputs) == 0 {
		for _, o := range s.outputs {
			b.wanted = append(b.wanted, o.Name)
		}
	}
	if err := b.place(in); err != nil {
		b.Close()
		return nil, fmt.Errorf("ort: %w", err)
	}
	if err := b.Run(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

func (b *Bound) place(in map[string]*tensor.Tensor) error {
	if b.s.session == 0 {
		return errors.New("the session is closed")
	}
	used := 0
	for _, info := range b.s.inputs {
		t := in[info.Name]
		if t == nil {
			return fmt.Errorf("input %q is missing", info.Name)
		}
		used++
		v, err := b.s.r.value(t, &b.pin)
		if err != nil {
			return fmt.Errorf("input %q: %w", info.Name, err)
		}
		b.in, b.inputs = append(b.in, t), append(b.inputs, v)
		if err := b.inNames.add(info.Name); err != nil {
			return err
		}
	}
	if used < len(in) {
		for name := range in {
			if !slices.ContainsFunc(b.s.inputs, func(i Info) bool { return i.Name == name }) {
				return fmt.Errorf("the model has no input %q", name)
			}
		}
	}
	for _, name := range b.wanted {
		if !slices.ContainsFunc(b.s.outputs, func(i Info) bool { return i.Name == name }) {
			return fmt.Errorf("the model has no output %q", name)
		}
		if err := b.outNames.add(name); err != nil {
			return err
		}
	}
	if len(b.wanted) == 0 {
		return errors.New("the model has no outputs")
	}
	b.outputs = make([]uintptr, len(b.wanted))
	return nil
}

// Run runs the model on what the inputs hold now.
func (b *Bound) Run() error {
	if b.outputs == nil {
		return errors.New("ort: run: closed")
	}
	err := b.s.r.call(fnRun, b.s.session, 0, first(b.inNames.list), first(b.inputs), uintptr(len(b.inputs)),
		uintptr(unsafe.Pointer(&b.outNames.list[0])), uintptr(len(b.outputs)), uintptr(unsafe.Pointer(&b.outputs[0])))
	runtime.KeepAlive(b)
	if err != nil {
		return fmt.Errorf("ort: run: %w", err)
	}
	return nil
}

// first is the address of a list's first element, 0 for an empty list. The
// list must be kept alive by its owner.
func first(list []uintptr) uintptr {
	if len(list) == 0 {
		return 0
	}
	return uintptr(unsafe.Pointer(&list[0]))
}

// Outputs copies the outputs of the last run.
func (b *Bound) Outputs() (map[string]*tensor.Tensor, error) {
	out := map[string]*tensor.Tensor{}
	for i, name := range b.wanted {
		t, err := b.s.r.read(b.outputs[i])
		if err != nil {
			return nil, fmt.Errorf("ort: output %q: %w", name, err)
		}
		out[name] = t
	}
	return out, nil
}

// Close frees what Bind made. Closing twice does no harm.
func (b *Bound) Close() {
	for _, list := range [][]uintptr{b.inputs, b.outputs} {
		for i := range list {
			b.s.r.release(fnReleaseValue, &list[i])
		}
	}
	b.inputs, b.outputs = nil, nil
	b.pin.Unpin()
	b.inNames.pin.Unpin()
	b.outNames.pin.Unpin()
}
