// Package bconv holds the convolution of binary networks: of the signs of
// activations with the signs of weights.
//
// Activations are channels-last, a bit for each channel: 1 stands for +1, 0 for
// -1. A pixel of C channels is Words(C) 64-bit words, channel c being bit c%64
// of word c/64; the bits beyond the last channel are 0. Pack makes them from
// floats.
//
// # The rule
//
//	d = Σ sign(x)·sign(w)                              exact
//	y = clamp(float32(d)·Scale[k] + Bias[k] + add)     float output
//	y ≥ Above[k] without add and clamp                 sign output
//
// Every operation on floats is rounded to float32 by itself. Taps that lie
// outside the input read PadValue, which may be 0: they contribute nothing
// then, as zero padding after the sign function does in training. The portable Go
// code defines the result, and every other path gives the same bits for any
// number of workers.
//
// # How it runs
//
// The portable path counts the bits of exclusive ors of 64-bit words, and
// leaves out the taps outside the input. On arm64 CNT counts 128 at a time, four
// output channels together, under a mask where taps are left out.
//
// With AVX-512's VPOPCNTD, lanes of 32 bits hold 32 input channels of one of 16
// output channels. Three neighbouring taps share two population counts: that of
// the exclusive or of their differences and, worth two, that of the majority,
// both made from exclusive ors of neighbouring signs and of neighbouring
// weights that are taken once. That is eight instructions for 1536 products
// instead of nine, and 23 instead of 24 for those of three rows of taps; and as
// they all compete for two ports of the processor, it is what limits the speed. Taps outside the input count as negative, and the first
// value of a sum makes up for it; whole rows of them are left out.
//
// The AVX2 path counts matches by table instead: the signs of four channels of
// a pixel choose a table of the number of matches with each of the 16
// combinations of four weights, and one VPSHUFB looks 32 combinations up: those
// of 16 output channels for eight input channels. That takes two instructions
// for 128 products, an exclusive or and a population count by table eight for
// 256. A block of output rows is computed from a strip of padded input lines in
// the worker's scratch memory, in which the signs of eight channels are the
// offset of their two tables. Padding by zero has tables of its own, of two
// matches in four, which contribute nothing exactly.
package bconv
