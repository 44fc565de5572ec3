//go:build amd64 && !purego

package qconv

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/drawknife/drawknife/internal/cpu"
	"github.com/drawknife/drawknife/internal/parallel"
)

// This file executes the generated assembly by interpretation, so that the
// kernels of AVX-512 VNNI and of AVX-VNNI are tested on CPUs that lack the
// instructions. It knows what those kernels use and no more.

// instruction is one line of assembly.
type instruction struct {
	op   string
	args []string
}

// function is the code of a TEXT block.
type function struct {
	code   []instruction
	labels map[string]int
}

var spaces = regexp.MustCompile(`[ \t]+`)

// parseAssembly reads the functions of a file as avo writes them.
func parseAssembly(t testing.TB, file string) map[string]*function {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*function{}
	var f *function
	for _, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "//")
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "TEXT"):
			f = &function{labels: map[string]int{}}
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "TEXT ·"), "(")
			all[name] = f
		case strings.HasSuffix(line, ":"):
			f.labels[strings.TrimSuffix(line, ":")] = len(f.code)
		default:
			op, rest, _ := strings.Cut(spaces.ReplaceAllString(line, " "), " ")
			in := instruction{op: op}
			if rest != "" {
				in.args = strings.Split(rest, ", ")
			}
			f.code = append(f.code, in)
		}
	}
	return all
}

// machine is the state of the processor.
type machine struct {
	gp    map[string]int64
	z     [32][64]byte
	cmp   [2]int64 // operands of the last comparison, or a result and 0
	param unsafe.Pointer
}

// bytesAt views memory at an address.
func bytesAt(addr int64, n int) []byte {
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), n)
}

var memory = regexp.MustCompile(`^(-?\d+)?\((\w+)\)(?:\((\w+)\*(\d)\))?$`)

// address evaluates a memory operand.
func (m *machine) address(arg string) (int64, bool) {
	p := memory.FindStringSubmatch(arg)
	if p == nil {
		return 0, false
	}
	disp, _ := strconv.ParseInt("0"+p[1], 10, 64)
	scale, _ := strconv.ParseInt("0"+p[4], 10, 64)
	return m.gp[p[2]] + disp + m.gp[p[3]]*scale, true
}

// int reads a 64-bit operand.
func (m *machine) int(arg string) int64 {
	if arg[0] == '$' {
		v, err := strconv.ParseInt(arg[1:], 0, 64)
		if err != nil {
			panic(err)
		}
		return v
	}
	if strings.HasSuffix(arg, "(FP)") {
		return int64(uintptr(m.param))
	}
	if a, ok := m.address(arg); ok {
		return int64(binary.LittleEndian.Uint64(bytesAt(a, 8)))
	}
	return m.gp[arg]
}

// int32 reads a 32-bit operand.
func (m *machine) int32(arg string) int32 {
	if a, ok := m.address(arg); ok {
		return int32(binary.LittleEndian.Uint32(bytesAt(a, 4)))
	}
	return int32(m.gp[arg])
}

// setInt writes a 64-bit operand.
func (m *machine) setInt(arg string, v int64) {
	if a, ok := m.address(arg); ok {
		binary.LittleEndian.PutUint64(bytesAt(a, 8), uint64(v))
		return
	}
	m.gp[arg] = v
}

// vec gives the bytes of a vector operand, to read or write.
func (m *machine) vec(arg string) []byte {
	if a, ok := m.address(arg); ok {
		return bytesAt(a, 64)
	}
	i, err := strconv.Atoi(arg[1:])
	size := map[byte]int{'X': 16, 'Y': 32, 'Z': 64}[arg[0]]
	if err != nil || size == 0 {
		panic("no vector operand: " + arg)
	}
	return m.z[i][:size]
}

func lane(b []byte, i int) uint32       { return binary.LittleEndian.Uint32(b[4*i:]) }
func setLane(b []byte, i int, v uint32) { binary.LittleEndian.PutUint32(b[4*i:], v) }

