package loopnest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// simulation runs a mapping literally: it goes through every iteration of
// every loop, keeps what each instance of each memory holds as a set of
// coordinates, and counts the elements that move. It shares nothing with the
// formulas but the rules of the package's documentation.
type simulation struct {
	layer  *hardware.Layer
	m      *machine
	loops  []simLoop
	access [maxLevels][hardware.NumOperands]Access
	steps  float64
}

type simLoop struct {
	level int
	space bool
	dim   hardware.Dim
	trips int
	tile  int // of dim inside this loop
}

func newSimulation(m *machine, layer *hardware.Layer, mapping *Mapping) *simulation {
	s := &simulation{layer: layer, m: m}
	for l, p := range mapping.Levels {
		for _, t := range p.Time {
			s.loops = append(s.loops, simLoop{level: l, dim: t.Dim, trips: t.Bound})
		}
		for _, t := range p.Space {
			s.loops = append(s.loops, simLoop{level: l, space: true, dim: t.Dim, trips: t.Bound})
		}
	}
	var size [numDims]int
	for d := range size {
		size[d] = 1
	}
	for i := len(s.loops) - 1; i >= 0; i-- {
		l := &s.loops[i]
		l.tile = size[l.dim]
		full := min(size[l.dim]*l.trips, layer.Size[l.dim])
		l.trips = (full + l.tile - 1) / l.tile
		size[l.dim] = full
	}
	return s
}

// box is the range of each loop that an instance works on.
type box struct{ from, size [numDims]int }

// box applies the loops of levels below limit at the indices given; ok is
// false if nothing is left.
func (s *simulation) box(index []int, limit int) (b box, ok bool) {
	b.size = s.layer.Size
	for i, l := range s.loops {
		if l.level >= limit {
			break
		}
		start := index[i] * l.tile
		left := b.size[l.dim] - start
		if left <= 0 {
			return b, false
		}
		b.from[l.dim] += start
		b.size[l.dim] = min(left, l.tile)
	}
	return b, true
}

type element [5]int

// elements lists the coordinates of an operand in a box.
func (s *simulation) elements(o hardware.Operand, b box) map[element]bool {
	out := map[element]bool{}
	span := func(a, r hardware.Dim, axis int) (int, int) {
		from := b.from[a]*s.layer.Stride[axis] + b.from[r]*s.layer.Dilation[axis]
		return from, (b.size[a]-1)*s.layer.Stride[axis] + (b.size[r]-1)*s.layer.Dilation[axis] + 1
	}
	var from, size [5]int
	set := func(i, f, n int) { from[i], size[i] = f, n }
	set(0, b.from[hardware.G], b.size[hardware.G])
	dims := [...]hardware.Dim{hardware.K, hardware.C, hardware.R, hardware.S}
	switch o {
	case hardware.Outputs:
		dims = [...]hardware.Dim{hardware.N, hardware.K, hardware.P, hardware.Q}
	case hardware.Inputs:
		dims = [...]hardware.Dim{hardware.N, hardware.C, hardware.P, hardware.Q}
	}
	for i, d := range dims {
		set(i+1, b.from[d], b.size[d])
	}
	if o == hardware.Inputs {
		f, n := span(hardware.P, hardware.R, 0)
		set(3, f, n)
		f, n = span(hardware.Q, hardware.S, 1)
		set(4, f, n)
	}
	var e element
	var walk func(i int)
	walk = func(i int) {
		if i == len(e) {
			out[e] = true
			return
		}
		for e[i] = from[i]; e[i] < from[i]+size[i]; e[i]++ {
			walk(i + 1)
		}
	}
	walk(0)
	return out
}

// key names an instance by its indices along loops in space.
func (s *simulation) key(index []int, keep func(simLoop) bool) string {
	k := ""
	for i, l := range s.loops {
		if l.space && keep(l) {
			k += fmt.Sprint(index[i], ",")
		}
	}
	return k
}

// run simulates everything.
func (s *simulation) run() {
	s.time(func(index []int) {
		busy := false
		s.inSpace(index, len(s.m.stores), func() {
			if _, ok := s.box(index, len(s.m.stores)); ok {
				busy = true
			}
		})
		if busy {
			s.steps++
		}
	})
	for o := range hardware.Operand(hardware.NumOperands) {
		for i, parent := range s.m.holders[o] {
			child := len(s.m.stores)
			if i+1 < len(s.m.holders[o]) {
				child = s.m.holders[o][i+1]
			}
			s.between(o, parent, child)
		}
	}
}

// time calls f for every combination of indices in time, in order.
func (s *simulation) time(f func(index []int)) {
	index := make([]int, len(s.loops))
	var walk func(i int)
	walk = func(i int) {
		switch {
		case i == len(s.loops):
			f(index)
		case s.loops[i].space:
			walk(i + 1)
		default:
			for index[i] = 0; index[i] < s.loops[i].trips; index[i]++ {
				walk(i + 1)
			}
			index[i] = 0
		}
	}
	walk(0)
}

