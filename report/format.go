package report

import (
	"fmt"
	"math"
	"strconv"
)

// none stands where there is no number.
const none = "–"

// count shortens a number: 1.25 M, 40.6 k.
func count(n int64) string {
	switch f := float64(n); {
	case n >= 1e9:
		return fmt.Sprintf("%.2f G", f/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2f M", f/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1f k", f/1e3)
	}
	return strconv.FormatInt(n, 10)
}

// size is a number of bytes in binary units.
func size(n int64) string {
	switch f := float64(n); {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", f/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.2f MiB", f/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", f/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// number has three significant digits, and never an exponent unless it is
// needed to be short.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return none
	case a == 0:
		return "0"
	case a >= 1e7 || a < 1e-4:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(a)))
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// ms is a latency; zero means that it was not measured.
func ms(v float64) string {
	if !(v > 0) || math.IsInf(v, 0) {
		return none
	}
	return number(v) + " ms"
}

// mj formats an energy given in millijoules.
func mj(v float64) string {
	switch {
	case v >= 1 || v <= 0:
		return number(v) + " mJ"
	case v >= 1e-3:
		return number(v*1e3) + " µJ"
	default:
		return number(v*1e6) + " nJ"
	}
}

func percent(v float64) string { return fmt.Sprintf("%.2f %%", v) }

// signed has a sign even when positive, and a true minus.
func signed(format string, v float64) string {
	switch s := fmt.Sprintf(format, math.Abs(v)); {
	case v < 0:
		return "−" + s
	case v > 0:
		return "+" + s
	default:
		return s
	}
}

// ratio is before/after, or 0 if that means nothing.
func ratio(before, after float64) float64 {
	if !(before > 0) || !(after > 0) || math.IsInf(before, 0) || math.IsInf(after, 0) {
		return 0
	}
	return before / after
}

// times says how many times smaller (or what less names) after is.
func times(before, after float64, less, more string) string {
	switch f := ratio(before, after); {
	case f == 0:
		return none
	case f >= 0.995 && f < 1.005:
		return "same"
	case f < 1:
		return multiple(1/f) + "× " + more
	default:
		return multiple(f) + "× " + less
	}
}

// multiple is a ratio of at least 1 in as many digits as are worth reading.
func multiple(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