// lanes sets each lane of the last operand from the others' lanes.
func (m *machine) lanes(in instruction, f func(a, b, c uint32) uint32) {
	n := len(in.args) - 1
	src := [2][]byte{m.vec(in.args[0]), m.vec(in.args[n-1])}
	dst := m.vec(in.args[n])
	for i := range len(dst) / 4 {
		setLane(dst, i, f(lane(src[0], i), lane(src[1], i), lane(dst, i)))
	}
}

// floats is lanes for two float operands.
func (m *machine) floats(in instruction, f func(a, b float32) float32) {
	m.lanes(in, func(a, b, _ uint32) uint32 {
		return math.Float32bits(f(math.Float32frombits(a), math.Float32frombits(b)))
	})
}

// jump reports whether a branch is taken.
func (m *machine) jump(op string) bool {
	a, b := m.cmp[0], m.cmp[1]
	switch op {
	case "JMP":
		return true
	case "JEQ":
		return a == b
	case "JNE":
		return a != b
	case "JLT":
		return a < b
	case "JGE":
		return a >= b
	case "JA":
		return uint64(a) > uint64(b)
	}
	panic("unknown branch " + op)
}

// decodeVEX reads VPDPBUSD of 256-bit registers, of AVX-VNNI: a prefix of
// three bytes, the opcode, and a byte of registers (Intel's manual, volume 2).
func decodeVEX(word uint32, registers uint8) instruction {
	first, second := word>>8, word>>16
	const opcodes, prefix = 0b0_0010, 0b1_01 // 0F38; 256 bits and 66
	if word&0xff != 0xc4 || first&0x1f != opcodes || first&0x40 == 0 || second&0x87 != prefix || word>>24 != 0x50 || registers>>6 != 3 {
		panic(fmt.Sprintf("unknown code %08x %02x", word, registers))
	}
	sum, w, x := registers>>3&7, registers&7, 15-second>>3&15
	if first&0x80 == 0 {
		sum += 8
	}
	if first&0x20 == 0 {
		w += 8
	}
	return instruction{"VPDPBUSD", []string{fmt.Sprintf("Y%d", w), fmt.Sprintf("Y%d", x), fmt.Sprintf("Y%d", sum)}}
}

// run executes a function of one pointer argument.
func (m *machine) run(f *function, arg unsafe.Pointer) {
	m.param, m.gp = arg, map[string]int64{}
	for pc := 0; ; pc++ {
		in := f.code[pc]
		switch {
		case in.op == "RET":
			return
		case in.op[0] == 'J':
			if m.jump(in.op) {
				pc = f.labels[in.args[0]] - 1
			}
		case in.op[0] == 'V':
			m.vector(in)
		case in.op == "LONG":
			pc++
			m.vector(decodeVEX(uint32(m.int(in.args[0])), uint8(m.int(f.code[pc].args[0]))))
		default:
			m.scalar(in)
		}
	}
}

func (m *machine) scalar(in instruction) {
	last := in.args[len(in.args)-1]
	result := func(v int64) {
		m.setInt(last, v)
		m.cmp = [2]int64{v, 0}
	}
	switch in.op {
	case "MOVQ":
		m.setInt(last, m.int(in.args[0]))
	case "LEAQ":
		a, _ := m.address(in.args[0])
		m.setInt(last, a)
	case "MOVLQSX":
		m.setInt(last, int64(m.int32(in.args[0])))
	case "ADDQ":
		result(m.int(last) + m.int(in.args[0]))
	case "SUBQ":
		result(m.int(last) - m.int(in.args[0]))
	case "DECQ":
		result(m.int(last) - 1)
	case "IMUL3Q":
		m.setInt(last, m.int(in.args[0])*m.int(in.args[1]))
	case "MOVL":
		m.setInt(last, m.int(in.args[0]))
	case "PREFETCHT0", "PREFETCHT1": // change nothing
	case "IMULQ":
		m.setInt(last, m.int(last)*m.int(in.args[0]))
	case "CMOVQEQ":
		if m.cmp[0] == m.cmp[1] {
			m.setInt(last, m.int(in.args[0]))
		}
	case "CMOVQGT":
		if m.cmp[0] > m.cmp[1] {
			m.setInt(last, m.int(in.args[0]))
		}
	case "CMPQ":
		m.cmp = [2]int64{m.int(in.args[0]), m.int(in.args[1])}
	default:
		panic(fmt.Sprintf("unknown instruction %v", in))
	}
}

