package data

import (
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// Streams keep the random numbers of different uses apart.
const (
	streamAugment = iota + 1
	streamShuffle
	streamMixup
)

// mix hashes two numbers into one (the finaliser of SplitMix64).
func mix(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 + b + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// stream is the generator for one use in one epoch.
func stream(seed uint64, epoch int, use uint64) *rand.Rand {
	return rand.New(rand.NewPCG(mix(seed, uint64(epoch)), use))
}

// shuffled is a permutation of [0, n) for one epoch.
func shuffled(order []int, n int, seed uint64, epoch int) []int {
	order = sized(order, n)
	for i := range order {
		order[i] = i
	}
	stream(seed, epoch, streamShuffle).Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// mixupShare draws λ ~ Beta(alpha, alpha) for one batch of one epoch.
func mixupShare(alpha float32, seed uint64, epoch, batch int) float32 {
	src := rand.NewPCG(mix(seed, uint64(epoch)), mix(uint64(batch), streamMixup))
	return float32(distuv.Beta{Alpha: float64(alpha), Beta: float64(alpha), Src: src}.Rand())
}