// inSpace calls f for every instance of level limit.
func (s *simulation) inSpace(index []int, limit int, f func()) {
	var walk func(i int)
	walk = func(i int) {
		switch {
		case i == len(s.loops) || s.loops[i].level >= limit:
			f()
		case !s.loops[i].space:
			walk(i + 1)
		default:
			for index[i] = 0; index[i] < s.loops[i].trips; index[i]++ {
				walk(i + 1)
			}
			index[i] = 0
		}
	}
	walk(0)
}

// between simulates the traffic of one operand between two levels.
func (s *simulation) between(o hardware.Operand, parent, child int) {
	last := -1 // the innermost loop in time that the operand depends on
	for i, l := range s.loops {
		if l.level < child && !l.space && l.trips > 1 && o.Relevant(l.dim) {
			last = i
		}
	}
	if child == len(s.m.stores) {
		last = len(s.loops) - 1
	}
	t := &transfer{simulation: s, o: o, parent: parent, child: child, last: last,
		held: map[string]map[element]bool{}, union: map[string]map[element]bool{}, seen: map[string]bool{}, known: map[string]bool{}}
	previous := []int(nil)
	s.time(func(index []int) {
		outer := s.firstChange(previous, index)
		if previous == nil || outer >= 0 && outer <= last {
			t.load(index, previous != nil && outer == last)
		}
		previous = slices.Clone(index)
	})
	t.book()
}

func (s *simulation) firstChange(a, b []int) int {
	for i := range a {
		if !s.loops[i].space && a[i] != b[i] {
			return i
		}
	}
	return -1
}

// transfer is what is known between two levels.
type transfer struct {
	*simulation
	o                     hardware.Operand
	parent, child, last   int
	held                  map[string]map[element]bool // by instance of the child
	union                 map[string]map[element]bool // by instance of the parent
	seen, known           map[string]bool             // outputs that parent and child instances had
	sent, received        float64
	reads, fills, windows float64
}

// load brings new tiles to all instances of the child.
func (t *transfer) load(index []int, slides bool) {
	slides = slides && t.o == hardware.Inputs && t.last >= 0 && t.loops[t.last].dim >= hardware.P && t.child < len(t.m.stores)
	served := map[string]bool{}
	union := map[string]map[element]bool{}
	shared := t.child
	if multicasts(t.m, t.o, t.parent, t.child) {
		shared = t.parent
	}
	t.inSpace(index, t.child, func() {
		me := t.key(index, func(l simLoop) bool { return l.level < t.child })
		b, ok := t.box(index, t.child)
		if !ok {
			delete(t.held, me)
			return
		}
		tile := t.elements(t.o, b)
		above := t.key(index, func(l simLoop) bool { return l.level < t.parent })
		group := t.key(index, func(l simLoop) bool { return l.level < shared || l.level < t.child && t.o.Relevant(l.dim) })
		if union[above] == nil {
			union[above] = map[element]bool{}
		}
		first := !served[group]
		served[group] = true
		for e := range tile {
			union[above][e] = true
			if slides && t.held[me][e] {
				continue
			}
			t.received++
			if first {
				t.sent++
			}
			t.first(fmt.Sprint(me, e), fmt.Sprint(above, e), first)
		}
		t.held[me] = tile
	})
	for above, tile := range union {
		for e := range tile {
			if !slides || !t.union[above][e] {
				t.windows++
			}
		}
	}
	t.union = union
}

// first books which outputs are met for the first time by the instances.
func (t *transfer) first(child, parent string, sends bool) {
	if t.known[child] {
		t.fills++
	}
	t.known[child] = true
	if sends {
		if t.seen[parent] {
			t.reads++
		}
		t.seen[parent] = true
	}
}

func multicasts(m *machine, o hardware.Operand, parent, child int) bool {
	for l := parent; l < child; l++ {
		if !m.stores[l].multicast[o] {
			return false
		}
	}
	return true
}

func (t *transfer) book() {
	up := &t.access[t.parent][t.o]
	if t.o != hardware.Outputs {
		up.Reads = t.sent
		if t.m.stores[t.parent].windows && t.o == hardware.Inputs && multicasts(t.m, t.o, t.parent, t.child) {
			up.Reads = t.windows
		}
		if t.child < len(t.m.stores) {
			t.access[t.child][t.o].Fills = t.received
		}
		return
	}
	up.Updates, up.Reads = t.sent, t.reads
	if t.child < len(t.m.stores) {
		t.access[t.child][t.o].Drains = t.received
		t.access[t.child][t.o].Fills = t.fills
	}
}