func (m *machine) vector(in instruction) {
	switch in.op {
	case "VZEROUPPER":
	case "VMOVDQU32", "VMOVDQA32", "VMOVDQU", "VMOVDQA", "VMOVUPS": // memory is as long as the register
		copy(m.vec(in.args[1]), m.vec(in.args[0]))
	case "VMOVQ", "VMOVHPS": // half of a register to memory
		a, _ := m.address(in.args[1])
		copy(bytesAt(a, 8), m.vec(in.args[0])[map[string]int{"VMOVQ": 0, "VMOVHPS": 8}[in.op]:])
	case "VEXTRACTI128":
		copy(m.vec(in.args[2]), m.vec(in.args[1])[16*m.int(in.args[0]):][:16])
	case "VPBROADCASTD":
		v, to := uint32(m.int32(in.args[0])), m.vec(in.args[1])
		for i := range len(to) / 4 {
			setLane(to, i, v)
		}
	case "VEXTRACTI32X4", "VEXTRACTI64X4":
		a, _ := m.address(in.args[2])
		n := map[string]int{"VEXTRACTI32X4": 16, "VEXTRACTI64X4": 32}[in.op]
		copy(bytesAt(a, n), m.vec(in.args[1])[int(m.int(in.args[0]))*n:])
	case "VBROADCASTI64X4":
		a, _ := m.address(in.args[0])
		for i := range 2 {
			copy(m.vec(in.args[1])[32*i:], bytesAt(a, 32))
		}
	case "VPACKSSDW", "VPACKUSWB": // upper half of each quarter, lower half
		hi, lo := m.vec(in.args[0]), m.vec(in.args[1])
		out := make([]byte, len(lo))
		for i := range out {
			from := lo
			if i%16 >= 8 {
				from = hi
			}
			at := i/16*16 + i%8*2
			if in.op == "VPACKUSWB" {
				out[i] = byte(max(0, min(255, int16(binary.LittleEndian.Uint16(from[at:])))))
			} else if i%2 == 0 {
				v := int32(binary.LittleEndian.Uint32(from[at:]))
				binary.LittleEndian.PutUint16(out[i:], uint16(int16(max(math.MinInt16, min(math.MaxInt16, v)))))
			}
		}
		copy(m.vec(in.args[2]), out)
	case "VPUNPCKLBW", "VPUNPCKHBW", "VPUNPCKLWD", "VPUNPCKHWD": // second of each two, first
		odd, even := m.vec(in.args[0]), m.vec(in.args[1])
		size, half := map[byte]int{'B': 1, 'W': 2}[in.op[8]], map[byte]int{'L': 0, 'H': 8}[in.op[7]]
		out := make([]byte, len(even))
		for i := range out {
			from := even
			if i/size%2 == 1 {
				from = odd
			}
			out[i] = from[i/16*16+half+i%16/(2*size)*size+i%size]
		}
		copy(m.vec(in.args[2]), out)
	case "VPXOR":
		m.lanes(in, func(a, b, _ uint32) uint32 { return a ^ b })
	case "VPADDSW":
		a, b, to := m.vec(in.args[0]), m.vec(in.args[1]), m.vec(in.args[2])
		for i := 0; i < len(to); i += 2 {
			v := int(int16(binary.LittleEndian.Uint16(a[i:]))) + int(int16(binary.LittleEndian.Uint16(b[i:])))
			binary.LittleEndian.PutUint16(to[i:], uint16(int16(max(math.MinInt16, min(math.MaxInt16, v)))))
		}
	case "VPMAXUB", "VPMINUB":
		a, b, to := m.vec(in.args[0]), m.vec(in.args[1]), m.vec(in.args[2])
		for i := range to {
			if in.op == "VPMINUB" {
				to[i] = min(a[i], b[i])
			} else {
				to[i] = max(a[i], b[i])
			}
		}
	case "VPERMD":
		from, index := m.vec(in.args[0]), m.vec(in.args[1])
		out := make([]byte, len(from))
		for i := range len(out) / 4 {
			setLane(out, i, lane(from, int(lane(index, i))%(len(out)/4)))
		}
		copy(m.vec(in.args[2]), out)
	case "VPDPBUSD": // signed, unsigned, sum
		m.lanes(in, func(s, u, sum uint32) uint32 {
			for k := range 4 {
				sum += uint32(int32(int8(s>>(8*k))) * int32(uint8(u>>(8*k))))
			}
			return sum
		})
	case "VPANDD":
		m.lanes(in, func(a, b, _ uint32) uint32 { return a & b })
	case "VPXORD":
		m.lanes(in, func(a, b, _ uint32) uint32 { return a ^ b })
	case "VPSLLD", "VPSRAD":
		n, from, to := m.int(in.args[0]), m.vec(in.args[1]), m.vec(in.args[2])
		for i := range 16 {
			v := lane(from, i) << n
			if in.op == "VPSRAD" {
				v = uint32(int32(lane(from, i)) >> n)
			}
			setLane(to, i, v)
		}
	case "VPADDD":
		m.lanes(in, func(a, b, _ uint32) uint32 { return a + b })
	case "VCVTDQ2PS":
		m.lanes(in, func(a, _, _ uint32) uint32 { return math.Float32bits(float32(int32(a))) })
	case "VCVTPS2DQ":
		m.lanes(in, func(a, _, _ uint32) uint32 {
			r := math.RoundToEven(float64(math.Float32frombits(a)))
			if !(r >= math.MinInt32 && r <= math.MaxInt32) {
				r = math.MinInt32
			}
			return uint32(int32(r))
		})
	case "VMULPS":
		m.floats(in, func(a, b float32) float32 { return a * b })
	case "VMAXPS":
		m.floats(in, func(a, b float32) float32 { return max(a, b) })
	case "VMINPS":
		m.floats(in, func(a, b float32) float32 { return min(a, b) })
	default:
		panic(fmt.Sprintf("unknown instruction %v", in))
	}
}

