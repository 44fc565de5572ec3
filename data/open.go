package data

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Options says how Open finds its way; the zero value will do.
type Options struct {
	// Split is the split to take if the spec names none: "train", "test", "val"
	// or one with a range, such as "train[:45000]". Data without splits ignores
	// its name. The default is "test".
	Split string
	// Labels is a table (tsv or csv) of file names and classes for folders and
	// tars; by default a table beside them is looked for.
	Labels string
	// Classes is a file of class names; by default classes.tsv or classes.txt
	// beside the data is looked for.
	Classes string
}

// known is a data set with a name.
type known struct {
	name    string
	open    func(dir, split string) (Dataset, error)
	classes []string
}

func knownSets() []known {
	return []known{
		{"cifar10", openCIFAR10, cifar10Classes},
		{"cifar100", openCIFAR100, cifar100Classes},
		{"mnist", openIDX("mnist", mnistClasses), mnistClasses},
		{"fashion-mnist", openIDX("fashion-mnist", fashionClasses), fashionClasses},
	}
}

func knownSet(name string) (known, bool) {
	for _, k := range knownSets() {
		if k.name == name {
			return k, true
		}
	}
	return known{}, false
}

// Open opens a data set. The spec is NAME, NAME:DIR or a path, optionally
// followed by @SPLIT:
//
//	cifar10                      a known set in one of the usual places
//	cifar10:DIR@train[:45000]    a known set in DIR, a part of its training split
//	photos                       a folder of images, a class per sub-folder
//	photos/labels.tsv            the images that a table names, by paths beside it
//	eval.tar                     a tar of images, labels in eval.tsv beside it
//	shards/train-*.tar           several tars as one set
//	x.npz                        arrays x (or images) and y (or labels)
//	cat.jpg                      one picture, without a label
//
// Known sets are cifar10, cifar100, mnist and fashion-mnist; see [Dir] for the
// usual places.
func Open(spec string, opts Options) (Dataset, error) {
	if opts.Split == "" {
		opts.Split = "test"
	}
	explicit := false
	if !exists(spec) {
		if at := strings.LastIndexByte(spec, '@'); at >= 0 {
			if _, _, err := parseSplit(spec[at+1:]); err != nil {
				return nil, err
			}
			spec, opts.Split, explicit = spec[:at], spec[at+1:], true
		}
	}
	split, part, err := parseSplit(opts.Split)
	if err != nil {
		return nil, err
	}
	ds, err := openWhole(spec, split, explicit && split != "", opts)
	if err != nil {
		return nil, err
	}
	if ds.Len() == 0 {
		return nil, fmt.Errorf("data: %s: empty data set", spec)
	}
	return part.of(ds)
}

