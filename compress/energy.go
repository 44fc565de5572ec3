package compress

import (
	"fmt"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/hardware"
	_ "github.com/drawknife/drawknife/hardware/accel" // the machines
	"github.com/drawknife/drawknife/hardware/loopnest"
)

// DefaultMachine is the machine whose energy counts unless another is named:
// Bit Fusion, whose energy falls with operations, with bits of weights and of
// activations, and with what has to come from memory.
const DefaultMachine = "bitfusion"

// Energy is what one image costs g on a machine of package hardware, in
// millijoules: an accelerator of the literature by its name, or a description
// (see drawknife simulate --list), shipped or in a file. A machine without a
// model of energy is an error.
func Energy(g *graph.Graph, machine string) (float64, error) {
	w, err := hardware.FromGraph(g, hardware.Options{Batch: 1})
	if err != nil {
		return 0, fmt.Errorf("compress: energy: %w", err)
	}
	r, err := simulate(machine, w)
	if err != nil {
		return 0, fmt.Errorf("compress: energy: %w", err)
	}
	if !(r.Energy > 0) {
		return 0, fmt.Errorf("compress: energy: there is no model of energy for %s; take another machine, such as %s", machine, DefaultMachine)
	}
	return r.Energy / 1e9, nil
}

func simulate(machine string, w *hardware.Workload) (*hardware.Report, error) {
	if m := hardware.Find(machine); m != nil {
		return m.Run(w, hardware.RunOptions{Objective: hardware.Energy, Seed: 1})
	}
	if !slices.Contains(loopnest.Library(), machine) && !strings.HasSuffix(machine, ".yaml") {
		return nil, fmt.Errorf("no machine is called %q; drawknife simulate --list names them, or give a .yaml file", machine)
	}
	a, err := loopnest.Load(machine)
	if err != nil {
		return nil, err
	}
	const tilings = 100 // of each layer: enough to compare networks, a moment for each
	return loopnest.Run(a, w, loopnest.Options{Objective: hardware.Energy, Seed: 1, Tilings: tilings, Exhaustive: -1, Workers: 1})
}

// countsEnergy reports that energy is part of the job.
func (j *Job) countsEnergy() bool { return j.Budget.EnergyMJ > 0 || j.Machine != "" }

// energy is g's on the job's machine, 0 if it does not count.
func (s *search) energy(g *graph.Graph) (float64, error) {
	if !s.job.countsEnergy() {
		return 0, nil
	}
	return Energy(g, s.machine())
}

func (s *search) machine() string {
	if s.job.Machine == "" {
		return DefaultMachine
	}
	return s.job.Machine
}
