package loopnest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/drawknife/drawknife/hardware"
)

// Options guide a search.
type Options struct {
	// Objective is what is minimised; "" is latency. Ties are broken by energy
	// (by latency where energy is the objective).
	Objective hardware.Objective
	// Seed changes the random choices. The same seed gives the same mapping,
	// whatever Workers is.
	Seed uint64
	// Tilings bounds the tilings tried by each of the chains of a search that
	// is not exhaustive; 0 is 8000. Every tiling is tried in all orders of
	// its loops that differ.
	Tilings int
	// Exhaustive bounds the tilings of a layer that is searched exhaustively;
	// 0 is 20000, negative is never.
	Exhaustive int
	// Workers is how many chains run at a time; 0 is all processors.
	Workers int
	// Cache is a folder where outcomes are kept and looked up; "" is none.
	Cache string
}

// Found is a search's outcome.
type Found struct {
	Mapping *Mapping
	Result  Result
	// Mappings counts those compared: tilings times orders of their loops.
	// Orders that move the same words as another, or more, are not counted.
	Mappings int64
	// Exhaustive says that nothing better exists (among the tile sizes that
	// are considered: all up to 12, beyond that those that split a loop most
	// evenly).
	Exhaustive bool
	// Cached says that an earlier run found it.
	Cached bool
}

// chains is fixed, so that the outcome does not depend on the workers.
const chains = 8

// Search finds the mapping of a layer that costs least. Small spaces are
// enumerated, pruned by capacity; others are searched by simulated annealing
// from several starts that fill the array.
func Search(a *Arch, l *hardware.Layer, o Options) (*Found, error) {
	m, err := compile(a)
	if err != nil {
		return nil, err
	}
	return search(m, l, o)
}

func search(m *machine, l *hardware.Layer, o Options) (*Found, error) {
	if o.Tilings == 0 {
		o.Tilings = 8000
	}
	if o.Exhaustive == 0 {
		o.Exhaustive = 20000
	}
	s, err := newSearcher(m, l, o)
	if err != nil {
		return nil, err
	}
	file := ""
	if o.Cache != "" {
		file = o.cacheFile(m.arch, l)
	}
	if f := s.recall(file); f != nil {
		return f, nil
	}
	exhaustive := s.options(o.Exhaustive / len(m.variants))
	var best *chain
	var mappings int64
	if exhaustive {
		best = s.chain(0)
		for v := range m.variants {
			best.enumerate(0, &candidate{variant: v})
		}
		mappings = best.scorer.mappings
	} else {
		for _, c := range s.anneal() {
			mappings += c.scorer.mappings
			if c.found && (best == nil || c.bestScore.less(best.bestScore)) {
				best = c
			}
		}
	}
	if best == nil || !best.found {
		return nil, s.misfit()
	}
	f, err := best.result(mappings, exhaustive)
	if err == nil && file != "" {
		_ = f.keep(m.arch, file) // what cannot be kept is searched again
	}
	return f, err
}

// misfit is the error of a layer that no mapping fits on the machine. It begins
// with the file and the line of the level where it fails.
type misfit struct{ place, layer, reason string }

func (e *misfit) Error() string {
	return fmt.Sprintf("%s: layer %q does not fit: %s", e.place, e.layer, e.reason)
}

// misfit finds out why nothing fits from the smallest tiles, with all passing
// by that may.
func (s *searcher) misfit() error {
	variant := len(s.m.variants) - 1
	c, small := s.chain(0), candidate{variant: variant}
	c.tile(&small)
	full := c.evaluator[variant]
	level, reason := full.overflow(&c.t), ""
	if level >= 0 {
		reason = fmt.Sprintf("the smallest tiles are too large for level %q: %s", s.m.stores[level].name, full.describe(&c.t, level))
	} else {
		var d hardware.Dim
		if level, d = c.short(); level < 0 {
			_, d = c.outside()
			level = 0
		}
		if bound := s.m.stores[level].bounds[d]; bound > 0 {
			reason = fmt.Sprintf("the bound of loop %v at level %q, %d, is not what the inner levels leave of it", d, s.m.stores[level].name, bound)
		} else {
			reason = fmt.Sprintf("loop %v may not run at level %q, and no mapping was found that has room for all %d iterations inside", d, s.m.stores[0].name, s.full[d])
		}
	}
	place := cmp.Or(s.m.arch.file, s.m.arch.Name)
	if level < len(s.m.arch.places) {
		place = s.m.arch.places[level]
	}
	return &misfit{place, s.layer.Name, reason}
}

// slot is a place where a loop can run: in time at a level, or along an axis.
type slot struct {
	level int
	axis  int   // -1 in time
	loops uint8 // allowed
	limit int64 // of the product of bounds
	fixed sizes // bounds that are given; 0 where they are free
}

// candidate holds the bounds of the loops in each slot, 0 standing for 1, and
// which variant of the machine it is for: what passes by which level.
type candidate struct {
	bound   [maxLevels + maxAxes]sizes
	variant int
}

func (c *candidate) at(slot int, d hardware.Dim) int64 { return max(1, c.bound[slot][d]) }

// searcher is what all chains share.
type searcher struct {
	o      Options
	m      *machine
	layer  *hardware.Layer
	full   sizes
	slots  []slot
	loops  []hardware.Dim // with a size above 1
	values [numDims][]int64
	// tuples are, by loop of loops, the bounds by slot that differ.
	tuples [][][]int64
}

