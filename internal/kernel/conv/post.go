package conv

// after is what is done to finished results.
type after struct{ f func(x []float32) }

func (a *after) post(f func(x []float32)) { a.f = f }

// apply changes chans channels of count pixels, stride apart, from dst on.
func (a *after) apply(dst []float32, count, stride, chans int) {
	switch {
	case a.f == nil || count*chans == 0:
	case chans == stride:
		a.f(dst[:count*chans])
	default:
		for i := range count {
			a.f(dst[i*stride:][:chans])
		}
	}
}
