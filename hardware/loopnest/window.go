package loopnest

// window is one axis of the input: outputs (P or Q) times stride plus filter
// taps (R or S) times dilation. Its loops are called a and b below; the sliding
// one, if any, is a.
type window struct {
	sizeA, sizeB int64
	stepA, stepB int64 // input rows for one step of a and of b
	tileA, tileB int64 // what one instance holds
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// words adds up the rows of the tiles of all iterations, in time and space.
// Tiles add up to the sizes, so only their numbers matter.
func (w *window) words() int64 {
	na, nb := ceil(w.sizeA, w.tileA), ceil(w.sizeB, w.tileB)
	return w.stepA*nb*(w.sizeA-na) + w.stepB*na*(w.sizeB-nb) + na*nb
}

// slid is words if the innermost loop that matters runs over a in time: an
// instance then gets only the rows that its last tile did not have. One
// traversal of that loop goes through enter of a, in pieces of inside, which
// instances may share.
func (w *window) slid(enter, inside int64) int64 {
	n := int64(0)
	if full := w.sizeB / w.tileB; full > 0 {
		n = full * w.slidFor((w.tileB-1)*w.stepB+1, enter, inside)
	}
	if rest := w.sizeB % w.tileB; rest > 0 {
		n += w.slidFor((rest-1)*w.stepB+1, enter, inside)
	}
	return n
}

// slidFor is slid for tiles of b that span reach rows.
func (w *window) slidFor(reach, enter, inside int64) int64 {
	if reach <= w.stepA && inside == w.tileA || inside != w.tileA && (w.tileA-1)*w.stepA+reach <= inside*w.stepA {
		n := ceil(w.sizeA, w.tileA) // nothing overlaps
		return w.stepA*(w.sizeA-n) + n*reach
	}
	if inside == w.tileA { // a traversal brings the hull of all its tiles
		n := ceil(w.sizeA, enter)
		return w.stepA*(w.sizeA-n) + n*reach
	}
	n := (w.sizeA / enter) * w.traversal(reach, enter, inside)
	if rest := w.sizeA % enter; rest > 0 {
		n += w.traversal(reach, rest, inside)
	}
	return n
}

// traversal is one run through size of a, in steps of inside that several
// instances share in tiles.
func (w *window) traversal(reach, size, inside int64) int64 {
	steps, last := size/inside, size%inside
	if steps == 0 {
		return w.hulls(reach, last)
	}
	step := inside * w.stepA
	hull := (w.tileA-1)*w.stepA + reach
	n := w.hulls(reach, inside) + (steps-1)*(inside/w.tileA)*min(hull, step)
	if rest := inside % w.tileA; rest > 0 {
		n += (steps - 1) * min((rest-1)*w.stepA+reach, step)
	}
	if last == 0 {
		return n
	}
	n += (last / w.tileA) * min(hull, step)
	if rest := last % w.tileA; rest > 0 {
		h := (rest-1)*w.stepA + reach
		n += max(0, min(h, step-(hull-h)))
	}
	return n
}

// hulls adds up the rows of the tiles of size outputs.
func (w *window) hulls(reach, size int64) int64 {
	n := (size / w.tileA) * ((w.tileA-1)*w.stepA + reach)
	if rest := size % w.tileA; rest > 0 {
		n += (rest-1)*w.stepA + reach
	}
	return n
}
