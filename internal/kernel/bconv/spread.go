package bconv

import (
	"github.com/drawknife/drawknife/internal/kernel/reuse"
	"github.com/drawknife/drawknife/internal/parallel"
)

// spread shares the work of a convolution out: blocks of output pixels by units
// of output channels.
type spread struct {
	worker blockWorker
	strip  *strip
	units  int
	room   int // bytes of scratch memory of a worker, strip first
	jobs   reuse.List[spreadJob]
}

// blockWorker is what is done with a block.
type blockWorker interface {
	prepare(mine []byte) // the strip is there
	compute(b block, o *output, mine []byte, from, to int)
}

type spreadJob struct {
	src     []uint64
	o       output
	scratch []byte
	parts   int // ranges of units that each block is split into
	body    func(worker, lo, hi int)
}

func (s *spread) scratch(workers int) int { return workers*s.room + 64 }

func (s *spread) exec(pool *parallel.Pool, o output, src []uint64, scratch []byte) {
	j := s.jobs.Get()
	if j == nil {
		j = new(spreadJob)
		j.body = func(worker, lo, hi int) { s.tasks(j, worker, lo, hi) }
	}
	j.src, j.o, j.scratch, j.parts = src, o, align(scratch), 1
	if w := pool.Workers(); w > 1 && s.strip.blocks < 2*w {
		j.parts = min(s.units, (2*w+s.strip.blocks-1)/s.strip.blocks)
	}
	pool.For(s.strip.blocks*j.parts, 1, j.body)
	j.src, j.o, j.scratch = nil, output{}, nil
	s.jobs.Put(j)
}

// tasks computes tasks lo to hi-1 of a job.
func (s *spread) tasks(j *spreadJob, worker, lo, hi int) {
	mine := j.scratch[worker*s.room:][:s.room]
	filled := -1
	for task := lo; task < hi; task++ {
		i, part := task/j.parts, task%j.parts
		b := s.strip.block(i)
		if filled != i {
			s.strip.fill(mine, j.src, &b)
			s.worker.prepare(mine)
			filled = i
		}
		s.worker.compute(b, &j.o, mine, part*s.units/j.parts, (part+1)*s.units/j.parts)
	}
}
