// Package sparsity says where zeros are, what it takes to store them and what
// it saves not to compute with them.
//
//   - A Model gives the distribution of the number of non-zeros in a tile:
//     Uniform (pruned weights, activations), Binomial, Structured (N of M),
//     Block, Banded and Actual (a mask, counted).
//   - A Dist is such a distribution. Slowest is the expected maximum over
//     parallel workers, which is what a step of a sparse machine takes.
//   - A Format gives the bits of a compressed tensor, expected or counted;
//     Encode and Decode are run-length coding itself.
//   - A Scheme says which operand's zeros a machine gates (saves the energy) or
//     skips (saves the cycle too), and what share of the work is left.
//
// Densities are shares of elements that are not zero, from 0 to 1.
package sparsity
