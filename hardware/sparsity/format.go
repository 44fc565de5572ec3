package sparsity

import (
	"fmt"
	"math"
)

// Coding is a way to store a tensor with zeros.
type Coding uint8

// The codings.
const (
	Plain     Coding = iota // every element, zeros too
	Bitmask                 // a bit an element, then the non-zeros
	RunLength               // every non-zero with the number of zeros before it
	CSC                     // RunLength in segments, with an address for each
	COO                     // every non-zero with its coordinates
)

func (c Coding) String() string {
	return [...]string{"plain", "bitmask", "rle", "csc", "coo"}[c]
}

// Format is a coding with its field widths.
type Format struct {
	Coding Coding
	// Data is the width of an element in bits.
	Data int
	// Meta is what is stored beside each non-zero: the bits of a run
	// (RunLength, CSC) or of all coordinates (COO).
	Meta int
	// Addr is the width of a segment's address and Segment its number of
	// elements (CSC).
	Addr, Segment int
	// Block is the number of neighbours that are stored together as one
	// entry, where any is not zero; 0 is 1.
	Block int
}

// Check reports widths that make no sense.
func (f Format) Check() error {
	switch {
	case f.Coding > COO:
		return fmt.Errorf("sparsity: no coding has the number %d", f.Coding)
	case f.Data < 0 || f.Data > 128 || f.Addr < 0 || f.Addr > 64 || f.Block < 0:
		return fmt.Errorf("sparsity: %v: fields of %d data and %d address bits in blocks of %d", f.Coding, f.Data, f.Addr, f.Block)
	case f.Meta < 0 || f.Meta > 62:
		return fmt.Errorf("sparsity: %v: %d bits beside a non-zero must be from 0 to 62", f.Coding, f.Meta)
	case f.Coding == CSC && f.Segment < 1:
		return fmt.Errorf("sparsity: csc: a segment of %d elements; it needs at least one", f.Segment)
	}
	return nil
}

// Symbols is the expected number of run-length symbols for n elements of the
// given density whose runs of zeros are geometric. A run that does not fit into
// the field costs a placeholder, which stands for 2^runBits zeros, so
//
//	symbols = n·d / (1 − (1−d)^(2^runBits)).
func Symbols(n, density float64, runBits int) float64 {
	room := math.Exp2(float64(runBits))
	if density <= 0 {
		return n / room
	}
	if density >= 1 {
		return n
	}
	return n * density / -math.Expm1(room*math.Log1p(-density))
}

// Bits is the expected size of n elements. Where elements are stored in
// blocks, density is the share of blocks that are kept.
func (f Format) Bits(n int, density float64) float64 {
	block := max(f.Block, 1)
	entries := float64((n + block - 1) / block)
	nz, data, meta := entries*density, float64(f.Data*block), float64(f.Meta)
	switch f.Coding {
	case Bitmask:
		return entries + nz*data
	case RunLength:
		return Symbols(entries, density, f.Meta) * (data + meta)
	case CSC:
		segments := math.Ceil(entries / float64(f.Segment))
		return Symbols(entries, density, f.Meta)*(data+meta) + (segments+1)*float64(f.Addr)
	case COO:
		return nz * (data + meta)
	}
	return float64(n * f.Data)
}

// BitsOf is the exact size of a tensor with these non-zeros. Zeros behind the
// last non-zero cost whole placeholders only in RunLength; CSC knows where a
// segment ends.
func (f Format) BitsOf(mask Mask) int64 {
	n := int64(len(mask))
	if f.Block > 1 {
		blocks := make(Mask, 0, len(mask)/f.Block+1)
		for _, c := range mask.Counts(f.Block) {
			blocks = append(blocks, c > 0)
		}
		mask = blocks
	}
	entries, data, meta := int64(len(mask)), int64(f.Data*max(f.Block, 1)), int64(f.Meta)
	switch f.Coding {
	case Bitmask:
		return entries + int64(mask.NonZeros())*data
	case RunLength:
		return symbolsOf(mask, f.Meta, true) * (data + meta)
	case CSC:
		symbols, segments := int64(0), int64(0)
		for i := 0; i < len(mask); i += f.Segment {
			symbols += symbolsOf(mask[i:min(i+f.Segment, len(mask))], f.Meta, false)
			segments++
		}
		return symbols*(data+meta) + (segments+1)*int64(f.Addr)
	case COO:
		return int64(mask.NonZeros()) * (data + meta)
	}
	return n * int64(f.Data)
}

// symbolsOf counts run-length symbols; tail says whether the zeros at the end
// are coded.
func symbolsOf(mask Mask, runBits int, tail bool) (n int64) {
	run := int64(0)
	for _, x := range mask {
		if !x {
			run++
			continue
		}
		n += run>>runBits + 1
		run = 0
	}
	if tail {
		n += run >> runBits
	}
	return n
}
