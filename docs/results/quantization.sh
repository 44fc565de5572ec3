#!/usr/bin/env bash
# INT8 by the defaults of `drawknife quantize`, one table row a model: accuracy
# in drawknife's engine and in ONNX Runtime, size, latency.
#
#   DRAWKNIFE_ORT=/path/to/libonnxruntime.so DRAWKNIFE_DATA=DIR docs/results/quantization.sh
#
# DIR is the folder of real images and pretrained models that the tests use.
set -euo pipefail
: "${DRAWKNIFE_ORT:?set it to the path of libonnxruntime.so}" "${DRAWKNIFE_DATA:?set it to the folder that holds models/models.json}"
cd "$(dirname "$0")/../.."
go build -o out/drawknife ./cmd/drawknife
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
row() { # model, data, calibration, preprocessing flags
  local model=$1 data=$2 calib=$3 name
  shift 3
  name=$(basename "$model" .onnx)
  out/drawknife quantize "$DRAWKNIFE_DATA/models/$model" --data "$data" --calib "$calib" "$@" -o "$work/q.onnx" --json -q > "$work/q.json"
  out/drawknife eval "$work/q.onnx" --data "$data" --ort "$DRAWKNIFE_ORT" --json -q > "$work/e.json"
  python3 - "$name" "$work/q.json" "$work/e.json" <<'P'
import json, sys
name, q, e = sys.argv[1], json.load(open(sys.argv[2])), json.load(open(sys.argv[3]))
b, a, p = q["before"], q["after"], e["peers"][0]
print(f"| {name} | {b['top1']:.2f} | {a['top1']:.2f} | {p['top1']:.2f} ({p['same_top1_percent']:.2f} % alike) | "
      f"{b['file_bytes']/1024:.0f} → {a['file_bytes']/1024:.0f} KiB | {b['median_ms_1_thread']:.3f} → {a['median_ms_1_thread']:.3f} ms ({b['median_ms_1_thread']/a['median_ms_1_thread']:.2f}x) |", flush=True)
P
}
echo "| model | float top-1 | int8 top-1 | int8 in ONNX Runtime | file | latency, 1 thread |"
echo "|---|---|---|---|---|---|"
cifar=cifar10:$DRAWKNIFE_DATA/cifar10
for m in resnet20 resnet32 resnet56; do row cifar10/$m.onnx "$cifar@test" "$cifar@train" --preset imagenet; done
row cifar10/resnet20b.onnx "$cifar@test" "$cifar@train" --preset half
row cifar10/resnet8.onnx "$cifar@test" "$cifar@train" --preset raw
images="$DRAWKNIFE_DATA/imagenet/eval.tar" calib="$DRAWKNIFE_DATA/imagenet/calib.tar"
row imagenet/mobilenet_v2_1.0_224.onnx "$images" "$calib" --preset half --label-offset 1
row imagenet/mobilenet_v3_small_1.0_224.onnx "$images" "$calib" --mean 128 --std 127 --label-offset 1
row imagenet/mobilenet_v1_0.25_128.onnx "$images" "$calib" --preset half --label-offset 1
row imagenet/squeezenet1.1.onnx "$images" "$calib" --preset imagenet
