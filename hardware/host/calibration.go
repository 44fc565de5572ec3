package host

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/drawknife/drawknife/internal/atomicfile"
	"github.com/drawknife/drawknife/internal/cpu"
)

// Machine is what a calibration holds for.
type Machine struct {
	CPU     string `json:"cpu"`     // as the system names it
	Kernels string `json:"kernels"` // the instruction set in use
	Threads int    `json:"threads"`
}

// This describes the machine that the program runs on.
func This(threads int) Machine {
	return Machine{CPU: cpuName(), Kernels: cpu.Best().String(), Threads: threads}
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %s kernels, threads: %d", m.CPU, m.Kernels, m.Threads)
}

// cpuName is the processor's name where Linux tells it, else the architecture.
func cpuName() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// Calibration is what was measured on one machine.
type Calibration struct {
	Machine  Machine   `json:"machine"`
	Networks []Network `json:"networks"`
	// Checks are those networks, each predicted from the others.
	Checks []Check `json:"checks"`
}

// NewCalibration checks what measurements are worth.
func NewCalibration(m Machine, networks []Network) *Calibration {
	return &Calibration{Machine: m, Networks: networks, Checks: Validate(networks)}
}

// DefaultPath is where the calibration of a machine is kept: in the user's
// cache folder.
func DefaultPath(m Machine) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("host: no place to keep the calibration: %w; name a file", err)
	}
	return filepath.Join(dir, "drawknife", fmt.Sprintf("host-%s-%d.json", m.Kernels, m.Threads)), nil
}

// Write stores a calibration.
func (c *Calibration) Write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(path, func(w io.Writer) error { return json.NewEncoder(w).Encode(c) })
}

// maxFile bounds a calibration.
const maxFile = 64 << 20

// Read loads a calibration. It is an error if it was made on another machine.
func Read(path string, m Machine) (*Calibration, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	c, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if c.Machine != m {
		return nil, fmt.Errorf("%s was made for %v, this is %v: calibrate again", path, c.Machine, m)
	}
	return c, nil
}

// Parse reads a calibration and checks that its numbers can be.
func Parse(b []byte) (*Calibration, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("a calibration has at most %d bytes", maxFile)
	}
	c := new(Calibration)
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("not a calibration: %w", err)
	}
	if len(c.Networks) == 0 {
		return nil, fmt.Errorf("not a calibration: it has no networks")
	}
	for i := range c.Networks {
		n := &c.Networks[i]
		if !(n.Seconds > 0) {
			return nil, fmt.Errorf("network %q has no time", n.Name)
		}
		for j := range n.Steps {
			if err := n.Steps[j].check(); err != nil {
				return nil, fmt.Errorf("network %q, step %d: %w", n.Name, j, err)
			}
		}
	}
	return c, nil
}

// maxCount bounds the sizes in a file, so that products of them stay finite.
const maxCount = 1 << 40

func (s *Step) check() error {
	counts := []int64{s.MACs, s.Bytes, s.Weights, s.Resident}
	sizes := []int64{s.Channels, s.Rows, s.Columns, s.Window, s.Taps, s.Stride, s.Groups}
	if slices.Min(counts) < 0 || slices.Min(sizes) < 1 || slices.Max(counts) > maxCount || slices.Max(sizes) > maxCount {
		return fmt.Errorf("sizes are out of range")
	}
	if !(s.Seconds >= 0 && s.Seconds < 1e6) {
		return fmt.Errorf("%v seconds are out of range", s.Seconds)
	}
	return nil
}
