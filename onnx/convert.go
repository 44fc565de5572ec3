package onnx

import (
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/tensor"
)

// The steps here are shared by many operators; rules.go puts them together.

// always is the version before which a step applies to every file.
const always = 1 << 30

// drop removes an attribute that older versions lack, if it has the meaning
// they imply: absent, or one of the values given.
func drop(name string, implied ...any) func(*form) bool {
	return func(f *form) bool {
		v, ok := f.attrs[name]
		if !ok {
			return true
		}
		delete(f.attrs, name)
		return slices.Contains(implied, v)
	}
}

// dropOnes removes a list attribute if it holds only ones.
func dropOnes(name string) func(*form) bool {
	return func(f *form) bool {
		list, _ := f.attrs[name].([]int64)
		delete(f.attrs, name)
		return !slices.ContainsFunc(list, func(v int64) bool { return v != 1 })
	}
}

// all runs steps one after the other.
func all(steps ...func(*form) bool) func(*form) bool {
	return func(f *form) bool {
		for _, s := range steps {
			if !s(f) {
				return false
			}
		}
		return true
	}
}

// rename gives the operator another name.
func rename(op string) func(*form) bool {
	return func(f *form) bool { f.op = op; return true }
}

// positive makes an axis, or a list of axes, count from the front, as was
// required before operator set 11. Files that did not keep to that get back
// what they had.
func positive(name string) func(*form) bool {
	return func(f *form) bool {
		lax := f.fileOpset() > 0 && f.fileOpset() <= f.opset
		shape := f.shapeOf(0)
		rank := int64(len(shape))
		if f.op == "Unsqueeze" {
			axes, _ := f.attrs[name].([]int64)
			rank += int64(len(axes))
		}
		fix := func(v int64) (int64, bool) {
			if v >= 0 {
				return v, true
			}
			if shape == nil {
				return v, lax
			}
			return v + rank, v+rank >= 0
		}
		ok := true
		switch v := f.attrs[name].(type) {
		case int64:
			f.attrs[name], ok = fix(v)
		case []int64:
			list := make([]int64, len(v))
			for i, x := range v {
				var good bool
				list[i], good = fix(x)
				ok = ok && good
			}
			f.attrs[name] = list
		}
		return ok
	}
}

// listToInput turns a list attribute into constant input i.
func listToInput(name string, i int) func(*form) error {
	return func(f *form) error {
		list, ok := f.attrs[name].([]int64)
		if !ok {
			return nil
		}
		delete(f.attrs, name)
		f.setInput(i, f.ints(name, list))
		return nil
	}
}

// inputToList turns constant input i into a list attribute.
func inputToList(name string, i int) func(*form) bool {
	return func(f *form) bool {
		if f.input(i) == nil {
			return true
		}
		list, ok := f.intList(i)
		if !ok {
			return false
		}
		f.attrs[name] = slices.Clone(list)
		f.setInput(i, nil)
		return true
	}
}

// floatToInput turns a float attribute into constant input i.
func floatToInput(name string, i int) func(*form) error {
	return func(f *form) error {
		x, ok := f.attrs[name].(float32)
		if !ok {
			return nil
		}
		delete(f.attrs, name)
		f.setInput(i, f.scalar(name, x))
		return nil
	}
}

// inputToFloat turns constant input i into a float attribute.
func inputToFloat(name string, i int) func(*form) bool {
	return func(f *form) bool {
		if f.input(i) == nil {
			return true
		}
		x, ok := f.float(i, 0)
		if !ok {
			return false
		}
		f.attrs[name] = x
		f.setInput(i, nil)
		return true
	}
}

// ups runs several steps of reading.
func ups(steps ...func(*form) error) func(*form) error {
	return func(f *form) error {
		for _, s := range steps {
			if err := s(f); err != nil {
				return err
			}
		}
		return nil
	}
}

// floats demands that no input is known to hold anything but floats.
func floats(f *form) bool {
	for _, v := range f.in {
		if v != nil && v.Type != tensor.Invalid && !v.Type.IsFloat() {
			return false
		}
	}
	return true
}

// integers demands that no input is known to hold floats.
func integers(f *form) bool {
	return !slices.ContainsFunc(f.in, func(v *graph.Value) bool { return v != nil && v.Type.IsFloat() })
}

// sameTypes demands that no two inputs are known to differ in type.
func sameTypes(f *form) bool {
	for _, v := range f.in {
		if v != nil && f.in[0] != nil && v.Type != tensor.Invalid && f.in[0].Type != tensor.Invalid && v.Type != f.in[0].Type {
			return false
		}
	}
	return true
}

// sameShapes demands that all inputs have the same shape, for sure.
func sameShapes(f *form) bool {
	for _, v := range f.in {
		if v == nil || v.Shape == nil || len(v.Shape) != len(f.in[0].Shape) {
			return len(f.in) == 1
		}
		for i, d := range v.Shape {
			if !d.Same(f.in[0].Shape[i]) {
				return false
			}
		}
	}
	return true
}
