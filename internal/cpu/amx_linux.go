//go:build amd64 && !purego

package cpu

import (
	"sync"

	"golang.org/x/sys/unix"
)

// tilesGranted asks Linux for the state of AMX's tiles, which it gives to
// processes that ask alone, and reports whether they have it.
var tilesGranted = sync.OnceValue(func() bool {
	const (
		requestPermission = 0x1023 // ARCH_REQ_XCOMP_PERM
		tileData          = 18     // XFEATURE_XTILEDATA
	)
	_, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return errno == 0
})
