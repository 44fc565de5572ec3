package main

import (
	"fmt"
	"io"

	"github.com/drawknife/drawknife/data"
)

type dataCmd struct {
	List     dataListCmd     `cmd:"" default:"1" help:"List the known data sets and where each is looked for."`
	Check    dataCheckCmd    `cmd:"" help:"Read every picture of a data set; report counts, sizes and what is broken."`
	Download dataDownloadCmd `cmd:"" help:"Download a known data set from its official address, or copy it from a folder."`
}

type dataListCmd struct{}

type dataListing struct {
	Name    string `json:"name"`
	About   string `json:"about"`
	Train   int    `json:"train"`
	Test    int    `json:"test"`
	Shape   string `json:"shape"`
	Classes int    `json:"classes"`
	Home    string `json:"home"`
	Licence string `json:"licence"`
	Dir     string `json:"dir"`
	Present bool   `json:"present"`
}

func (dataListCmd) Run(a *app) error {
	var list []dataListing
	for _, i := range data.List() {
		l := dataListing{i.Name, i.About, i.Train, i.Test, fmt.Sprintf("%dx%dx%d", i.H, i.W, i.C), i.Classes, i.Home, i.Licence, data.Dir(i.Name), false}
		if ds, err := data.Open(i.Name, data.Options{Split: "test"}); err == nil {
			l.Present = ds.Len() > 0
		}
		list = append(list, l)
	}
	return a.emit(map[string]any{"data": list}, func(w io.Writer) error {
		rows := [][]string{{"name ", "what ", "train", "test", "size", "classes", "here ", "folder "}}
		for _, l := range list {
			here := "no"
			if l.Present {
				here = "yes"
			}
			rows = append(rows, []string{l.Name, l.About, fmt.Sprint(l.Train), fmt.Sprint(l.Test), l.Shape, fmt.Sprint(l.Classes), here, l.Dir})
		}
		if err := table(w, rows); err != nil {
			return err
		}
		_, err := fmt.Fprintln(w, "\nOther data: a folder of images, a tar, or an .npz file; see drawknife eval --help.")
		return err
	})
}

type dataCheckCmd struct {
	Data   string `arg:"" help:"Data set: NAME, NAME:DIR, a folder, a tar or an .npz file, each optionally @SPLIT."`
	Split  string `help:"Split to check." default:"test"`
	Labels string `help:"Table of file names and classes." placeholder:"FILE" type:"path"`
}

func (c *dataCheckCmd) Run(a *app) error {
	ds, err := openData(c.Data, c.Labels, c.Split, 0)
	if err != nil {
		return err
	}
	r, err := data.Check(a, ds)
	if err != nil {
		return err
	}
	err = a.emit(r, func(w io.Writer) error {
		kv := []string{"pictures", fmt.Sprint(r.N), "sizes", fmt.Sprintf("%dx%d to %dx%d", r.MinH, r.MinW, r.MaxH, r.MaxW),
			"mean", fmt.Sprintf("%.2f", r.Mean), "std", fmt.Sprintf("%.2f", r.Std), "fingerprint", r.Fingerprint}
		if r.Known != "" {
			kv = append(kv, "known as", r.Known)
		}
		if r.Unlabelled > 0 {
			kv = append(kv, "unlabelled", fmt.Sprint(r.Unlabelled))
		}
		if err := pairs(w, kv...); err != nil {
			return err
		}
		rows := [][]string{{"class ", "pictures"}}
		for i, name := range r.Classes {
			rows = append(rows, []string{name, fmt.Sprint(r.Count[i])})
		}
		fmt.Fprintln(w)
		if err := table(w, rows[:min(len(rows), 101)]); err != nil {
			return err
		}
		if len(rows) > 101 {
			fmt.Fprintf(w, "… and %d more classes\n", len(rows)-101)
		}
		for _, e := range r.Errors {
			fmt.Fprintln(w, "broken:", e)
		}
		return nil
	})
	if err == nil && r.Broken > 0 {
		err = fmt.Errorf("%s: %d of %d pictures cannot be read", c.Data, r.Broken, r.N)
	}
	return err
}

type dataDownloadCmd struct {
	Name string `arg:"" help:"Known data set: see drawknife data list."`
	Dir  string `help:"Folder to put it in; by default where it is looked for." placeholder:"DIR" type:"path"`
	From string `help:"Copy from this folder instead of downloading." placeholder:"DIR" type:"path"`
	URL  string `help:"Address to use instead of the official one." placeholder:"URL"`
}

func (c *dataDownloadCmd) Run(a *app) error {
	last := ""
	dir, err := data.Download(a, c.Name, data.DownloadOptions{Dir: c.Dir, From: c.From, Base: c.URL,
		Progress: func(file string, done, total int64) {
			if !a.tty || a.Quiet {
				return
			}
			if total > 0 {
				last = fmt.Sprintf("%s: %s of %s", file, size(done), size(total))
			} else {
				last = fmt.Sprintf("%s: %s", file, size(done))
			}
			fmt.Fprintf(a.err, "\r\x1b[K%s", last)
		}})
	if last != "" {
		fmt.Fprint(a.err, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	return a.emit(map[string]any{"name": c.Name, "dir": dir}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s is in %s\n", c.Name, dir)
		return err
	})
}
