package report

import (
	"fmt"
	"math"

	"github.com/drawknife/drawknife/compress"
	"github.com/drawknife/drawknife/measure"
	"github.com/drawknife/drawknife/quantize"
)

// sample is the result of compressing a CIFAR-10 ResNet-20, with made-up but
// likely numbers.
func sample() *compress.Result {
	r := &compress.Result{
		Version: "0.1.0", Command: "drawknife compress resnet20.onnx --data cifar10:data --max-drop 1 --latency 0.5 --time 10m -o out",
		Model: "models/resnet20.onnx", Data: "cifar10:data", Digest: "sha256:3f1c6bd0c9c3a1c7", Images: 5000,
		Machine: "AMD EPYC 7B13, 2 CPUs, avx2", Threads: 2, Seed: 1,
		Budget: compress.Budget{MaxDrop: 1, LatencyMs: 0.5, Bytes: 300_000}, Met: true,
		Before: measure.Metrics{Top1: 92.46, Top5: 99.78, Loss: 0.2671, Params: 272_474, MACs: 40_813_184, FileBytes: 1_099_314,
			WeightBytes: 1_089_896, PeakActivationBytes: 196_608, MedianMs: 0.842, MedianMs1: 1.327},
		After: measure.Metrics{Top1: 91.88, Top5: 99.71, Loss: 0.2893, Params: 189_207, MACs: 27_340_112, FileBytes: 219_877,
			WeightBytes: 196_332, PeakActivationBytes: 49_152, MedianMs: 0.273, MedianMs1: 0.401},
		Seconds: 583.4, Outputs: []string{"out/model.onnx", "out/recipe.yaml", "out/report.html", "out/report.json"},
		Feasibility: []compress.Feasible{
			{Limit: "accuracy lost", Asked: 1, Original: 0, Best: 0.04, Unit: "points", Possible: true},
			{Limit: "latency", Asked: 0.5, Original: 0.842, Best: 0.214, Unit: "ms", Possible: true},
			{Limit: "size", Asked: 300_000, Original: 1_089_896, Best: 80_101, Unit: "bytes", Possible: true},
			{Limit: "MACs", Asked: 5e6, Original: 40_813_184, Best: 10_200_000},
		},
		Selection: compress.Selection{Images: 5000, From: "training images held out", Before: 92.6, After: 91.96},
		Screened: []compress.Screened{
			{Method: "prune/l1", Top1: 88.1, Loss: 0.412, Ms: 0.29, File: 230_000, Use: "another score keeps better channels"},
			{Method: "prune/fpgm", Top1: 88.9, Loss: 0.391, Ms: 0.29, File: 230_000, Use: "rates the channels", Entered: true},
			{Method: "weights/magnitude", Ms: 0.61, File: 1_099_314, Use: "90 % zeros run in 0.610 ms, integers in 0.331"},
			{Method: "layers/output", Use: "cannot be applied: no block of this model can be left out"},
		},
		Energy: &compress.EnergyOf{Machine: "bitfusion", Before: 1.2, After: 0.21},
		Warnings: []string{
			"layer1.0.conv1 stays wide: pruning it below 12 channels costs more accuracy than it saves time",
			"latencies varied by 9 % between repeats; close other programs for steadier figures",
		},
		Recipe: "drawknife: 2\nmodel: models/resnet20.onnx\nseed: 1\nsteps:\n- prune:\n    method: l1\n    keep:\n      layer1.0.conv1: 14\n" +
			"- finetune:\n    epochs: 4\n    batch: 128\n    lr: 0.01\n- quantize:\n    calibrator: mse\n    images: 512\n",
	}
	r.Trials = []compress.Trial{
		{Name: "original", Top1: 92.6, Ms: 0.842, Bytes: 1_089_896, MACs: 40_813_184, Params: 272_474, Original: true, Pareto: true},
		{Name: "int8", Key: "9b01c2", Top1: 92.48, Ms: 0.331, Bytes: 280_104, MACs: 40_813_184, Params: 272_474, Pareto: true},
		{Name: "prune 10 %", Key: "2c77d0", Top1: 92.3, Ms: 0.79, Bytes: 990_412, MACs: 36_640_000, Params: 247_603},
		{Name: "prune 10 %, int8", Key: "c81b44", Top1: 92.2, Ms: 0.309, Bytes: 255_020, MACs: 36_640_000, Params: 247_603, Pareto: true},
		{Name: "prune 20 %", Key: "77aa10", Top1: 91.94, Ms: 0.701, Bytes: 880_000, MACs: 32_500_000, Params: 220_000},
		{Name: "prune 20 %, int8", Key: "e3810b", Top1: 91.86, Ms: 0.297, Bytes: 226_900, MACs: 32_500_000, Params: 220_000},
		{Name: "prune 33 %, int8", Key: "41c0aa", Top1: 91.96, Ms: 0.273, Bytes: 196_332, MACs: 27_340_112, Params: 189_207, Pareto: true, Chosen: true},
		{Name: "prune 33 %, float stem, int8", Key: "ab4f19", Top1: 91.98, Ms: 0.302, Bytes: 198_060, MACs: 27_340_112, Params: 189_207},
		{Name: "prune 40 %, int8", Key: "b7e650", Top1: 91.32, Ms: 0.257, Bytes: 176_020, MACs: 24_480_000, Params: 169_020, Pareto: true},
		{Name: "prune 50 %, int8", Key: "0e35f4", Top1: 90.5, Ms: 0.231, Bytes: 150_912, MACs: 20_410_000, Params: 141_337, Pareto: true},
		{Name: "prune 60 %, int8", Key: "5dd219", Top1: 88.14, Ms: 0.214, Bytes: 121_760, MACs: 16_330_000, Params: 113_008, Pareto: true},
		{Name: "prune 75 %, no fine-tuning, int8", Key: "f00d22", Top1: 23.7, Ms: 0.209, Bytes: 80_101, MACs: 10_200_000, Params: 68_400, Pareto: true},
	}
	sampleLayers(r)
	sampleGroups(r)
	sampleConfusion(r)
	return r
}

