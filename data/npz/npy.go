// Package npz reads and writes NumPy's .npy and .npz files.
//
// Numbers and booleans of every width that [tensor.Tensor] holds are supported,
// in either byte order, in C and in Fortran order, in format versions 1 to 3;
// arrays of objects, strings and records are not.
package npz

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/drawknife/drawknife/tensor"
)

const (
	magic = "\x93NUMPY"
	// maxHeader bounds the text that describes an array.
	maxHeader = 1 << 20
	// maxBytes bounds one array.
	maxBytes = 1 << 33
	// maxRank is NumPy's own limit.
	maxRank = 64
)

// codes are NumPy's type codes without the byte order.
var codes = map[string]tensor.DType{
	"b1": tensor.Bool, "i1": tensor.Int8, "u1": tensor.Uint8,
	"i2": tensor.Int16, "u2": tensor.Uint16, "i4": tensor.Int32, "u4": tensor.Uint32,
	"i8": tensor.Int64, "u8": tensor.Uint64,
	"f2": tensor.Float16, "f4": tensor.Float32, "f8": tensor.Float64,
}

var (
	descrForm   = regexp.MustCompile(`['"]descr['"]\s*:\s*['"]([<>|=]?)([a-z][0-9]+)['"]`)
	fortranForm = regexp.MustCompile(`['"]fortran_order['"]\s*:\s*(True|False)`)
	shapeForm   = regexp.MustCompile(`['"]shape['"]\s*:\s*\(([0-9L,\s]*)\)`)
)

// header describes the array in a .npy file.
type header struct {
	dtype     tensor.DType
	bigEndian bool
	fortran   bool
	shape     []int
}

// Read reads one array in .npy form. It may read more of r than the array.
func Read(r io.Reader) (*tensor.Tensor, error) {
	return read(bufio.NewReader(r))
}

// read reads one array and not a byte more.
func read(br *bufio.Reader) (*tensor.Tensor, error) {
	h, err := readHeader(br)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	n, ok := tensor.NumElements(h.shape)
	width := h.dtype.Bits() / 8
	if !ok || n > maxBytes/width {
		return nil, fmt.Errorf("npy: shape %v is too large", h.shape)
	}
	raw, err := readN(br, n*width)
	if err != nil {
		return nil, fmt.Errorf("npy: %d of %d bytes of data: %w", len(raw), n*width, err)
	}
	if h.bigEndian {
		swap(raw, width)
	}
	if h.fortran {
		raw = fromFortran(raw, h.shape, width)
	}
	if h.dtype == tensor.Bool { // any value but 0 is true, and stored as 1
		for i, b := range raw {
			if b != 0 {
				raw[i] = 1
			}
		}
	}
	t, err := tensor.FromBytes(h.dtype, raw, h.shape...)
	if err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	return t, nil
}

func readHeader(r io.Reader) (header, error) {
	var h header
	pre := make([]byte, len(magic)+2)
	if _, err := io.ReadFull(r, pre); err != nil || string(pre[:len(magic)]) != magic {
		return h, errors.New("not a .npy file")
	}
	var size uint32
	switch version := pre[len(magic)]; version {
	case 1:
		var n uint16
		if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
			return h, fmt.Errorf("header: %w", unexpected(err))
		}
		size = uint32(n)
	case 2, 3:
		if err := binary.Read(r, binary.LittleEndian, &size); err != nil {
			return h, fmt.Errorf("header: %w", unexpected(err))
		}
	default:
		return h, fmt.Errorf("format version %d is not supported", version)
	}
	if size > maxHeader {
		return h, fmt.Errorf("a header of %d bytes", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, fmt.Errorf("header: %w", unexpected(err))
	}
	return parseHeader(string(text))
}

func parseHeader(text string) (header, error) {
	var h header
	descr, order, shape := descrForm.FindStringSubmatch(text), fortranForm.FindStringSubmatch(text), shapeForm.FindStringSubmatch(text)
	if order == nil || shape == nil {
		return h, fmt.Errorf("header %.80q has no fortran_order or shape", text)
	}
	if descr == nil {
		return h, fmt.Errorf("header %.80q: element type is not supported", text)
	}
	var ok bool
	if h.dtype, ok = codes[descr[2]]; !ok {
		return h, fmt.Errorf("element type %q is not supported", descr[1]+descr[2])
	}
	h.bigEndian = descr[1] == ">"
	h.fortran = order[1] == "True"
	for word := range strings.SplitSeq(shape[1], ",") {
		if word = strings.TrimSuffix(strings.TrimSpace(word), "L"); word == "" {
			continue
		}
		d, err := strconv.Atoi(word)
		if err != nil {
			return h, fmt.Errorf("shape (%.80s)", shape[1])
		}
		h.shape = append(h.shape, d)
	}
	if len(h.shape) > maxRank {
		return h, fmt.Errorf("%d dimensions", len(h.shape))
	}
	return h, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readN reads n bytes, growing as they come, so that a header that promises
// more than the file holds costs no memory.
func readN(r io.Reader, n int) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(min(n, 1<<20))
	got, err := io.CopyN(&buf, r, int64(n))
	if got < int64(n) {
		return buf.Bytes(), unexpected(err)
	}
	return buf.Bytes(), nil
}

func swap(raw []byte, width int) {
	for i := 0; i+width <= len(raw); i += width {
		slices.Reverse(raw[i : i+width])
	}
}

// fromFortran reorders elements from first-index-fastest to last-index-fastest.
func fromFortran(raw []byte, shape []int, width int) []byte {
	if len(shape) < 2 || len(raw) == 0 {
		return raw
	}
	strides := make([]int, len(shape)) // in the source, in bytes
	step := width
	for i, d := range shape {
		strides[i] = step
		step *= d
	}
	out := make([]byte, len(raw))
	index := make([]int, len(shape))
	from := 0
	for to := 0; to < len(out); to += width {
		copy(out[to:to+width], raw[from:from+width])
		for k := len(shape) - 1; k >= 0; k-- {
			index[k]++
			from += strides[k]
			if index[k] < shape[k] {
				break
			}
			from -= strides[k] * shape[k]
			index[k] = 0
		}
	}
	return out
}

// Write writes t in .npy form, version 1, C order. bfloat16 and other types
// that NumPy has not must be converted first.
func Write(w io.Writer, t *tensor.Tensor) error {
	code := ""
	for c, d := range codes {
		if d == t.DType {
			code = c
		}
	}
	if code == "" {
		return fmt.Errorf("npy: NumPy has no type for %v; convert the tensor first", t.DType)
	}
	order := "<"
	if code[1] == '1' {
		order = "|"
	}
	dims := make([]string, len(t.Shape))
	for i, d := range t.Shape {
		dims[i] = strconv.Itoa(d)
	}
	shape := strings.Join(dims, ", ")
	if len(dims) == 1 {
		shape += ","
	}
	text := fmt.Sprintf("{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }", order, code, shape)
	pad := 64 - (len(magic)+4+len(text)+1)%64
	text += strings.Repeat(" ", pad%64) + "\n"
	head := append([]byte(magic), 1, 0)
	head = binary.LittleEndian.AppendUint16(head, uint16(len(text)))
	if _, err := w.Write(append(head, text...)); err != nil {
		return err
	}
	_, err := w.Write(t.Bytes())
	return err
}
