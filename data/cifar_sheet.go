package data

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// A sheet is a lossless and smaller form of one CIFAR-10 batch: a PNG of
// 100×100 tiles, tile i at row i/100 and column i%100, with green subtracted
// from the two other channels modulo 256. labels.bin holds the labels of the
// five training batches and then of the test batch.
const (
	sheetTiles  = 100
	sheetSide   = sheetTiles * cifarSide
	sheetImages = sheetTiles * sheetTiles
	sheetLabels = 6 * sheetImages
)

// openSheets reads the sheets that stand for the named binary files, in parallel.
func openSheets(dir string, names []string) (Dataset, error) {
	labels, err := os.ReadFile(filepath.Join(dir, "labels.bin"))
	if err != nil {
		return nil, fmt.Errorf("data: cifar10: the sheets need their labels: %w", err)
	}
	if len(labels) != sheetLabels {
		return nil, fmt.Errorf("data: %s: has %d bytes, want %d", filepath.Join(dir, "labels.bin"), len(labels), sheetLabels)
	}
	set := &pixels{
		pix: make([]uint8, len(names)*sheetImages*cifarPixels), h: cifarSide, w: cifarSide, c: 3,
		classes: cifar10Classes, source: dir,
	}
	errs := make([]error, len(names))
	limit := make(chan struct{}, runtime.GOMAXPROCS(0)) // a decoded sheet takes 41 MB
	var wg sync.WaitGroup
	for k, name := range names {
		part := set.pix[k*sheetImages*cifarPixels:][:sheetImages*cifarPixels]
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			errs[k] = readSheet(filepath.Join(dir, sheetName(name)), part)
		})
		for _, l := range labels[sheetIndex(name)*sheetImages:][:sheetImages] {
			set.labels = append(set.labels, int32(l))
		}
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return set, checkLabels(filepath.Join(dir, "labels.bin"), set.labels, len(cifar10Classes))
}

// sheetIndex is the place of a batch in labels.bin.
func sheetIndex(bin string) int {
	for i, name := range cifar10Form.files["train"] {
		if name == bin {
			return i
		}
	}
	return sheetLabels/sheetImages - 1
}

// readSheet decodes one sheet into its pictures.
func readSheet(name string, dst []uint8) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("data: cifar10: %w", err)
	}
	cfg, err := png.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("data: %s: %w", name, err)
	}
	if cfg.Width != sheetSide || cfg.Height != sheetSide {
		return fmt.Errorf("data: %s: a sheet of %dx%d pixels, want %dx%d", name, cfg.Width, cfg.Height, sheetSide, sheetSide)
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("data: %s: %w", name, err)
	}
	rgba, ok := img.(*image.RGBA)
	if !ok {
		return fmt.Errorf("data: %s: pixels are %T, want 8-bit RGB without alpha", name, img)
	}
	for y := range sheetSide {
		row := rgba.Pix[y*rgba.Stride:][:4*sheetSide]
		for col := range sheetTiles {
			tile := (y/cifarSide)*sheetTiles + col
			out := dst[tile*cifarPixels+(y%cifarSide)*3*cifarSide:][:3*cifarSide]
			in := row[col*4*cifarSide:][:4*cifarSide]
			for x := range cifarSide {
				p := in[4*x : 4*x+3 : 4*x+3]
				o := out[3*x : 3*x+3 : 3*x+3]
				o[0], o[1], o[2] = p[0]+p[1], p[1], p[2]+p[1]
			}
		}
	}
	return nil
}
