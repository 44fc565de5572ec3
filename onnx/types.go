package onnx

import (
	"errors"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// decodeType reads a TypeProto as far as a graph.Value can say it: the element
// type and shape of a tensor. Other types (sequences, maps, optionals, sparse
// tensors) give Invalid; their bytes are kept by the caller.
func decodeType(b []byte) (d tensor.DType, shape graph.Shape, err error) {
	err = fields(b, func(f field) error {
		if f.tag != 1<<3|delimited {
			return nil
		}
		return fields(f.b, func(f field) (err error) {
			switch f.tag {
			case 1<<3 | varint:
				if f.v <= 255 {
					d = tensor.DType(f.v)
				}
			case 2<<3 | delimited:
				shape, err = decodeShape(f.b)
			}
			return err
		})
	})
	if !d.Known() {
		d = tensor.Invalid
	}
	return d, shape, err
}

// maxRank bounds the rank of declared shapes.
const maxRank = 1024

func decodeShape(b []byte) (graph.Shape, error) {
	shape := graph.Shape{}
	err := fields(b, func(f field) error {
		if f.tag != 1<<3|delimited {
			return nil
		}
		if len(shape) == maxRank {
			return errors.New("a declared shape has too many dimensions")
		}
		dim := graph.Sym("")
		err := fields(f.b, func(f field) error {
			switch f.tag {
			case 1<<3 | varint:
				if v := int64(f.v); v >= 0 && v <= tensor.MaxElements {
					dim = graph.D(int(v))
				}
			case 2<<3 | delimited:
				dim = graph.Sym(strings.ReplaceAll(f.str(), "\x00", ""))
			}
			return nil
		})
		shape = append(shape, dim)
		return err
	})
	return shape, err
}

// denotations lists the denotation of each dimension of a tensor type.
func denotations(b []byte) (list []string) {
	_ = fields(b, func(f field) error {
		if f.tag != 1<<3|delimited {
			return nil
		}
		return fields(f.b, func(f field) error {
			if f.tag != 2<<3|delimited {
				return nil
			}
			return fields(f.b, func(f field) error {
				if f.tag != 1<<3|delimited {
					return nil
				}
				name := ""
				err := fields(f.b, func(f field) error {
					if f.tag == 3<<3|delimited {
						name = f.str()
					}
					return nil
				})
				list = append(list, name)
				return err
			})
		})
	})
	return list
}

// encodeType makes the TypeProto of a tensor. names are the denotations of
// the dimensions, used where the rank agrees.
func encodeType(d tensor.DType, shape graph.Shape, names []string) *rope {
	t := &rope{}
	t.int(1, int64(d))
	if shape != nil {
		s := &rope{}
		for i, dim := range shape {
			r := &rope{}
			switch {
			case dim.Known():
				r.int(1, int64(dim.Size))
			case dim.Name != "":
				r.str(2, dim.Name)
			}
			if len(names) == len(shape) {
				r.str(3, names[i])
			}
			s.message(1, r)
		}
		t.message(2, s)
	}
	r := &rope{}
	r.message(1, t)
	return r
}

// compatible reports whether a declared shape still says the truth about the
// present one: the same rank, as far as known, and no two sizes that differ.
func compatible(declared, now graph.Shape) bool {
	if declared == nil || now == nil {
		return now == nil
	}
	if len(declared) != len(now) {
		return false
	}
	for i, d := range declared {
		if d.Known() && now[i].Known() && d.Size != now[i].Size {
			return false
		}
	}
	return true
}
