#!/usr/bin/env python3
"""Stores the int8 weights of a QDQ model as uint8 with zero points of 128, the
form of some exporters: python3 uint8_weights.py IN.onnx OUT.onnx (wants onnx)."""
import sys

import numpy as np
import onnx
from onnx import numpy_helper

model = onnx.load(sys.argv[1])
constants = {t.name: t for t in model.graph.initializer}
for node in model.graph.node:
    weights = constants.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
    if weights is None or weights.data_type != onnx.TensorProto.INT8:
        continue
    name, scale = node.input[0], node.input[1]
    moved = (numpy_helper.to_array(weights).astype(np.int16) + 128).astype(np.uint8)
    weights.CopyFrom(numpy_helper.from_array(moved, name))
    zeros = np.full(numpy_helper.to_array(constants[scale]).shape, 128, np.uint8)
    model.graph.initializer.append(numpy_helper.from_array(zeros, name + "_zero"))
    del node.input[:]
    node.input.extend([name, scale, name + "_zero"])
onnx.save(model, sys.argv[2])
