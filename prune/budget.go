package prune

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/loopnest"
	"github.com/drawknife/drawknife/measure"
)

func sqrt(v float64) float64 { return math.Sqrt(max(v, 0)) }

// budgets tell what a model costs: multiply-accumulates, parameters, energy in
// picojoules on the Eyeriss model, seconds on this machine with one thread.
var budgets = map[string]func(ctx context.Context, g *graph.Graph) (float64, error){
	"macs":    func(_ context.Context, g *graph.Graph) (float64, error) { return float64(g.Cost().MACs), nil },
	"params":  func(_ context.Context, g *graph.Graph) (float64, error) { return float64(g.Cost().Params), nil },
	"energy":  Energy,
	"latency": latency,
}

// budgetNames are for messages.
var budgetNames = map[string]string{"macs": "MACs", "params": "parameters", "energy": "energy", "latency": "latency"}

// Budgets lists what a budget can count.
func Budgets() []string { return slices.Sorted(maps.Keys(budgets)) }

func latency(ctx context.Context, g *graph.Graph) (float64, error) {
	d, err := measure.Fastest(ctx, 1, g)
	if err != nil {
		return 0, err
	}
	return d[0].Seconds(), nil
}

// energyTilings bounds the search for a mapping of each layer: enough to rank
// layers, a moment for a network.
const energyTilings = 100

// Energy is what one image costs on the Eyeriss model of package loopnest, in
// picojoules: multiplications and all movement of data between DRAM, buffer
// and registers, with the mapping that needs least.
func Energy(_ context.Context, g *graph.Graph) (float64, error) {
	e, err := LayerEnergy(g)
	total := 0.0
	for _, v := range e {
		total += v
	}
	return total, err
}

// LayerEnergy is Energy by the name of the node that multiplies.
func LayerEnergy(g *graph.Graph) (map[string]float64, error) {
	a, err := loopnest.Load("eyeriss-v1")
	if err != nil {
		return nil, err
	}
	w, err := hardware.FromGraph(g, hardware.Options{Batch: 1})
	if err != nil {
		return nil, err
	}
	w = w.Only((*hardware.Layer).HasMACs)
	r, err := loopnest.Run(a, w, loopnest.Options{Objective: hardware.Energy, Seed: 1, Tilings: energyTilings, Exhaustive: -1, Workers: 1})
	if err != nil {
		return nil, fmt.Errorf("energy: %w", err)
	}
	out := map[string]float64{}
	for _, l := range r.Layers {
		out[l.Layer] += l.Energy
	}
	return out, nil
}