// sampleLayers fills in the 22 layers and their calibration ranges.
func sampleLayers(r *compress.Result) {
	add := func(name string, in, out, spatial, kernel, keepIn, keepOut int) {
		i := len(r.Layers)
		macs := func(in, out int) int64 { return int64(in * out * kernel * kernel * spatial * spatial) }
		bytes := func(in, out, each int) int64 { return int64(in*out*kernel*kernel*each + 4*out) }
		l := compress.Layer{Name: name, Op: "Conv", Before: fmt.Sprintf("%d×%d×%d×%d", out, in, kernel, kernel),
			After: fmt.Sprintf("%d×%d×%d×%d", keepOut, keepIn, kernel, kernel), MACs: macs(in, out), MACsAfter: macs(keepIn, keepOut),
			Bytes: bytes(in, out, 4), BytesAft: bytes(keepIn, keepOut, 1), Bits: 8, What: "int8",
			Why: "2.9 times faster, top-1 unchanged within noise"}
		l.Ms, l.MsAfter = float64(l.MACs)/5.4e7+0.002, float64(l.MACsAfter)/1.4e8+0.003
		if out != keepOut {
			l.What = fmt.Sprintf("%d of %d channels removed, int8", out-keepOut, out)
			l.Why = fmt.Sprintf("its group loses %.2f points alone and saves %d k multiply-accumulates", float64(i%5)*0.07, (l.MACs-l.MACsAfter)/1000)
		}
		r.Layers = append(r.Layers, l)
		hi := float32(1.9 + 0.37*float64(i%7))
		c := quantize.Range{Value: name + "_output", Max: hi * 1.6, Hi: hi, Scale: hi / 255}
		if i%3 == 2 {
			c.Min, c.Lo, c.Scale, c.Zero = -hi*1.2, -hi*0.8, hi*1.8/255, 113
		}
		r.Ranges = append(r.Ranges, c)
	}
	add("conv1", 3, 16, 32, 3, 3, 16)
	for stage, width := range []int{16, 32, 64} {
		spatial := 32 >> stage
		for block := range 3 {
			name, in := fmt.Sprintf("layer%d.%d", stage+1, block), width
			if block == 0 && stage > 0 {
				in = width / 2
			}
			keep := width - width*(2+(stage+block)%3)/8
			add(name+".conv1", in, width, spatial, 3, in, keep)
			add(name+".conv2", width, width, spatial, 3, keep, width)
			if in != width {
				add(name+".downsample", in, width, spatial, 1, in, width)
			}
		}
	}
	r.Layers = append(r.Layers,
		compress.Layer{Name: "avgpool", Op: "GlobalAveragePool", Ms: 0.004, MsAfter: 0.002, Bits: 8, What: "int8", Why: "keeps its input's grid"},
		compress.Layer{Name: "layer1.0.relu", Op: "Relu", Ms: 0.011, What: "runs inside layer1.0.conv1", Why: "an activation costs nothing there"},
		compress.Layer{Name: "fc", Op: "Gemm", Before: "10×64", After: "10×64", MACs: 640, MACsAfter: 640, Bytes: 2600, BytesAft: 2600, Ms: 0.003, MsAfter: 0.003,
			Bits: 32, What: "left as it is", Why: "named in --float"})
}

// sampleGroups fills in the sensitivity scan.
func sampleGroups(r *compress.Result) {
	for stage, width := range []int{16, 32, 64} {
		for block := range 3 {
			c := compress.Curve{Group: fmt.Sprintf("layer%d.%d.conv1", stage+1, block), Channels: width}
			for _, part := range []int{7, 6, 4, 2, 1} {
				gone := 1 - float64(part)/8
				fall := math.Pow(gone, 3) * (4 + 9*float64((stage*5+block*3)%7))
				c.Points = append(c.Points, compress.Point{Keep: width * part / 8, Top1: math.Round((92.6-fall)*100) / 100,
					MACs: 40_813_184 - int64(gone*4.7e6)})
			}
			r.Sensitivity = append(r.Sensitivity, c)
		}
		r.Sensitivity = append(r.Sensitivity, compress.Curve{Group: fmt.Sprintf("layer%d residual", stage+1), Channels: width,
			Frozen: fmt.Sprintf("joins %d convolutions by residual additions; pruning it alone lost 11 points", 4+stage)})
	}
}

func sampleConfusion(r *compress.Result) {
	c := &compress.Confusion{Classes: []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}}
	for i := range 10 {
		before, after := make([]int, 10), make([]int, 10)
		for j := range 10 {
			if i != j {
				before[j] = (i*7 + j*5) % 9 / 2
				after[j] = max(before[j]+(i*11+j*3)%7-3, 0)
			}
		}
		if i == 3 {
			before[5], after[5] = 44, 57
		}
		if i == 5 {
			before[3], after[3] = 41, 35
		}
		wrong := func(a []int) (n int) {
			for _, v := range a {
				n += v
			}
			return n
		}
		before[i], after[i] = 500-wrong(before), 500-wrong(after)
		c.Before, c.After = append(c.Before, before), append(c.After, after)
	}
	r.Confusion = c
}
