package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Augment says how pictures are changed at random in training. The zero value
// changes nothing.
type Augment struct {
	// Crop pads the picture by this many black pixels on each side, as
	// torchvision's RandomCrop does before it normalises, and cuts a picture of
	// the old size out at random.
	Crop int
	// Flip mirrors left and right with probability 1/2.
	Flip bool
	// Cutout sets a square of this side, anywhere, to 0 (DeVries and Taylor,
	// 2017).
	Cutout int
	// Jitter changes brightness, contrast and saturation, each by a factor in
	// [1−Jitter, 1+Jitter].
	Jitter float32
	// RandomCrop cuts out a part with at least this share of the area and an
	// aspect ratio between 3/4 and 4/3, and resizes it to the input's size
	// (Szegedy et al., 2015); it takes the place of the evaluation's resize and
	// crop. 0 turns it off.
	RandomCrop float32
	// Mixup blends each picture of a batch with another one; the share of the
	// first is drawn from Beta(Mixup, Mixup) once a batch (Zhang et al., 2018).
	Mixup float32
}

// ParseAugment reads words separated by commas: "crop4", "flip", "cutout8",
// "jitter0.4", "rrc" or "rrc0.08" (RandomCrop), "mixup0.2"; "" and "none" are
// no augmentation.
func ParseAugment(s string) (Augment, error) {
	var a Augment
	if s == "" || s == "none" {
		return a, nil
	}
	for word := range strings.SplitSeq(s, ",") {
		word = strings.TrimSpace(word)
		name := strings.TrimRight(word, "0123456789.")
		value := word[len(name):]
		if err := a.set(name, value); err != nil {
			return a, fmt.Errorf("data: augmentation %q: %w", word, err)
		}
	}
	return a, a.Validate()
}

func (a *Augment) set(name, value string) error {
	switch name {
	case "flip":
		if value != "" {
			return fmt.Errorf("takes no number")
		}
		a.Flip = true
		return nil
	case "crop", "cutout":
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("wants a number of pixels, as in %s4", name)
		}
		if name == "crop" {
			a.Crop = n
		} else {
			a.Cutout = n
		}
		return nil
	case "rrc", "jitter", "mixup":
		if name == "rrc" && value == "" {
			value = "0.08"
		}
		v, err := strconv.ParseFloat(value, 32)
		if err != nil {
			return fmt.Errorf("wants a number, as in %s0.2", name)
		}
		switch name {
		case "rrc":
			a.RandomCrop = float32(v)
		case "jitter":
			a.Jitter = float32(v)
		case "mixup":
			a.Mixup = float32(v)
		}
		return nil
	}
	return fmt.Errorf("unknown; there are crop, flip, cutout, jitter, rrc and mixup")
}

// String is a in the form that ParseAugment reads.
func (a Augment) String() string {
	var w []string
	add := func(on bool, name, value string) {
		if on {
			w = append(w, name+value)
		}
	}
	num := func(v float32) string { return strconv.FormatFloat(float64(v), 'f', -1, 32) }
	add(a.RandomCrop > 0, "rrc", num(a.RandomCrop))
	add(a.Crop > 0, "crop", strconv.Itoa(a.Crop))
	add(a.Flip, "flip", "")
	add(a.Jitter > 0, "jitter", num(a.Jitter))
	add(a.Cutout > 0, "cutout", strconv.Itoa(a.Cutout))
	add(a.Mixup > 0, "mixup", num(a.Mixup))
	if len(w) == 0 {
		return "none"
	}
	return strings.Join(w, ",")
}

// Validate reports a setting out of range.
func (a Augment) Validate() error {
	switch {
	case a.Crop < 0 || a.Crop > MaxSide:
		return fmt.Errorf("data: augmentation: crop %d", a.Crop)
	case a.Cutout < 0 || a.Cutout > MaxSide:
		return fmt.Errorf("data: augmentation: cutout %d", a.Cutout)
	case !(a.Jitter >= 0 && a.Jitter <= 1):
		return fmt.Errorf("data: augmentation: jitter %v is not in [0, 1]", a.Jitter)
	case !(a.RandomCrop >= 0 && a.RandomCrop <= 1):
		return fmt.Errorf("data: augmentation: rrc %v is not in [0, 1]", a.RandomCrop)
	case !(a.Mixup >= 0 && a.Mixup <= 100):
		return fmt.Errorf("data: augmentation: mixup %v is not in [0, 100]", a.Mixup)
	}
	return nil
}

