package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/drawknife/drawknife/internal/atomicfile"
)

// A checkpoint is the magic, the length of a JSON header, the header, the
// floats that it lists one after the other, and the SHA-256 of all before.
const checkpointMagic = "DRAWKNIFE-TRAIN1"

// header describes a checkpoint.
type header struct {
	Progress  progress `json:"progress"`
	Optimizer string   `json:"optimizer"`
	Tensors   []entry  `json:"tensors"`
}

// entry is one list of floats.
type entry struct {
	Name string `json:"name"`
	Len  int    `json:"len"`
}

// vectors lists all float state by name, in a fixed order.
func (t *trainer) vectors() (entries []entry, data [][]float32) {
	add := func(name string, v []float32) {
		entries, data = append(entries, entry{name, len(v)}), append(data, v)
	}
	t.each(func(name string, v []float32) { add("value:"+name, v) })
	for _, p := range t.params {
		for i, s := range p.state {
			add(fmt.Sprintf("state%d:%s", i, p.name), s)
		}
	}
	if t.ema != nil {
		t.each(func(name string, _ []float32) { add("ema:"+name, t.ema[name]) })
	}
	for i, h := range t.c.Hooks {
		if k, ok := h.(Keeper); ok {
			for _, v := range k.Vectors() {
				add(fmt.Sprintf("hook%d:%s", i, v.Name), v.Data)
			}
		}
	}
	if t.best != nil {
		t.each(func(name string, _ []float32) { add("best:"+name, t.best[name]) })
	}
	return entries, data
}

// save writes the checkpoint, if there is to be one: to a file beside it that
// then takes its place, so that there is always a whole one.
func (t *trainer) save() error {
	if t.c.Checkpoint == "" {
		return nil
	}
	entries, data := t.vectors()
	h := header{Progress: t.progress, Optimizer: t.c.Optimizer.Name, Tensors: entries}
	h.Progress.Elapsed = t.elapsed()
	head, err := json.Marshal(h)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString(checkpointMagic)
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(head))))
	b.Write(head)
	for _, v := range data {
		for _, x := range v {
			b.Write(binary.LittleEndian.AppendUint32(b.AvailableBuffer(), math.Float32bits(x)))
		}
	}
	sum := sha256.Sum256(b.Bytes())
	b.Write(sum[:])
	if err := writeAtomically(t.c.Checkpoint, b.Bytes()); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

func writeAtomically(name string, data []byte) error {
	return atomicfile.Write(name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// restore reads the checkpoint, if there is one.
func (t *trainer) restore() error {
	raw, err := os.ReadFile(t.c.Checkpoint)
	if errors.Is(err, fs.ErrNotExist) || t.c.Checkpoint == "" {
		return nil
	}
	if err != nil {
		return err
	}
	h, floats, err := decodeCheckpoint(raw)
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", t.c.Checkpoint, err)
	}
	if h.Optimizer != t.c.Optimizer.Name {
		return fmt.Errorf("checkpoint %s: it was written by optimizer %s, not %s", t.c.Checkpoint, h.Optimizer, t.c.Optimizer.Name)
	}
	if p := h.Progress; p.Epoch < 0 || p.InEpoch < 0 || p.InEpoch > t.perEpoch || p.Step < 0 {
		return fmt.Errorf("checkpoint %s: its position %d/%d is not one of this run", t.c.Checkpoint, p.Epoch, p.InEpoch)
	}
	if err := t.fill(h, floats); err != nil {
		return fmt.Errorf("checkpoint %s: %w", t.c.Checkpoint, err)
	}
	best := t.best
	t.progress = h.Progress
	t.best = best
	return nil
}

// fill copies the floats of a checkpoint into the run.
func (t *trainer) fill(h *header, floats []byte) error {
	if n := len(h.Tensors); n > 0 && strings.HasPrefix(h.Tensors[n-1].Name, "best:") {
		t.best = t.snapshot()
	}
	entries, data := t.vectors()
	if len(entries) != len(h.Tensors) {
		return fmt.Errorf("it holds %d tensors, this run has %d: another network or other options", len(h.Tensors), len(entries))
	}
	for i, e := range entries {
		if h.Tensors[i] != e {
			return fmt.Errorf("it holds %v where this run has %v: another network or other options", h.Tensors[i], e)
		}
		for j := range data[i] {
			data[i][j] = math.Float32frombits(binary.LittleEndian.Uint32(floats[4*j:]))
		}
		floats = floats[4*e.Len:]
	}
	return nil
}

// decodeCheckpoint checks a checkpoint and splits it into its header and its
// floats.
func decodeCheckpoint(raw []byte) (*header, []byte, error) {
	const fixed = len(checkpointMagic) + 8
	if len(raw) < fixed+sha256.Size || string(raw[:len(checkpointMagic)]) != checkpointMagic {
		return nil, nil, errors.New("this is not a training checkpoint")
	}
	body := raw[:len(raw)-sha256.Size]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], raw[len(body):]) {
		return nil, nil, errors.New("it is damaged (its checksum does not fit)")
	}
	size := binary.LittleEndian.Uint64(raw[len(checkpointMagic):])
	if size > uint64(len(body)-fixed) {
		return nil, nil, errors.New("its header is longer than the file")
	}
	var h header
	if err := json.Unmarshal(body[fixed:fixed+int(size)], &h); err != nil {
		return nil, nil, fmt.Errorf("its header: %w", err)
	}
	floats := body[fixed+int(size):]
	total := 0
	for _, e := range h.Tensors {
		if e.Len < 0 || e.Len > len(floats)/4-total {
			return nil, nil, fmt.Errorf("tensor %q of %d elements does not fit the file", e.Name, e.Len)
		}
		total += e.Len
	}
	if 4*total != len(floats) {
		return nil, nil, fmt.Errorf("it holds %d bytes of tensors, its header lists %d", len(floats), 4*total)
	}
	return &h, floats, nil
}
