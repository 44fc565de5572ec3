package data

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// MetadataKey is the key under which a model keeps its preprocessing
// ([Preprocess.String]) in its ONNX metadata.
const MetadataKey = "drawknife.preprocess"

// MaxSide bounds the height and width that Preprocess may ask for.
const MaxSide = 1 << 14

// Preprocess says how a picture becomes the input of a network. The steps, in
// order: Resize, Crop, Size, Color, then (value − Mean) / Std for each channel.
// The zero value passes the numbers on as they are, as [C, H, W].
type Preprocess struct {
	// Resize makes the shorter side this many pixels, keeping the proportions;
	// 0 leaves the picture alone.
	Resize int
	// Crop cuts this height and width out of the middle; 0, 0 keeps all.
	Crop [2]int
	// Size resizes to this height and width, whatever the proportions; 0, 0
	// leaves the picture alone.
	Size [2]int
	// Interpolation is the filter of Resize and Size.
	Interpolation Interpolation
	// Color is the order of the channels.
	Color Color
	// Mean and Std have one value for all channels, or one a channel, in the
	// order of Color and in units of the picture (0 … 255). Empty means 0 and 1.
	Mean, Std []float32
	// Layout is the order of the axes.
	Layout Layout
	// LabelOffset is added to every label: 1 for networks whose output 0 is
	// "background".
	LabelOffset int
}

// Color is the order of a network's input channels.
type Color uint8

// The orders of channels. ColorAsStored keeps what the picture has.
const (
	ColorAsStored Color = iota
	RGB
	BGR
	Gray
)

// Layout is the order of the axes of one prepared picture.
type Layout uint8

// The layouts: ONNX's own, and channels last.
const (
	CHW Layout = iota
	HWC
)

// Interpolation is a resampling filter. All are stretched when they shrink a
// picture (antialiasing), as Pillow and torchvision do.
type Interpolation uint8

// The filters: triangle, Keys' cubic with a = −0.5, and the average of the
// covered area.
const (
	Bilinear Interpolation = iota
	Bicubic
	Box
)

var (
	colorNames  = []string{"stored", "rgb", "bgr", "gray"}
	layoutNames = []string{"nchw", "nhwc"}
	interpNames = []string{"bilinear", "bicubic", "box"}
)

func (c Color) String() string         { return nameOf(colorNames, int(c)) }
func (l Layout) String() string        { return nameOf(layoutNames, int(l)) }
func (i Interpolation) String() string { return nameOf(interpNames, int(i)) }

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return strconv.Itoa(i)
}

// ParseColor reads "rgb", "bgr", "gray" or "stored".
func ParseColor(s string) (Color, error) {
	i, err := oneOf("color", s, colorNames)
	return Color(i), err
}

func oneOf(what, s string, names []string) (int, error) {
	if i := slices.Index(names, strings.ToLower(s)); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("%s %q: want one of %s", what, s, strings.Join(names, ", "))
}

// Preset returns a named preprocessing: "imagenet", "half", "unit", "raw" or
// "caffe". Presets leave the geometry to [Preprocess.ForInput].
func Preset(name string) (Preprocess, bool) {
	switch name {
	case "imagenet":
		return Preprocess{Color: RGB, Mean: []float32{123.675, 116.28, 103.53}, Std: []float32{58.395, 57.12, 57.375}}, true
	case "half":
		return Preprocess{Mean: []float32{127.5}, Std: []float32{127.5}}, true
	case "unit":
		return Preprocess{Mean: []float32{0}, Std: []float32{255}}, true
	case "raw":
		return Preprocess{}, true
	case "caffe":
		return Preprocess{Color: BGR, Mean: []float32{104, 117, 123}, Std: []float32{1}}, true
	}
	return Preprocess{}, false
}

// PresetNames lists the presets.
func PresetNames() []string { return []string{"imagenet", "half", "unit", "raw", "caffe"} }

// String is p as words "key=value"; [ParsePreprocess] reads it back. Steps that
// do nothing are left out, so the zero value is "raw".
func (p Preprocess) String() string {
	var w []string
	add := func(key, value string) { w = append(w, key+"="+value) }
	if p.Resize != 0 {
		add("resize", strconv.Itoa(p.Resize))
	}
	if p.Crop != [2]int{} {
		add("crop", sizeString(p.Crop))
	}
	if p.Size != [2]int{} {
		add("size", sizeString(p.Size))
	}
	if p.Interpolation != Bilinear {
		add("interpolation", p.Interpolation.String())
	}
	if p.Color != ColorAsStored {
		add("color", p.Color.String())
	}
	if len(p.Mean) > 0 {
		add("mean", floatsString(p.Mean))
	}
	if len(p.Std) > 0 {
		add("std", floatsString(p.Std))
	}
	if p.Layout != CHW {
		add("layout", p.Layout.String())
	}
	if p.LabelOffset != 0 {
		add("label_offset", strconv.Itoa(p.LabelOffset))
	}
	if len(w) == 0 {
		return "raw"
	}
	return strings.Join(w, " ")
}

func sizeString(s [2]int) string {
	if s[0] == s[1] {
		return strconv.Itoa(s[0])
	}
	return fmt.Sprintf("%dx%d", s[0], s[1])
}

func floatsString(v []float32) string {
	words := make([]string, len(v))
	for i, x := range v {
		words[i] = strconv.FormatFloat(float64(x), 'g', -1, 32)
	}
	return strings.Join(words, ",")
}

