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
