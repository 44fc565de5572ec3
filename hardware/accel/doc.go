// Package accel holds the machines of the literature, each in one file of its
// own that registers it with hardware.Register from an init function. A file's
// doc comment on the registration names the paper; Formulas explains the model
// to a reader who does not have it; Figures lists what the paper published.
//
// A test of this package runs every machine on a common workload and checks
// every figure; docs/results/hardware.md is the same table. Importing the
// package makes all machines known to hardware.Find.
package accel