func newSearcher(m *machine, l *hardware.Layer, o Options) (*searcher, error) {
	e, err := newEvaluator(m, l)
	if err != nil {
		return nil, err
	}
	s := &searcher{o: o, m: m, layer: l, full: e.full}
	for i := range m.stores {
		if i > 0 { // what is left over runs at the outermost level
			sl := slot{level: i, axis: -1, loops: m.stores[i].time, limit: math.MaxInt64}
			for d, n := range m.stores[i].bounds {
				sl.fixed[d] = min(n, e.full[d])
			}
			s.slots = append(s.slots, sl)
		}
		for _, axis := range m.stores[i].axes {
			s.slots = append(s.slots, slot{level: i, axis: axis, loops: m.space[axis], limit: int64(m.arch.Array.Axes[axis].Size)})
		}
	}
	for d := range hardware.Dim(numDims) {
		if e.full[d] > 1 {
			s.loops = append(s.loops, d)
			s.values[d] = tileSizes(e.full[d])
		}
	}
	return s, nil
}

// tileSizes lists the bounds above 1 that are considered for a loop: all of a
// short one, else those that split it into equal pieces or nearly so.
func tileSizes(n int64) (list []int64) {
	for k := n; k >= 1; k-- {
		v := ceil(n, k)
		if n <= 12 {
			v = n - k + 1
		}
		if v > 1 && (len(list) == 0 || v > list[len(list)-1]) {
			list = append(list, v)
		}
		if n > 12 && v > 1 { // jump to the next k that gives another size
			k = min(k, (n-1)/v+1)
		}
	}
	return list
}

// chain is one walk through the space.
type chain struct {
	s         *searcher
	evaluator []*Evaluator // by variant
	scorer    scorer
	t         tiling
	rng       *rand.Rand
	found     bool
	best      candidate
	bestTile  tiling
	bestScore score
}

func (s *searcher) chain(index int) *chain {
	c := &chain{s: s, rng: rand.New(rand.NewPCG(s.o.Seed, uint64(index)))}
	for _, m := range s.m.variants {
		e, _ := newEvaluator(m, s.layer) // succeeded before
		c.evaluator = append(c.evaluator, e)
	}
	c.scorer = scorer{e: c.evaluator[0], objective: s.o.Objective}
	return c
}

// tile computes the tiling of a candidate and reports whether it can be.
func (c *chain) tile(x *candidate) bool {
	s, e := c.s, c.evaluator[x.variant]
	levels := len(s.m.stores)
	for l := range levels {
		c.t.trips[l], c.t.spread[l] = sizes{1, 1, 1, 1, 1, 1, 1, 1}, sizes{1, 1, 1, 1, 1, 1, 1, 1}
	}
	for i := range s.slots {
		sl := &s.slots[i]
		product := int64(1)
		for _, d := range s.loops {
			n := x.at(i, d)
			if sl.fixed[d] > 0 {
				n = sl.fixed[d]
			}
			if sl.axis < 0 {
				c.t.trips[sl.level][d] = n
			} else {
				product *= n
				c.t.spread[sl.level][d] *= n
			}
		}
		if product > sl.limit {
			return false
		}
	}
	c.t.trips[0] = e.full
	c.t.set(&e.full, levels)
	level, _ := c.short()
	return level < 0 && e.overflow(&c.t) < 0
}

// short finds a level and a loop whose bound is given there, but of which less
// is left; the level is -1 if there is none.
func (c *chain) short() (level int, d hardware.Dim) {
	for i := range c.s.slots {
		sl := &c.s.slots[i]
		for d, n := range sl.fixed {
			if n > 1 && c.t.trips[sl.level][d] != n {
				return sl.level, hardware.Dim(d)
			}
		}
	}
	return -1, 0
}

// outside reports whether what is left over may run at the outermost level, or
// else a loop that may not.
func (c *chain) outside() (ok bool, loop hardware.Dim) {
	allowed := c.s.m.stores[0].time
	for _, d := range c.s.loops {
		n := c.t.trips[0][d]
		if n > 1 && allowed&(1<<d) == 0 {
			return false, d
		}
		if fixed := c.s.m.stores[0].bounds[d]; fixed > 0 && n != min(fixed, c.s.full[d]) {
			return false, d
		}
	}
	return true, 0
}

// try scores a candidate and keeps it if it is the best so far.
func (c *chain) try(x *candidate) (score, bool) {
	if !c.tile(x) {
		return score{}, false
	}
	if ok, _ := c.outside(); !ok {
		return score{}, false
	}
	c.scorer.e = c.evaluator[x.variant]
	v := c.scorer.score(&c.t)
	if !c.found || v.less(c.bestScore) {
		c.found, c.best, c.bestTile, c.bestScore = true, *x, c.t, v
	}
	return v, true
}

// result evaluates the best mapping as any other, so that what is reported
// does not rest on the search's own sums.
func (c *chain) result(mappings int64, exhaustive bool) (*Found, error) {
	var axes [maxAxes]sizes
	for i, sl := range c.s.slots {
		if sl.axis >= 0 {
			axes[sl.axis] = c.best.bound[i]
		}
	}
	f := &Found{Mapping: c.bestTile.mapping(c.s.m.variants[c.best.variant], &axes), Mappings: mappings, Exhaustive: exhaustive}
	r, err := c.evaluator[0].Evaluate(f.Mapping)
	if err != nil {
		return nil, fmt.Errorf("layer %q: the mapping that the search found: %w", c.s.layer.Name, err)
	}
	f.Result = *r
	return f, nil
}

// anneal runs all chains.
func (s *searcher) anneal() []*chain {
	list := make([]*chain, chains)
	workers := s.o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	next := make(chan int, chains)
	for i := range chains {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range min(workers, chains) {
		wg.Go(func() {
			for i := range next {
				list[i] = s.chain(i)
				list[i].walk(s.o.Tilings)
			}
		})
	}
	wg.Wait()
	return list
}
