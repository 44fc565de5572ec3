package onnx

// splitFrom17 writes out the number of parts, which equal parts implied.
func splitFrom17(f *form) error {
	if f.input(1) == nil {
		f.attrs["num_outputs"] = int64(len(f.outs))
	}
	return nil
}

// splitTo17 leaves equal parts to be implied, and writes out unequal ones.
func splitTo17(f *form) bool {
	parts, ok := f.attrs["num_outputs"].(int64)
	delete(f.attrs, "num_outputs")
	shape := f.shapeOf(0)
	if !ok || f.input(1) != nil || shape == nil {
		return true
	}
	axis, _ := f.attrs["axis"].(int64)
	if axis < 0 {
		axis += int64(len(shape))
	}
	if axis < 0 || axis >= int64(len(shape)) || !shape[axis].Known() || parts < 1 || parts > 1<<16 {
		return true
	}
	size := int64(shape[axis].Size)
	if size%parts == 0 {
		return true
	}
	each := (size + parts - 1) / parts
	list := make([]int64, parts)
	for i := range list {
		list[i] = max(0, min(each, size-each*int64(i)))
	}
	f.setInput(1, f.ints("split", list))
	return true
}

// reduceTo17 makes the axes an attribute again.
func reduceTo17(f *form) bool {
	axes, ok := f.intList(1)
	if !ok || len(axes) == 0 && f.has("noop_with_empty_axes") {
		return false
	}
	delete(f.attrs, "noop_with_empty_axes")
	f.setInput(1, nil)
	if len(axes) > 0 {
		f.attrs["axes"] = append([]int64(nil), axes...)
	}
	return true
}

// padTo17 writes out the padding of every axis.
func padTo17(f *form) bool {
	v := f.input(3)
	if v == nil {
		return true
	}
	axes, ok := f.intList(3)
	pads, ok2 := f.intList(1)
	shape := f.shapeOf(0)
	if !ok || !ok2 || shape == nil || len(pads) != 2*len(axes) {
		return false
	}
	rank := len(shape)
	all := make([]int64, 2*rank)
	for i, a := range axes {
		if a < 0 {
			a += int64(rank)
		}
		if a < 0 || a >= int64(rank) {
			return false
		}
		all[a], all[int(a)+rank] = pads[i], pads[i+len(axes)]
	}
	f.setInput(1, f.ints("pads", all))
	f.setInput(3, nil)
	return true
}

func padTo18(f *form) bool { return f.attrs["mode"] != "wrap" }

// sliceTo9 makes the bounds attributes again.
func sliceTo9(f *form) bool {
	steps, ok := f.intList(4)
	for _, s := range steps {
		ok = ok && s == 1
	}
	if !ok || f.input(1) == nil || f.input(2) == nil {
		return false
	}
	f.setInput(4, nil)
	return inputToList("axes", 3)(f) && inputToList("ends", 2)(f) && inputToList("starts", 1)(f)
}

// topKFrom9 makes the number an input.
func topKFrom9(f *form) error {
	if k, ok := f.attrs["k"].(int64); ok {
		delete(f.attrs, "k")
		f.setInput(1, f.ints("k", []int64{k}))
	}
	return nil
}

func topKTo9(f *form) bool {
	k, ok := f.intList(1)
	if !ok || len(k) != 1 {
		return false
	}
	f.attrs["k"] = k[0]
	f.setInput(1, nil)
	return true
}

func scatterFrom10(f *form) error { f.op = "ScatterElements"; return nil }

// reshapeTo13 drops allowzero where it makes no difference.
func reshapeTo13(f *form) bool {
	if !f.has("allowzero") {
		delete(f.attrs, "allowzero")
		return true
	}
	delete(f.attrs, "allowzero")
	list, ok := f.intList(1)
	for _, d := range list {
		ok = ok && d != 0
	}
	return ok && f.input(1) != nil
}
