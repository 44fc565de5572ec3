package data

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// member is a picture inside a tar file.
type member struct {
	file         string
	offset, size int64
}

const (
	maxLabelBytes = 1 << 20
	maxMembers    = 1 << 26
)

// openTars opens one or more tar files of pictures (shards) as one data set.
// Pictures and their labels belong together by WebDataset's rule: a member's
// name up to the first dot of its last part is the sample, the rest is the
// field; .cls, .json and .txt hold labels. Else the labels come from a table
// beside the tar (eval.tsv for eval.tar), from the pictures' names, or from
// the folders inside.
func openTars(files []string, opts Options) (Dataset, error) {
	set := &encoded{source: files[0]}
	var members []member
	fields := []int32{}
	labelled := 0
	for _, f := range files {
		ix, err := indexTar(f)
		if err != nil {
			return nil, err
		}
		for i, n := range ix.names {
			label := int32(-1)
			if l, ok := ix.labels[sampleKey(n)]; ok {
				label = int32(l)
				labelled++
			}
			set.names, members, fields = append(set.names, n), append(members, ix.members[i]), append(fields, label)
		}
	}
	if len(set.names) == 0 {
		return nil, fmt.Errorf("data: %s: empty data set: no pictures in it", files[0])
	}
	set.fetch = func(i int, buf []byte) ([]byte, error) {
		return readSection(members[i].file, members[i].offset, members[i].size, buf)
	}
	var beside []string
	if len(files) == 1 {
		stem := strings.TrimSuffix(files[0], filepath.Ext(files[0]))
		beside = []string{stem + ".tsv", stem + ".csv"}
	}
	table, err := loadLabelTable(opts.Labels, beside...)
	if err != nil {
		return nil, err
	}
	classes, err := loadClassTable(opts.Classes, filepath.Dir(files[0]))
	if err != nil {
		return nil, err
	}
	switch {
	case labelled == 0:
		fields = nil
	case labelled < len(fields) && table == nil:
		i := slices.Index(fields, -1)
		return nil, fmt.Errorf("data: %s: %s has no label, but %d other pictures have", members[i].file, set.names[i], labelled)
	}
	return set, set.label(table, classes, fields, true)
}

// sampleKey is the part of a member's name that its fields share.
func sampleKey(name string) string {
	dir, base := path.Split(name)
	stem, _, _ := strings.Cut(base, ".")
	return dir + stem
}

// tarIndex lists the pictures of a tar file and the labels in it.
type tarIndex struct {
	names   []string
	members []member
	labels  map[string]int
}

// indexTar reads the headers of a tar file.
func indexTar(file string) (*tarIndex, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	defer f.Close()
	magic := make([]byte, 2)
	if n, _ := f.ReadAt(magic, 0); n == 2 && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return nil, fmt.Errorf("data: %s: a compressed tar cannot be read at random; unpack it with gunzip first", file)
	}
	ix, err := readTarIndex(f, file)
	if err != nil {
		return nil, fmt.Errorf("data: %s: %w", file, err)
	}
	return ix, nil
}

func readTarIndex(f io.ReadSeeker, file string) (*tarIndex, error) {
	ix := &tarIndex{labels: map[string]int{}}
	rank := map[string]int{} // which field a label came from: .cls before .json before .txt
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err = f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return ix, nil
		}
		if err != nil {
			return nil, fmt.Errorf("after %d pictures: %w", len(ix.names), err)
		}
		name := strings.TrimPrefix(path.Clean(h.Name), "/")
		if h.Typeflag != tar.TypeReg || strings.HasPrefix(path.Base(name), ".") {
			continue
		}
		if IsImage(name) {
			at, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			if h.Size > maxFileBytes || at+h.Size > size {
				return nil, fmt.Errorf("%s: %d bytes at offset %d of a file of %d: cut short", name, h.Size, at, size)
			}
			if len(ix.names) >= maxMembers {
				return nil, fmt.Errorf("more than %d pictures", maxMembers)
			}
			ix.names = append(ix.names, name)
			ix.members = append(ix.members, member{file, at, h.Size})
			continue
		}
		if err := ix.addLabel(tr, name, rank); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
}

// addLabel reads a label field; other members are passed over.
func (ix *tarIndex) addLabel(r io.Reader, name string, rank map[string]int) error {
	fields := []string{".txt", ".json", ".cls"}
	at := slices.Index(fields, strings.ToLower(path.Ext(name)))
	if at < 0 {
		return nil
	}
	raw, err := readAtMost(r, maxLabelBytes)
	if err != nil {
		return err
	}
	label, err := parseLabel(raw)
	if err != nil {
		if fields[at] == ".cls" {
			return err
		}
		return nil // a caption or other notes
	}
	if key := sampleKey(name); at+1 > rank[key] {
		ix.labels[key], rank[key] = label, at+1
	}
	return nil
}

// expandShards lists the tar files that a pattern or a folder means; nil if none.
func expandShards(spec string) []string {
	pattern := spec
	if st, err := os.Stat(spec); err == nil && st.IsDir() {
		pattern = filepath.Join(spec, "*.tar")
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil
	}
	slices.Sort(files)
	return files
}