// openWhole opens a split without its range; explicit says that the user named
// the split, so data without splits must not pass for it.
func openWhole(spec, split string, explicit bool, opts Options) (Dataset, error) {
	name, dir, hasDir := strings.Cut(spec, ":")
	if set, ok := knownSet(name); ok {
		if split == "" {
			split = "test"
		}
		if !hasDir {
			dir = Dir(name)
		}
		return set.open(dir, split)
	}
	if spec == "" {
		return nil, fmt.Errorf("data: no data set given; want NAME[:DIR] or a path")
	}
	st, err := os.Stat(spec)
	if shards := expandShards(spec); err != nil && len(shards) > 0 {
		return openTars(shards, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("data: %q is neither a known data set (%s) nor a path: %w", spec, strings.Join(knownNames(), ", "), err)
	}
	if st.IsDir() {
		return openDir(spec, split, explicit, opts)
	}
	return openFile(spec, split, explicit, opts)
}

func knownNames() []string {
	var names []string
	for _, k := range knownSets() {
		names = append(names, k.name)
	}
	return names
}

// Dir is where a known data set is looked for: the first of
// $DRAWKNIFE_DATA/NAME, the user's cache folder drawknife/data/NAME and
// /usr/share/datasets/NAME (Debian's place) that exists; if none does, the
// user's cache folder, where [Download] puts it.
func Dir(name string) string {
	var places []string
	if root := os.Getenv("DRAWKNIFE_DATA"); root != "" {
		places = append(places, filepath.Join(root, name))
	}
	home := userDir(name)
	places = append(places, home, filepath.Join("/usr/share/datasets", name))
	for _, p := range places {
		if exists(p) {
			return p
		}
	}
	return home
}

// userDir is the user's own folder for a data set.
func userDir(name string) string {
	root, err := os.UserCacheDir()
	if err != nil {
		root = os.TempDir()
	}
	return filepath.Join(root, "drawknife", "data", name)
}

// openDir recognises a folder by its files.
func openDir(dir, split string, explicit bool, opts Options) (Dataset, error) {
	has := func(names ...string) bool {
		for _, n := range names {
			if exists(filepath.Join(dir, n)) {
				return true
			}
		}
		return false
	}
	if split == "" && (has("test_batch.bin", "test_batch.png", "test.bin") || has("t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz")) {
		split = "test"
	}
	switch {
	case has("data_batch_1.bin", "test_batch.bin", "test_batch.png", cifar10Form.folder, cifar10Form.archive):
		return openCIFAR10(dir, split)
	case has("train.bin", "test.bin", cifar100Form.folder, cifar100Form.archive):
		return openCIFAR100(dir, split)
	case has("train-images-idx3-ubyte", "t10k-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"):
		classes := mnistClasses
		if strings.Contains(strings.ToLower(filepath.Base(dir)), "fashion") {
			classes = fashionClasses
		}
		return openIDX("mnist", classes)(dir, split)
	}
	if shards := expandShards(dir); len(shards) > 0 && !explicit {
		return openTars(shards, opts)
	}
	return openFolder(dir, split, explicit, opts)
}

// openFile recognises a file by its name.
func openFile(name, split string, explicit bool, opts Options) (Dataset, error) {
	lower := strings.ToLower(filepath.Base(name))
	arrays := strings.HasSuffix(lower, ".npz") || strings.HasSuffix(lower, ".npy")
	if explicit && !arrays && !strings.HasPrefix(lower, "cifar-10") {
		return nil, fmt.Errorf("data: %s has no split %q, only ranges such as @[:1000]", name, split)
	}
	switch {
	case arrays:
		return openArrays(name, split, explicit)
	case strings.HasPrefix(lower, "cifar-100") && strings.Contains(lower, ".tar"):
		return openCIFAR100(name, split)
	case strings.HasPrefix(lower, "cifar-10") && strings.Contains(lower, ".tar"):
		return openCIFAR10(name, split)
	case strings.HasSuffix(lower, ".tar"):
		return openTars([]string{name}, opts)
	case strings.HasSuffix(lower, ".tsv"), strings.HasSuffix(lower, ".csv"):
		return openTable(name, opts)
	case IsImage(lower):
		return openPicture(name)
	case strings.HasSuffix(lower, ".idx"), strings.HasSuffix(lower, ".idx.gz"):
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		defer f.Close()
		ds, err := readIDXSingle(f, name)
		if err != nil {
			return nil, err
		}
		return withKnownClasses(ds.(*pixels), lower), nil
	}
	return nil, fmt.Errorf("data: %s: no data set by its name; want .tar, .npz, .npy, .idx.gz, .tsv, .csv or a picture", name)
}

// withKnownClasses names the classes if the file's name starts with that of a
// known set.
func withKnownClasses(p *pixels, file string) Dataset {
	base := strings.ToLower(filepath.Base(file))
	for _, k := range knownSets() {
		if strings.HasPrefix(base, k.name) && len(p.classes) <= len(k.classes) {
			p.classes = k.classes
		}
	}
	return p
}

// numbered names n classes by their numbers.
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}
