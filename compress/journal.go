package compress

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// journal remembers what the clock decided — how many networks to train, for
// how many epochs, which layers are quicker in float — so that a search that
// was interrupted goes on with the networks it had begun.
type journal struct {
	path string
	said map[string]json.RawMessage
}

// openJournal reads the journal of earlier runs of the same job: the same
// model, data, seed, budget, time and methods.
func (s *search) openJournal() error {
	b, err := json.Marshal(s.job.Budget)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %v %d %v %s %s", s.recipe.key(0), b, s.job.Time, s.job.Threads, s.methods, s.job.Machine, s.chooser))
	s.journal = journal{filepath.Join(s.job.Dir, workDir, "decisions-"+hex.EncodeToString(sum[:8])+".json"), map[string]json.RawMessage{}}
	if b, err := os.ReadFile(s.journal.path); err == nil && json.Unmarshal(b, &s.journal.said) != nil {
		s.journal.said = map[string]json.RawMessage{} // unreadable: decide again
	}
	return nil
}

// decide returns what was decided under a name before, else what f decides.
func decide[T any](s *search, name string, f func() (T, error)) (T, error) {
	var v T
	if b, ok := s.journal.said[name]; ok && json.Unmarshal(b, &v) == nil {
		return v, nil
	}
	v, err := f()
	if err != nil {
		return v, err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return v, fmt.Errorf("compress: %w", err)
	}
	s.journal.said[name] = b
	if b, err = json.MarshalIndent(s.journal.said, "", " "); err != nil {
		return v, fmt.Errorf("compress: %w", err)
	}
	return v, writeFile(s.journal.path, b)
}
