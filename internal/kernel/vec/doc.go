// Package vec holds the element-wise, reducing and layout-changing kernels of
// the engine: activations and their gradients, arithmetic with broadcasting
// along rows, softmax, normalisation, transposition and the fused parameter
// updates of training.
//
// Every kernel has a portable Go version, which defines its result, and most
// have AVX2 and NEON versions generated from the same formulas (see ../_asm/vec.go
// and ../_asm/arm64/vec.go). Element-wise kernels agree between them within 2
// units in the last place; sums may differ by their order. Whatever the version, the result for one
// element does not depend on how the caller slices the work, and kernels that
// take a pool reduce in an order that does not depend on the number of
// workers.
//
// Unless a comment says otherwise, slices hold float32, no kernel allocates,
// slices given to one call have the length of the destination, and the
// destination may be one of the sources but must not overlap it in part.
package vec

import "github.com/drawknife/drawknife/internal/cpu"

//go:generate go -C ../_asm run . vec -out ../vec/vec_amd64.s -stubs ../vec/vec_stubs_amd64.go -pkg vec

// level selects the implementation; tests set it to run every one.
var level = cpu.Best()

// block is the number of elements that a float32 partial sum may cover before
// it is added to a float64 total.
const block = 2048
