package loopnest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/drawknife/drawknife/hardware"
	"github.com/drawknife/drawknife/internal/atomicfile"
)

// generation is part of every key: it changes whenever searches or evaluation
// do, so that nothing older is believed.
const generation = 3

// cached is a search's outcome on disk. The mapping alone is kept, and
// evaluated again.
type cached struct {
	Mapping    string `json:"mapping"`
	Mappings   int64  `json:"mappings"`
	Exhaustive bool   `json:"exhaustive"`
}

// cacheFile names the file of a search: a hash of all that it depends on.
func (o *Options) cacheFile(a *Arch, l *hardware.Layer) string {
	b, err := json.Marshal([]any{generation, a, l.Size, l.Stride, l.Dilation, o.Objective, o.Seed, o.Tilings, o.Exhaustive})
	if err != nil {
		return "" // a number that is none; nothing is kept
	}
	sum := sha256.Sum256(b)
	name := hex.EncodeToString(sum[:16])
	return filepath.Join(o.Cache, name[:2], name[2:]+".json")
}

// recall reads an earlier outcome, nil if there is none that can be used.
func (s *searcher) recall(file string) *Found {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	var c cached
	if json.NewDecoder(io.LimitReader(f, 1<<16)).Decode(&c) != nil {
		return nil
	}
	m, err := ParseMapping(s.m.arch, c.Mapping)
	if err != nil {
		return nil
	}
	e, err := newEvaluator(s.m, s.layer)
	if err != nil {
		return nil
	}
	r, err := e.Evaluate(m)
	if err != nil {
		return nil
	}
	return &Found{Mapping: m, Result: *r, Mappings: c.Mappings, Exhaustive: c.Exhaustive, Cached: true}
}

// keep stores an outcome.
func (f *Found) keep(a *Arch, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("the cache of mappings: %w", err)
	}
	return atomicfile.Write(file, func(w io.Writer) error {
		return json.NewEncoder(w).Encode(cached{f.Mapping.Format(a), f.Mappings, f.Exhaustive})
	})
}
