package sparsity

import "fmt"

// Run is a symbol of run-length coding: a number of zeros, then a value. A
// value of zero makes it a placeholder, which stands for Zeros+1 zeros.
type Run[T comparable] struct {
	Zeros uint64
	Value T
}

// Encode writes values as runs whose length fits into runBits bits, at most 62.
// Zeros at the end that do not fill a placeholder are left out: the reader
// knows the length.
func Encode[T comparable](values []T, runBits int) ([]Run[T], error) {
	if runBits < 0 || runBits > 62 {
		return nil, fmt.Errorf("sparsity: runs of %d bits; 0 to 62 are possible", runBits)
	}
	var zero T
	longest := uint64(1)<<runBits - 1
	var code []Run[T]
	run := uint64(0)
	for _, v := range values {
		switch {
		case v != zero:
			code = append(code, Run[T]{run, v})
			run = 0
		case run == longest:
			code = append(code, Run[T]{run, zero})
			run = 0
		default:
			run++
		}
	}
	return code, nil
}

// Decode reads n values back. Symbols that reach beyond n are an error.
func Decode[T comparable](code []Run[T], n int) ([]T, error) {
	if n < 0 || n < len(code) {
		return nil, fmt.Errorf("sparsity: %d values cannot hold %d symbols", n, len(code))
	}
	values := make([]T, n)
	at := uint64(0)
	for i, s := range code {
		if s.Zeros >= uint64(n)-at {
			return nil, fmt.Errorf("sparsity: symbol %d of %d reaches beyond %d values", i, len(code), n)
		}
		at += s.Zeros
		values[at] = s.Value
		at++
	}
	return values, nil
}
