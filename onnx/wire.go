package onnx

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Wire types, to be or-ed to a field number shifted left by 3: a field of a
// known number but another wire type counts as unknown, as in protobuf.
const (
	varint    = uint64(protowire.VarintType)
	fixed64   = uint64(protowire.Fixed64Type)
	delimited = uint64(protowire.BytesType)
	fixed32   = uint64(protowire.Fixed32Type)
)

// field is one field of a message.
type field struct {
	tag uint64 // number<<3 | wire type
	v   uint64 // of a varint or a fixed-width value
	b   []byte // of a length-delimited value
	raw []byte // the whole field, tag included
}

func (f field) str() string { return string(f.b) }

// fields calls do for every field of a message.
func fields(b []byte, do func(f field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("damaged protobuf: %w", protowire.ParseError(n))
		}
		f := field{tag: uint64(num)<<3 | uint64(typ)}
		var m int
		switch typ {
		case protowire.VarintType:
			f.v, m = protowire.ConsumeVarint(b[n:])
		case protowire.Fixed32Type:
			var v uint32
			v, m = protowire.ConsumeFixed32(b[n:])
			f.v = uint64(v)
		case protowire.Fixed64Type:
			f.v, m = protowire.ConsumeFixed64(b[n:])
		case protowire.BytesType:
			f.b, m = protowire.ConsumeBytes(b[n:])
		default:
			m = protowire.ConsumeFieldValue(num, typ, b[n:])
		}
		if m < 0 {
			return fmt.Errorf("damaged protobuf: field %d: %w", num, protowire.ParseError(m))
		}
		f.raw = b[:n+m]
		b = b[n+m:]
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

// packedVarints appends the varints in b to list.
func packedVarints[T int64 | int32 | uint64](list []T, b []byte) ([]T, error) {
	if list == nil {
		n := 0
		for _, c := range b {
			if c < 0x80 {
				n++
			}
		}
		list = make([]T, 0, n)
	}
	for len(b) > 0 {
		v, m := protowire.ConsumeVarint(b)
		if m < 0 {
			return nil, fmt.Errorf("damaged packed integers: %w", protowire.ParseError(m))
		}
		list = append(list, T(v))
		b = b[m:]
	}
	return list, nil
}

// packedFloats appends the float32s in b to list.
func packedFloats(list []float32, b []byte) ([]float32, error) {
	if len(b)%4 != 0 {
		return nil, fmt.Errorf("damaged packed floats: %d bytes", len(b))
	}
	if list == nil {
		list = make([]float32, 0, len(b)/4)
	}
	for ; len(b) > 0; b = b[4:] {
		list = append(list, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return list, nil
}

// rope is a message under construction: pieces that are written one after the
// other. Large byte strings (weights) are referred to, never copied.
type rope struct {
	parts [][]byte
	size  int
}

// large is the length from which a byte string becomes a piece of its own.
const large = 4096

// tail returns the last piece if it may grow.
func (r *rope) tail() []byte {
	if k := len(r.parts) - 1; k >= 0 && cap(r.parts[k]) > len(r.parts[k]) {
		b := r.parts[k]
		r.parts = r.parts[:k]
		r.size -= len(b)
		return b
	}
	return make([]byte, 0, 256)
}

func (r *rope) push(b []byte) {
	r.parts = append(r.parts, b)
	r.size += len(b)
}

// raw appends bytes as they are.
func (r *rope) raw(b []byte) {
	switch {
	case len(b) == 0:
	case len(b) >= large:
		r.push(b[:len(b):len(b)])
	default:
		r.push(append(r.tail(), b...))
	}
}

func (r *rope) head(num protowire.Number, length int) {
	b := protowire.AppendTag(r.tail(), num, protowire.BytesType)
	r.push(protowire.AppendVarint(b, uint64(length)))
}

// blob appends a length-delimited field.
func (r *rope) blob(num protowire.Number, b []byte) {
	r.head(num, len(b))
	r.raw(b)
}

// str appends a string field; optional ones are left out when empty.
func (r *rope) str(num protowire.Number, s string) {
	if s != "" {
		r.blob(num, []byte(s))
	}
}

// int appends a varint field.
func (r *rope) int(num protowire.Number, v int64) {
	b := protowire.AppendTag(r.tail(), num, protowire.VarintType)
	r.push(protowire.AppendVarint(b, uint64(v)))
}

// float appends a float field.
func (r *rope) float(num protowire.Number, v float32) {
	b := protowire.AppendTag(r.tail(), num, protowire.Fixed32Type)
	r.push(protowire.AppendFixed32(b, math.Float32bits(v)))
}

// message appends a nested message.
func (r *rope) message(num protowire.Number, m *rope) {
	r.head(num, m.size)
	for _, p := range m.parts {
		r.raw(p)
	}
}

// bytes joins the pieces.
func (r *rope) bytes() []byte {
	out := make([]byte, 0, r.size)
	for _, p := range r.parts {
		out = append(out, p...)
	}
	return out
}

// WriteTo writes the pieces.
func (r *rope) WriteTo(w io.Writer) (int64, error) {
	var n int64
	for _, p := range r.parts {
		k, err := w.Write(p)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
