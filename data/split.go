package data

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// span is a part of a set: indices lo, lo+step, … below hi. Bounds may be
// counts, negative counts (from the end) or percentages.
type span struct {
	lo, hi bound
	step   int
}

type bound struct {
	set     bool
	percent bool
	n       int
}

var splitForm = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_-]*)?(?:\[(-?[0-9]+%?)?:(-?[0-9]+%?)?(?::([0-9]+))?\])?$`)

// parseSplit reads a split: a name (train, test, val, …), a range, or both, as
// in "train", "train[:45000]", "[90%:]" or "test[::10]".
func parseSplit(s string) (name string, part *span, err error) {
	m := splitForm.FindStringSubmatch(s)
	if m == nil || s == "" {
		return "", nil, fmt.Errorf("data: split %q: want a name and optionally a range, such as train[:45000] or test[90%%:]", s)
	}
	name = m[1]
	if !strings.Contains(s, "[") {
		return name, nil, nil
	}
	part = &span{step: 1}
	if part.lo, err = parseBound(m[2]); err != nil {
		return "", nil, fmt.Errorf("data: split %q: %w", s, err)
	}
	if part.hi, err = parseBound(m[3]); err != nil {
		return "", nil, fmt.Errorf("data: split %q: %w", s, err)
	}
	if m[4] != "" {
		if part.step, err = strconv.Atoi(m[4]); err != nil || part.step < 1 {
			return "", nil, fmt.Errorf("data: split %q: step %s", s, m[4])
		}
	}
	return name, part, nil
}

func parseBound(s string) (bound, error) {
	if s == "" {
		return bound{}, nil
	}
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return bound{}, err
	}
	if percent && (n < 0 || n > 100) {
		return bound{}, fmt.Errorf("%s is not a percentage", s)
	}
	return bound{true, percent, n}, nil
}

func (b bound) at(n, unset int) int {
	switch {
	case !b.set:
		return unset
	case b.percent:
		return int(int64(n) * int64(b.n) / 100)
	case b.n < 0:
		return max(n+b.n, 0)
	}
	return min(b.n, n)
}

// of applies the span to a data set.
func (p *span) of(ds Dataset) (Dataset, error) {
	if p == nil {
		return ds, nil
	}
	lo, hi := p.lo.at(ds.Len(), 0), p.hi.at(ds.Len(), ds.Len())
	if lo >= hi {
		return nil, fmt.Errorf("data: the range [%d:%d] of %d pictures is empty", lo, hi, ds.Len())
	}
	indices := make([]int, 0, (hi-lo+p.step-1)/p.step)
	for i := lo; i < hi; i += p.step {
		indices = append(indices, i)
	}
	return Subset(ds, indices), nil
}
