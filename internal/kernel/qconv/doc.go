// Package qconv holds the int8 convolution and fully connected kernels.
//
// Activations are uint8 with a zero point, weights int8 with or without one,
// sums int32 and exact. Data is channels-last. Padding reads the zero point of the
// input, so a padded pixel contributes nothing.
//
// # The rounding rule
//
//	acc  = bias[k] + sum((x - SrcZero) * (w - WeightZero[k]))   int32, exact
//	y    = clamp(roundHalfEven(v) + DstZero, Min, Max)          uint8 output
//	v    = float32(acc) * Scale[k]                              rounded to float32
//
// float32(acc) rounds half to even and conversions saturate; the rule is that
// of package qvec. A float output is v clamped to [FMin, FMax], an int32
// output is acc. The portable Go code defines the result, and every other
// path gives the same bits for any number of workers.
//
// # How it runs
//
// The term SrcZero*sum(w) is folded into the bias when the plan is made. The
// vector paths are indirect matrix products: a block of output rows is
// computed from a strip of padded input lines in the worker's scratch memory,
// as tiles of a few pixels by 8, 16 or 32 output channels; see tile.go.
//
// AVX2 multiplies bytes into sums of int16. Which of them may be summed
// further before they become int32 depends on the weights and is decided when
// they are packed; see group.go. Weights that leave a bit unused, of
// magnitudes up to 63, nearly always allow sums of four; weights of full range
// mostly allow sums of two, for which the strip is copied in several orders.
// Weights of up to five bits allow sums of twenty steps and more and have kernels
// of their own; see lowbit.go.
//
// With AMX, which Linux grants to processes that ask, steps of 64 values are
// multiplied at once, for 16 pixels by 16 channels: see amx.go.
//
// On arm64 the kernels read sixteen values of a pixel at once and invert their
// top bits, which makes int8 of them; the bias makes up for it. SDOT then sums
// four products for each channel. Without it products of two steps, which fit an
// int16 as no weight is -128, are added up and widened. See pack_blocks.go.
//
// Depthwise convolutions have kernels of their own, with channels in lanes, and
// so have fully connected layers of a single pixel.
package qconv
