package sparsity

// Treatment is what a machine does about the zeros of one operand.
type Treatment struct {
	// Format is how the operand is stored and moved.
	Format Format
	// Gate saves the energy of operations with this operand's zeros, and the
	// read of the other operand; the cycle passes.
	Gate bool
	// Skip makes this operand the leader: its zeros take no cycle, and the
	// other operand, the follower, is read only where the leader is not zero.
	Skip bool
}

// Scheme is a machine's treatment of both operands.
type Scheme struct{ Weights, Inputs Treatment }

// Shares are what is left of a dense machine's work.
type Shares struct {
	// Cycles that pass; Operations that are done with energy.
	Cycles, Operations float64
	// Reads of each operand.
	WeightReads, InputReads float64
}

// Shares gives the expected shares for operands of the given densities whose
// zeros are independent of each other.
func (s Scheme) Shares(weights, inputs float64) Shares {
	left := func(yes bool, density float64) float64 {
		if yes {
			return density
		}
		return 1
	}
	w, i := s.Weights, s.Inputs
	return Shares{
		Cycles:      left(w.Skip, weights) * left(i.Skip, inputs),
		Operations:  left(w.Skip || w.Gate, weights) * left(i.Skip || i.Gate, inputs),
		WeightReads: left(w.Skip, weights) * left(i.Skip || i.Gate, inputs),
		InputReads:  left(i.Skip, inputs) * left(w.Skip || w.Gate, weights),
	}
}
