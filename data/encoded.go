package data

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// encoded is a data set of encoded pictures, decoded as they are read.
type encoded struct {
	source  string
	names   []string
	labels  []int32
	classes []string
	// fetch returns the bytes of picture i, in buf if they fit.
	fetch func(i int, buf []byte) ([]byte, error)
}

func (e *encoded) Len() int          { return len(e.names) }
func (e *encoded) Classes() []string { return e.classes }
func (e *encoded) Label(i int) int   { return int(e.labels[i]) }
func (e *encoded) Name(i int) string { return e.names[i] }

func (e *encoded) Read(i int, s *Sample) error {
	raw, err := e.fetch(i, s.raw)
	if err != nil {
		return fmt.Errorf("data: %s: %s: %w", e.source, e.names[i], err)
	}
	s.raw = raw
	if err := Decode(raw, s); err != nil {
		return fmt.Errorf("data: %s: %s: %w", e.source, e.names[i], err)
	}
	s.Label = int(e.labels[i])
	return nil
}

// readSection reads size bytes of a file from offset on into buf; size −1
// means to the end.
func readSection(name string, offset, size int64, buf []byte) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return buf, err
	}
	defer f.Close()
	if size < 0 {
		st, err := f.Stat()
		if err != nil {
			return buf, err
		}
		size = st.Size()
	}
	if size > maxFileBytes {
		return buf, fmt.Errorf("a picture of more than %d MB", maxFileBytes>>20)
	}
	buf = sized(buf, int(size))
	if n, err := f.ReadAt(buf, offset); n < len(buf) {
		return buf, noEOF(err)
	}
	return buf, nil
}

// openFolder opens a folder of pictures: with a table of labels, with the
// class in the file names, or with a sub-folder for each class.
func openFolder(dir, split string, explicit bool, opts Options) (Dataset, error) {
	root, err := splitFolder(dir, split, explicit)
	if err != nil {
		return nil, err
	}
	table, err := loadLabelTable(opts.Labels, filepath.Join(root, "labels.tsv"), filepath.Join(root, "labels.csv"),
		filepath.Clean(root)+".tsv", filepath.Clean(root)+".csv")
	if err != nil {
		return nil, err
	}
	classes, err := loadClassTable(opts.Classes, root, filepath.Dir(root))
	if err != nil {
		return nil, err
	}
	names, err := picturesUnder(root)
	if err != nil {
		return nil, err
	}
	set := &encoded{source: root, names: names}
	if err := set.label(table, classes, nil, false); err != nil {
		return nil, err
	}
	set.fetch = func(i int, buf []byte) ([]byte, error) {
		return readSection(filepath.Join(root, filepath.FromSlash(set.names[i])), 0, -1, buf)
	}
	return set, nil
}

// splitFolder is the sub-folder of a split, or dir itself if it has no splits.
// "test" and "val" stand in for each other, since ImageNet's only labelled
// held-out pictures are called val.
func splitFolder(dir, split string, explicit bool) (string, error) {
	candidates := []string{split}
	switch split {
	case "test":
		candidates = []string{"test", "val", "validation"}
	case "val":
		candidates = []string{"val", "validation", "test"}
	}
	for _, c := range candidates {
		if p := filepath.Join(dir, c); c != "" && exists(p) {
			return p, nil
		}
	}
	for _, c := range []string{"train", "val", "validation", "test"} {
		explicit = explicit || (split != "" && exists(filepath.Join(dir, c)))
	}
	if explicit {
		return "", fmt.Errorf("data: %s has no sub-folder %q for the split", dir, split)
	}
	return dir, nil
}

