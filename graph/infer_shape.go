package graph

import (
	"fmt"
	"slices"
)

func init() {
	Register(
		operator("Reshape", 2, 2, 1, inferReshape),
		operator("Flatten", 1, 1, 1, inferFlatten),
		operator("Squeeze", 1, 2, 1, inferSqueeze),
		operator("Unsqueeze", 2, 2, 1, inferUnsqueeze),
		operator("Transpose", 1, 1, 1, inferTranspose),
		operator("Expand", 2, 2, 1, inferExpand),
		operator("Tile", 2, 2, 1, inferTile),
		operator("DepthToSpace", 1, 1, 1, inferDepthToSpace),
		operator("SpaceToDepth", 1, 1, 1, inferSpaceToDepth),
	)
}

func inferReshape(n *Node) error {
	x, target := n.in(0), n.In(1).elems()
	n.set(0, n.inType(0), nil)
	if target == nil {
		if s := n.in(1); len(s) == 1 && s[0].Known() && s[0].Size <= maxElems {
			n.set(0, n.inType(0), unknowns(s[0].Size))
		}
		return nil
	}
	s, err := reshaped(x, target, n.Int("allowzero", 0) != 0)
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), s)
	n.setElems(0, n.In(0).elems())
	return nil
}

// reshaped works out a Reshape: 0 copies the input's dimension (unless
// allowZero), one -1 takes what is left.
func reshaped(x Shape, target []Dim, allowZero bool) (Shape, error) {
	out, rest := make(Shape, len(target)), -1
	for i, d := range target {
		out[i] = d
		switch {
		case d.Known() && d.Size == -1:
			if rest >= 0 {
				return nil, fmt.Errorf("target shape %v has -1 twice", Shape(target))
			}
			rest, out[i] = i, unknown
		case d.Known() && d.Size < -1:
			return nil, fmt.Errorf("target shape %v has a negative size", Shape(target))
		case d.Known() && d.Size == 0 && !allowZero:
			out[i] = unknown
			if x != nil {
				if i >= len(x) {
					return nil, fmt.Errorf("target shape %v copies dimension %d, which the input %v lacks", Shape(target), i, x)
				}
				out[i] = x[i]
			}
		}
	}
	if x == nil {
		return out, nil
	}
	left, certain, err := cancel(x, out, rest)
	if err != nil {
		return nil, fmt.Errorf("cannot reshape %v to %v: %w", x, Shape(target), err)
	}
	if rest >= 0 && certain {
		out[rest] = left
		return out, nil
	}
	// A sole unknown dimension takes what is left even if it is not -1.
	if rest < 0 {
		if i := slices.IndexFunc(out, func(d Dim) bool { return !d.Known() && d.Name == "" }); i >= 0 {
			if d, certain, err := cancel(x, out, i); err == nil && certain && d.Known() {
				out[i] = d
			}
		}
	}
	return out, nil
}

// cancel divides the product of x by the product of out without out[skip].
// Symbols cancel by name. The quotient is certain if it is a number or a
// single symbol. Known products that do not divide (or, without a skipped
// dimension, differ) are an error.
func cancel(x, out Shape, skip int) (left Dim, certain bool, err error) {
	up, upSyms, upKnown := factors(x, -1)
	down, downSyms, downKnown := factors(out, skip)
	if up < 0 || down < 0 {
		return unknown, false, fmt.Errorf("too many elements")
	}
	for _, s := range downSyms {
		i := slices.Index(upSyms, s)
		if i < 0 {
			return unknown, false, nil
		}
		upSyms = slices.Delete(upSyms, i, i+1)
	}
	if !upKnown || !downKnown {
		return unknown, false, nil
	}
	if len(upSyms) > 0 {
		switch {
		case skip < 0 || len(upSyms) > 1 || down == 0 || up != down:
			return unknown, false, nil
		}
		return Sym(upSyms[0]), true, nil
	}
	switch {
	case skip < 0 && up != down:
		return unknown, false, fmt.Errorf("%d elements do not fill %d", up, down)
	case skip < 0:
		return unknown, true, nil
	case down == 0 && up == 0:
		return D(0), true, nil
	case down == 0 || up%down != 0:
		return unknown, false, fmt.Errorf("%d elements do not divide by %d", up, down)
	}
	return D(up / down), true, nil
}

// factors multiplies the known dimensions but s[skip] and lists the symbols;
// known is false if a dimension has no name. The product is -1 on overflow.
func factors(s Shape, skip int) (product int, symbols []string, known bool) {
	product, known = 1, true
	for i, d := range s {
		switch {
		case i == skip:
		case d.Known():
			p, ok := checkedMul(product, d.Size)
			if !ok {
				return -1, nil, false
			}
			product = p
		case d.Name != "":
			symbols = append(symbols, d.Name)
		default:
			known = false
		}
	}
	return product, symbols, known
}

// dimProduct multiplies dimensions, unknown unless at most one is a symbol
// and the others are 1.
func dimProduct(s Shape) Dim {
	p := D(1)
	for _, d := range s {
		p = dimMul(p, d)
	}
	return p
}

func inferFlatten(n *Node) error {
	x := n.in(0)
	n.set(0, n.inType(0), unknowns(2))
	if x == nil {
		return nil
	}
	a := n.Int("axis", 1)
	if a != len(x) { // the rank itself is allowed
		var err error
		if a, err = axis(a, max(len(x), 1)); err != nil {
			return err
		}
	}
	n.set(0, n.inType(0), Shape{dimProduct(x[:a]), dimProduct(x[a:])})
	return nil
}

