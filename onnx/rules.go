package onnx

import "github.com/drawknife/drawknife/tensor"

// rules tells, by operator, when ONNX introduced it and how its forms differ
// from the newest one. What is not listed has had one form since operator set
// 7. The name of a step says which operator sets it comes from or leads to.
var rules = table()

func table() map[string]rule {
	t := map[string]rule{
		"Cast":     {down: []down{{24, drop("round_mode", "up")}, {19, drop("saturate", int64(1))}}},
		"CastLike": {since: 15, down: []down{{24, drop("round_mode", "up")}, {19, drop("saturate", int64(1))}}},
		"Concat":   {down: []down{{11, positive("axis")}}},
		"Flatten":  {down: []down{{11, positive("axis")}}},
		"Gather":   {down: []down{{11, positive("axis")}}},
		"OneHot":   {since: 9, down: []down{{11, positive("axis")}}},

		"ArgMax": {down: []down{{12, drop("select_last_index", int64(0))}, {11, positive("axis")}}},
		"ArgMin": {down: []down{{12, drop("select_last_index", int64(0))}, {11, positive("axis")}}},

		"AveragePool": {down: []down{{19, dropOnes("dilations")}, {10, drop("ceil_mode", int64(0))}}},
		"LpPool":      {down: []down{{18, all(dropOnes("dilations"), drop("ceil_mode", int64(0)))}}},
		"MaxPool": {down: []down{{12, floats}, {10, all(drop("ceil_mode", int64(0)), dropOnes("dilations"))},
			{8, drop("storage_order", int64(0))}}},

		"BatchNormalization": {up: []up{{9, batchNormFrom8}, {14, batchNormFrom13}},
			down: []down{{14, drop("training_mode", int64(0))}}},
		"GroupNormalization": {since: 18, up: []up{{21, groupNormFrom20}}, down: []down{{21, groupNormTo20}}},
		"Dropout":            {up: []up{{12, floatToInput("ratio", 1)}}, down: []down{{12, dropoutTo11}}},
		"Gemm":               {down: []down{{11, gemmTo10}, {9, floats}}},
		"MatMul":             {down: []down{{9, floats}}},

		"Clip": {up: []up{{11, ups(floatToInput("min", 1), floatToInput("max", 2))}},
			down: []down{{12, floats}, {11, all(inputToFloat("min", 1), inputToFloat("max", 2))}}},
		"Pad": {up: []up{{11, ups(listToInput("pads", 1), floatToInput("value", 2))}},
			down: []down{{19, padTo18}, {18, padTo17}, {11, all(inputToList("pads", 1), inputToFloat("value", 2))}}},
		"Slice": {up: []up{{10, ups(listToInput("starts", 1), listToInput("ends", 2), listToInput("axes", 3))}},
			down: []down{{10, all(sliceTo9, positive("axes"))}}},
		"Split": {up: []up{{13, listToInput("split", 1)}, {18, splitFrom17}},
			down: []down{{18, splitTo17}, {13, inputToList("split", 1)}, {11, positive("axis")}}},
		"Squeeze":   {up: []up{{13, listToInput("axes", 1)}}, down: []down{{13, inputToList("axes", 1)}, {11, positive("axes")}}},
		"Unsqueeze": {up: []up{{13, listToInput("axes", 1)}}, down: []down{{13, inputToList("axes", 1)}, {11, positive("axes")}}},
		"Reshape":   {down: []down{{14, reshapeTo13}}},
		"Shape":     {down: []down{{15, all(drop("start", int64(0)), drop("end"))}}},
		"TopK": {up: []up{{10, topKFrom9}},
			down: []down{{11, all(drop("largest", int64(1)), drop("sorted", int64(1)))}, {10, topKTo9}}},
		"DepthToSpace": {down: []down{{11, drop("mode", "DCR")}}},

		"Upsample": {up: []up{{always, upsampleToResize}}},
		"Resize": {up: []up{{11, resizeFrom10}, {always, dropEmpty}},
			down: []down{{19, resizeTo18}, {18, resizeTo17}, {13, resizeTo12}, {11, resizeTo10}, {10, resizeTo9}, {9, upsampleTo8}}},
		"GridSample": {since: 16, up: []up{{20, gridSampleFrom19}}, down: []down{{20, gridSampleTo19}}},
		"RoiAlign":   {since: 10, up: []up{{16, roiAlignFrom15}}, down: []down{{16, roiAlignTo15}}},

		"Scatter":         {up: []up{{always, scatterFrom10}}},
		"ScatterElements": {since: 9, down: []down{{16, drop("reduction", "none")}, {11, all(rename("Scatter"), positive("axis"))}}},
		"ScatterND":       {since: 11, down: []down{{16, drop("reduction", "none")}}},

		"QuantizeLinear":   {since: 10, down: []down{{21, quantizeTo20}, {19, drop("saturate", int64(1))}, {13, quantizeTo12}}},
		"DequantizeLinear": {since: 10, down: []down{{21, quantizeTo20}, {13, quantizeTo12}}},

		"Pow":     {down: []down{{12, sameTypes}}},
		"Relu":    {down: []down{{14, floats}}},
		"Equal":   {down: []down{{11, integers}}},
		"Greater": {down: []down{{9, floats}}},
		"Less":    {down: []down{{9, floats}}},
		"Max":     {down: []down{{12, floats}, {8, sameShapes}}},
		"Min":     {down: []down{{12, floats}, {8, sameShapes}}},
		"Sum":     {down: []down{{8, sameShapes}}},
		"Mean":    {down: []down{{8, sameShapes}}},

		"LayerNormalization": {since: 17, down: []down{{17, drop("stash_type", int64(tensor.Float32))}}},
	}
	for _, op := range []string{"Softmax", "LogSoftmax", "Hardmax"} {
		t[op] = rule{up: []up{{13, softmaxFrom12}}, down: []down{{13, softmaxTo12}, {11, positive("axis")}}}
	}
	for _, op := range []string{"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
		"ReduceMin", "ReduceProd", "ReduceSumSquare"} {
		t[op] = rule{up: []up{{18, listToInput("axes", 1)}}, down: []down{{18, reduceTo17}, {11, positive("axes")}}}
	}
	t["ReduceSum"] = rule{up: []up{{13, listToInput("axes", 1)}}, down: []down{{13, reduceTo17}, {11, positive("axes")}}}
	for version, names := range introduced {
		for _, op := range names {
			t[op] = rule{since: version}
		}
	}
	return t
}

