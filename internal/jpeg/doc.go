// Package jpeg decodes JPEG pictures to the very pixels that libjpeg, and so
// Pillow and OpenCV, give.
//
// The JPEG standard (ITU-T T.81) leaves the rounding of the inverse cosine
// transform, the interpolation of subsampled chroma and the conversion of
// colours to the decoder. Networks are trained and their accuracies recorded
// on the output of libjpeg. Another rounding of the transform alone changes
// three values in a hundred of a photograph by a level, enough to change the
// class of one photograph in a thousand. This package makes the choices of
// libjpeg (libjpeg-turbo 2 and later):
//
//   - the "slow integer" inverse transform: the algorithm of C. Loeffler,
//     A. Ligtenberg and G. Moschytz (ICASSP 1989) with 13-bit constants,
//     columns first, two extra bits between the passes;
//   - "fancy" upsampling, a triangle filter, of chroma halved in one or both
//     directions, and replication for every other ratio;
//   - JFIF's colour matrix in 16-bit fixed point.
//
// Baseline, extended sequential and progressive files with Huffman coding and
// 8 bits a sample are read, with one (gray), three (YCbCr or RGB) or four
// components (CMYK or YCCK, which become RGB as in Pillow). Arithmetic
// coding, lossless and 12-bit files are not.
//
// A damaged or truncated file is an error: there are no partial pictures. For
// the same reason a progressive file that ends before its last refinement is
// not smoothed as libjpeg does; its coefficients are taken as they are.
package jpeg
