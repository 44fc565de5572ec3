package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestSGD(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	eachLevel(t, func(t *testing.T) {
		for _, n := range sizes {
			for _, momentum := range []float32{0, 0.9} {
				for _, nesterov := range []bool{false, true} {
					w, g, m := random(r, n), random(r, n), random(r, n)
					wantW, wantM := make([]float32, n), make([]float32, n)
					for i := range w {
						d := float64(g[i]) + 0.01*float64(w[i])
						v := float64(m[i])
						if momentum != 0 {
							v = float64(momentum)*v + 0.8*d
							if nesterov {
								d += float64(momentum) * v
							} else {
								d = v
							}
						}
						wantM[i] = float32(v)
						wantW[i] = float32(float64(w[i]) - 0.1*d)
					}
					cw, cm := newCanary(n), newCanary(n)
					copy(cw.x, w)
					copy(cm.x, m)
					SGD(cw.x, g, cm.x, 0.1, momentum, 0.2, 0.01, nesterov)
					cw.check(t)
					cm.check(t)
					near(t, fmt.Sprint("w, momentum ", momentum, nesterov), cw.x, wantW, 1e-6)
					near(t, "m", cm.x, wantM, 1e-6)
				}
			}
			w := random(r, n)
			SGD(w, make([]float32, n), nil, 0.1, 0, 0, 0, false)
		}
	})
}

func TestAdamW(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	eachLevel(t, func(t *testing.T) {
		for _, n := range sizes {
			for _, decoupled := range []bool{false, true} {
				w, g, m, v := random(r, n), random(r, n), random(r, n), random(r, n)
				for i := range v {
					v[i] *= v[i]
				}
				const lr, b1, b2, eps, decay, bias1, bias2 = 0.01, 0.9, 0.99, 1e-8, 0.1, 0.19, 0.0199
				wantW, wantM, wantV := make([]float32, n), make([]float32, n), make([]float32, n)
				for i := range w {
					d, p := float64(g[i]), float64(w[i])
					if decoupled {
						p *= 1 - lr*decay
					} else {
						d += decay * p
					}
					mm := b1*float64(m[i]) + (1-b1)*d
					vv := b2*float64(v[i]) + (1-b2)*d*d
					wantM[i], wantV[i] = float32(mm), float32(vv)
					wantW[i] = float32(p - lr/bias1*mm/(math.Sqrt(vv/bias2)+eps))
				}
				cw, cm, cv := newCanary(n), newCanary(n), newCanary(n)
				copy(cw.x, w)
				copy(cm.x, m)
				copy(cv.x, v)
				AdamW(cw.x, g, cm.x, cv.x, lr, b1, b2, eps, decay, bias1, bias2, decoupled)
				cw.check(t)
				cm.check(t)
				cv.check(t)
				near(t, "w", cw.x, wantW, 2e-6)
				near(t, "m", cm.x, wantM, 1e-6)
				near(t, "v", cv.x, wantV, 1e-6)
			}
		}
	})
}

func TestRMSprop(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	eachLevel(t, func(t *testing.T) {
		for _, n := range sizes {
			for _, momentum := range []float32{0, 0.9} {
				w, g, m, v := random(r, n), random(r, n), random(r, n), random(r, n)
				wantW, wantM, wantV := make([]float32, n), make([]float32, n), make([]float32, n)
				for i := range w {
					v[i] *= v[i]
					d := float64(g[i]) + 0.1*float64(w[i])
					vv := 0.9*float64(v[i]) + 0.1*d*d
					step := d / (math.Sqrt(vv) + 1e-8)
					wantM[i], wantV[i] = m[i], float32(vv)
					if momentum != 0 {
						step += float64(momentum) * float64(m[i])
						wantM[i] = float32(step)
					}
					wantW[i] = float32(float64(w[i]) - 0.01*step)
				}
				cw, cm, cv := newCanary(n), newCanary(n), newCanary(n)
				copy(cw.x, w)
				copy(cm.x, m)
				copy(cv.x, v)
				RMSprop(cw.x, g, cv.x, cm.x, 0.01, 0.9, 1e-8, 0.1, momentum)
				cw.check(t)
				cm.check(t)
				cv.check(t)
				near(t, "w", cw.x, wantW, 1e-6)
				near(t, "m", cm.x, wantM, 1e-6)
				near(t, "v", cv.x, wantV, 1e-6)
			}
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	const n = 16384
	w, g, m, v := random(r, n), random(r, n), random(r, n), make([]float32, n)
	b.Run("SGD", func(b *testing.B) {
		for b.Loop() {
			SGD(w, g, m, 1e-3, 0.9, 0, 1e-4, true)
		}
		b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelem/s")
	})
	b.Run("AdamW", func(b *testing.B) {
		for b.Loop() {
			AdamW(w, g, m, v, 1e-3, 0.9, 0.999, 1e-8, 1e-2, 0.1, 0.01, true)
		}
		b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelem/s")
	})
}