// picturesUnder lists the pictures below dir, sorted, with slashes.
func picturesUnder(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(d.Name(), ".") && p != dir
		if d.IsDir() {
			if hidden {
				return filepath.SkipDir
			}
			return nil
		}
		if !hidden && IsImage(p) {
			rel, err := filepath.Rel(dir, p)
			if err != nil {
				return err
			}
			names = append(names, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("data: %s: empty data set: no pictures (%s) in it", dir, strings.Join(imageSuffixes, ", "))
	}
	slices.Sort(names)
	return names, nil
}

// label finds the classes of e.names: from fields (labels stored beside the
// pictures), else from the table (which then also chooses the pictures), else
// from the file names, else from the folders they lie in; else they have none.
// With strip, folders that all pictures share do not count.
func (e *encoded) label(table *labelTable, classes *classTable, fields []int32, strip bool) error {
	switch {
	case table != nil:
		if err := e.labelByTable(table); err != nil {
			return err
		}
		e.classes = classNames(e.labels, classes, table)
	case fields != nil:
		e.labels = fields
		e.classes = classNames(fields, classes, nil)
	case e.labelByName():
		e.classes = classNames(e.labels, classes, nil)
	default:
		e.labelByFolder(classes, strip)
	}
	return checkNamedLabels(e, len(e.classes))
}

func checkNamedLabels(e *encoded, n int) error {
	for i, l := range e.labels {
		if l < -1 || int(l) >= n {
			return fmt.Errorf("data: %s: %s: label %d is not in [0, %d)", e.source, e.names[i], l, n)
		}
	}
	return nil
}

// labelByTable keeps the pictures that the table names; each row must have one.
func (e *encoded) labelByTable(table *labelTable) error {
	used := make(map[string]bool, len(table.order))
	var keep []int
	e.labels = nil
	for i, n := range e.names {
		k, ok := table.find(n)
		if !ok {
			continue
		}
		used[path.Clean(n)], used[path.Base(n)] = true, true
		e.labels = append(e.labels, int32(k))
		keep = append(keep, i)
	}
	missing := 0
	first := ""
	for _, f := range table.order {
		if !used[f] {
			if missing++; missing == 1 {
				first = f
			}
		}
	}
	if missing > 0 {
		return fmt.Errorf("data: %s: the labels name %d pictures that are not there, such as %s", e.source, missing, first)
	}
	e.keep(keep)
	return nil
}

// keep leaves only the pictures at the given indices.
func (e *encoded) keep(indices []int) {
	names, fetch := e.names, e.fetch
	if len(indices) == len(names) {
		return
	}
	e.names = make([]string, len(indices))
	for k, i := range indices {
		e.names[k] = names[i]
	}
	if fetch != nil {
		e.fetch = func(i int, buf []byte) ([]byte, error) { return fetch(indices[i], buf) }
	}
}

// labelByName takes classes out of file names such as 004_n01494475.jpg, if
// all have them.
func (e *encoded) labelByName() bool {
	labels := make([]int32, len(e.names))
	for i, n := range e.names {
		k, ok := classInName(n)
		if !ok {
			return false
		}
		labels[i] = int32(k)
	}
	e.labels = labels
	return true
}

// labelByFolder makes each top folder a class, in alphabetical order; folders
// called by numbers are those classes, and folders called by WordNet ids those
// of the class table if it knows them.
func (e *encoded) labelByFolder(classes *classTable, strip bool) {
	tops := topFolders(e.names, strip)
	folders := slices.Clone(tops)
	slices.Sort(folders)
	folders = slices.Compact(folders)
	e.labels = make([]int32, len(e.names))
	if folders[0] == "" { // some lie in no folder: no labels
		for i := range e.labels {
			e.labels[i] = -1
		}
		e.classes = classNames(e.labels, classes, nil)
		return
	}
	class := make(map[string]int32, len(folders))
	numbers, ids := true, classes != nil
	for i, f := range folders {
		class[f] = int32(i)
		if k, err := strconv.Atoi(f); err != nil || k < 0 || k >= maxClasses {
			numbers = false
		}
		if ids {
			_, ids = classes.wnid[f]
		}
	}
	e.classes = folders
	switch {
	case ids:
		e.classes = classes.names
		for _, f := range folders {
			class[f] = int32(classes.wnid[f])
		}
	case numbers:
		for _, f := range folders {
			k, _ := strconv.Atoi(f)
			class[f] = int32(k)
		}
	}
	for i, t := range tops {
		e.labels[i] = class[t]
	}
	if numbers && !ids {
		e.classes = classNames(e.labels, classes, nil)
	}
}

// topFolders is the first folder of each name, "" for none; with strip, after
// the folders that all names share.
func topFolders(names []string, strip bool) []string {
	skip := 0
	if strip {
		for {
			prefix, ok := component(names[0], skip)
			for _, n := range names {
				c, has := component(n, skip)
				ok = ok && has && c == prefix
			}
			if !ok {
				break
			}
			skip++
		}
	}
	tops := make([]string, len(names))
	for i, n := range names {
		tops[i], _ = component(n, skip)
	}
	return tops
}

// component is folder k of a name; ok is false if it has not so many.
func component(name string, k int) (folder string, ok bool) {
	for ; ; k-- {
		head, rest, more := strings.Cut(name, "/")
		if !more {
			return "", false
		}
		if k == 0 {
			return head, true
		}
		name = rest
	}
}

// openTable opens the pictures that a table of labels names, by paths relative
// to the table.
func openTable(name string, opts Options) (Dataset, error) {
	opts.Labels = name
	return openFolder(filepath.Dir(name), "", false, opts)
}

// openPicture opens one picture as a data set without labels.
func openPicture(name string) (Dataset, error) {
	return &encoded{
		source: filepath.Dir(name), names: []string{filepath.Base(name)}, labels: []int32{-1},
		fetch: func(_ int, buf []byte) ([]byte, error) { return readSection(name, 0, -1, buf) },
	}, nil
}

// readAtMost reads all of r, which must not hold more than max bytes.
func readAtMost(r io.Reader, max int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, max+1))
	if err == nil && int64(len(raw)) > max {
		err = fmt.Errorf("more than %d bytes", max)
	}
	return raw, err
}
