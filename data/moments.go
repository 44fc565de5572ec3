package data

import "math"

// moments sums values and squares of bytes per channel; integers, so that the
// order of summation does not matter.
type moments struct {
	n, sum, square [3]uint64
	colour         bool
}

func (m *moments) add(s *Sample) {
	if s.Pix == nil {
		return
	}
	for i, v := range s.Pix {
		k := i % s.C
		m.sum[k] += uint64(v)
		m.square[k] += uint64(v) * uint64(v)
	}
	for k := range m.n {
		m.n[k] = uint64(s.H * s.W)
	}
	if s.C == 1 {
		m.sum[1], m.sum[2], m.square[1], m.square[2] = m.sum[0], m.sum[0], m.square[0], m.square[0]
	}
	m.colour = s.C == 3
}

func (m *moments) merge(o *moments) {
	for k := range m.n {
		m.n[k] += o.n[k]
		m.sum[k] += o.sum[k]
		m.square[k] += o.square[k]
	}
	m.colour = m.colour || o.colour
}

// result is the mean and standard deviation of each channel.
func (m *moments) result() (mean, std []float64) {
	if m.n[0] == 0 {
		return nil, nil
	}
	channels := 1
	if m.colour {
		channels = 3
	}
	for k := range channels {
		n := float64(m.n[k])
		mu := float64(m.sum[k]) / n
		mean = append(mean, mu)
		std = append(std, math.Sqrt(max(0, float64(m.square[k])/n-mu*mu)))
	}
	return mean, std
}
