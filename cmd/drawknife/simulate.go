package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/accel"
	"github.com/drawknife/drawknife/hardware/dataflow"
	"github.com/drawknife/drawknife/hardware/host"
	"github.com/drawknife/drawknife/hardware/loopnest"
	"github.com/drawknife/drawknife/hardware/page"
	"github.com/drawknife/drawknife/internal/atomicfile"
)

type simulateCmd struct {
	Model     string   `arg:"" optional:"" help:"Model file, zoo:NAME, a SCALE-Sim topology (.csv) or a Timeloop problem (.yaml)."`
	Arch      []string `help:"Machine: a name of --list, an architecture file (.yaml; ours or Timeloop's), a SCALE-Sim configuration (.cfg), or host for this machine (see --calibrate). Several are compared." placeholder:"NAME"`
	Batch     int      `help:"Images at a time." default:"1"`
	Objective string   `help:"What a mapping is chosen for: latency, energy or edp." default:"latency" placeholder:"NAME"`
	Layer     []string `help:"Only these layers." placeholder:"NAME"`
	CSV       string   `name:"csv" help:"Also write the layers as CSV, a line for each layer on each machine." placeholder:"FILE"`
	HTML      string   `name:"html" help:"Also write a page: comparison, rooflines, energy by layer and level, loop nests." placeholder:"FILE"`
	Unfused   bool     `help:"Keep normalization, activations and additions as layers of their own, which move data; otherwise they are done on the way out of the layer before."`
	Mapping   bool     `help:"Also print the loop nest chosen for each layer, where the machine is an architecture file."`
	List      bool     `help:"List the machines."`
	Explain   string   `help:"Explain a machine: paper, parameters, formulas, published figures beside ours." placeholder:"NAME"`
	Figures   bool     `help:"Print every machine's published figures beside ours, how fast mappings are found and how well latencies were predicted, as Markdown."`
	Devices   bool     `help:"Print the table of real devices: peaks by precision, memory, power."`
	NoCache   bool     `help:"Search every mapping anew. Otherwise those that were found before, for the same layer, machine and settings, are looked up in the user's cache folder."`
	activationFlags
	calibrateFlags

	graph *graph.Graph // of the model, where it is one
}

func (c *simulateCmd) Run(a *app) error {
	switch {
	case c.List:
		return c.list(a)
	case c.Explain != "":
		return c.explain(a)
	case c.Figures:
		return c.figures(a)
	case c.Devices:
		return c.devices(a)
	case c.Calibrate:
		return c.calibrate(a)
	case c.Model == "":
		return usagef("simulate needs a model, or --list, --explain, --figures, --devices or --calibrate")
	case len(c.Arch) == 0:
		return usagef("simulate needs --arch (see --list)")
	case c.Batch < 1 || c.Batch > 1<<16:
		return usagef("--batch %d must be from 1 to 65536", c.Batch)
	}
	switch hardware.Objective(c.Objective) {
	case hardware.Latency, hardware.Energy, hardware.EDP:
	default:
		return usagef("--objective %s: there are latency, energy, edp", c.Objective)
	}
	w, err := c.workload(a)
	if err != nil {
		return err
	}
	var reports []*hardware.Report
	for _, name := range c.Arch {
		r, err := c.run(a, name, w)
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	if err := c.writeFiles(reports); err != nil {
		return err
	}
	if len(reports) > 1 {
		return a.emit(map[string]any{"reports": reports}, func(out io.Writer) error { return compareReports(out, reports) })
	}
	return a.emit(reports[0], func(out io.Writer) error {
		if err := printReport(out, reports[0]); err != nil || !c.Mapping {
			return err
		}
		return printMappings(out, reports[0])
	})
}

func (c *simulateCmd) workload(a *app) (*hardware.Workload, error) {
	w, err := c.layers(a)
	if err != nil {
		return nil, err
	}
	if len(c.Layer) == 0 {
		return w, nil
	}
	keep := map[*hardware.Layer]bool{}
	for _, name := range c.Layer {
		l := w.Layer(name)
		if l == nil {
			return nil, usagef("--layer %s: the model has no such layer; it has %s", name, strings.Join(w.Names(), ", "))
		}
		keep[l] = true
	}
	return w.Only(func(l *hardware.Layer) bool { return keep[l] }), nil
}

// layers reads a model, a SCALE-Sim topology or a Timeloop problem.
func (c *simulateCmd) layers(a *app) (*hardware.Workload, error) {
	if strings.HasSuffix(c.Model, ".yaml") {
		b, err := os.ReadFile(c.Model)
		if err != nil {
			return nil, err
		}
		l, err := loopnest.ParseProblem(c.Model, b)
		if err != nil {
			return nil, err
		}
		return &hardware.Workload{Name: c.Model, Batch: l.Size[hardware.N], Layers: []*hardware.Layer{l}}, nil
	}
	if strings.HasSuffix(c.Model, ".csv") {
		f, err := os.Open(c.Model)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		w, err := dataflow.ReadTopology(f, c.Model)
		if err != nil {
			return nil, err
		}
		for i, l := range w.Layers {
			w.Layers[i] = l.With(c.Batch)
		}
		w.Batch = c.Batch
		return w, nil
	}
	g, err := a.load(c.Model)
	if err != nil {
		return nil, err
	}
	c.graph = g
	densities, err := c.densities(a, g)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Model, err)
	}
	w, err := hardware.FromGraph(g, hardware.Options{Batch: c.Batch, Unfused: c.Unfused, Activations: densities})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Model, err)
	}
	return w, nil
}

