package compress

import (
	"context"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/quantize"
)

// mixed tries the 8-bit network that steps end in once more with some layers
// in float: those whose integer kernel was measured to be slower than the
// float one and, if 8 bits cost more than a third of a point, the two whose
// weights lost most. float is the trial of the same network before
// quantization, quant that after it. The result is nil if there is nothing to
// try.
func (s *search) mixed(ctx context.Context, name string, steps []Step, float, quant *candidate) (*candidate, error) {
	keep, err := decide(s, "slower layers of "+name, func() ([]string, error) { return s.slower(ctx, steps) })
	if err != nil {
		return nil, err
	}
	if float.Top1-quant.Top1 > 1.0/3 {
		if r := s.quantizeReport(quant); r != nil {
			layers := slices.Clone(r.Layers)
			slices.SortStableFunc(layers, func(a, b quantize.Layer) int {
				switch {
				case a.SQNR < b.SQNR:
					return -1
				case a.SQNR > b.SQNR:
					return 1
				}
				return 0
			})
			for _, l := range layers[:min(2, len(layers))] {
				if p := literal(l.Node); !slices.Contains(keep, p) {
					keep = append(keep, p)
				}
			}
		}
	}
	if len(keep) == 0 {
		return nil, nil
	}
	slices.Sort(keep)
	return s.try(ctx, name+" with float layers", append(steps[:len(steps)-1:len(steps)-1], s.quantizeStep(keep)))
}

// slower lists the layers that the quantized network computes more slowly than
// the float one, by a margin that noise does not reach.
func (s *search) slower(ctx context.Context, steps []Step) ([]string, error) {
	f, err := s.apply(ctx, steps[:len(steps)-1])
	if err != nil {
		return nil, err
	}
	q, err := s.apply(ctx, steps)
	if err != nil {
		return nil, err
	}
	times, err := nodeTimes(ctx, s.job.Threads, f, q)
	if err != nil {
		return nil, err
	}
	a, b := times[0], times[1]
	var out []string
	for _, n := range q.Nodes {
		if n.Is("Conv", "Gemm", "MatMul") && a[n.Name] > 0 && b[n.Name] > 1.15*a[n.Name] {
			out = append(out, literal(n.Name))
		}
	}
	return out, nil
}

// literal makes a pattern that matches name alone.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}
