package hardware

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Kind groups machines.
type Kind string

// The kinds.
const (
	Temporal    Kind = "temporal"     // processors: CPU, GPU, and what a roofline describes
	Dense       Kind = "dense"        // arrays with a dataflow of their own
	Sparse      Kind = "sparse"       // machines that skip zeros
	BitFlexible Kind = "bit-flexible" // variable, binary or serial precision
	InMemory    Kind = "in-memory"    // computing where the data are
	LowRank     Kind = "low-rank"     // for decomposed networks
)

// Evidence says how a published figure is known.
type Evidence string

// The kinds of evidence. Figures from memory of low confidence are not kept.
const (
	Read      Evidence = "read"         // in the paper's own text
	Secondary Evidence = "second-hand"  // in a detailed summary of the paper
	Rerun     Evidence = "rerun"        // from public software of the authors or about the machine
	Computed  Evidence = "computed"     // from other published figures
	Recalled  Evidence = "recalled"     // from memory, high confidence
	Vague     Evidence = "recalled (M)" // from memory, medium confidence
)

// Param is a published parameter of a machine.
type Param struct {
	Name     string   `json:"name"`
	Value    string   `json:"value"`
	Evidence Evidence `json:"evidence"`
}

// Relation is how our figure must stand to the published one.
type Relation string

// The relations. Shown figures are printed side by side and not asserted; a
// note says why.
const (
	Near    Relation = "≈"
	AtLeast Relation = "≥"
	AtMost  Relation = "≤"
	Shown   Relation = "shown"
)

// Figure is a published number and the function that gives ours.
type Figure struct {
	Name      string   `json:"name"`
	Published float64  `json:"published"`
	Unit      string   `json:"unit"`
	Evidence  Evidence `json:"evidence"`
	// Relation is Near if empty.
	Relation Relation `json:"relation"`
	// Tolerance is relative to the published figure, Within is absolute; the
	// wider one counts. Both zero means equal up to rounding in float64.
	Tolerance float64 `json:"tolerance"`
	Within    float64 `json:"within,omitempty"`
	// Fitted marks a figure that a constant of the model was chosen for. It
	// shows that the model can follow the machine, not that it predicts it.
	Fitted bool `json:"fitted,omitempty"`
	// Note gives the cause of a difference above 20 %, or an assumption.
	Note string                  `json:"note,omitempty"`
	Ours func() (float64, error) `json:"-"`
}

// Error is the relative difference of ours from the published figure.
func (f *Figure) Error(ours float64) float64 {
	if f.Published == 0 {
		return math.Abs(ours)
	}
	return (ours - f.Published) / math.Abs(f.Published)
}

// Holds reports whether our figure stands to the published one as it must.
func (f *Figure) Holds(ours float64) bool {
	room := max(f.Tolerance*math.Abs(f.Published), f.Within, 1e-9*math.Abs(f.Published))
	switch f.Relation {
	case AtLeast:
		return ours >= f.Published-room
	case AtMost:
		return ours <= f.Published+room
	case Shown:
		return !math.IsNaN(ours)
	}
	return math.Abs(ours-f.Published) <= room
}

// Objective is what a search minimises.
type Objective string

// The objectives.
const (
	Latency Objective = "latency"
	Energy  Objective = "energy"
	EDP     Objective = "edp" // energy times latency
)

// RunOptions are a simulation's settings.
type RunOptions struct {
	// Objective guides machines that choose a mapping; "" is Latency.
	Objective Objective
	// Seed makes searches reproducible.
	Seed uint64
}

// Accelerator is a machine of the literature.
type Accelerator struct {
	// Name is what the command line takes: lower case, no spaces.
	Name  string `json:"name"`
	Title string `json:"title"`
	Kind  Kind   `json:"kind"`
	// Paper is authors, title, venue; Year its year.
	Paper string `json:"paper"`
	Year  int    `json:"year"`
	// Summary is one line on what is special about the machine.
	Summary string `json:"summary"`
	// Formulas are the model in words and formulas, for a reader who has not
	// seen the paper.
	Formulas string   `json:"formulas"`
	Params   []Param  `json:"params"`
	Figures  []Figure `json:"figures"`
	// Run gives the costs of a workload. It must not keep or change it.
	Run func(w *Workload, o RunOptions) (*Report, error) `json:"-"`
}

var accelerators = map[string]*Accelerator{}

// Register adds a machine. It panics on a duplicate or an incomplete entry.
func Register(a Accelerator) {
	if a.Name == "" || strings.ToLower(a.Name) != a.Name || strings.ContainsAny(a.Name, " ./") || a.Title == "" || a.Kind == "" ||
		a.Paper == "" || a.Summary == "" || a.Formulas == "" || a.Run == nil {
		panic(fmt.Sprintf("hardware: incomplete entry %q", a.Name))
	}
	for _, f := range a.Figures {
		if f.Name == "" || f.Evidence == "" || f.Ours == nil || f.Relation == Shown && f.Note == "" {
			panic(fmt.Sprintf("hardware: %s: incomplete figure %q", a.Name, f.Name))
		}
	}
	if accelerators[a.Name] != nil {
		panic("hardware: registered twice: " + a.Name)
	}
	accelerators[a.Name] = &a
}

// Accelerators lists the machines by kind, then name.
func Accelerators() []*Accelerator {
	order := []Kind{Temporal, Dense, Sparse, BitFlexible, InMemory, LowRank}
	return slices.SortedFunc(maps.Values(accelerators), func(a, b *Accelerator) int {
		if d := slices.Index(order, a.Kind) - slices.Index(order, b.Kind); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// Find returns the machine of that name, nil if there is none.
func Find(name string) *Accelerator { return accelerators[name] }

// Explain writes all that is known about the machine, its figures beside ours.
func (a *Accelerator) Explain() (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n%s, %d\n\n%s\n", a.Title, a.Kind, a.Paper, a.Year, a.Summary)
	if len(a.Params) > 0 {
		b.WriteString("\nParameters\n")
		for _, p := range a.Params {
			fmt.Fprintf(&b, "  %s: %s [%s]\n", p.Name, p.Value, p.Evidence)
		}
	}
	fmt.Fprintf(&b, "\nModel\n%s\n", indent(strings.Trim(a.Formulas, "\n")))
	if len(a.Figures) == 0 {
		return b.String(), nil
	}
	b.WriteString("\nPublished figures and ours\n")
	for i := range a.Figures {
		f := &a.Figures[i]
		ours, err := f.Ours()
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w", a.Name, f.Name, err)
		}
		fmt.Fprintf(&b, "  %s: %.5g %s [%s], ours %.5g (%+.1f %%)%s\n", f.Name, f.Published, f.Unit, f.Evidence, ours, 100*f.Error(ours), f.remark())
	}
	return b.String(), nil
}

// remark says what a reader must know about the comparison.
func (f *Figure) remark() string {
	s := ""
	switch {
	case f.Relation == Shown:
		s = "; not asserted"
	case f.Relation == AtLeast || f.Relation == AtMost:
		s = "; must be " + string(f.Relation)
	}
	if f.Fitted {
		s += "; fitted"
	}
	if f.Note != "" {
		s += ". " + f.Note
	}
	return s
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.ReplaceAll(s, "\n", "\n  "), "\n  \n", "\n\n")
}
