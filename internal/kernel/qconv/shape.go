package qconv

import (
	"fmt"

	"github.com/drawknife/drawknife/internal/kernel/conv"
)

// Shape describes a convolution: N images of D x H x W pixels of C channels,
// a kernel of T x R x S taps, OD x P x Q output pixels of K channels. The
// third dimension (D, T, OD) is 1 for images. Strides, dilations and paddings
// are in pixels; the padding is that before the first pixel (it may be
// negative), the padding after the last follows from the output size.
// SrcStride, DstStride and AddStride are the distances of consecutive pixels
// in elements: more than C, K, K where the tensor is a part of a wider one. A
// fully connected layer has all extents 1. Zeros stand for 1, in SrcStride for
// C and in DstStride and AddStride for K.
type Shape = conv.Shape

// normal fills in the values that zeros stand for.
func normal(s Shape) Shape {
	for _, f := range []*int{&s.N, &s.D, &s.H, &s.W, &s.T, &s.R, &s.S, &s.OD, &s.P, &s.Q,
		&s.StrideD, &s.StrideH, &s.StrideW, &s.DilD, &s.DilH, &s.DilW, &s.Groups} {
		if *f == 0 {
			*f = 1
		}
	}
	if s.SrcStride == 0 {
		s.SrcStride = s.C
	}
	if s.DstStride == 0 {
		s.DstStride = s.K
	}
	if s.AddStride == 0 {
		s.AddStride = s.K
	}
	return s
}

// check reports a shape no convolution can have.
func check(s *Shape) error {
	for _, v := range []int{s.N, s.D, s.H, s.W, s.C, s.K, s.T, s.R, s.S, s.OD, s.P, s.Q,
		s.StrideD, s.StrideH, s.StrideW, s.DilD, s.DilH, s.DilW, s.Groups} {
		if v < 1 {
			return fmt.Errorf("qconv: a size below 1 in %+v", *s)
		}
	}
	if s.C%s.Groups != 0 || s.K%s.Groups != 0 {
		return fmt.Errorf("qconv: %d and %d channels do not split into %d groups", s.C, s.K, s.Groups)
	}
	if s.SrcStride < s.C || s.DstStride < s.K || s.AddStride < s.K {
		return fmt.Errorf("qconv: pixel strides %d, %d, %d below %d, %d channels", s.SrcStride, s.DstStride, s.AddStride, s.C, s.K)
	}
	return nil
}

// taps is the number of taps of the kernel.
func taps(s *Shape) int { return s.T * s.R * s.S }

// pixels is the number of output pixels.
func pixels(s *Shape) int { return s.N * s.OD * s.P * s.Q }
