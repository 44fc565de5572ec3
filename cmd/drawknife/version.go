package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/drawknife/drawknife/internal/cpu"
)

// version is the release; it changes with each.
const version = "0.1.0"

type versionCmd struct{}

func (versionCmd) Run(a *app) error {
	v := map[string]any{"version": version, "revision": revision(), "go": runtime.Version(),
		"platform": runtime.GOOS + "/" + runtime.GOARCH, "cpu": cpu.Best().String()}
	return a.emit(v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "drawknife %s (%s, %s, %s, kernels: %s)\n", version, v["revision"], v["go"], v["platform"], v["cpu"])
		return err
	})
}

// revision is the commit the binary was built from, as far as Go recorded it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown revision"
	}
	rev, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+changes"
			}
		}
	}
	if rev == "" {
		return "unknown revision"
	}
	return rev + dirty
}