// randomCase draws a small layer, a machine and a mapping of it.
func randomCase(rng *rand.Rand, windows bool) (*Arch, *hardware.Layer, *Mapping) {
	l := &hardware.Layer{Name: "random", Op: "Conv", Height: 50, Width: 50,
		Stride: [2]int{1 + rng.IntN(3), 1 + rng.IntN(2)}, Dilation: [2]int{1 + rng.IntN(2), 1 + rng.IntN(3)}}
	if windows && rng.IntN(2) == 0 {
		l.Stride, l.Dilation = [2]int{1, 1}, [2]int{1, 1}
	}
	for d := range l.Size {
		l.Size[d] = 1
	}
	for range 4 + rng.IntN(2) {
		l.Size[rng.IntN(numDims)] = 1 + rng.IntN(5)
	}
	a := &Arch{Name: "random", ClockMHz: 100,
		Array: Array{Axes: []Axis{{Name: "X", Size: 4}, {Name: "Y", Size: 6}}, Bits: Precision{8, 8, 24}}}
	names := []string{"DRAM", "buffer", "local", "registers"}[:2+rng.IntN(3)]
	for i, n := range names {
		lv := Level{Name: n, Bytes: 1 << 30}
		if i == 0 {
			lv.Bytes = 0
		} else {
			lv.Holds = []string{"WIO", "IO", "W", "O", "WI"}[rng.IntN(5)]
			lv.Bypass = lv.Holds[:rng.IntN(min(len(lv.Holds), 2)+1)]
		}
		lv.Network.Unicast = []string{"", "", "W", "IO"}[rng.IntN(4)]
		lv.Network.SharedWindows = windows
		a.Levels = append(a.Levels, lv)
	}
	owner := [2]int{rng.IntN(len(names)), rng.IntN(len(names))}
	for i, x := range a.Array.Axes {
		a.Levels[owner[i]].FanOut = append(a.Levels[owner[i]].FanOut, x.Name)
	}
	m := &Mapping{Levels: make([]Place, len(names))}
	room := [2]int{4, 6}
	for d := range hardware.Dim(numDims) {
		for left := l.Size[d]; left > 1; {
			bound := 1 + rng.IntN(left)
			level := rng.IntN(len(names))
			axis := rng.IntN(2)
			if rng.IntN(2) == 0 && bound > 1 && room[axis]/bound >= 1 {
				room[axis] /= bound
				m.Levels[owner[axis]].Space = append(m.Levels[owner[axis]].Space, Spread{Loop{d, bound}, axis})
			} else if p := &m.Levels[level]; !slices.ContainsFunc(p.Time, func(x Loop) bool { return x.Dim == d }) {
				p.Time = append(p.Time, Loop{d, bound})
			} else {
				p.Time[slices.IndexFunc(p.Time, func(x Loop) bool { return x.Dim == d })].Bound *= left
				break
			}
			left = (left + bound - 1) / bound
		}
	}
	for i := range m.Levels {
		if rng.IntN(2) == 0 {
			m.Levels[i].Bypass = a.Levels[i].Bypass
		}
		rng.Shuffle(len(m.Levels[i].Time), func(a, b int) {
			t := m.Levels[i].Time
			t[a], t[b] = t[b], t[a]
		})
	}
	return a, l, m
}

// TestAgainstSimulation compares the formulas with the literal simulation on
// random layers, machines and mappings, most of them with ragged edges.
func TestAgainstSimulation(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 400 {
		windows := i%4 == 0
		a, l, mapping := randomCase(rng, windows)
		e, err := NewEvaluator(a, l)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Evaluate(mapping)
		if err != nil {
			t.Fatalf("case %d: %v\n%s on %s", i, err, mapping.Format(a), l.Shape())
		}
		sim := newSimulation(e.m, l, mapping)
		sim.run()
		describe := func() string {
			text := fmt.Sprintf("case %d: %s stride %v dilation %v, mapping %s;", i, l.Shape(), l.Stride, l.Dilation, mapping.Format(a))
			for _, x := range a.Levels {
				text += fmt.Sprintf(" %s holds %s, perhaps not %s, unicast %s;", x.Name, x.Holds, x.Bypass, x.Network.Unicast)
			}
			return text
		}
		if got.Compute != sim.steps {
			t.Fatalf("%s: %v steps, simulated %v", describe(), got.Compute, sim.steps)
		}
		for lv := range e.m.stores {
			for o := range hardware.Operand(hardware.NumOperands) {
				g, w := got.Access[lv][o], sim.access[lv][o]
				if windows && o == hardware.Inputs {
					// Windows with gaps are read whole, and sharing across
					// loops in time is not credited.
					plain := l.Stride == [2]int{1, 1} && l.Dilation == [2]int{1, 1} && len(a.Levels) == 2 && mapping.Levels[1].Bypass == ""
					if g.Fills != w.Fills || plain && g.Reads != w.Reads || g.Reads < w.Reads {
						t.Fatalf("%s: %s %v: %+v, simulated %+v", describe(), a.Levels[lv].Name, o, g, w)
					}
					continue
				}
				if g != w {
					t.Fatalf("%s: %s %v: %+v, simulated %+v", describe(), a.Levels[lv].Name, o, g, w)
				}
			}
		}
	}
}
