package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // formats that image.Decode knows
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/webp"
)

const (
	// maxFileBytes bounds one encoded picture.
	maxFileBytes = 256 << 20
	// maxPixels bounds one decoded picture (a 100-megapixel photograph).
	maxPixels = 100 << 20
)

// imageSuffixes are the names of pictures in folders and tars.
var imageSuffixes = []string{".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"}

// IsImage tells by its name whether a file is a picture that Decode can read:
// JPEG, PNG, WebP, BMP or GIF.
func IsImage(name string) bool {
	return slices.Contains(imageSuffixes, strings.ToLower(filepath.Ext(name)))
}

// DecodeFile sets s to the picture in a file; the label becomes −1.
func DecodeFile(name string, s *Sample) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if err := Decode(raw, s); err != nil {
		return fmt.Errorf("data: %s: %w", name, err)
	}
	return nil
}

// Decode sets s to an encoded picture (JPEG, PNG, WebP, BMP, GIF): one channel
// if it is stored in gray, else red, green and blue. Transparency is dropped
// and 16-bit values keep their upper byte. The label becomes −1.
func Decode(raw []byte, s *Sample) (err error) {
	defer func() { // a decoder must not take the program down with a hostile file
		if v := recover(); v != nil {
			err = fmt.Errorf("cannot decode the picture: %v", v)
		}
	}()
	if len(raw) > maxFileBytes {
		return fmt.Errorf("a picture of more than %d MB", maxFileBytes>>20)
	}
	cfg, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("cannot decode the picture: %w", err)
	}
	if cfg.Width < 1 || cfg.Height < 1 || cfg.Width > maxPixels/cfg.Height {
		return fmt.Errorf("a picture of %dx%d pixels is empty or too large", cfg.Width, cfg.Height)
	}
	img, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("cannot decode the picture: %w", err)
	}
	FromImage(img, s)
	return nil
}

// FromImage sets s to the pixels of img; the label becomes −1.
func FromImage(img image.Image, s *Sample) {
	b := img.Bounds()
	s.Label = -1
	switch m := img.(type) {
	case *image.Gray:
		pix := s.alloc(b.Dy(), b.Dx(), 1)
		for y := range b.Dy() {
			copy(pix[y*b.Dx():][:b.Dx()], m.Pix[m.PixOffset(b.Min.X, b.Min.Y+y):])
		}
	case *image.Gray16:
		pix := s.alloc(b.Dy(), b.Dx(), 1)
		for y := range b.Dy() {
			row := m.Pix[m.PixOffset(b.Min.X, b.Min.Y+y):]
			for x := range b.Dx() {
				pix[y*b.Dx()+x] = row[2*x]
			}
		}
	case *image.YCbCr:
		fromYCbCr(m, s.alloc(b.Dy(), b.Dx(), 3))
	case *image.RGBA:
		if m.Opaque() { // colours are multiplied by alpha otherwise
			dropAlpha(m.Pix[m.PixOffset(b.Min.X, b.Min.Y):], m.Stride, b, s.alloc(b.Dy(), b.Dx(), 3))
			return
		}
		fromAny(img, s.alloc(b.Dy(), b.Dx(), 3))
	case *image.NRGBA:
		dropAlpha(m.Pix[m.PixOffset(b.Min.X, b.Min.Y):], m.Stride, b, s.alloc(b.Dy(), b.Dx(), 3))
	default:
		fromAny(img, s.alloc(b.Dy(), b.Dx(), 3))
	}
}

func dropAlpha(src []uint8, stride int, b image.Rectangle, dst []uint8) {
	for y := range b.Dy() {
		row, out := src[y*stride:], dst[y*b.Dx()*3:]
		for x := range b.Dx() {
			out[3*x], out[3*x+1], out[3*x+2] = row[4*x], row[4*x+1], row[4*x+2]
		}
	}
}

func fromAny(img image.Image, dst []uint8) {
	b := img.Bounds()
	i := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			dst[i], dst[i+1], dst[i+2] = c.R, c.G, c.B
			i += 3
		}
	}
}

