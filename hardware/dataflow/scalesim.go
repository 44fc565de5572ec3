package dataflow

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/drawknife/drawknife/hardware"
)

// Bounds of SCALE-Sim files.
const (
	maxTopology = 1 << 20
	maxConfig   = 1 << 16
	maxExtent   = 1 << 20
	maxProduct  = 1 << 30 // of a side of a matrix
)

// ReadTopology reads a SCALE-Sim topology: a head line, then for each layer a
// name, the height and width of the input with its padding, those of the
// filter, channels, filters and the stride, separated by commas. If the head
// line names M, N and K, the layers are products of an M×K and a K×N matrix.
func ReadTopology(r io.Reader, name string) (*hardware.Workload, error) {
	c := csv.NewReader(io.LimitReader(r, maxTopology))
	c.FieldsPerRecord, c.TrimLeadingSpace = -1, true
	w := &hardware.Workload{Name: name, Batch: 1}
	read := topologyLayer
	for first := true; ; first = false {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad := (*csv.ParseError)(nil); errors.As(err, &bad) {
			return nil, fmt.Errorf("%s:%d: %w", name, bad.Line, bad.Err)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if first && len(row) >= 4 && strings.TrimSpace(row[1]) == "M" && strings.TrimSpace(row[2]) == "N" && strings.TrimSpace(row[3]) == "K" {
			read = topologyProduct
		}
		if first || strings.TrimSpace(strings.Join(row, "")) == "" {
			continue
		}
		line, _ := c.FieldPos(0)
		l, err := read(row)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		w.Layers = append(w.Layers, l)
	}
	if len(w.Layers) == 0 {
		return nil, fmt.Errorf("%s:1: there are no layers after the head line", name)
	}
	return w, nil
}

func topologyLayer(row []string) (*hardware.Layer, error) {
	n, err := numbers(row, maxExtent, "input height", "input width", "filter height", "filter width", "channels", "filters", "stride")
	if err != nil {
		return nil, err
	}
	height, width, r, s, channels, filters, stride := n[0], n[1], n[2], n[3], n[4], n[5], n[6]
	if r > height || s > width {
		return nil, fmt.Errorf("a filter of %d×%d is larger than the input of %d×%d", r, s, height, width)
	}
	l := hardware.Conv(strings.TrimSpace(row[0]), 1, 1, filters, channels, height, r, stride, 0)
	l.Size[hardware.Q], l.Size[hardware.S], l.Width = (width-s)/stride+1, s, width
	return l, l.Check()
}

// topologyProduct is a product of matrices, the rows of the first one as images.
func topologyProduct(row []string) (*hardware.Layer, error) {
	n, err := numbers(row, maxProduct, "M", "N", "K")
	if err != nil {
		return nil, err
	}
	l := hardware.FC(strings.TrimSpace(row[0]), n[0], n[1], n[2])
	return l, l.Check()
}

// numbers reads the columns behind a layer's name.
func numbers(row []string, most int, columns ...string) ([]int, error) {
	if len(row) <= len(columns) {
		return nil, fmt.Errorf("%d columns; want name, %s", len(row), strings.Join(columns, ", "))
	}
	n := make([]int, len(columns))
	for i := range columns {
		v, err := strconv.Atoi(strings.TrimSpace(row[i+1]))
		if err != nil || v < 1 || v > most {
			return nil, fmt.Errorf("column %d: %q is no number from 1 to %d", i+2, row[i+1], most)
		}
		n[i] = v
	}
	return n, nil
}

// ReadConfig reads the array, the dataflow and the bandwidth from a SCALE-Sim
// configuration. The bandwidth does not limit where the interface's is to be
// calculated (CALC). Other settings are passed over.
func ReadConfig(r io.Reader, name string) (Systolic, error) {
	s := Systolic{Flow: OutputStationary, Convention: true}
	calculated := false
	in := bufio.NewScanner(io.LimitReader(r, maxConfig))
	for line := 1; in.Scan(); line++ {
		key, value, ok := strings.Cut(in.Text(), "=")
		if !ok {
			key, value, _ = strings.Cut(in.Text(), ":")
		}
		if strings.EqualFold(strings.TrimSpace(key), "InterfaceBandwidth") {
			calculated = strings.EqualFold(strings.TrimSpace(value), "CALC")
		}
		if err := s.set(strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)); err != nil {
			return s, fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
	if err := in.Err(); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	if calculated {
		s.Words = 0
	}
	if s.Rows == 0 || s.Cols == 0 {
		return s, fmt.Errorf("%s:1: ArrayHeight or ArrayWidth is missing", name)
	}
	return s, nil
}

func (s *Systolic) set(key, value string) (err error) {
	number := func(limit int) int {
		v, e := strconv.Atoi(strings.TrimSpace(strings.Split(value, ",")[0]))
		if e != nil || v < 1 || v > limit {
			err = fmt.Errorf("%s: %q is no number from 1 to %d", key, value, limit)
		}
		return v
	}
	switch key {
	case "arrayheight":
		s.Rows = number(1 << 16)
	case "arraywidth":
		s.Cols = number(1 << 16)
	case "bandwidth":
		s.Words = float64(number(1 << 30))
	case "dataflow":
		s.Flow = Flow(value)
		_, _, _, err = s.sides(Product{})
	}
	return err
}

// Report runs a workload fold by fold on the array, at a clock in MHz.
func (s Systolic) Report(name string, clock float64, w *hardware.Workload) (*hardware.Report, error) {
	m := hardware.Machine{Name: name, ClockMHz: clock, PeakMACs: float64(s.Rows) * float64(s.Cols)}
	return hardware.RunLayers(m, w, func(l *hardware.Layer) (hardware.Cost, error) {
		r, err := s.Simulate(l)
		if err != nil {
			return hardware.Cost{}, err
		}
		c := hardware.Cost{Cycles: r.Cycles, ComputeCycles: r.Cycles - r.Stalls, Active: r.Mapped}
		if r.Stalls > c.ComputeCycles {
			c.Bound = "memory"
		}
		buffer := hardware.LevelCost{Name: "buffer"}
		buffer.Traffic[hardware.Weights].Reads = float64(r.Weights)
		buffer.Traffic[hardware.Inputs].Reads = float64(r.Inputs)
		buffer.Traffic[hardware.Outputs].Writes = float64(r.Sums)
		c.Levels = []hardware.LevelCost{buffer}
		return c, nil
	})
}
