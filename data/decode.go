package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // formats that image.Decode knows
	_ "image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/webp"

	"github.com/drawknife/drawknife/internal/jpeg"
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
	if jpeg.IsJPEG(raw) {
		return decodeJPEG(raw, s)
	}
	cfg, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("cannot decode the picture: %w", err)
	}
	if err := checkSize(cfg.Width, cfg.Height); err != nil {
		return err
	}
	img, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("cannot decode the picture: %w", err)
	}
	FromImage(img, s)
	return nil
}

func checkSize(w, h int) error {
	if w < 1 || h < 1 || w > maxPixels/h {
		return fmt.Errorf("a picture of %dx%d pixels is empty or too large", w, h)
	}
	return nil
}

// decodeJPEG sets s to the pixels that libjpeg makes of a file: networks were
// trained on those.
func decodeJPEG(raw []byte, s *Sample) error {
	err := jpeg.Decode(raw, func(h, w, c int) ([]uint8, error) {
		if err := checkSize(w, h); err != nil {
			return nil, err
		}
		return s.alloc(h, w, c), nil
	})
	if err != nil {
		return fmt.Errorf("cannot decode the picture: %w", err)
	}
	s.Label = -1
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
	case *image.YCbCr: // a lossy WebP
		if b.Min != (image.Point{}) {
			fromAny(img, s.alloc(b.Dy(), b.Dx(), 3))
			return
		}
		jpeg.ConvertYCbCr(m, s.alloc(b.Dy(), b.Dx(), 3))
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