// TestSimulatedVNNI runs the paths of AVX-512 VNNI and of AVX-VNNI by
// interpretation.
func TestSimulatedVNNI(t *testing.T) {
	code := parseAssembly(t, "kernels_amd64.s")
	pool := parallel.New(1) // the machine is one
	defer pool.Close()
	for _, i := range []isa{vnni, avxvnni} {
		var m machine
		i.simulate = func(a *tileArgs, rows, vecs int, line bool) {
			kind := "tileVNNI"
			switch {
			case line:
				kind = "lineVNNI"
			case i.vex:
				kind = "tileAVXVNNI"
			}
			m.run(code[fmt.Sprintf("q%s%dx%d", kind, rows, i.lanes*vecs)], unsafe.Pointer(a))
		}
		rng := rand.New(rand.NewPCG(5, 6))
		for n, s := range []Shape{
			{C: 12, K: 33},
			{N: 1, H: 3, W: 5, C: 8, K: 32, R: 3, S: 3, P: 3, Q: 5, PadH: 1, PadW: 1},
			{N: 2, H: 5, W: 5, C: 3, K: 48, R: 3, S: 3, P: 3, Q: 3, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2},
			{N: 1, H: 3, W: 3, C: 5, K: 7, P: 3, Q: 3, DstStride: 9},
			{N: 1, H: 4, W: 9, C: 64, K: 20, Groups: 2, P: 4, Q: 9},
			{N: 1, H: 23, W: 1, C: 4, K: 16, P: 23, Q: 1},
			{N: 1, H: 23, W: 1, C: 4, K: 8, P: 23, Q: 1},
			{N: 1, H: 3, W: 17, C: 8, K: 16, R: 3, S: 3, P: 3, Q: 17, PadH: 1, PadW: 1, DstStride: 20},
		} {
			t.Run(fmt.Sprint(i.name, "/", n), func(t *testing.T) {
				pr := newProblem(rng, s)
				c := plan(s, pr.p)
				c.run = newTiled(c, &i)
				pr.compare(t, c, pool, naive(pr.s, pr.p, pr.src))
			})
		}
	}
}

