package host

import (
	"math"
	"slices"
)

// Check is a network predicted by those that have nothing in common with it.
type Check struct {
	Name      string  `json:"name"`
	Type      string  `json:"type"`
	Predicted float64 `json:"predicted_seconds"`
	Measured  float64 `json:"measured_seconds"`
	Error     float64 `json:"error"` // relative
}

// Validate predicts every network from all others but those of its family.
func Validate(networks []Network) []Check {
	var list []Check
	samples := sampled(networks)
	all := fit(samples, "", nil)
	for i := range networks {
		if slices.ContainsFunc(networks[:i], func(n Network) bool { return n.Family == networks[i].Family }) {
			continue
		}
		p := fitWhole(networks, samples, networks[i].Family, all)
		for _, n := range networks {
			if n.Family == networks[i].Family {
				t := p.Predict(n.Steps)
				list = append(list, Check{n.Name, n.Type, t, n.Seconds, t/n.Seconds - 1})
			}
		}
	}
	return list
}

// Summary says how large the errors of some checks are.
type Summary struct {
	Networks int     `json:"networks"`
	Mean     float64 `json:"mean_error"`
	Median   float64 `json:"median_error"`
	Worst    float64 `json:"worst_error"`
	// Within10 counts the networks predicted within 10 %.
	Within10 int `json:"within_10_percent"`
}

// Summarize looks at the sizes of the errors.
func Summarize(list []Check) Summary {
	s := Summary{Networks: len(list)}
	if len(list) == 0 {
		return s
	}
	var sizes []float64
	for _, c := range list {
		e := math.Abs(c.Error)
		sizes = append(sizes, e)
		s.Mean += e / float64(len(list))
		if e <= 0.10 {
			s.Within10++
		}
	}
	slices.Sort(sizes)
	s.Median, s.Worst = sizes[len(sizes)/2], sizes[len(sizes)-1]
	return s
}
