package accel

import "github.com/drawknife/drawknife/hardware"

// finnMLP is a fully connected network of binary weights and activations.
func finnMLP(sizes ...int) (layers []*hardware.Layer) {
	for i, out := range sizes[1:] {
		layers = append(layers, finnBinary(hardware.FC("fc"+string(rune('0'+i)), 1, out, sizes[i]), 1))
	}
	return layers
}

func finnSFC() []*hardware.Layer { return finnMLP(784, 256, 256, 256, 10) }
func finnLFC() []*hardware.Layer { return finnMLP(784, 1024, 1024, 1024, 10) }

// finnReleasedLFC is LFC as released, with sizes that lanes divide.
func finnReleasedLFC() []*hardware.Layer { return finnMLP(832, 1024, 1024, 1024, 64) }

func finnBinary(l *hardware.Layer, aBits int) *hardware.Layer {
	l.Bits = hardware.Bits{W: 1, A: aBits, Psum: 16, Out: 1}
	return l
}

// finnCNV is the network for images of 32×32: six convolutions without
// padding, pooling behind the second and the fourth, three fully connected.
func finnCNV(classes int) []*hardware.Layer {
	layers := []*hardware.Layer{finnBinary(hardware.Conv("L0", 1, 1, 64, 3, 32, 3, 1, 0), 8)}
	for _, c := range []struct {
		name          string
		in, out, size int
	}{{"L1", 64, 64, 30}, {"L2", 64, 128, 14}, {"L3", 128, 128, 12}, {"L4", 128, 256, 5}, {"L5", 256, 256, 3}} {
		layers = append(layers, finnBinary(hardware.Conv(c.name, 1, 1, c.out, c.in, c.size, 3, 1, 0), 1))
	}
	for _, c := range []struct {
		name    string
		in, out int
	}{{"L6", 256, 512}, {"L7", 512, 512}, {"L8", 512, classes}} {
		layers = append(layers, finnBinary(hardware.FC(c.name, 1, c.out, c.in), 1))
	}
	return layers
}

// The released foldings for an XC7Z020, and the cycles of CNV's layers.
var (
	finnCNVFolding = []folding{{3, 16}, {32, 32}, {32, 16}, {32, 16}, {32, 4}, {32, 1}, {4, 1}, {8, 1}, {1, 4}}
	finnCNVCycles  = []float64{32400, 28224, 20736, 28800, 20736, 18432, 32768, 32768, 8192}
	// LFC's folding takes 512 steps or fewer a layer.
	finnLFCFolding = []folding{{64, 32}, {32, 64}, {64, 32}, {8, 16}}
)

// finnPrototype is a design of the paper on the ZC706 at 200 MHz.
type finnPrototype struct {
	name         string
	layers       []*hardware.Layer
	limit        float64 // cycles an image that the folding may take
	fitted       bool    // the limit is taken from the published rate
	fps, latency float64 // frames/s, µs
	luts         float64
}

// finnFixed are the cycles of 9000 frames/s, which the small designs aim at.
const finnFixed = finnClock * 1e6 / 9000

var finnPrototypes = []finnPrototype{
	{"SFC-max", finnSFC(), 16, true, 12361e3, 0.31, 91131},
	{"LFC-max", finnLFC(), 128, true, 1561e3, 2.44, 82988},
	{"CNV-max", finnCNV(10), 9408, true, 21.9e3, 283, 46253},
	{"SFC-fix", finnSFC(), finnFixed, false, 12.2e3, 240, 5155},
	{"LFC-fix", finnLFC(), finnFixed, false, 12.2e3, 282, 5636},
	{"CNV-fix", finnCNV(10), finnFixed, false, 11.6e3, 550, 29274},
}