// introduced lists operators that came after operator set 7 and have had one
// form since.
var introduced = map[int64][]string{
	8: {"Expand", "Scan"},
	9: {"Acosh", "Asinh", "Atanh", "Compress", "ConstantOfShape", "Cosh", "Erf", "EyeLike", "IsNaN", "MaxUnpool",
		"MeanVarianceNormalization", "NonZero", "Shrink", "Sign", "Sinh", "TfIdfVectorizer", "Where"},
	10: {"ConvInteger", "IsInf", "MatMulInteger", "Mod", "NonMaxSuppression", "QLinearConv", "QLinearMatMul",
		"ReverseSequence", "StringNormalizer", "ThresholdedRelu"},
	11: {"BitShift", "ConcatFromSequence", "CumSum", "Det", "DynamicQuantizeLinear", "GatherElements", "GatherND", "Range",
		"Round", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength",
		"SplitToSequence", "Unique"},
	12: {"Celu", "Einsum", "GreaterOrEqual", "LessOrEqual", "NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"},
	14: {"HardSwish", "Trilu"},
	15: {"Bernoulli", "Optional", "OptionalGetElement", "OptionalHasElement"},
	17: {"BlackmanWindow", "DFT", "HammingWindow", "HannWindow", "MelWeightMatrix", "STFT", "SequenceMap"},
	18: {"BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "CenterCropPad", "Col2Im", "Mish"},
	19: {"DeformConv"},
	20: {"AffineGrid", "Gelu", "ImageDecoder", "RegexFullMatch", "StringConcat", "StringSplit"},
	23: {"Attention", "RMSNormalization", "RotaryEmbedding"},
	24: {"Swish", "TensorScatter"},
}

// settled gives operators whose form at an operator set below 7 is the one of
// operator set 7: older files that use only these are read as well.
var settled = map[string]int64{
	"Abs": 6, "Cast": 6, "Ceil": 6, "Clip": 6, "Concat": 4, "Constant": 1, "Conv": 1, "ConvTranspose": 1, "DepthToSpace": 1,
	"Elu": 6, "Exp": 6, "Flatten": 1, "Floor": 6, "Gather": 1, "GlobalAveragePool": 1, "GlobalLpPool": 2, "GlobalMaxPool": 1,
	"HardSigmoid": 6, "Hardmax": 1, "Identity": 1, "InstanceNormalization": 6, "LRN": 1, "LeakyRelu": 6, "Log": 6,
	"LogSoftmax": 1, "LpNormalization": 1, "LpPool": 2, "MatMul": 1, "Max": 6, "MaxPool": 1, "Mean": 6, "Min": 6, "Neg": 6,
	"Not": 1, "Pad": 2, "Reciprocal": 6, "ReduceL1": 1, "ReduceL2": 1, "ReduceLogSum": 1, "ReduceLogSumExp": 1, "ReduceMax": 1,
	"ReduceMean": 1, "ReduceMin": 1, "ReduceProd": 1, "ReduceSum": 1, "ReduceSumSquare": 1, "Relu": 6, "Reshape": 5, "Selu": 6,
	"Shape": 1, "Sigmoid": 6, "Size": 1, "Slice": 1, "Softmax": 1, "Softplus": 1, "Softsign": 1, "SpaceToDepth": 1, "Split": 2,
	"Sqrt": 6, "Squeeze": 1, "Sum": 6, "Tanh": 6, "Tile": 6, "TopK": 1, "Transpose": 1, "Unsqueeze": 1,
}