func inferSqueeze(n *Node) error {
	x := n.in(0)
	n.set(0, n.inType(0), nil)
	if x == nil {
		return nil
	}
	axes, known := n.Ints("axes"), true
	if n.In(1) != nil {
		axes, known = n.In(1).IntElems()
	} else if len(axes) == 0 {
		for i, d := range x {
			known = known && d.Known()
			if d.Known() && d.Size == 1 {
				axes = append(axes, i)
			}
		}
	}
	if !known {
		return nil
	}
	axes, err := axesOf(axes, len(x))
	if err != nil {
		return err
	}
	for _, a := range axes {
		if x[a].Known() && x[a].Size != 1 {
			return fmt.Errorf("cannot squeeze dimension %d of shape %v: its size is not 1", a, x)
		}
	}
	n.set(0, n.inType(0), reduced(x, axes, false))
	n.setElems(0, n.In(0).elems())
	return nil
}

func inferUnsqueeze(n *Node) error {
	x := n.in(0)
	n.set(0, n.inType(0), nil)
	axes, known := n.In(1).IntElems()
	if x == nil || !known {
		return nil
	}
	axes, err := axesOf(axes, len(x)+len(axes))
	if err != nil {
		return err
	}
	out, rest := make(Shape, len(x)+len(axes)), x
	for i := range out {
		if slices.Contains(axes, i) {
			out[i] = D(1)
			continue
		}
		out[i], rest = rest[0], rest[1:]
	}
	n.set(0, n.inType(0), out)
	n.setElems(0, n.In(0).elems())
	return nil
}

func inferTranspose(n *Node) error {
	x := n.in(0)
	perm := n.Ints("perm")
	if x == nil {
		if perm != nil {
			n.set(0, n.inType(0), unknowns(len(perm)))
		}
		return nil
	}
	if perm == nil {
		for i := range x {
			perm = append(perm, len(x)-1-i)
		}
	}
	if len(perm) != len(x) {
		return fmt.Errorf("perm %v does not fit the input's shape %v", perm, x)
	}
	perm, err := axesOf(perm, len(x))
	if err != nil {
		return fmt.Errorf("perm: %w", err)
	}
	out := make(Shape, len(x))
	for i, p := range perm {
		out[i] = x[p]
	}
	n.set(0, n.inType(0), out)
	if len(x) < 2 {
		n.setElems(0, n.In(0).elems())
	}
	return nil
}

func inferExpand(n *Node) error {
	x, e := n.in(0), n.In(1).elems()
	n.set(0, n.inType(0), nil)
	if x == nil || e == nil {
		return nil
	}
	for _, d := range e {
		if d.Known() && d.Size < 0 {
			return fmt.Errorf("cannot expand to shape %v", Shape(e))
		}
	}
	s, err := broadcast(x, Shape(e))
	if err != nil {
		return err
	}
	n.set(0, n.inType(0), s)
	if v := n.In(0).elems(); len(v) == 1 {
		n.setElems(0, repeat(v[0], s))
	}
	return nil
}

// repeat fills a small tensor of shape s with d; nil if s is unknown or large.
func repeat(d Dim, s Shape) []Dim {
	size := productOf(s)
	if !s.Known() || size > maxElems {
		return nil
	}
	out := make([]Dim, size)
	for i := range out {
		out[i] = d
	}
	return out
}

func inferTile(n *Node) error {
	x, e := n.in(0), n.In(1).elems()
	n.set(0, n.inType(0), nil)
	if x == nil {
		return nil
	}
	out := unknowns(len(x))
	if e != nil {
		if len(e) != len(x) {
			return fmt.Errorf("repeats %v does not fit the input's shape %v: it needs one number for each dimension", Shape(e), x)
		}
		for i, d := range e {
			if d.Known() && d.Size < 0 {
				return fmt.Errorf("repeats %v is negative", Shape(e))
			}
			if out[i] = dimMul(x[i], d); !out[i].Known() && x[i].Known() && d.Known() {
				return fmt.Errorf("output dimension %d is too large", i)
			}
		}
	}
	n.set(0, n.inType(0), out)
	return nil
}

func (n *Node) blockSize() (int, error) {
	b := n.Int("blocksize", 0)
	if b < 1 || b > 1<<15 {
		return 0, fmt.Errorf("blocksize = %d; it must be from 1 to 32768", b)
	}
	return b, n.needRank(0, 4, 4)
}

func inferDepthToSpace(n *Node) error {
	b, err := n.blockSize()
	if err != nil {
		return err
	}
	x := n.in(0)
	n.set(0, n.inType(0), unknowns(4))
	if x == nil {
		return nil
	}
	c := unknown
	if x[1].Known() {
		if x[1].Size%(b*b) != 0 {
			return fmt.Errorf("the %d channels do not divide by blocksize squared, %d", x[1].Size, b*b)
		}
		c = D(x[1].Size / (b * b))
	}
	n.set(0, n.inType(0), Shape{x[0], c, dimMul(x[2], D(b)), dimMul(x[3], D(b))})
	return nil
}

func inferSpaceToDepth(n *Node) error {
	b, err := n.blockSize()
	if err != nil {
		return err
	}
	x := n.in(0)
	n.set(0, n.inType(0), unknowns(4))
	if x == nil {
		return nil
	}
	out := Shape{x[0], dimMul(x[1], D(b*b)), unknown, unknown}
	for i := 2; i < 4; i++ {
		if x[i].Known() && x[i].Size%b != 0 {
			return fmt.Errorf("dimension %d of shape %v does not divide by blocksize %d", i, x, b)
		}
		out[i] = dimDiv(x[i], D(b))
	}
	n.set(0, n.inType(0), out)
	return nil
}
