// Package loopnest is the general model of a spatial accelerator.
//
// An Arch is levels of memory, outermost first, above an array of processing
// elements; it is a YAML file with a checked schema (see Parse; Library lists
// those inside the program), or an architecture in the form of Timeloop. A
// Mapping says for every level which loops of a layer run there in time, which
// are spread over the instances below, and which operands pass by that the
// level could hold.
// Bounds need not divide: the last iteration of a loop may be smaller.
//
// An Evaluator counts exactly what every memory delivers under a mapping,
// after three rules.
//
//   - Walking outwards from a memory, loops that an operand does not depend on
//     leave its tile in place. From the first loop in time that it does depend
//     on, every further loop outside, whether the operand depends on it or
//     not, brings the tile anew.
//   - If that first loop moves a window over the inputs, only the part of the
//     window that is new is brought.
//   - Instances side by side that need the same words get them from one read
//     where the network can multicast, and their partial sums are added on the
//     way where it can reduce.
//
// Latency is the maximum of the array's time and that of every memory port;
// energy is accesses times energy per access. Search looks for the best
// mapping of a layer; see its documentation.
package loopnest

import _ "embed" // of the record

// Measured is a record, in Markdown, of how fast the search is and how it
// compares.
//
//go:embed measured.md
var Measured string
