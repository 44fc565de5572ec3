//go:build (linux || darwin) && (amd64 || arm64)

package ort

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Places in OrtApi, a table of function pointers whose order never changes:
// new entries are added at the end.
const (
	fnGetErrorMessage                  = 2
	fnCreateEnv                        = 3
	fnCreateSession                    = 7
	fnCreateSessionFromArray           = 8
	fnRun                              = 9
	fnCreateSessionOptions             = 10
	fnSetSessionGraphOptimizationLevel = 23
	fnSetIntraOpNumThreads             = 24
	fnSetInterOpNumThreads             = 25
	fnSessionGetInputCount             = 30
	fnSessionGetOutputCount            = 31
	fnSessionGetInputTypeInfo          = 33
	fnSessionGetOutputTypeInfo         = 34
	fnSessionGetInputName              = 36
	fnSessionGetOutputName             = 37
	fnCreateTensorAsOrtValue           = 48
	fnCreateTensorWithDataAsOrtValue   = 49
	fnIsTensor                         = 50
	fnGetTensorMutableData             = 51
	fnFillStringTensor                 = 52
	fnGetStringTensorDataLength        = 53
	fnGetStringTensorContent           = 54
	fnCastTypeInfoToTensorInfo         = 55
	fnGetTensorElementType             = 60
	fnGetDimensionsCount               = 61
	fnGetDimensions                    = 62
	fnGetSymbolicDimensions            = 63
	fnGetTensorTypeAndShape            = 65
	fnCreateCPUMemoryInfo              = 69
	fnAllocatorFree                    = 76
	fnGetAllocatorWithDefaultOptions   = 78
	fnReleaseEnv                       = 92
	fnReleaseStatus                    = 93
	fnReleaseMemoryInfo                = 94
	fnReleaseSession                   = 95
	fnReleaseValue                     = 96
	fnReleaseTypeInfo                  = 98
	fnReleaseTensorTypeAndShapeInfo    = 99
	fnReleaseSessionOptions            = 100
	fnAddSessionConfigEntry            = 130
	fnCount                            = 131

	// apiVersion is the table's version to ask for: old enough for every
	// library since 1.17.
	apiVersion = 17
)

// Runtime is a loaded ONNX Runtime.
type Runtime struct {
	api       []uintptr
	version   string
	env       uintptr
	memory    uintptr // describes plain memory
	allocator uintptr // ONNX Runtime's own, of the default kind
}

// Open loads the shared library at path. Loading it again gives another
// Runtime on the same library, which stays in the process until its end.
func Open(path string) (*Runtime, error) {
	r, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("ort: open %s: %w", path, err)
	}
	return r, nil
}

func open(path string) (*Runtime, error) {
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	get, err := purego.Dlsym(lib, "OrtGetApiBase")
	if err != nil {
		return nil, fmt.Errorf("this is not ONNX Runtime: %w", err)
	}
	base, _, _ := purego.SyscallN(get)
	if base == 0 {
		return nil, errors.New("the library gives no interface")
	}
	fns := unsafe.Slice((*uintptr)(pointer(base)), 2) // GetApi, GetVersionString
	version, _, _ := purego.SyscallN(fns[1])
	table, _, _ := purego.SyscallN(fns[0], apiVersion)
	if table == 0 {
		return nil, fmt.Errorf("ONNX Runtime %s is older than 1.%d", goString(version), apiVersion)
	}
	r := &Runtime{api: unsafe.Slice((*uintptr)(pointer(table)), fnCount), version: goString(version)}
	const logFatal = 4 // errors come back as values
	id, err := cString("drawknife")
	if err != nil {
		return nil, err
	}
	if err := r.call(fnCreateEnv, logFatal, uintptr(unsafe.Pointer(id)), uintptr(unsafe.Pointer(&r.env))); err != nil {
		return nil, err
	}
	const deviceAllocator, defaultMemory = 0, 0
	if err := r.call(fnCreateCPUMemoryInfo, deviceAllocator, defaultMemory, uintptr(unsafe.Pointer(&r.memory))); err != nil {
		r.Close()
		return nil, err
	}
	if err := r.call(fnGetAllocatorWithDefaultOptions, uintptr(unsafe.Pointer(&r.allocator))); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Version is the library's version, such as "1.30.0".
func (r *Runtime) Version() string { return r.version }

// Close frees what Open made. Sessions must be closed before.
func (r *Runtime) Close() {
	r.release(fnReleaseMemoryInfo, &r.memory)
	r.release(fnReleaseEnv, &r.env)
}

// call runs one entry of the table and turns an OrtStatus into an error. The
// directive keeps alive and in place what the arguments point at; it needs
// the conversions to uintptr to stand in the call itself.
//
//go:uintptrescapes
func (r *Runtime) call(fn int, args ...uintptr) error {
	status, _, _ := purego.SyscallN(r.api[fn], args...)
	if status == 0 {
		return nil
	}
	message, _, _ := purego.SyscallN(r.api[fnGetErrorMessage], status)
	err := fmt.Errorf("ONNX Runtime: %s", strings.TrimSpace(goString(message)))
	purego.SyscallN(r.api[fnReleaseStatus], status)
	return err
}

// release frees an object once.
func (r *Runtime) release(fn int, object *uintptr) {
	if *object != 0 {
		purego.SyscallN(r.api[fn], *object)
		*object = 0
	}
}

// pointer turns an address of C memory into a pointer.
func pointer(a uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&a)) }

// goString copies a C string.
func goString(a uintptr) string {
	if a == 0 {
		return ""
	}
	p, n := pointer(a), 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

// cString makes a C string in Go memory.
func cString(s string) (*byte, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, fmt.Errorf("%q holds a zero byte", s)
	}
	return &append([]byte(s), 0)[0], nil
}

// names are C strings and the list of their addresses, in place until freed.
type names struct {
	list []uintptr
	pin  runtime.Pinner
}

// add appends a string.
func (n *names) add(s string) error {
	p, err := cString(s)
	if err != nil {
		return err
	}
	n.pin.Pin(p)
	n.list = append(n.list, uintptr(unsafe.Pointer(p)))
	return nil
}