// geometry draws the positions for a picture of h×w pixels. It draws the same
// number of values whatever they are.
func (a Augment) geometry(rng *rand.Rand, h, w int) geometry {
	var g geometry
	if a.Crop > 0 {
		g.dy, g.dx = rng.IntN(2*a.Crop+1)-a.Crop, rng.IntN(2*a.Crop+1)-a.Crop
	}
	if a.Flip {
		g.flip = rng.Uint64()>>63 == 1
	}
	if a.Cutout > 0 {
		cy, cx := rng.IntN(h), rng.IntN(w)
		g.cut = true
		g.cy0, g.cy1 = max(0, cy-a.Cutout/2), min(h, cy-a.Cutout/2+a.Cutout)
		g.cx0, g.cx1 = max(0, cx-a.Cutout/2), min(w, cx-a.Cutout/2+a.Cutout)
	}
	return g
}

// randomCrop cuts a random part out of v and resizes it to oh×ow.
func (a Augment) randomCrop(v view, ws *workspace, rng *rand.Rand, oh, ow int, filter Interpolation) view {
	area := float64(v.h) * float64(v.w)
	h, w := min(v.h, v.w), min(v.h, v.w)
	y, x := (v.h-h)/2, (v.w-w)/2
	for range 10 {
		target := area * (float64(a.RandomCrop) + rng.Float64()*(1-float64(a.RandomCrop)))
		ratio := math.Exp((2*rng.Float64() - 1) * math.Log(4.0/3))
		tw, th := int(math.Round(math.Sqrt(target*ratio))), int(math.Round(math.Sqrt(target/ratio)))
		if tw >= 1 && th >= 1 && tw <= v.w && th <= v.h {
			h, w = th, tw
			y, x = rng.IntN(v.h-h+1), rng.IntN(v.w-w+1)
			break
		}
	}
	v = v.crop(y, x, h, w)
	if h == oh && w == ow {
		return v
	}
	return ws.res.resize(v, [2]int{oh, ow}, filter, 0, 0, oh, ow, 0)
}

// jitter changes brightness, then contrast, then saturation, in one pass: each
// is a blend with black, the mean gray and the pixel's gray.
func (a Augment) jitter(v view, ws *workspace, rng *rand.Rand) view {
	factor := func() float32 { return 1 + a.Jitter*(2*rng.Float32()-1) }
	brightness, contrast, saturation := factor(), factor(), factor()
	ws.jitter = sized(ws.jitter, v.h*v.w*v.c)
	out := view{ws.jitter, v.h, v.w, v.c, v.w * v.c}
	sum := 0
	for y := range v.h {
		row := v.pix[y*v.stride:][:v.w*v.c]
		for i := 0; i < len(row); i += v.c {
			sum += int(row[i])
			if v.c == 3 {
				sum += int(luma(row[i], row[i+1], row[i+2])) - int(row[i])
			}
		}
	}
	mean := brightness * float32(sum) / float32(v.h*v.w)
	scale, shift := brightness*contrast, mean*(1-contrast)
	for y := range v.h {
		row, dst := v.pix[y*v.stride:][:v.w*v.c], out.pix[y*out.stride:][:v.w*v.c]
		for i := 0; i < len(row); i += v.c {
			if v.c == 1 {
				dst[i] = clampByte(float32(row[i])*scale + shift)
				continue
			}
			r, g, b := float32(row[i])*scale+shift, float32(row[i+1])*scale+shift, float32(row[i+2])*scale+shift
			gray := (0.299*r + 0.587*g + 0.114*b) * (1 - saturation)
			dst[i], dst[i+1], dst[i+2] = clampByte(r*saturation+gray), clampByte(g*saturation+gray), clampByte(b*saturation+gray)
		}
	}
	return out
}

func clampByte(v float32) uint8 { return uint8(min(max(v+0.5, 0), 255)) }
