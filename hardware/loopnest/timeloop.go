package loopnest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/hardware"
)

// problem is the part of a Timeloop problem file that describes a layer.
type problem struct {
	Problem struct {
		Instance map[string]any `yaml:"instance"`
	} `yaml:"problem"`
}

// ParseProblem reads a Timeloop problem of the shape of a convolution: its
// instance gives the loops N, K (or M), C, P, Q, R, S and G, and Wstride,
// Hstride, Wdilation and Hdilation, of which Timeloop has W go with P and R.
// What is missing is 1. The input's W and H and its padding, which later
// versions give beside the loops, are taken as they are. Other shapes are an
// error.
func ParseProblem(file string, b []byte) (*hardware.Layer, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: a problem has at most %d bytes", file, maxFile)
	}
	if line := tooDeep(b); line > 0 {
		return nil, fmt.Errorf("%s:%d: nested more than %d deep", file, line, maxNesting)
	}
	var p problem
	tree, err := decode(b, &p)
	if err != nil {
		return nil, located(file, tree, err)
	}
	fail := func(key, format string, args ...any) (*hardware.Layer, error) {
		return nil, located(file, tree, at("problem.instance"+key, format, args...))
	}
	if len(p.Problem.Instance) == 0 {
		return fail("", "is missing; want a Timeloop problem")
	}
	l := hardware.Conv(file, 1, 1, 1, 1, 1, 1, 1, 0)
	l.Height, l.Width = 0, 0
	places := map[string]*int{"M": &l.Size[hardware.K], "Wstride": &l.Stride[0], "Hstride": &l.Stride[1],
		"Wdilation": &l.Dilation[0], "Hdilation": &l.Dilation[1],
		"W": &l.Height, "H": &l.Width, "Wpad": &l.Pad[0], "Hpad": &l.Pad[1]}
	for d := range hardware.Dim(numDims) {
		places[d.String()] = &l.Size[d]
	}
	for _, key := range slices.Sorted(maps.Keys(p.Problem.Instance)) {
		value := p.Problem.Instance[key]
		to, ok := places[key]
		if !ok {
			if _, number := value.(uint64); !number {
				continue // densities and the like
			}
			return fail("."+key, "is not part of a convolution (N, K, C, P, Q, R, S, G, strides, dilations)")
		}
		least := uint64(1)
		if strings.HasSuffix(key, "pad") {
			least = 0
		}
		n, ok := value.(uint64)
		if !ok || n < least || n > 1<<30 {
			return fail("."+key, "%v; want a number from %d to 2^30", value, least)
		}
		*to = int(n)
	}
	l.Height, l.Width = cmp.Or(l.Height, l.PaddedHeight()), cmp.Or(l.Width, l.PaddedWidth())
	if err := l.Check(); err != nil {
		return fail("", "%w", err)
	}
	return l, nil
}
