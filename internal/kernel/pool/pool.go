package pool

import (
	"math"

	"github.com/drawknife/drawknife/internal/kernel/vec"
	"github.com/drawknife/drawknife/internal/parallel"
)

// Rows is the number of output rows of s, over images and depths: the range
// that the functions of a name ending in Rows divide.
func (s *Shape) Rows() int { g := s.geometry(); return g.rows() }

// Max takes the greatest element of each window, a NaN if there is one, and
// minus infinity where a window has no cell inside the image.
func Max(p *parallel.Pool, s Shape, dst, src []float32) {
	p.For(s.Rows(), 1, func(_, lo, hi int) { MaxRows(&s, dst, src, lo, hi) })
}

// MaxRows is Max for the output rows [lo, hi). It does not allocate.
func MaxRows(s *Shape, dst, src []float32, lo, hi int) {
	g := s.geometry()
	for o := g.outputs(lo, hi); o.next(); {
		win, row, at := &o.win, o.run(), o.at
		d := dst[at*g.dstPixel:]
		if win.empty() {
			vec.Fill(d[:g.c], float32(math.Inf(-1)))
			continue
		}
		for k := range win.kd {
			maxWindows(d, src[win.at+k*win.sd:], win, k == 0, &row)
		}
		o.skip(row.n - 1)
	}
}

// Average takes the mean of each window, 0 where nothing counts.
func Average(p *parallel.Pool, s Shape, dst, src []float32) {
	p.For(s.Rows(), 1, func(_, lo, hi int) { AverageRows(&s, dst, src, lo, hi) })
}

// AverageRows is Average for the output rows [lo, hi). It does not allocate.
func AverageRows(s *Shape, dst, src []float32, lo, hi int) {
	g := s.geometry()
	for o := g.outputs(lo, hi); o.next(); {
		win, row, at := &o.win, o.run(), o.at
		d := dst[at*g.dstPixel:]
		if win.empty() {
			clear(d[:g.c])
			continue
		}
		for k := range win.kd {
			scale := float32(1)
			if k == win.kd-1 {
				scale = g.inverse(o.od, o.p, o.q)
			}
			sumWindows(d, src[win.at+k*win.sd:], win, k == 0, scale, &row)
		}
		o.skip(row.n - 1)
	}
}

// maxWindows takes the maximum over one plane of each window of a run, channel
// by channel, and of what dst holds unless first.
func maxWindows(dst, src []float32, win *window, first bool, row *run) {
	if maxWindowsSIMD(dst, src, win, first, row) {
		return
	}
	for r := range row.n {
		d, s := dst[r*row.dstStep:][:row.c], src[r*row.srcStep:]
		if first {
			vec.Fill(d, float32(math.Inf(-1)))
		}
		for i := range win.kh {
			for j := range win.kw {
				x := s[i*win.sh+j*win.sw:][:len(d)]
				for c, v := range x {
					if v > d[c] || v != v {
						d[c] = v
					}
				}
			}
		}
	}
}

// sumWindows sums one plane of each window of a run, adds what dst holds
// unless first, and multiplies by scale.
func sumWindows(dst, src []float32, win *window, first bool, scale float32, row *run) {
	if sumWindowsSIMD(dst, src, win, first, scale, row) {
		return
	}
	for r := range row.n {
		d, s := dst[r*row.dstStep:][:row.c], src[r*row.srcStep:]
		if first {
			clear(d)
		}
		for i := range win.kh {
			for j := range win.kw {
				x := s[i*win.sh+j*win.sw:][:len(d)]
				for c, v := range x {
					d[c] += v
				}
			}
		}
		for c := range d {
			d[c] *= scale
		}
	}
}

