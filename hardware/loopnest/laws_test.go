package loopnest

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/drawknife/drawknife/hardware"
)

// TestLaws holds evaluation, on random layers, machines and mappings, to what
// is true of any machine: what one level sends the next receives, every
// multiplication gets its operands, energy is a sum of accesses, and neither
// the compulsory traffic nor the roofline can be beaten.
func TestLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for i := range 300 {
		a, l, mapping := randomCase(rng, i%3 == 0)
		for j := range a.Levels {
			a.Levels[j].ReadWords, a.Levels[j].WriteWords = 1+3*rng.Float64(), 1+3*rng.Float64()
			a.Levels[j].Network.WordPJ = rng.Float64()
		}
		a.OuterOnly = i%5 == 0
		e, err := NewEvaluator(a, l)
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.Evaluate(mapping)
		if err != nil {
			t.Fatal(err)
		}
		laws(t, e, l, r, func(format string, args ...any) {
			t.Helper()
			t.Errorf("case %d, %s: "+format, append([]any{i, mapping.Format(a)}, args...)...)
		})
		if t.Failed() {
			return
		}
	}
}

func laws(t *testing.T, e *Evaluator, l *hardware.Layer, r *Result, fail func(string, ...any)) {
	t.Helper()
	const slack = 1 + 1e-9
	energy := float64(l.MACs())*e.m.mac + r.Wire
	for o := range hardware.Operand(hardware.NumOperands) {
		holders := e.m.holders[o]
		for i, parent := range holders {
			up := r.Access[parent][o]
			if i+1 == len(holders) { // nothing below keeps it: every multiplication fetches
				n := up.Reads
				if o == hardware.Outputs {
					n = up.Updates
				}
				if macs := float64(l.MACs()); n > macs*slack || !e.multicast(o, parent, len(e.m.stores)) && n < macs/slack {
					fail("%v: %v words for %v multiplications", o, n, macs)
				}
				continue
			}
			low := r.Access[holders[i+1]][o]
			sent, received := up.Reads, low.Fills
			if o == hardware.Outputs {
				sent, received = up.Updates, low.Drains
			}
			if sent > received*slack || received > 0 && sent == 0 || !e.multicast(o, parent, holders[i+1]) && math.Abs(sent-received) > 1e-9*received {
				fail("%v: level %d sends %v words, level %d gets %v", o, parent, sent, holders[i+1], received)
			}
		}
		for level := range e.m.stores {
			s, x := &e.m.stores[level], r.Access[level][o]
			if !s.held[o] && x != (Access{}) {
				fail("%v: level %d does not hold them, but moves %+v", o, level, x)
			}
			energy += x.Reads*s.read[o] + x.Drains*s.drain[o] + x.Fills*s.fill[o] + x.Updates*s.write[o]
		}
	}
	if math.Abs(energy-r.Energy) > 1e-9*energy {
		fail("%v pJ, the accesses add up to %v", r.Energy, energy)
	}
	dram := r.Access[0]
	if dram[hardware.Weights].Reads*slack < float64(l.Words(hardware.Weights)) || dram[hardware.Outputs].Updates*slack < float64(l.Words(hardware.Outputs)) {
		fail("DRAM moves less than each weight and output once: %+v", dram)
	}
	words := dram[hardware.Weights].Reads + dram[hardware.Inputs].Reads + dram[hardware.Outputs].Reads
	roof := max(float64(l.MACs())/float64(e.m.arch.Lanes()), words/e.m.stores[0].readBW)
	if r.Cycles*slack < roof {
		fail("%v cycles, the roofline has %v", r.Cycles, roof)
	}
}
