package data

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// maxErrors is how many broken pictures a report names.
const maxErrors = 20

// Report is what Check found out about a data set.
type Report struct {
	N int `json:"n"`
	// Classes are the names, Count the number of pictures of each; Unlabelled
	// pictures have none.
	Classes    []string `json:"classes"`
	Count      []int    `json:"count"`
	Unlabelled int      `json:"unlabelled"`
	// The sizes that occur. Gray is the number of pictures with one channel.
	MinH int `json:"min_h"`
	MaxH int `json:"max_h"`
	MinW int `json:"min_w"`
	MaxW int `json:"max_w"`
	Gray int `json:"gray"`
	// Mean and Std are those of each channel over all pictures (gray pictures
	// count in all three), for 8-bit data.
	Mean []float64 `json:"mean,omitempty"`
	Std  []float64 `json:"std,omitempty"`
	// Errors are the pictures that cannot be decoded, at most 20 of them;
	// Broken is their number.
	Errors []string `json:"errors,omitempty"`
	Broken int      `json:"broken"`
	// Fingerprint identifies the data, see Fingerprint.
	Fingerprint string `json:"fingerprint"`
	// Known is the published split that has this fingerprint, "" if none.
	Known string `json:"known,omitempty"`
}

// Check reads every picture of ds and reports counts, sizes, statistics and
// what cannot be decoded. The error is that of ctx only.
func Check(ctx context.Context, ds Dataset) (*Report, error) {
	r := &Report{N: ds.Len(), Classes: ds.Classes(), Count: make([]int, len(ds.Classes()))}
	for _, l := range Labels(ds) {
		if l < 0 || int(l) >= len(r.Count) {
			r.Unlabelled++
			continue
		}
		r.Count[l]++
	}
	var mu sync.Mutex
	var sums moments
	broken := map[int]string{}
	err := forEach(ctx, ds.Len(), func(i int, s *Sample) error {
		readErr := ds.Read(i, s)
		var m moments
		if readErr == nil {
			m.add(s)
		}
		mu.Lock()
		defer mu.Unlock()
		if readErr != nil {
			broken[i] = readErr.Error()
			return nil
		}
		r.size(s)
		sums.merge(&m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.Mean, r.Std = sums.result()
	r.Broken = len(broken)
	for _, i := range slices.Sorted(maps.Keys(broken))[:min(len(broken), maxErrors)] {
		r.Errors = append(r.Errors, broken[i])
	}
	if r.Broken == 0 {
		if r.Fingerprint, err = Fingerprint(ctx, ds); err != nil {
			return nil, err
		}
		r.Known = knownPrints[r.Fingerprint]
	}
	return r, nil
}

func (r *Report) size(s *Sample) {
	if r.MaxH == 0 {
		r.MinH, r.MinW = s.H, s.W
	}
	r.MinH, r.MaxH = min(r.MinH, s.H), max(r.MaxH, s.H)
	r.MinW, r.MaxW = min(r.MinW, s.W), max(r.MaxW, s.W)
	if s.C == 1 {
		r.Gray++
	}
}