// systolic runs a SCALE-Sim configuration; it has no clock, so cycles are taken
// at 1 GHz.
func systolic(name string, w *hardware.Workload) (*hardware.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := dataflow.ReadConfig(f, name)
	if err != nil {
		return nil, err
	}
	return s.Report(name, 1000, w)
}

func (c *simulateCmd) run(a *app, name string, w *hardware.Workload) (*hardware.Report, error) {
	if name == hostName {
		return c.host(a, w)
	}
	if m := hardware.Find(name); m != nil {
		return m.Run(w, hardware.RunOptions{Objective: hardware.Objective(c.Objective), Seed: a.Seed})
	}
	if strings.HasSuffix(name, ".cfg") {
		return systolic(name, w)
	}
	if !slices.Contains(loopnest.Library(), name) && !strings.ContainsAny(name, "./\\") {
		return nil, usagef("--arch %s: no such machine; see drawknife simulate --list, or give a .yaml file", name)
	}
	arch, err := loopnest.Load(name)
	if err != nil {
		return nil, err
	}
	return loopnest.Run(arch, w, loopnest.Options{Objective: hardware.Objective(c.Objective), Seed: a.Seed, Cache: c.cache()})
}

// cache is the folder of mappings that were found before, "" for none.
func (c *simulateCmd) cache() string {
	dir, err := os.UserCacheDir()
	if c.NoCache || err != nil {
		return ""
	}
	return filepath.Join(dir, "drawknife", "mappings")
}

func (c *simulateCmd) writeFiles(reports []*hardware.Report) error {
	if c.HTML != "" {
		if err := atomicfile.Write(c.HTML, func(w io.Writer) error { return page.HTML(w, reports) }); err != nil {
			return err
		}
	}
	if c.CSV == "" {
		return nil
	}
	return atomicfile.Write(c.CSV, func(w io.Writer) error { return hardware.WriteCSV(w, reports) })
}

func (c *simulateCmd) list(a *app) error {
	list := hardware.Accelerators()
	var archs []*loopnest.Arch
	for _, name := range loopnest.Library() {
		arch, err := loopnest.Load(name)
		if err != nil {
			return err
		}
		archs = append(archs, arch)
	}
	return a.emit(map[string]any{"machines": list, "architectures": archs}, func(w io.Writer) error {
		rows := [][]string{{"name ", "kind ", "year", "figures", "what and where "},
			{hostName, string(hardware.Temporal), "-", "-", "This machine: drawknife's own kernels, predicted from a calibration (see --calibrate)."}}
		for _, m := range list {
			rows = append(rows, []string{m.Name, string(m.Kind), fmt.Sprint(m.Year), fmt.Sprint(len(m.Figures)), m.Summary + " (" + m.Paper + ")"})
		}
		for _, arch := range archs {
			rows = append(rows, []string{arch.Name, "loop nest", "-", "-", arch.Doc})
		}
		return table(w, rows)
	})
}

func (c *simulateCmd) devices(a *app) error {
	list := accel.Devices()
	return a.emit(map[string]any{"devices": list}, func(w io.Writer) error {
		rows := [][]string{{"device ", "title ", "fp32", "fp16", "int8", "int4", "binary", "DRAM GB/s", "on chip MiB", "W", "evidence "}}
		for _, d := range list {
			row := []string{d.Name, d.Title}
			for _, v := range []float64{d.FP32, d.FP16, d.Int8, d.Int4, d.Binary, d.DRAM, d.OnChip, d.Power} {
				row = append(row, optional(v > 0, fmt.Sprintf("%.4g", v)))
			}
			rows = append(rows, append(row, string(d.Evidence)))
		}
		if err := table(w, rows); err != nil {
			return err
		}
		_, err := fmt.Fprintln(w, "\nPeaks are in TOPS, two operations a multiply-accumulate; - is not supported or not known. Each is a machine for --arch.")
		return err
	})
}

