package compress

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/goccy/go-yaml"
)

// Recipe is an ordered list of steps that turn one model into another. It is
// written beside every result, and replays to the same bytes.
type Recipe struct {
	// Version of the form of this file.
	Version int
	// Model and Data name what the recipe was made for; Digest is the SHA-256
	// of the model's file form.
	Model, Digest, Data string
	// Holdout is the number of training images that choose between candidates
	// and therefore train nothing.
	Holdout int
	Seed    uint64
	Steps   []Step
}

// recipeVersion is the version that this program reads and writes.
const recipeVersion = 2

// document is a recipe's file form; S is that of a step.
type document[S any] struct {
	Version int    `yaml:"drawknife"`
	Model   string `yaml:"model"`
	Digest  string `yaml:"digest"`
	Data    string `yaml:"data"`
	Holdout int    `yaml:"holdout,omitempty"`
	Seed    uint64 `yaml:"seed"`
	Steps   []S    `yaml:"steps"`
}

// Bytes is the recipe's file form.
func (r *Recipe) Bytes() ([]byte, error) {
	doc := document[yaml.MapSlice]{r.Version, r.Model, r.Digest, r.Data, r.Holdout, r.Seed, []yaml.MapSlice{}}
	for _, s := range r.Steps {
		doc.Steps = append(doc.Steps, yaml.MapSlice{{Key: s.kind(), Value: s}})
	}
	return yaml.Marshal(doc)
}

// key identifies the first n steps on their model, seed and data: what the
// intermediate results of a search are stored under.
func (r *Recipe) key(n int) string {
	part := *r
	part.Steps = r.Steps[:n]
	b, err := part.Bytes()
	if err != nil {
		panic(err) // plain data always has a form
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// check finds steps that cannot be carried out with the training images there
// are; labels says whether these have labels.
func (r *Recipe) check(labels bool) error {
	for i, s := range r.Steps {
		n, err := s.needs()
		if err != nil {
			return fmt.Errorf("compress: step %d (%s): %w", i+1, s.kind(), err)
		}
		if n.Labels && !labels {
			return fmt.Errorf("compress: step %d (%s): needs labelled training images; these have no labels", i+1, s.kind())
		}
	}
	return nil
}
