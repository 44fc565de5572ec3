// Package host predicts how long the engine takes for a network on the machine
// it runs on, without running the network.
//
// Calibrate times every kernel of a set of networks with engine.Profile; a
// Predictor is fitted to those times. Each kernel gets a line through its
// arithmetic, the bytes it moves and its weights, all of whose prices are
// positive, and on top of it what the kernel's nearest relatives among the
// measured shapes took more or less than the line says. A network is compiled,
// not run: the compiler chooses the very kernels that a run would use.
//
// How far predictions can be trusted is part of the calibration: every network
// is predicted from all others but those of its family.
package host

import _ "embed" // of the record

// Measured is a record, in Markdown, of how well predictions held on the
// machines that they were tried on.
//
//go:embed measured.md
var Measured string

// Explanation tells a user what a prediction is made of.
const Explanation = `This machine (temporal)
drawknife's own engine on the processor that it runs on, predicted without running the network.

Calibration (drawknife simulate --calibrate)
  times every kernel of many networks, float32 and 8 bits, known and random ones,
  in under two minutes, and stores that for this processor and number of threads.

Model
  The network is compiled, which tells the kernels that a run would use. A kernel
  takes
    seconds = Σ price · (call, multiply-accumulates, bytes in and out, weights, tiles)
  with prices that are not negative and fitted for each kernel, times what its
  nearest relatives among the measured shapes took over what this line says. All
  of a network is scaled by what whole networks took over the sum of their kernels.

How good it is
  A calibration predicts every network from all others but those of its family and
  prints the errors; a prediction repeats the summary in its notes.
`
