// Command arm64 writes the NEON micro-kernels of the packages two levels up.
//
// Go's assembler lacks most vector arithmetic of arm64, so these kernels are
// made of its scalar and memory instructions and of WORDs, each with the
// instruction it encodes in a comment. Every kernel package holds the
// go:generate line that runs it:
//
//	go run ./arm64 FAMILY FILE [STUBS]
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// families maps the name of a family of kernels to the function that emits
// it. Each is filled by the file that holds the family.
var families = map[string]func(*asm){}

func main() {
	if n := len(os.Args); n < 3 || n > 4 || families[os.Args[1]] == nil {
		names := slices.Sorted(maps.Keys(families))
		fmt.Fprintf(os.Stderr, "usage: arm64 %s FILE [STUBS]\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	a := &asm{}
	families[os.Args[1]](a)
	err := os.WriteFile(os.Args[2], a.file(os.Args[1]), 0o644)
	if len(os.Args) > 3 && err == nil {
		pkg := filepath.Base(filepath.Dir(os.Args[3]))
		err = os.WriteFile(os.Args[3], a.stubs(os.Args[1], pkg), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
