// Command asm writes the assembly micro-kernels of the packages beside it.
//
// It lives in its own module so that avo and its dependencies never reach the
// users of the library: only the generated .s files and their stubs do. Each
// kernel package holds the go:generate line that runs it:
//
//	go run . FAMILY -out F.s -stubs F.go -pkg P
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mmcloughlin/avo/build"
)

// families maps the name of a family of kernels to the function that emits
// it. Each is filled by the file that holds the family.
var families = map[string]func(){}

func main() {
	if len(os.Args) < 2 || families[os.Args[1]] == nil {
		names := []string{}
		for n := range families {
			names = append(names, n)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "usage: asm %s [-out F.s] [-stubs F.go] [-pkg P]\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	emit := families[os.Args[1]]
	os.Args = append(os.Args[:1], os.Args[2:]...) // build.Generate parses the rest
	build.ConstraintExpr("amd64")
	build.ConstraintExpr("!purego")
	emit()
	build.Generate()
}
