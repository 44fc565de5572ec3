// Package hardware says what a network costs on machines that are not here:
// accelerators of the literature, machines described in a file, and real
// devices by their data sheets.
//
// A few nouns carry all of it.
//
//   - A Layer is a loop nest: N images, G groups, K output channels, C input
//     channels, P×Q outputs, an R×S filter; with stride, dilation, padding,
//     bits and densities. An operator without multiplications is a Layer too:
//     it moves data and does some operations. A Workload is a list of layers;
//     FromGraph makes one from any model.
//   - A Cost is what one layer takes on one machine: cycles, accesses and
//     energy by memory level and tensor, and what bounds it. A Report adds the
//     costs of a workload up, with time, power and efficiency.
//   - An Accelerator turns a Workload into a Report. It carries its paper, its
//     parameters, its formulas in words and the published Figures that it has
//     to give back, each with the evidence for it and a tolerance. Every
//     machine is one file in hardware/accel that calls Register; one test
//     checks every figure of every machine, and the same table is printed as
//     docs/results/hardware.md.
//
// Machines are built from three kinds of parts.
//
//   - hardware/loopnest is the general model: an Arch (memory levels, array of
//     processing elements; a YAML file) and a Mapping (which loops run where,
//     in time and in space) give exact access counts, latency and energy, and
//     a search finds the best Mapping.
//   - hardware/dataflow has the closed forms: systolic arrays, row-stationary
//     and other fixed dataflows, and a systolic array simulated fold by fold.
//   - hardware/sparsity has distributions of zeros, what compressed formats
//     store, and how long the slowest of many workers takes.
//
// Conventions: a MAC is two operations; energies are in picojoules, times in
// cycles unless a unit is named; a word is one operand. Everything here is
// deterministic.
package hardware
