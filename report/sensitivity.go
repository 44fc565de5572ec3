package report

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/drawknife/drawknife/compress"
)

// maxSteps is the largest number of columns of the sensitivity map.
const maxSteps = 10

// noise is the change in points of accuracy that is not worth a colour.
const noise = 0.1

// sensitivity is a map of accuracy over channel groups (lines) and the share
// of channels kept (columns).
type sensitivity struct {
	Base   float64 // accuracy of the whole model on the images of the scan
	Steps  []string
	Lines  []sensitive
	Frozen []compress.Curve
}

// sensitive is the line of one group.
type sensitive struct {
	Group    string
	Channels int
	Cells    []cell
}

// sensitivities arranges the scan; nil if there was none.
func sensitivities(r *compress.Result) *sensitivity {
	if len(r.Sensitivity) == 0 {
		return nil
	}
	s := &sensitivity{Base: baseline(r)}
	column := steps(r.Sensitivity)
	columns := slices.Compact(slices.Sorted(maps.Values(column)))
	slices.Reverse(columns)
	for _, k := range columns {
		s.Steps = append(s.Steps, fmt.Sprintf("%d %%", k))
	}
	worst := 2.0 // a fall of less is not worth a strong colour
	for _, c := range r.Sensitivity {
		for _, p := range c.Points {
			worst = max(worst, min(s.Base-p.Top1, 15)) // beyond, all is lost alike
		}
	}
	for _, c := range r.Sensitivity {
		if c.Frozen != "" && len(c.Points) == 0 {
			s.Frozen = append(s.Frozen, c)
			continue
		}
		s.Lines = append(s.Lines, s.line(c, column, columns, worst))
	}
	return s
}

// line places the points of c in the columns. If two fall in one, the worse
// is shown.
func (s *sensitivity) line(c compress.Curve, column map[int]int, columns []int, worst float64) sensitive {
	l := sensitive{Group: c.Group, Channels: c.Channels, Cells: make([]cell, len(columns))}
	lowest := map[int]float64{}
	for _, p := range c.Points {
		if p.Keep == c.Channels {
			continue
		}
		i := slices.Index(columns, column[share(p.Keep, c.Channels)])
		if i < 0 {
			continue
		}
		if old, ok := lowest[i]; ok && old <= p.Top1 {
			continue
		}
		lowest[i] = p.Top1
		fall := s.Base - p.Top1
		l.Cells[i] = cell{Text: fmt.Sprintf("%.2f", p.Top1), Class: shade(math.Abs(fall)-noise, worst, fall > 0),
			Title: fmt.Sprintf("%d of %d channels kept: top-1 %s (%s points), the whole model then takes %s multiply-accumulates",
				p.Keep, c.Channels, percent(p.Top1), signed("%.2f", -fall), count(p.MACs))}
	}
	return l
}

// share is the part of the channels that is kept, in whole percent.
func share(keep, channels int) int {
	if channels < 1 {
		return 0
	}
	return int(math.Round(100 * float64(keep) / float64(channels)))
}

// steps says in which column each share is shown: its own if there are few,
// else that of the nearest multiple of a rounder number.
func steps(curves []compress.Curve) map[int]int {
	seen := map[int]bool{}
	for _, c := range curves {
		for _, p := range c.Points {
			if p.Keep == c.Channels {
				continue
			}
			seen[share(p.Keep, c.Channels)] = true
		}
	}
	column := map[int]int{}
	for _, unit := range []int{1, 5, 10, 20} {
		used := map[int]bool{}
		for k := range seen {
			column[k] = (k + unit/2) / unit * unit
			used[column[k]] = true
		}
		if len(used) <= maxSteps {
			break
		}
	}
	return column
}

// baseline is the accuracy of the whole model on the images of the scan: that
// of a point that keeps all channels, or else of the original trial.
func baseline(r *compress.Result) float64 {
	for _, c := range r.Sensitivity {
		for _, p := range c.Points {
			if p.Keep == c.Channels {
				return p.Top1
			}
		}
	}
	for _, t := range r.Trials {
		if t.Original {
			return t.Top1
		}
	}
	return r.Before.Top1
}
