package quantize

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/tensor"
)

// Target is a runtime's conventions for quantized models.
type Target struct {
	Name string
	// Activations is Uint8 or Int8; SymmetricActivations fixes their zero
	// point in the middle.
	Activations          tensor.DType
	SymmetricActivations bool
	// Adds, Concats and tables (activations other than Relu and Clip) that the
	// runtime computes in integers; the others stay float.
	Ops map[string]bool
	// FloatBias keeps biases in float32 (TensorRT) instead of int32.
	FloatBias bool
}

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

var targets = map[string]Target{
	// ONNX Runtime computes uint8 activations by int8 weights fastest.
	"ort": {Name: "ort", Activations: tensor.Uint8, Ops: set("Conv", "Gemm", "MatMul", "Add", "Mul", "Concat", "MaxPool",
		"AveragePool", "GlobalAveragePool", "ReduceMean", "Sigmoid", "HardSigmoid", "HardSwish", "Silu", "LeakyRelu", "Tanh",
		"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Pad", "DepthToSpace", "SpaceToDepth")},
	// TensorRT wants int8 activations with zero point 0 and float biases, and
	// quantizes the inputs of element-wise operators.
	"tensorrt": {Name: "tensorrt", Activations: tensor.Int8, SymmetricActivations: true, FloatBias: true,
		Ops: set("Conv", "Gemm", "MatMul", "Add", "MaxPool", "GlobalAveragePool", "AveragePool", "Concat", "Reshape", "Flatten", "Transpose")},
	// OpenVINO reads the same form as ONNX Runtime.
	"openvino": {Name: "openvino", Activations: tensor.Uint8, Ops: set("Conv", "Gemm", "MatMul", "Add", "Mul", "Concat", "MaxPool",
		"AveragePool", "GlobalAveragePool", "ReduceMean", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Pad")},
}

// TargetNames lists the profiles.
func TargetNames() []string { return slices.Sorted(maps.Keys(targets)) }

// FindTarget returns a profile by name.
func FindTarget(name string) (Target, error) {
	t, ok := targets[name]
	if !ok {
		return t, fmt.Errorf("quantize: there is no target %q (there are: %s)", name, strings.Join(TargetNames(), ", "))
	}
	return t, nil
}
