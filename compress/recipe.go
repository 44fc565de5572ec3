package compress

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/goccy/go-yaml"
)

// Recipe is an ordered list of steps that turn one model into another. It is
// written beside every result, and replays to the same bytes.
type Recipe struct {
	// Version of the form of this file.
	Version int `yaml:"drawknife"`
	// Model and Data name what the recipe was made for; Digest is the SHA-256
	// of the model's file form.
	Model  string `yaml:"model"`
	Digest string `yaml:"digest"`
	Data   string `yaml:"data"`
	Seed   uint64 `yaml:"seed"`
	Steps  []Step `yaml:"steps"`
}

// Step is one method with its options; exactly one field is set.
type Step struct {
	Prune    *PruneStep    `yaml:"prune,omitempty"`
	Norm     *NormStep     `yaml:"reestimate-norm,omitempty"`
	Finetune *FinetuneStep `yaml:"finetune,omitempty"`
	Quantize *QuantizeStep `yaml:"quantize,omitempty"`
}

// PruneStep removes the channels with the lowest scores.
type PruneStep struct {
	Score string `yaml:"score"`
	// Keep is the number of channels to keep, by the name of the group.
	Keep map[string]int `yaml:"keep"`
}

// NormStep measures batch normalisation's statistics again.
type NormStep struct {
	Images int `yaml:"images"`
}

// FinetuneStep trains on.
type FinetuneStep struct {
	Epochs      float64 `yaml:"epochs"`
	Batch       int     `yaml:"batch"`
	Rate        float64 `yaml:"learning-rate"`
	Decay       float64 `yaml:"weight-decay"`
	Distill     float64 `yaml:"distill"` // weight of the original's soft labels
	Temperature float64 `yaml:"temperature"`
	Augment     string  `yaml:"augment,omitempty"`
}

// QuantizeStep makes weights and activations 8-bit integers.
type QuantizeStep struct {
	Calibrator     string   `yaml:"calibrator"`
	Images         int      `yaml:"images"`
	Target         string   `yaml:"target"`
	ReduceRange    bool     `yaml:"reduce-range,omitempty"` // weights of 7 bits
	Equalize       bool     `yaml:"equalize"`
	BiasCorrection bool     `yaml:"bias-correction"`
	Float          []string `yaml:"float,omitempty"` // nodes that stay float
}

// ParseRecipe reads a recipe and rejects what it does not know.
func ParseRecipe(b []byte) (*Recipe, error) {
	if len(b) > 16<<20 {
		return nil, fmt.Errorf("compress: recipe of %d bytes is too large", len(b))
	}
	r, err := decodeYAML(b)
	if err != nil {
		return nil, fmt.Errorf("compress: recipe: %w", err)
	}
	if r.Version != 1 {
		return nil, fmt.Errorf("compress: recipe of version %d; this program reads version 1", r.Version)
	}
	for i, s := range r.Steps {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("compress: recipe: step %d: %w", i+1, err)
		}
	}
	return r, nil
}

// decodeYAML turns the panics of the YAML decoder, which malformed input can
// cause, into errors.
func decodeYAML(b []byte) (r *Recipe, err error) {
	defer func() {
		if v := recover(); v != nil {
			r, err = nil, fmt.Errorf("malformed YAML: %v", v)
		}
	}()
	r = new(Recipe)
	return r, yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(r)
}

func (s Step) check() error {
	n := 0
	if p := s.Prune; p != nil {
		n++
		for name, k := range p.Keep {
			if k < 1 {
				return fmt.Errorf("prune: %s: keep %d channels", name, k)
			}
		}
	}
	if p := s.Norm; p != nil {
		n++
		if p.Images < 1 {
			return fmt.Errorf("reestimate-norm: %d images", p.Images)
		}
	}
	if p := s.Finetune; p != nil {
		n++
		if !(p.Epochs >= 0 && p.Epochs <= 1e4) || p.Batch < 1 || p.Batch > 1<<16 || !(p.Rate > 0) || !(p.Decay >= 0) || !(p.Distill >= 0) {
			return fmt.Errorf("finetune: options out of range: %+v", *p)
		}
	}
	if p := s.Quantize; p != nil {
		n++
		if p.Images < 1 {
			return fmt.Errorf("quantize: %d images", p.Images)
		}
	}
	if n != 1 {
		return fmt.Errorf("has %d methods, want one of prune, reestimate-norm, finetune, quantize", n)
	}
	return nil
}

// Bytes is the recipe's file form.
func (r *Recipe) Bytes() ([]byte, error) { return yaml.Marshal(r) }

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

func (s Step) name() string {
	switch {
	case s.Prune != nil:
		return "prune"
	case s.Norm != nil:
		return "reestimate-norm"
	case s.Finetune != nil:
		return "finetune"
	}
	return "quantize"
}
