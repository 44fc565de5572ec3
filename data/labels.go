package data

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	maxTableBytes = 64 << 20
	maxClasses    = 1 << 20
)

// labelTable maps the names of pictures to classes. It is a tsv or csv file of
// columns file, class index and, optionally, class name; a first line of
// headings may put them in another order (file/name/path/image;
// index/class/label/target; label/class_name/name).
type labelTable struct {
	index map[string]int
	order []string // file names in the order of the table
	names map[int]string
}

// readLabelTable reads a table; name says whether commas or tabs separate.
func readLabelTable(r io.Reader, name string) (*labelTable, error) {
	t := &labelTable{index: map[string]int{}, names: map[int]string{}}
	cols := tableColumns{file: 0, index: 1, label: 2}
	lines := newLines(r)
	var words []string // classes given by name only, resolved at the end
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(strings.TrimPrefix(lines.Text(), "\ufeff"), "\r")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields, err := splitRow(line, name)
		if err != nil {
			return nil, fmt.Errorf("data: %s: line %d: %w", name, n, err)
		}
		if n == 1 && cols.heading(fields) {
			continue
		}
		if len(fields) <= max(cols.file, cols.index) {
			return nil, fmt.Errorf("data: %s: line %d: %d columns, want a file name and a class", name, n, len(fields))
		}
		file, class := path.Clean(filepath.ToSlash(fields[cols.file])), strings.TrimSpace(fields[cols.index])
		if _, twice := t.index[file]; twice {
			return nil, fmt.Errorf("data: %s: line %d: %s is named twice", name, n, file)
		}
		k, err := strconv.Atoi(class)
		switch {
		case err != nil && (len(words) == len(t.order)):
			words = append(words, class)
		case err != nil:
			return nil, fmt.Errorf("data: %s: line %d: class %q is not a number, but earlier ones are", name, n, class)
		case len(words) > 0:
			return nil, fmt.Errorf("data: %s: line %d: class %d is a number, but earlier ones are names", name, n, k)
		case k < 0 || k >= maxClasses:
			return nil, fmt.Errorf("data: %s: line %d: class %d is out of range", name, n, k)
		}
		t.index[file] = k
		t.order = append(t.order, file)
		if err == nil && cols.label >= 0 && cols.label < len(fields) {
			t.names[k] = fields[cols.label]
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("data: %s: %w", name, err)
	}
	if len(t.order) == 0 {
		return nil, fmt.Errorf("data: %s: names no pictures", name)
	}
	t.resolve(words)
	return t, nil
}

// resolve numbers classes given by name in alphabetical order.
func (t *labelTable) resolve(words []string) {
	if len(words) == 0 {
		return
	}
	distinct := slices.Clone(words)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	for i, w := range words {
		k, _ := slices.BinarySearch(distinct, w)
		t.index[t.order[i]], t.names[k] = k, w
	}
}

// tableColumns are the places of the columns; −1 is none.
type tableColumns struct{ file, index, label int }

// heading sets the columns from a line of headings and tells whether it is one.
func (c *tableColumns) heading(fields []string) bool {
	found := tableColumns{-1, -1, -1}
	for i, f := range fields {
		switch strings.ToLower(strings.TrimSpace(f)) {
		case "file", "filename", "path", "image":
			found.file = i
		case "index", "class", "class_index", "target":
			found.index = i
		case "label", "class_name":
			found.label = i
		}
	}
	if found.index < 0 {
		found.index, found.label = found.label, -1
	}
	if found.file < 0 || found.index < 0 {
		return false
	}
	*c = found
	return true
}

func newLines(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(io.LimitReader(r, maxTableBytes))
	s.Buffer(make([]byte, 0, 4096), 1<<20)
	return s
}

// splitRow splits a line at tabs, or by the rules of csv in a .csv file.
func splitRow(line, name string) ([]string, error) {
	if !strings.EqualFold(filepath.Ext(name), ".csv") {
		return strings.Split(line, "\t"), nil
	}
	return csv.NewReader(strings.NewReader(line)).Read()
}

