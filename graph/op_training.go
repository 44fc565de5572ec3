package graph

import "fmt"

// The operators of domain "drawknife" that training needs: gradients that
// ONNX cannot say (or not well), batch normalization with its statistics, and
// losses that give their gradient along with their value. Package eval holds
// their meaning.
//
//	ConvGradInput(dy, w, x)          gradient of Conv's input; attributes of Conv
//	ConvGradWeight(x, dy, w) → dw, db  gradients of Conv's weights and bias; attributes of Conv
//	MaxPoolGrad(dy, x)               attributes of MaxPool; AveragePoolGrad alike
//	LpPoolGrad(dy, x, y)             attributes of LpPool
//	GlobalAveragePoolGrad(dy, x)
//	LRNGrad(dy, x, y)                attributes of LRN
//	ActivationGrad(dy, x, y)         kind: an ONNX activation; alpha, beta (gamma, min, max)
//	PReluGrad(dy, x, slope) → dx, dslope
//	SoftmaxGrad(dy, y)               axis; log = 1 for LogSoftmax
//	SliceGrad(dy, x, starts, …)      further inputs of Slice
//	PadGrad(dy, x, pads, axes)       mode
//	GatherGrad(dy, x, indices)       axis
//	ResizeGrad(dy, x, roi, scales, sizes)  attributes of Resize
//	DropoutTrain(x, seed)            ratio, stream; it is its own gradient
//	BatchNormTrain(x, scale, bias, mean, var, add) → y, batch mean, 1/σ, new mean, new var
//	BatchNormGrad(dy, x, y, scale, bias, mean, 1/σ) → dx, dscale, dbias, dadd
//	SoftmaxCrossEntropy(logits, labels) → loss, dlogits
//	KLDistill(student, teacher)      → loss, dstudent
//	MSELoss(prediction, target)      → loss, dprediction
//
// The operand x (or w) of a gradient gives the shape where its elements are
// not needed.
func init() {
	grad := func(name string, minIn, maxIn, like int) Op {
		return Op{Domain: DrawknifeDomain, Name: name, MinIn: minIn, MaxIn: maxIn, MinOut: 1, MaxOut: 1,
			Infer: func(n *Node) error {
				n.set(0, n.inType(0), n.in(like))
				return nil
			}}
	}
	convInput, convWeight := grad("ConvGradInput", 3, 3, 2), grad("ConvGradWeight", 3, 3, 2)
	convInput.MACs = func(n *Node) int64 { return convGradMACs(n.in(0), n.in(1)) }
	convWeight.MaxOut = 2
	convWeight.Infer = inferConvGradWeight
	convWeight.MACs = func(n *Node) int64 { return convGradMACs(n.in(1), n.in(2)) }
	Register(
		convInput, convWeight,
		grad("MaxPoolGrad", 2, 2, 1), grad("AveragePoolGrad", 2, 2, 1), grad("LpPoolGrad", 3, 3, 1),
		grad("GlobalAveragePoolGrad", 2, 2, 1), grad("LRNGrad", 3, 3, 1),
		grad("ActivationGrad", 3, 3, 0), grad("SoftmaxGrad", 2, 2, 0),
		grad("SliceGrad", 4, 6, 1), grad("PadGrad", 3, 4, 1), grad("GatherGrad", 3, 3, 1), grad("ResizeGrad", 2, 5, 1),
		grad("DropoutTrain", 2, 2, 0),
		Op{Domain: DrawknifeDomain, Name: "PReluGrad", MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 2, Infer: func(n *Node) error {
			n.set(0, n.inType(0), n.in(1))
			n.set(1, n.inType(0), n.in(2))
			return nil
		}},
		Op{Domain: DrawknifeDomain, Name: "BatchNormTrain", MinIn: 5, MaxIn: 6, MinOut: 5, MaxOut: 5, Infer: inferBatchNormTrain},
		Op{Domain: DrawknifeDomain, Name: "BatchNormGrad", MinIn: 7, MaxIn: 7, MinOut: 3, MaxOut: 4, Infer: inferBatchNormGrad},
	)
	for _, name := range []string{"SoftmaxCrossEntropy", "KLDistill", "MSELoss"} {
		Register(Op{Domain: DrawknifeDomain, Name: name, MinIn: 2, MaxIn: 2, MinOut: 2, MaxOut: 2, Infer: inferLoss})
	}
}

// convGradMACs counts the multiply-accumulates of either gradient of a
// convolution, which are those of the convolution itself.
func convGradMACs(dy, w Shape) int64 {
	list := make([]int, 0, len(dy)+len(w))
	for _, d := range dy {
		list = append(list, d.size())
	}
	for _, d := range w[min(1, len(w)):] {
		list = append(list, d.size())
	}
	return clampMul(list...)
}

func inferConvGradWeight(n *Node) error {
	w := n.in(2)
	n.set(0, n.inType(0), w)
	if len(w) > 0 {
		n.set(1, n.inType(0), w[:1])
	}
	return nil
}

func inferBatchNormTrain(n *Node) error {
	x := n.in(0)
	if x != nil && len(x) < 2 {
		return fmt.Errorf("input of shape %v has no channels", x)
	}
	n.set(0, n.inType(0), x)
	for i := 1; i < 5; i++ {
		n.set(i, n.inType(1), n.in(1))
	}
	return nil
}

func inferBatchNormGrad(n *Node) error {
	n.set(0, n.inType(0), n.in(1))
	n.set(1, n.inType(3), n.in(3))
	n.set(2, n.inType(3), n.in(3))
	n.set(3, n.inType(0), n.in(1))
	return nil
}

// inferLoss: a scalar, and a gradient of input 0's shape.
func inferLoss(n *Node) error {
	n.set(0, n.inType(0), Shape{})
	n.set(1, n.inType(0), n.in(0))
	return nil
}