func (c *simulateCmd) explain(a *app) error {
	m := hardware.Find(c.Explain)
	if text, ok := loopnest.Source(c.Explain); ok && m == nil {
		return a.emit(map[string]string{"name": c.Explain, "yaml": string(text)}, func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		})
	}
	if c.Explain == hostName {
		return a.emit(map[string]string{"name": hostName, "model": host.Explanation}, func(w io.Writer) error {
			_, err := io.WriteString(w, host.Explanation)
			return err
		})
	}
	if m == nil {
		return usagef("--explain %s: no such machine; see drawknife simulate --list", c.Explain)
	}
	text, err := m.Explain()
	if err != nil {
		return err
	}
	return a.emit(m, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func (c *simulateCmd) figures(a *app) error {
	rows, err := hardware.Compare(hardware.Accelerators())
	if err != nil {
		return err
	}
	return a.emit(map[string]any{"figures": rows}, func(w io.Writer) error {
		if err := hardware.WriteMarkdown(w, rows); err != nil {
			return err
		}
		_, err := io.WriteString(w, loopnest.Measured+host.Measured)
		return err
	})
}

// printReport prints one machine's layers and totals.
func printReport(w io.Writer, r *hardware.Report) error {
	energy := r.Energy > 0
	rows := [][]string{{"layer ", "operator ", "MACs", "cycles", "utilization", "DRAM", "energy", "bound "}}
	for _, c := range r.Layers {
		rows = append(rows, []string{c.Layer, c.Op, count(c.MACs), count(int64(c.Cycles)), fmt.Sprintf("%.1f%%", 100*c.Utilization),
			optional(c.DRAMBytes > 0, size(int64(c.DRAMBytes))), optional(energy, joules(c.Energy)), c.Bound})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := printLevels(w, r); err != nil {
		return err
	}
	kv := []string{"machine", r.Machine, "network", fmt.Sprintf("%s, batch %d", r.Network, r.Batch),
		"cycles", fmt.Sprintf("%s at %g MHz", count(int64(r.Cycles)), r.ClockMHz),
		"time", fmt.Sprintf("%.4g ms, %.4g images/s", 1e3*r.Seconds, r.FramesPerSecond),
		"throughput", fmt.Sprintf("%.4g TOPS, %.1f%% of the peak", r.TOPS, 100*r.Utilization), "bound", r.Bound}
	if r.DRAMBytes > 0 {
		kv = append(kv, "DRAM", size(int64(r.DRAMBytes)))
	}
	if energy {
		kv = append(kv, "energy", fmt.Sprintf("%s, %.4g W, %.4g TOPS/W", joules(r.Energy), r.PowerW, r.TOPSPerW))
	}
	if r.AreaMM2 > 0 {
		kv = append(kv, "area", fmt.Sprintf("%.4g mm²", r.AreaMM2))
	}
	for _, n := range r.Notes {
		kv = append(kv, "note", n)
	}
	return pairs(w, kv...)
}

// printLevels prints what the whole network does to each level.
func printLevels(w io.Writer, r *hardware.Report) error {
	if len(r.Levels) == 0 {
		return nil
	}
	rows := [][]string{{"level ", "reads", "writes", "bytes", "energy", "of weights", "of inputs", "of outputs"}}
	for i := range r.Levels {
		l := &r.Levels[i]
		var reads, writes float64
		for _, t := range l.Traffic {
			reads, writes = reads+t.Reads, writes+t.Writes
		}
		row := []string{l.Name, count(int64(reads)), count(int64(writes)), size(int64(l.Bytes)), optional(l.EnergyPJ() > 0, joules(l.EnergyPJ()))}
		for _, pj := range l.Energy {
			row = append(row, optional(pj > 0, joules(pj)))
		}
		rows = append(rows, row)
	}
	for _, part := range []struct {
		name string
		pj   float64
	}{{"arithmetic", r.MACEnergy}, {"network", r.NetworkEnergy}, {"static", r.StaticEnergy}} {
		if part.pj > 0 {
			rows = append(rows, []string{part.name, "-", "-", "-", joules(part.pj), "-", "-", "-"})
		}
	}
	if err := table(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// printMappings prints the loops of each layer.
func printMappings(w io.Writer, r *hardware.Report) error {
	for _, c := range r.Layers {
		if c.Mapping == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s (%s)\n%s", c.Layer, c.Shape, c.Mapping); err != nil {
			return err
		}
	}
	return nil
}

func compareReports(w io.Writer, list []*hardware.Report) error {
	rows := [][]string{{"machine ", "images/s", "ms", "TOPS", "utilization", "DRAM", "energy", "TOPS/W", "bound "}}
	for _, r := range list {
		rows = append(rows, []string{r.Machine, fmt.Sprintf("%.4g", r.FramesPerSecond), fmt.Sprintf("%.4g", 1e3*r.Seconds), fmt.Sprintf("%.4g", r.TOPS),
			fmt.Sprintf("%.1f%%", 100*r.Utilization), optional(r.DRAMBytes > 0, size(int64(r.DRAMBytes))),
			optional(r.Energy > 0, joules(r.Energy)), optional(r.Energy > 0, fmt.Sprintf("%.4g", r.TOPSPerW)), r.Bound})
	}
	return table(w, rows)
}

func optional(known bool, s string) string {
	if !known {
		return "-"
	}
	return s
}

// joules prints an energy given in pJ.
func joules(pj float64) string {
	for _, u := range []struct {
		scale float64
		name  string
	}{{1e12, "J"}, {1e9, "mJ"}, {1e6, "µJ"}, {1e3, "nJ"}} {
		if pj >= u.scale {
			return fmt.Sprintf("%.3g %s", pj/u.scale, u.name)
		}
	}
	return fmt.Sprintf("%.3g pJ", pj)
}
