package parallel

import (
	"sync/atomic"
	"testing"
)

func TestForCoversEachIndexOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 5} {
		p := New(workers)
		for _, n := range []int{0, 1, 7, 64, 1000} {
			for _, grain := range []int{1, 3, 2000} {
				seen := make([]atomic.Int32, n)
				p.For(n, grain, func(w, lo, hi int) {
					if w < 0 || w >= workers || lo >= hi || lo%grain != 0 {
						t.Errorf("worker %d range [%d,%d) grain %d", w, lo, hi, grain)
					}
					for i := lo; i < hi; i++ {
						seen[i].Add(1)
					}
				})
				for i := range seen {
					if seen[i].Load() != 1 {
						t.Fatalf("workers %d n %d grain %d: index %d ran %d times", workers, n, grain, i, seen[i].Load())
					}
				}
			}
		}
		p.Close()
	}
}

func TestForRaisesPanics(t *testing.T) {
	p := New(3)
	defer p.Close()
	defer func() {
		if v := recover(); v != "boom" {
			t.Fatalf("recovered %v", v)
		}
		ran := atomic.Int32{}
		p.For(10, 1, func(_, lo, hi int) { ran.Add(int32(hi - lo)) })
		if ran.Load() != 10 {
			t.Fatalf("the pool ran %d of 10 after a panic", ran.Load())
		}
	}()
	p.For(100, 1, func(_, lo, _ int) {
		if lo > 50 {
			panic("boom")
		}
	})
}

func BenchmarkFor(b *testing.B) {
	p := New(2)
	defer p.Close()
	for b.Loop() {
		p.For(2, 1, func(_, _, _ int) {})
	}
}