// Lp takes the pnorm-norm of each window, (sum of |x|^pnorm)^(1/pnorm).
func Lp(p *parallel.Pool, s Shape, dst, src []float32, pnorm float64) {
	g := s.geometry()
	p.For(g.rows(), 1, func(_, lo, hi int) {
		for o := g.outputs(lo, hi); o.next(); {
			win, at := &o.win, o.at
			d := dst[at*g.dstPixel:][:g.c]
			for c := range d {
				sum := 0.0
				for k := range win.kd {
					for i := range win.kh {
						for j := range win.kw {
							sum += power(src[win.at+k*win.sd+i*win.sh+j*win.sw+c], pnorm)
						}
					}
				}
				d[c] = root(sum, pnorm)
			}
		}
	})
}

func power(x float32, pnorm float64) float64 {
	v := math.Abs(float64(x))
	switch pnorm {
	case 1:
		return v
	case 2:
		return v * v
	}
	return math.Pow(v, pnorm)
}

func root(sum, pnorm float64) float32 {
	switch pnorm {
	case 1:
		return float32(sum)
	case 2:
		return float32(math.Sqrt(sum))
	}
	return float32(math.Pow(sum, 1/pnorm))
}

// globalTile is the number of channels a worker reduces at a time.
const globalTile = 64

// GlobalTiles is the number of tiles of channels of n images, the range that
// GlobalAverageTiles and GlobalMaxTiles divide.
func GlobalTiles(n, c int) int { return n * ((c + globalTile - 1) / globalTile) }

// global calls body for tiles [lo, hi) of channels.
func global(spatial, c int, dst, src []float32, lo, hi int, body func(dst, src []float32)) {
	tiles := GlobalTiles(1, c)
	for job := lo; job < hi; job++ {
		i, t := job/tiles, job%tiles*globalTile
		k := min(globalTile, c-t)
		body(dst[i*c+t:][:k], src[min(i*spatial*c+t, len(src)):])
	}
}

// GlobalAverage takes the mean of each channel over the pixels of each of n
// images.
func GlobalAverage(p *parallel.Pool, n, spatial, c int, dst, src []float32) {
	p.For(GlobalTiles(n, c), 1, func(_, lo, hi int) { GlobalAverageTiles(spatial, c, dst, src, lo, hi) })
}

// GlobalAverageTiles is GlobalAverage for the tiles [lo, hi). It does not
// allocate.
func GlobalAverageTiles(spatial, c int, dst, src []float32, lo, hi int) {
	global(spatial, c, dst, src, lo, hi, func(d, s []float32) {
		vec.ColSumTile(d, s, spatial, c)
		vec.Scale(1/float32(spatial), d, d)
	})
}

// GlobalMax takes the greatest element of each channel over the pixels of
// each of n images.
func GlobalMax(p *parallel.Pool, n, spatial, c int, dst, src []float32) {
	p.For(GlobalTiles(n, c), 1, func(_, lo, hi int) { GlobalMaxTiles(spatial, c, dst, src, lo, hi) })
}

// GlobalMaxTiles is GlobalMax for the tiles [lo, hi). It does not allocate.
func GlobalMaxTiles(spatial, c int, dst, src []float32, lo, hi int) {
	global(spatial, c, dst, src, lo, hi, func(d, s []float32) { vec.ColMaxTile(d, s, spatial, c) })
}

// GlobalLp takes the pnorm-norm of each channel over the pixels of each of n
// images.
func GlobalLp(p *parallel.Pool, n, spatial, c int, dst, src []float32, pnorm float64) {
	p.For(GlobalTiles(n, c), 1, func(_, lo, hi int) {
		global(spatial, c, dst, src, lo, hi, func(d, s []float32) {
			for j := range d {
				sum := 0.0
				for i := range spatial {
					sum += power(s[i*c+j], pnorm)
				}
				d[j] = root(sum, pnorm)
			}
		})
	})
}

// GlobalAverageGrad spreads dy over the pixels: dx = dy/spatial.
func GlobalAverageGrad(p *parallel.Pool, n, spatial, c int, dx, dy []float32) {
	p.For(n*spatial, 64, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			at := i / spatial * c
			vec.Scale(1/float32(spatial), dx[i*c:][:c], dy[at:][:c])
		}
	})
}
