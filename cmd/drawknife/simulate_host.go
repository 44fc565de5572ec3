package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/drawknife/drawknife/graph"
	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/hardware/host"
	"github.com/drawknife/drawknife/quantize"
)

// hostName is what --arch calls the machine that the program runs on.
const hostName = "host"

type calibrateFlags struct {
	Calibrate    bool          `help:"Measure this machine for --arch host: time every kernel of many networks, in float32 and in 8 bits, and say how well each network is predicted from the others. Takes under two minutes."`
	Calibration  string        `help:"The calibration of this machine: written by --calibrate, read by --arch host; in the user's cache folder if not given." placeholder:"FILE"`
	CalibrateOn  []string      `help:"With --calibrate: networks to time (files or zoo:NAME) instead of the usual ones." placeholder:"MODEL"`
	CalibrateFor time.Duration `help:"With --calibrate: how long to measure." default:"75s" placeholder:"TIME"`
}

// calibrated are the networks of a calibration by family: those that have
// layers in common are predicted without each other. Random networks come on
// top.
var calibrated = map[string][]string{
	"alexnet":      {"alexnet?width=0.5"},
	"densenet":     {"densenet121"},
	"dscnn":        {"dscnn"},
	"efficientnet": {"efficientnet-b0"},
	"lenet":        {"lenet5"},
	"mnasnet":      {"mnasnet1.0"},
	"mobilenetv1":  {"mobilenetv1", "vww"},
	"mobilenetv2":  {"mobilenetv2"},
	"mobilenetv3":  {"mobilenetv3-small"},
	"resnet":       {"resnet18", "resnet50?width=0.5", "resnet20", "resnet8-mlperf"},
	"shufflenet":   {"shufflenetv1", "shufflenetv2"},
	"squeezenet":   {"squeezenet1.1"},
	"vgg":          {"vgg16-cifar"},
}

// randomNetworks is how many networks drawn at random are timed besides.
const randomNetworks = 88

// calibrate measures and stores.
func (c *simulateCmd) calibrate(a *app) error {
	if c.CalibrateFor <= 0 || c.CalibrateFor > time.Hour {
		return usagef("--calibrate-for %v must be above 0 and at most an hour", c.CalibrateFor)
	}
	m := host.This(a.Threads)
	path, err := c.calibrationPath(m)
	if err != nil {
		return err
	}
	begin := time.Now()
	subjects, err := c.subjects(a)
	if err != nil {
		return err
	}
	step, end := a.progress("calibrate", 1000)
	defer end()
	networks, err := host.Measure(a, subjects, a.Threads, c.CalibrateFor, step)
	if err != nil {
		return err
	}
	end()
	cal := host.NewCalibration(m, networks)
	if err := cal.Write(path); err != nil {
		return err
	}
	known := host.Summarize(slices.DeleteFunc(slices.Clone(cal.Checks), func(x host.Check) bool { return strings.HasPrefix(x.Name, "random-") }))
	all := host.Summarize(cal.Checks)
	result := map[string]any{"machine": m, "file": path, "seconds": time.Since(begin).Seconds(), "checks": cal.Checks, "classic": known, "all": all}
	return a.emit(result, func(w io.Writer) error { return printCalibration(w, cal, path, known, all, time.Since(begin)) })
}

func printCalibration(w io.Writer, cal *host.Calibration, path string, known, all host.Summary, took time.Duration) error {
	rows := [][]string{{"network ", "type ", "predicted ms", "measured ms", "error"}}
	for _, x := range cal.Checks {
		if strings.HasPrefix(x.Name, "random-") && known.Networks > 0 {
			continue
		}
		rows = append(rows, []string{x.Name, x.Type, f3(1e3 * x.Predicted), f3(1e3 * x.Measured), fmt.Sprintf("%+.1f%%", 100*x.Error)})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	line := func(s host.Summary) string {
		return fmt.Sprintf("%d of %d within 10%%; error %.1f%% on average, %.1f%% median, %.1f%% at worst", s.Within10, s.Networks, 100*s.Mean, 100*s.Median, 100*s.Worst)
	}
	fmt.Fprintln(w, "\nEach network was predicted from all others but those of its family.")
	kv := []string{"machine", cal.Machine.String(), "file", path, "took", took.Round(time.Second).String()}
	if known.Networks > 0 {
		kv = append(kv, "networks", line(known))
	}
	if all.Networks > known.Networks {
		kv = append(kv, "with random ones", line(all))
	}
	return pairs(w, kv...)
}

func (c *simulateCmd) calibrationPath(m host.Machine) (string, error) {
	if c.Calibration != "" {
		return c.Calibration, nil
	}
	return host.DefaultPath(m)
}

// subjects builds the networks to be timed.
func (c *simulateCmd) subjects(a *app) ([]host.Subject, error) {
	var list []host.Subject
	add := func(name, family string, g *graph.Graph, asymmetric bool) error {
		q, err := quantizeRandomly(a, g, asymmetric)
		switch {
		case errors.Is(err, quantize.ErrQuantized):
			list = append(list, host.Subject{Name: name, Family: family, Type: "int8", Graph: g})
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, host.Subject{Name: name, Family: family, Type: "float32", Graph: g}, host.Subject{Name: name, Family: family, Type: "int8", Graph: q})
		return nil
	}
	load := func(spec, family string) error {
		g, err := a.load(spec)
		if err != nil {
			return err
		}
		return add(strings.TrimPrefix(spec, "zoo:"), family, g, false)
	}
	for _, spec := range c.CalibrateOn {
		if err := load(spec, spec); err != nil {
			return nil, err
		}
	}
	if len(c.CalibrateOn) > 0 {
		return list, nil
	}
	for _, family := range slices.Sorted(maps.Keys(calibrated)) {
		for _, name := range calibrated[family] {
			if err := load("zoo:"+name, family); err != nil {
				return nil, err
			}
		}
	}
	for seed := range uint64(randomNetworks) {
		g := host.Random(seed)
		if err := g.InferShapes(); err != nil {
			return nil, err
		}
		// Weights of some have zero points, as in files that were trained quantized.
		if err := add(g.Name, g.Name, g, seed%6 == 2); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// host predicts the model on this machine.
func (c *simulateCmd) host(a *app, w *hardware.Workload) (*hardware.Report, error) {
	if c.graph == nil {
		return nil, usagef("--arch host needs a model whose kernels can be chosen: a file or zoo:NAME")
	}
	m := host.This(a.Threads)
	path, err := c.calibrationPath(m)
	if err != nil {
		return nil, err
	}
	cal, err := host.Read(path, m)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("this machine is not calibrated for --threads %d (%w): run drawknife simulate --calibrate", a.Threads, err)
	}
	if err != nil {
		return nil, err
	}
	r, err := cal.Report(c.graph, c.Batch)
	if err != nil || len(c.Layer) == 0 {
		return r, err
	}
	r.Layers = slices.DeleteFunc(r.Layers, func(x hardware.Cost) bool { return w.Layer(x.Layer) == nil })
	r.Bound = ""
	return r.Sum(), nil
}
