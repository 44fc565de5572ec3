package zoo

import (
	"strings"
	"testing"

	"github.com/drawknife/drawknife/graph"
)

// totals are the figures of the papers' reference implementations (parameters
// with biases, scales and shifts but without running statistics;
// multiply-accumulates of convolutions and fully connected layers at batch 1).
var totals = []struct {
	spec         string
	params, macs int64
}{
	{"lenet5", 61_706, 416_520},
	{"alexnet", 61_100_840, 714_188_480},
	{"alexnet-2012", 60_965_224, 724_406_816},
	{"vgg11", 132_863_336, 7_609_090_048},
	{"vgg11-bn", 132_868_840, 7_609_090_048},
	{"vgg16", 138_357_544, 15_470_264_320},
	{"vgg16-bn", 138_365_992, 15_470_264_320},
	{"vgg16-cifar?fc=2", 14_991_946, 313_463_808},
	{"vgg16-cifar", 14_724_042, 313_201_664},
	{"resnet18", 11_689_512, 1_814_073_344},
	{"resnet34", 21_797_672, 3_663_761_408},
	{"resnet50", 25_557_032, 4_089_184_256},
	{"resnet50?variant=1", 25_557_032, 3_857_973_248},
	{"resnet101", 44_549_160, 7_801_405_440},
	{"resnet8", 75_290, 12_239_488},
	{"resnet20", 269_722, 40_551_040},
	{"resnet32", 464_154, 68_862_592},
	{"resnet44", 658_586, 97_174_144},
	{"resnet56", 853_018, 125_485_696},
	{"resnet110", 1_727_962, 252_887_680},
	{"resnet20?shortcut=B", 272_474, 40_813_184},
	{"squeezenet1.0", 1_248_424, 818_924_576},
	{"squeezenet1.1", 1_235_496, 349_151_936},
	{"shufflenetv1?groups=1", 1_531_936, 143_078_976},
	{"shufflenetv1?groups=2", 1_733_848, 140_836_512},
	{"shufflenetv1?groups=3", 1_865_728, 137_460_672},
	{"shufflenetv1?groups=4", 1_968_344, 134_339_776},
	{"shufflenetv1?groups=8", 2_434_768, 138_365_952},
	{"shufflenetv1?groups=3&width=0.5&fcbias=0", 717_324, 37_589_856},
	{"shufflenetv1?groups=3&width=1&fcbias=0", 1_864_728, 137_460_672},
	{"shufflenetv1?groups=3&width=1.5&fcbias=0", 3_441_168, 292_443_552},
	{"shufflenetv1?groups=3&width=2&fcbias=0", 5_449_776, 524_045_184},
	{"shufflenetv1?groups=8&width=0.5&fcbias=0", 1_010_448, 40_469_760},
	{"shufflenetv1?groups=8&width=1&fcbias=0", 2_433_768, 138_365_952},
	{"shufflenetv1?groups=8&width=1.5&fcbias=0", 4_268_952, 290_188_800},
	{"shufflenetv1?groups=8&width=2&fcbias=0", 6_521_232, 521_942_016},
	{"shufflenetv2?width=0.5", 1_366_792, 40_476_448},
	{"shufflenetv2", 2_278_604, 144_907_992},
	{"shufflenetv2?width=1.5", 3_503_624, 295_759_392},
	{"shufflenetv2?width=2", 7_393_996, 583_253_464},
	{"mobilenetv1", 4_231_976, 568_740_352},
	{"mobilenetv1?width=0.75", 2_585_560, 325_400_448},
	{"mobilenetv1?width=0.5", 1_331_592, 149_497_088},
	{"mobilenetv1?width=0.25", 470_072, 41_030_272},
	{"mobilenetv2", 3_504_872, 300_774_272},
	{"mobilenetv3-large", 5_483_032, 216_589_760},
	{"mobilenetv3-small", 2_542_856, 56_510_400},
	{"densenet121", 7_978_856, 2_834_161_664},
	{"efficientnet-b0", 5_288_548, 385_814_752},
	{"mnasnet1.0", 4_383_312, 314_415_872},
	{"resnet8-mlperf", 78_666 - 480, 12_501_632},
	{"dscnn", 24_908 - 1152, 2_656_768},
	{"vww", 213_586, 7_489_664},
}

func TestTotals(t *testing.T) {
	for _, c := range totals {
		t.Run(c.spec, func(t *testing.T) {
			g, err := build(c.spec, &builder{zeros: true})
			if err != nil {
				t.Fatal(err)
			}
			if cost := g.Cost(); cost.Params != c.params || cost.MACs != c.macs {
				t.Errorf("%d parameters and %d MACs, want %d and %d", cost.Params, cost.MACs, c.params, c.macs)
			}
			if len(g.Outputs) != 1 || g.Outputs[0].Name != "logits" || g.Inputs[0].Name != "input" {
				t.Error("the input is not named input or the output not logits")
			}
		})
	}
}

func TestEveryModelBuildsSmall(t *testing.T) {
	for _, m := range List() {
		g, err := build(m.Name+"?width=0.25&classes=7&channels=2", &builder{zeros: true})
		if err != nil {
			t.Error(err)
			continue
		}
		out := g.Outputs[0].Shape
		if len(out) != 2 || out[0].Name != "N" || out[1].Size != 7 {
			t.Errorf("%s: logits of shape %v, want Nx7", m.Name, out)
		}
	}
}

func TestSeedDecidesWeights(t *testing.T) {
	build := func(seed uint64) *graph.Graph {
		g, err := Build("resnet8", seed)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	a, b, c := build(1), build(1), build(2)
	w := "layer1.0.conv1.weight"
	if !a.Value(w).Data.Equal(b.Value(w).Data) {
		t.Error("the same seed gave other weights")
	}
	if a.Value(w).Data.Equal(c.Value(w).Data) {
		t.Error("another seed gave the same weights")
	}
}

func TestBadSpecifications(t *testing.T) {
	for spec, want := range map[string]string{
		"resnet21":                          "no network is named",
		"resnet20?depth=3":                  "no key",
		"resnet20?classes=0":                "classes=0",
		"resnet20?shortcut=C":               "want one of A, B",
		"resnet20?width=-1":                 "width=-1",
		"resnet20?width=NaN":                "width=NaN",
		"alexnet?size=32":                   "too small",
		"vgg16?width=16":                    "parameters",
		"lenet5?size=99999999999":           "size",
		"resnet20?size=32x":                 "size",
		"shufflenetv1?groups=5":             "want one of",
		"shufflenetv1?%zz":                  "invalid URL escape",
		"mobilenetv2?classes=1000000000000": "classes",
	} {
		if _, err := Build(spec, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Build(%q) = %v, want an error that says %q", spec, err, want)
		}
	}
}

func FuzzBuild(f *testing.F) {
	f.Add("lenet5?width=0.5&size=20x30&classes=3")
	f.Add("dscnn?size=1x1")
	f.Add("resnet8?shortcut=B&channels=9")
	f.Fuzz(func(t *testing.T, spec string) {
		name, _, _ := strings.Cut(spec, "?")
		if models[name] != nil && name != "lenet5" && name != "dscnn" && name != "resnet8" {
			t.Skip("only the small networks, to keep the memory low")
		}
		g, err := Build(spec, 1)
		if err == nil && g.Verify() != nil {
			t.Errorf("%q: %v", spec, g.Verify())
		}
	})
}
