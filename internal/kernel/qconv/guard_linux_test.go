package qconv

import (
	"syscall"
	"testing"
)

// atEnd copies x to memory that ends behind it: to read on is a fault.
func atEnd(t *testing.T, x []uint8) []uint8 {
	page := syscall.Getpagesize()
	size := (len(x) + page - 1) / page * page
	m, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(m); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.Mprotect(m[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	to := m[size-len(x) : size : size]
	copy(to, x)
	return to
}