// ParsePreprocess reads words "key=value" separated by spaces, as String writes
// them: resize, crop, size, interpolation, color, mean, std, layout and
// label_offset. A word without "=" names a preset that later words change:
// "imagenet crop=227".
func ParsePreprocess(s string) (Preprocess, error) {
	var p Preprocess
	for _, word := range strings.Fields(s) {
		key, value, isPair := strings.Cut(word, "=")
		if !isPair {
			preset, ok := Preset(word)
			if !ok {
				return p, fmt.Errorf("data: preprocessing: no preset %q; there are %s", word, strings.Join(PresetNames(), ", "))
			}
			p = preset
			continue
		}
		if err := p.set(key, value); err != nil {
			return p, fmt.Errorf("data: preprocessing: %w", err)
		}
	}
	return p, p.Validate()
}

func (p *Preprocess) set(key, value string) (err error) {
	var i int
	switch key {
	case "resize":
		p.Resize, err = strconv.Atoi(value)
	case "crop":
		p.Crop, err = parseSize(value)
	case "size":
		p.Size, err = parseSize(value)
	case "interpolation":
		i, err = oneOf(key, value, interpNames)
		p.Interpolation = Interpolation(i)
	case "color":
		p.Color, err = ParseColor(value)
	case "mean":
		p.Mean, err = ParseFloats(value)
	case "std":
		p.Std, err = ParseFloats(value)
	case "layout":
		i, err = oneOf(key, value, layoutNames)
		p.Layout = Layout(i)
	case "label_offset":
		p.LabelOffset, err = strconv.Atoi(value)
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", key, value, err)
	}
	return nil
}

func parseSize(s string) (size [2]int, err error) {
	h, w, two := strings.Cut(s, "x")
	if !two {
		w = h
	}
	if size[0], err = strconv.Atoi(h); err != nil {
		return size, err
	}
	size[1], err = strconv.Atoi(w)
	return size, err
}

// ParseFloats reads numbers separated by commas, as --mean and --std take them.
func ParseFloats(s string) ([]float32, error) {
	var out []float32
	for word := range strings.SplitSeq(s, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(word), 32)
		if err != nil {
			return nil, err
		}
		out = append(out, float32(v))
	}
	return out, nil
}

// Validate reports a setting that cannot be carried out.
func (p Preprocess) Validate() error {
	for _, n := range []int{p.Resize, p.Crop[0], p.Crop[1], p.Size[0], p.Size[1]} {
		if n < 0 || n > MaxSide {
			return fmt.Errorf("data: preprocessing: a side of %d pixels is not in [0, %d]", n, MaxSide)
		}
	}
	for _, s := range [][2]int{p.Crop, p.Size} {
		if (s[0] == 0) != (s[1] == 0) {
			return fmt.Errorf("data: preprocessing: size %dx%d has no area", s[0], s[1])
		}
	}
	for _, v := range [][]float32{p.Mean, p.Std} {
		if n := len(v); n > 4 {
			return fmt.Errorf("data: preprocessing: %d values for mean or std; want one, or one a channel", n)
		}
	}
	if len(p.Mean) > 1 && len(p.Std) > 1 && len(p.Mean) != len(p.Std) {
		return fmt.Errorf("data: preprocessing: %d means but %d standard deviations", len(p.Mean), len(p.Std))
	}
	for _, v := range p.Mean {
		if !finite(v) {
			return fmt.Errorf("data: preprocessing: mean %v", v)
		}
	}
	for _, v := range p.Std {
		if !finite(v) || v == 0 || !finite(1/v) {
			return fmt.Errorf("data: preprocessing: standard deviation %v", v)
		}
	}
	if int(p.Color) >= len(colorNames) || int(p.Layout) >= len(layoutNames) || int(p.Interpolation) >= len(interpNames) {
		return fmt.Errorf("data: preprocessing: unknown color %d, layout %d or interpolation %d", p.Color, p.Layout, p.Interpolation)
	}
	if p.LabelOffset < -1<<20 || p.LabelOffset > 1<<20 {
		return fmt.Errorf("data: preprocessing: label offset %d", p.LabelOffset)
	}
	return nil
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

// ForInput completes p for a network whose input has c channels of h×w pixels
// (0 where the network leaves it open). Settings that p has are kept; missing
// ones follow the practice in which such networks are evaluated:
//
//   - up to 96 pixels the whole picture is resized to h×w (CIFAR's and MNIST's
//     pictures are left as they are);
//   - up to 192 the shorter side is resized to 256, the middle 224×224 is
//     resized to h×w;
//   - up to 240 the shorter side is resized to 256 and the middle h×w taken;
//   - above, the shorter side is resized to 8/7 of the larger one of h and w
//     and the middle h×w taken.
//
// A crop of another size than the input is resized to it. A crop larger than
// the resize ("--resize 128 --crop 224") is understood as crop first.
func (p Preprocess) ForInput(c, h, w int) Preprocess {
	if p.Color == ColorAsStored {
		switch c {
		case 1:
			p.Color = Gray
		case 3:
			p.Color = RGB
		}
	}
	if p.Resize > 0 && p.Size == [2]int{} && min(p.Crop[0], p.Crop[1]) > p.Resize {
		p.Size, p.Resize = [2]int{p.Resize, p.Resize}, 0
	}
	if h < 1 || w < 1 || p.Size != [2]int{} {
		return p
	}
	in, side := [2]int{h, w}, max(h, w)
	switch {
	case p.Crop != [2]int{}:
		if p.Crop != in {
			p.Size = in
		}
	case p.Resize > 0:
		if p.Resize >= side {
			p.Crop = in
		} else {
			p.Size = in
		}
	case side <= 96:
		p.Size = in
	case side <= 192:
		p.Resize, p.Crop, p.Size = 256, [2]int{224, 224}, in
	case side <= 240:
		p.Resize, p.Crop = 256, in
	default:
		p.Resize, p.Crop = (side*8+3)/7, in
	}
	return p
}
