// Package qvec holds the 8-bit kernels that are not convolutions: quantize
// and dequantize, addition and multiplication of quantized tensors,
// requantization, tables for unary functions, and pooling.
//
// # The rounding rule
//
// A quantized value q stands for the real number scale*(q-zero), with q an
// uint8. Tensors of int8 are held with both q and zero moved up by 128 (Flip
// converts). Every result is defined by one rule:
//
//	y = clamp(roundHalfEven(v) + zero, min, max)
//
// where v is a float32, computed with every intermediate product, sum and
// quotient rounded to float32 in the order each function states, and the
// conversion to an integer saturates. The portable Go code is the definition;
// the vector code gives the same bytes, for any number of workers.
//
// Add, Mul, Requantize and Quantize evaluate exactly what ONNX's
// DequantizeLinear, float32 operator, QuantizeLinear would (dequantization
// multiplies, quantization divides), so fusing the three changes no byte.
package qvec
