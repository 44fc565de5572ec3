//go:build !purego

package qconv

// amx2x32 computes pairs of tiles of pixels by 32 channels; a is a *tileArgs.
//
//go:noescape
func amx2x32(a *byte)

// amx1x32 computes tiles of pixels by 32 channels; a is a *tileArgs.
//
//go:noescape
func amx1x32(a *byte)

// amx2x16 computes pairs of tiles of pixels by 16 channels; a is a *tileArgs.
//
//go:noescape
func amx2x16(a *byte)

// amx1x16 computes tiles of pixels by 16 channels; a is a *tileArgs.
//
//go:noescape
func amx1x16(a *byte)
