package compress

import (
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/quantize"
)

// Budget is what the compressed model must keep to. Zero values set no limit,
// except MaxDrop's, which is in percentage points of top-1.
type Budget struct {
	MaxDrop   float64 `json:"max_drop"`
	LatencyMs float64 `json:"latency_ms,omitempty"`
	Bytes     int64   `json:"size_bytes,omitempty"`
	MACs      int64   `json:"macs,omitempty"`
	EnergyMJ  float64 `json:"energy_mj,omitempty"` // of one image
}

// Result is all that a compression found out: what report.json holds and
// report.html shows.
type Result struct {
	Version string          `json:"version"`
	Command string          `json:"command"`
	Model   string          `json:"model"`
	Data    string          `json:"data"`
	Digest  string          `json:"data_digest"`
	Images  int             `json:"images"`
	Machine string          `json:"machine"`
	Threads int             `json:"threads"`
	Seed    uint64          `json:"seed"`
	Budget  Budget          `json:"budget"`
	Met     bool            `json:"budget_met"`
	Before  measure.Metrics `json:"before"`
	After   measure.Metrics `json:"after"`
	Seconds float64         `json:"seconds"`
	Outputs []string        `json:"outputs"`

	Feasibility []Feasible `json:"feasibility"`
	Trials      []Trial    `json:"trials"`
	Sensitivity []Curve    `json:"sensitivity"`
	Layers      []Layer    `json:"layers"`
	// Selection says which images chose between the candidates; Screened what
	// a quick look at each method showed.
	Selection Selection        `json:"selection"`
	Screened  []Screened       `json:"screened"`
	Energy    *EnergyOf        `json:"energy,omitempty"`
	Confusion *Confusion       `json:"confusion,omitempty"`
	Ranges    []quantize.Range `json:"calibration_ranges"`
	Warnings  []string         `json:"warnings"`
	Recipe    string           `json:"recipe"`
}

// Selection is the images that chose between candidates, and top-1 on them.
// None of them measured the result.
type Selection struct {
	Images int     `json:"images"`
	From   string  `json:"from"`
	Before float64 `json:"top1_before"`
	After  float64 `json:"top1_after"`
}

// EnergyOf is what one image costs on a machine of package hardware.
type EnergyOf struct {
	Machine string  `json:"machine"`
	Before  float64 `json:"before_mj"`
	After   float64 `json:"after_mj"`
}

// Feasible says whether one limit of the budget can be met, and by what.
type Feasible struct {
	Limit    string  `json:"limit"`
	Asked    float64 `json:"asked"`
	Original float64 `json:"original"`
	Best     float64 `json:"best"` // the best of all trials, whatever their accuracy
	Unit     string  `json:"unit"`
	Possible bool    `json:"possible"`
}

// Trial is one candidate that was built and measured.
type Trial struct {
	Name     string  `json:"name"`
	Key      string  `json:"key"`
	Top1     float64 `json:"top1"`   // on the images that the search selects by
	Images   int     `json:"images"` // how many those are
	Ms       float64 `json:"median_ms"`
	Bytes    int64   `json:"weight_bytes"`
	File     int64   `json:"file_bytes"`
	MACs     int64   `json:"macs"`
	Params   int64   `json:"params"`
	EnergyMJ float64 `json:"energy_mj,omitempty"`
	Pareto   bool    `json:"pareto"`
	Chosen   bool    `json:"chosen"`
	Original bool    `json:"original,omitempty"`
}

// Curve is how accuracy falls when one group of channels alone is pruned.
type Curve struct {
	Group    string  `json:"group"`
	Channels int     `json:"channels"`
	Points   []Point `json:"points"`
	Frozen   string  `json:"frozen,omitempty"` // why it cannot be pruned
}

// Point is one measurement of a sensitivity scan.
type Point struct {
	Keep int     `json:"keep"`
	Top1 float64 `json:"top1"`
	MACs int64   `json:"macs"`         // of the whole model then
	Ms   float64 `json:"ms,omitempty"` // of the whole model in 8-bit integers; 0 if not measured
}

// Layer compares one layer before and after.
type Layer struct {
	Name      string  `json:"name"`
	Op        string  `json:"op"`
	Before    string  `json:"shape_before"` // of its weights
	After     string  `json:"shape_after"`
	MACs      int64   `json:"macs_before"`
	MACsAfter int64   `json:"macs_after"`
	Bytes     int64   `json:"bytes_before"`
	BytesAft  int64   `json:"bytes_after"`
	Ms        float64 `json:"ms_before"`
	MsAfter   float64 `json:"ms_after"`
	Bits      int     `json:"bits_after"`
	What      string  `json:"what"`
	Why       string  `json:"why"`
}

// Confusion holds the counts [true class][predicted class] before and after.
type Confusion struct {
	Classes []string `json:"classes"`
	Before  [][]int  `json:"before"`
	After   [][]int  `json:"after"`
}

// pareto marks the trials that no other beats in both latency and accuracy.
func pareto(trials []Trial) {
	for i := range trials {
		t := &trials[i]
		t.Pareto = true
		for j, o := range trials {
			if i != j && o.Ms <= t.Ms && o.Top1 >= t.Top1 && (o.Ms < t.Ms || o.Top1 > t.Top1 || j < i) {
				t.Pareto = false
				break
			}
		}
	}
}
