// Package ort runs models in ONNX Runtime, to check and time what drawknife
// exports. It loads libonnxruntime.so at run time and needs no cgo:
//
//	rt, err := ort.Open("/usr/lib/libonnxruntime.so")
//	s, err := rt.Load("model.onnx", ort.Options{Threads: 1})
//	defer s.Close()
//	out, err := s.Run(map[string]*tensor.Tensor{"input": x})
//
// The library is part of ONNX Runtime's releases and of the npm package
// onnxruntime-node; any version from 1.17 on will do.
package ort

import (
	"fmt"

	"github.com/drawknife/drawknife/tensor"
)

// Level says how much ONNX Runtime may optimize the graph.
type Level int

// Optimization levels. The zero value is ONNX Runtime's default.
const (
	All Level = iota
	None
	Basic
	Extended
)

func (l Level) String() string {
	switch l {
	case All:
		return "all"
	case None:
		return "none"
	case Basic:
		return "basic"
	case Extended:
		return "extended"
	}
	return fmt.Sprintf("level(%d)", int(l))
}

// Options control how a model is loaded.
type Options struct {
	// Threads is the number of threads within one operator; 0 leaves it to
	// ONNX Runtime (one a physical core). Operators run one after the other.
	Threads int
	// Optimize is the level of graph optimization.
	Optimize Level
	// Config holds further session options by ONNX Runtime's names, such as
	// "session.intra_op.allow_spinning": "0".
	Config map[string]string
}

// Info describes an input or output of a model.
type Info struct {
	Name  string
	DType tensor.DType // Invalid if it is not a tensor
	Shape []int        // -1 where the model leaves it open
	// Symbols names the open dimensions ("" where they have no name).
	Symbols []string
}