// loadLabelTable reads the table opts names, or else the first of the
// candidates that exists; nil if there is none.
func loadLabelTable(given string, candidates ...string) (*labelTable, error) {
	name := given
	for _, c := range candidates {
		if name == "" && exists(c) {
			name = c
		}
	}
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("data: labels: %w", err)
	}
	defer f.Close()
	return readLabelTable(f, name)
}

// find is the class of a picture: by its whole path, else by its base name.
func (t *labelTable) find(file string) (int, bool) {
	if k, ok := t.index[path.Clean(file)]; ok {
		return k, true
	}
	k, ok := t.index[path.Base(file)]
	return k, ok
}

// classTable holds the names of classes and, for ImageNet, their WordNet ids.
type classTable struct {
	names []string
	wnid  map[string]int
}

// loadClassTable reads the file opts names, or classes.tsv or classes.txt
// beside the data: a name a line, or columns index, WordNet id (optional), name.
func loadClassTable(given string, dirs ...string) (*classTable, error) {
	name := given
	for _, d := range dirs {
		for _, base := range []string{"classes.tsv", "classes.txt"} {
			if p := filepath.Join(d, base); name == "" && exists(p) {
				name = p
			}
		}
	}
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("data: classes: %w", err)
	}
	defer f.Close()
	return readClassTable(f, name)
}

var wordNetID = regexp.MustCompile(`^n[0-9]{8}$`)

func readClassTable(r io.Reader, name string) (*classTable, error) {
	t := &classTable{wnid: map[string]int{}}
	lines := newLines(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "" || (n == 1 && strings.HasPrefix(line, "index\t")) {
			continue
		}
		k, id, label := len(t.names), "", line
		if fields := strings.Split(line, "\t"); len(fields) > 1 {
			i, err := strconv.Atoi(fields[0])
			if err != nil || i != k {
				return nil, fmt.Errorf("data: %s: line %d: class %q, want %d", name, n, fields[0], k)
			}
			label = fields[len(fields)-1]
			if wordNetID.MatchString(fields[1]) {
				id = fields[1]
			}
		}
		if k >= maxClasses {
			return nil, fmt.Errorf("data: %s: more than %d classes", name, maxClasses)
		}
		t.names = append(t.names, label)
		if id != "" {
			t.wnid[id] = k
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("data: %s: %w", name, err)
	}
	if len(t.names) == 0 {
		return nil, fmt.Errorf("data: %s: names no classes", name)
	}
	return t, nil
}

// classNames are the names of the classes that occur in labels: those of the
// class table, else of the label table, else their numbers.
func classNames(labels []int32, classes *classTable, table *labelTable) []string {
	if classes != nil {
		return classes.names
	}
	top := int32(-1)
	for _, l := range labels {
		top = max(top, l)
	}
	names := numbered(int(top) + 1)
	if table != nil {
		for k, n := range table.names {
			if k < len(names) && n != "" {
				names[k] = n
			}
		}
	}
	return names
}

var leadingClass = regexp.MustCompile(`^([0-9]{1,7})_(?:n[0-9]{8})`)

// classInName is the class in a file name such as 004_n01494475.jpg.
func classInName(file string) (int, bool) {
	m := leadingClass.FindStringSubmatch(path.Base(file))
	if m == nil {
		return 0, false
	}
	k, err := strconv.Atoi(m[1])
	return k, err == nil && k < maxClasses
}

// parseLabel reads the label member of a shard: a number in text, or a JSON
// number or object with the key cls, label, class or index.
func parseLabel(raw []byte) (int, error) {
	text := strings.TrimSpace(string(raw))
	k, err := strconv.Atoi(text)
	if err != nil {
		var obj map[string]json.RawMessage
		if json.Unmarshal(raw, &obj) != nil {
			return 0, fmt.Errorf("label %.40q is not a number", text)
		}
		err = errors.New("no number under cls, label, class or index")
		for _, key := range []string{"cls", "label", "class", "index"} {
			if v, ok := obj[key]; ok {
				if k, err = strconv.Atoi(string(v)); err == nil {
					break
				}
			}
		}
		if err != nil {
			return 0, fmt.Errorf("label: %w", err)
		}
	}
	if k < 0 || k >= maxClasses {
		return 0, fmt.Errorf("label %d is out of range", k)
	}
	return k, nil
}