// fromYCbCr converts a JPEG's planes. Chroma that is stored at half resolution
// is interpolated with the triangle filter that libjpeg uses (weights 3/4 and
// 1/4 along each halved axis), since networks were trained on its pictures;
// image/jpeg's own conversion repeats the samples instead.
func fromYCbCr(m *image.YCbCr, dst []uint8) {
	b := m.Bounds()
	w := b.Dx()
	var up upsampler
	up.init(m)
	for y := range b.Dy() {
		cb, cr := up.row(y)
		luma := m.Y[m.YOffset(b.Min.X, b.Min.Y+y):][:w]
		out := dst[y*w*3:][:3*w]
		for x, l := range luma {
			o := out[3*x : 3*x+3 : 3*x+3]
			o[0], o[1], o[2] = ycbcrToRGB(l, cb[x], cr[x])
		}
	}
}

// ycbcrToRGB is JFIF's conversion in 16-bit fixed point, rounded to nearest.
func ycbcrToRGB(y, cb, cr uint8) (r, g, b uint8) {
	yy := int32(y)<<16 + 1<<15
	u, v := int32(cb)-128, int32(cr)-128
	return clip16(yy + 91881*v), clip16(yy - 22554*u - 46802*v), clip16(yy + 116130*u)
}

func clip16(v int32) uint8 {
	v >>= 16
	if uint32(v) > 255 {
		return uint8(^(v >> 31))
	}
	return uint8(v)
}

// upsampler gives rows of chroma at the resolution of the picture.
type upsampler struct {
	m      *image.YCbCr
	w      int
	cw, ch int // size of the chroma planes in use
	h2, v2 bool
	smooth bool
	cb, cr []uint8
	sum    []int32
}

func (u *upsampler) init(m *image.YCbCr) {
	b := m.Bounds()
	*u = upsampler{m: m, w: b.Dx(), cb: make([]uint8, b.Dx()+1), cr: make([]uint8, b.Dx()+1)}
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio420:
		u.h2, u.v2 = true, true
	case image.YCbCrSubsampleRatio422:
		u.h2 = true
	}
	u.cw, u.ch = (b.Dx()+1)/2, b.Dy()
	if u.v2 {
		u.ch = (b.Dy() + 1) / 2
	}
	// libjpeg smooths only rows of more than two samples.
	u.smooth = u.h2 && u.cw > 2 && b.Min == image.Point{}
	u.sum = make([]int32, u.cw)
}

// row returns the chroma of row y.
func (u *upsampler) row(y int) (cb, cr []uint8) {
	if !u.smooth {
		b := u.m.Bounds()
		for x := range u.w {
			i := u.m.COffset(b.Min.X+x, b.Min.Y+y)
			u.cb[x], u.cr[x] = u.m.Cb[i], u.m.Cr[i]
		}
		return u.cb, u.cr
	}
	near, far := y, y
	if u.v2 {
		near = y / 2
		far = near - 1
		if y%2 == 1 {
			far = near + 1
		}
		far = min(max(far, 0), u.ch-1)
	}
	u.smoothRow(u.cb, u.m.Cb, near, far)
	u.smoothRow(u.cr, u.m.Cr, near, far)
	return u.cb, u.cr
}

// smoothRow doubles a row: vertically 3/4 of the near and 1/4 of the far row,
// horizontally the same; halves are rounded up and down in turn.
func (u *upsampler) smoothRow(dst []uint8, plane []uint8, near, far int) {
	a := plane[near*u.m.CStride:][:u.cw]
	last := u.cw - 1
	if !u.v2 {
		dst[0], dst[2*last] = a[0], uint8((3*int32(a[last])+int32(a[last-1])+1)>>2)
		dst[1] = uint8((3*int32(a[0]) + int32(a[1]) + 2) >> 2)
		for i := 1; i < last; i++ {
			v := 3 * int32(a[i])
			dst[2*i], dst[2*i+1] = uint8((v+int32(a[i-1])+1)>>2), uint8((v+int32(a[i+1])+2)>>2)
		}
		if 2*last+1 < len(dst) {
			dst[2*last+1] = a[last]
		}
		return
	}
	b := plane[far*u.m.CStride:][:u.cw]
	for i := range u.sum {
		u.sum[i] = 3*int32(a[i]) + int32(b[i])
	}
	s := u.sum
	dst[0], dst[2*last] = uint8((4*s[0]+8)>>4), uint8((3*s[last]+s[last-1]+8)>>4)
	dst[1] = uint8((3*s[0] + s[1] + 7) >> 4)
	for i := 1; i < last; i++ {
		dst[2*i], dst[2*i+1] = uint8((3*s[i]+s[i-1]+8)>>4), uint8((3*s[i]+s[i+1]+7)>>4)
	}
	if 2*last+1 < len(dst) {
		dst[2*last+1] = uint8((4*s[last] + 7) >> 4)
	}
}
