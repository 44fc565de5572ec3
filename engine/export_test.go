package engine

import "github.com/drawknife/drawknife/graph"

// CompileInParts compiles g for n images, computed m at a time, or returns nil
// if its images are not computed each on its own.
func CompileInParts(g *graph.Graph, o Options, n, m int) *Program {
	o.Batch = n
	lg := g.Clone()
	if err := bind(lg, o); err != nil || !separable(lg, n) {
		return nil
	}
	return inParts(g, lg, o, m)
}

// FirstCut is firstCut.
var FirstCut = firstCut
