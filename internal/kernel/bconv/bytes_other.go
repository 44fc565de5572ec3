//go:build !amd64 || purego

package bconv

// toBytes is toBytesPortable.
func toBytes(dst []uint8, src []uint64) { toBytesPortable(dst, src) }
