package codebook

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// A stream holds one layer's weights:
//
//	uint32 number of weights, uint16 number of values, the values as float32;
//	if value 0 is zero, only the other weights are stored, each with the number
//	of zeros before it: a Huffman table and the coded gaps, then a Huffman table
//	and the coded indices. Gaps have at most gapBits bits; a longer run of zeros
//	is bridged by fillers.
//
// A Huffman table is a uint16 with the highest symbol and a byte for each
// symbol's length; codes are canonical.

// gapBits is the width of a gap: runs of up to 31 zeros.
const gapBits = 5

// filler is the gap symbol that stands for 2^gapBits zeros and no weight.
const filler = 1<<gapBits - 1

// maxWeights bounds what a stream may claim to hold.
const maxWeights = 1 << 28

var errStream = errors.New("the stream is cut short or damaged")

// Encode codes the indices into book.
func Encode(book []float32, index []uint8) ([]byte, error) {
	if len(book) == 0 || len(book) > 256 || len(index) > maxWeights {
		return nil, fmt.Errorf("%d values for %d weights cannot be coded", len(book), len(index))
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(index)))
	out = binary.LittleEndian.AppendUint16(out, uint16(len(book)))
	for _, v := range book {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	var gaps, symbols []uint8
	if book[0] == 0 {
		gaps, symbols = Gaps(index)
	} else {
		symbols = index
	}
	for _, list := range [][]uint8{gaps, symbols} {
		out = appendCoded(out, list)
	}
	return out, nil
}

// Gaps turns indices into the non-zero ones and the number of zeros before
// each; the symbol filler bridges a run of 2^gapBits − 1 zeros more.
func Gaps(index []uint8) (gaps, symbols []uint8) {
	run := 0
	for _, s := range index {
		if s == 0 {
			run++
			continue
		}
		for run >= filler {
			gaps = append(gaps, filler)
			run -= filler
		}
		gaps, symbols, run = append(gaps, uint8(run)), append(symbols, s), 0
	}
	return gaps, symbols
}

// Lengths are the code lengths of a Huffman code for symbols of those counts; a
// symbol that never comes has length 0.
func Lengths(counts []int) []uint8 {
	type tree struct {
		weight, order int
		symbols       []int
	}
	var heap []tree
	for s, n := range counts {
		if n > 0 {
			heap = append(heap, tree{n, s, []int{s}})
		}
	}
	lengths := make([]uint8, len(counts))
	if len(heap) == 1 {
		lengths[heap[0].symbols[0]] = 1
		return lengths
	}
	less := func(a, b tree) int {
		if a.weight != b.weight {
			return a.weight - b.weight
		}
		return a.order - b.order
	}
	for order := len(counts); len(heap) > 1; order++ {
		slices.SortFunc(heap, less)
		a, b := heap[0], heap[1]
		for _, s := range append(a.symbols, b.symbols...) {
			lengths[s]++
		}
		heap = append(heap[2:], tree{a.weight + b.weight, order, append(slices.Clone(a.symbols), b.symbols...)})
	}
	return lengths
}

// canonical gives each symbol its code, most significant bit first: shorter
// codes come first, and lower symbols among those of one length.
func canonical(lengths []uint8) []uint64 {
	codes := make([]uint64, len(lengths))
	code := uint64(0)
	for l := uint8(1); l < 64; l++ {
		for s, n := range lengths {
			if n == l {
				codes[s] = code
				code++
			}
		}
		code <<= 1
	}
	return codes
}

// appendCoded appends the count, the table and the bits of a list of symbols.
func appendCoded(out []byte, list []uint8) []byte {
	out = binary.LittleEndian.AppendUint32(out, uint32(len(list)))
	if len(list) == 0 {
		return out
	}
	counts := make([]int, int(slices.Max(list))+1)
	for _, s := range list {
		counts[s]++
	}
	lengths := Lengths(counts)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(lengths)-1))
	out = append(out, lengths...)
	codes := canonical(lengths)
	acc, held := uint64(0), 0
	for _, s := range list {
		for b := int(lengths[s]) - 1; b >= 0; b-- {
			acc = acc<<1 | codes[s]>>b&1
			if held++; held == 8 {
				out = append(out, byte(acc))
				acc, held = 0, 0
			}
		}
	}
	if held > 0 {
		out = append(out, byte(acc<<(8-held)))
	}
	return out
}

// reader takes a stream apart.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n > len(r.b) {
		r.err = errStream
		return make([]byte, min(n, 8))
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

// coded reads what appendCoded wrote.
func (r *reader) coded(most int) []uint8 {
	n := int(binary.LittleEndian.Uint32(r.take(4)))
	if r.err != nil || n == 0 {
		return nil
	}
	if n > most || n > 8*len(r.b) {
		r.err = errStream
		return nil
	}
	count := int(binary.LittleEndian.Uint16(r.take(2))) + 1
	if count > 256 || count > len(r.b) {
		r.err = errStream
		return nil
	}
	lengths := r.take(count)
	// firsts and ranks of each length: canonical codes decode by comparison.
	var symbols []uint8
	var first, number, start [64]uint64
	code := uint64(0)
	for l := 1; l < 64; l++ {
		first[l], start[l] = code, uint64(len(symbols))
		for s, have := range lengths {
			if int(have) == l {
				symbols = append(symbols, uint8(s))
				number[l]++
			}
		}
		code = (code + number[l]) << 1
	}
	out := make([]uint8, 0, n)
	bit := 0
	for len(out) < n {
		v, l := uint64(0), 0
		for {
			if bit>>3 >= len(r.b) || l == 63 {
				r.err = errStream
				return nil
			}
			v = v<<1 | uint64(r.b[bit>>3]>>(7-bit&7)&1)
			bit++
			l++
			if v >= first[l] && v-first[l] < number[l] {
				out = append(out, symbols[start[l]+v-first[l]])
				break
			}
		}
	}
	r.b = r.b[(bit+7)/8:]
	return out
}

// Decode reads a stream of Encode.
func Decode(stream []byte) (book []float32, index []uint8, err error) {
	r := &reader{b: stream}
	n := int(binary.LittleEndian.Uint32(r.take(4)))
	values := int(binary.LittleEndian.Uint16(r.take(2)))
	if r.err != nil || values == 0 || values > 256 || n > maxWeights || 4*values > len(r.b) {
		return nil, nil, errStream
	}
	for range values {
		book = append(book, math.Float32frombits(binary.LittleEndian.Uint32(r.take(4))))
	}
	gaps := r.coded(n)
	symbols := r.coded(n)
	if r.err != nil {
		return nil, nil, r.err
	}
	if book[0] != 0 {
		if len(symbols) != n || len(gaps) > 0 || slices.ContainsFunc(symbols, func(s uint8) bool { return int(s) >= values }) {
			return nil, nil, errStream
		}
		return book, symbols, nil
	}
	index = make([]uint8, n)
	at, next := 0, 0
	for _, g := range gaps {
		at += int(g)
		if g == filler {
			continue
		}
		if at >= n || next >= len(symbols) || int(symbols[next]) >= values {
			return nil, nil, errStream
		}
		index[at] = symbols[next]
		at++
		next++
	}
	if next != len(symbols) {
		return nil, nil, errStream
	}
	return book, index, nil
}