// TestSimulatedDepthwise does the same with the depthwise kernels of AVX-VNNI.
func TestSimulatedDepthwise(t *testing.T) {
	code := parseAssembly(t, "kernels_amd64.s")
	var m machine
	simulated := func(k *dwKernel) *dwKernel {
		name, c := fmt.Sprintf("dwtileAVXVNNI%dx%ds%dp%dx%d", k.r, k.s, max(k.stride, 1), k.pixels, k.channels), *k
		if code[name] == nil {
			t.Fatalf("there is no %s", name)
		}
		c.f = func(a *byte) { m.run(code[name], unsafe.Pointer(a)) }
		return &c
	}
	pool := parallel.New(1)
	defer pool.Close()
	rng := rand.New(rand.NewPCG(9, 10))
	for n, s := range []Shape{
		{N: 1, H: 3, W: 5, C: 32, R: 3, S: 3, P: 3, Q: 5, PadH: 1, PadW: 1},
		{N: 1, H: 5, W: 7, C: 41, R: 3, S: 3, P: 3, Q: 4, PadH: 1, PadW: 1, StrideH: 2, StrideW: 2},
		{N: 2, H: 5, W: 4, C: 64, R: 5, S: 5, P: 5, Q: 4, PadH: 2, PadW: 2},
		{N: 1, H: 7, W: 7, C: 33, R: 5, S: 5, P: 4, Q: 4, PadH: 2, PadW: 2, StrideH: 2, StrideW: 2},
		{N: 1, H: 6, W: 6, C: 35, R: 3, S: 3, P: 2, Q: 2, DilH: 2, DilW: 2},
	} {
		s.K, s.Groups = s.C, s.C
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			pr := newProblem(rng, s)
			pr.p.WeightZero = nil
			c := plan(s, pr.p)
			d := newDepthwise(c, cpu.AVXVNNI)
			if d == nil || d.single.level != cpu.AVXVNNI {
				t.Fatal("AVX-VNNI is not chosen")
			}
			d.single = simulated(d.single)
			for i, k := range d.several {
				d.several[i] = simulated(k)
			}
			c.run = d
			pr.compare(t, c, pool, naive(pr.s, pr.p, pr.src))
		})
	}
}

// TestSimulatedFew does the same with the kernels for few pixels.
func TestSimulatedFew(t *testing.T) {
	code := parseAssembly(t, "lowbit_amd64.s")
	var m machine
	pool := parallel.New(1)
	defer pool.Close()
	rng := rand.New(rand.NewPCG(7, 8))
	for _, s := range []Shape{{C: 12, K: 33}, {C: 36, K: 16}, {C: 23, K: 100}, {N: 2, C: 40, K: 80, SrcStride: 50}, {N: 3, C: 8, K: 64}, {N: 4, C: 17, K: 20}} {
		for _, i := range vnniFew {
			pr := newProblem(rng, s)
			if pr.s.N > i.rows {
				continue
			}
			i.simulate = func(a *tileArgs, rows, vecs int, _ bool) {
				m.run(code[fmt.Sprintf("qfewVNNI%dx%dw%d", rows, 16*vecs, i.bits)], unsafe.Pointer(a))
			}
			pr.p.Flip, pr.p.WeightZero = 0, nil
			for j := range pr.p.Weights {
				pr.p.Weights[j] = pr.p.Weights[j] >> (8 - i.bits)
			}
			t.Run(fmt.Sprintf("%d/%dx%d-%d", i.bits, pr.s.N, s.C, s.K), func(t *testing.T) {
				c := plan(pr.s, pr.p)
				c.run = newTiled(c, &i)
				pr.compare(t, c, pool, naive(pr.s, pr.p, pr.src))
			})
		}
	}
}
