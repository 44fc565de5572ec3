#!/usr/bin/env bash
# Quantization by every method, one table row each: top-1 in drawknife's engine
# and in ONNX Runtime, file size, latency.
#
#   DRAWKNIFE_ORT=/path/to/libonnxruntime.so DRAWKNIFE_DATA=DIR docs/results/quantization-methods.sh TABLE [EPOCHS]
#
# TABLE is one of
#   ptq       8 bits by each calibrator; 4 bits by each rounding (ResNet-20/32/56)
#   ladder    naive, equalized, corrected, reconstructed (MobileNetV2, one scale a layer)
#   imagenet  4-bit weights on every ImageNet model
#   mixed     mixed precision against the same bits everywhere (ResNet-20)
#   qat       trained: LSQ, QAT, PACT, DoReFa, QNN, Octo, ternary, INQ (ResNet-20)
#   binary    one bit: BinaryConnect, BWN, BNN, XNOR, LAB, IR-Net, Bi-Real, ReActNet (ResNet-20)
# EPOCHS is the length of each training (default 30; the papers use 200 to 500).
# Models, recipes and logs go to out/quantization.
set -euo pipefail
: "${DRAWKNIFE_ORT:?set it to the path of libonnxruntime.so}" "${DRAWKNIFE_DATA:?set it to the folder that holds models/models.json}"
cd "$(dirname "$0")/../.."
table=${1:?TABLE: ptq, ladder, imagenet, mixed, qat or binary} epochs=${2:-30}
out=out/quantization
mkdir -p "$out"
go build -o out/drawknife ./cmd/drawknife
row() { # label, model file or zoo:NAME, data, calibration, flags
  local label=$1 model=$2 data=$3 calib=$4 name
  shift 4
  name=$(basename "${model#zoo:}" .onnx)-$(echo "$label" | tr -c 'A-Za-z0-9\n' -)
  out/drawknife quantize "$model" --data "$data" --calib "$calib" "$@" -o "$out/$name.onnx" --json > "$out/$name.json" 2> "$out/$name.log" || { echo "| $label | failed: $(tail -1 "$out/$name.log") |"; return; }
  out/drawknife eval "$out/$name.onnx" --data "$data" --ort "$DRAWKNIFE_ORT" --json -q > "$out/$name-ort.json" 2>> "$out/$name.log" || true
  python3 - "$label" "$(basename "$model" .onnx)" "$out/$name.json" "$out/$name-ort.json" <<'P'
import json, sys
label, model, q = sys.argv[1], sys.argv[2], json.load(open(sys.argv[3]))
b, a = q["before"], q["after"]
try:
    p = json.load(open(sys.argv[4]))["peers"][0]
    peer = f"{p['top1']:.2f} ({p['same_top1_percent']:.2f} % alike)"
except Exception:
    peer = "not loaded"
print(f"| {model} | {label} | {b['top1']:.2f} | {a['top1']:.2f} | {peer} | {b['file_bytes']/1024:.0f} → {a['file_bytes']/1024:.0f} KiB | "
      f"{b['median_ms_1_thread']:.3f} → {a['median_ms_1_thread']:.3f} ms | {q['seconds']:.0f} s |", flush=True)
P
}
echo "| model | method | float top-1 | top-1 | in ONNX Runtime | file | latency, 1 thread | took |"
echo "|---|---|---|---|---|---|---|---|"
models=$DRAWKNIFE_DATA/models cifar=cifar10:$DRAWKNIFE_DATA/cifar10
resnet() { local label=$1 depth=$2; shift 2; row "$label" "$models/cifar10/resnet$depth.onnx" "$cifar@test" "$cifar@train" --preset imagenet "$@"; }
photos() { local label=$1 model=$2; shift 2; row "$label" "$models/imagenet/$model.onnx" "$DRAWKNIFE_DATA/imagenet/eval.tar" "$DRAWKNIFE_DATA/imagenet/calib.tar" "$@"; }
case $table in
ptq)
  for depth in 20 32 56; do
    for c in minmax ema std percentile mse kl aciq; do resnet "int8, $c" $depth --calibrator $c; done
    resnet "W8A8 MLPerf rules" $depth --images 500
    for bits in "4 8" "4 4"; do
      set -- $bits
      for m in int8 aciq "aciq:allocate=false" gptq adaround:iterations=2000 brecq:iterations=2000; do resnet "W$1A$2, $m" $depth --method $m --wbits $1 --abits $2 --images 1024; done
    done
    resnet "W2A8, gptq" $depth --method gptq --wbits 2 --images 1024
    resnet "W4A8, powers of two" $depth --method log --wbits 4
    resnet "deep compression, 4 bits" $depth --method deep-compression:conv=4,fc=4
  done
  row "int8" "$models/cifar10/resnet8.onnx" "$cifar@test" "$cifar@train" --preset raw --images 500 ;;
ladder)
  m=mobilenet_v2_1.0_224 flags="--preset half --label-offset 1"
  photos "W8A8, one scale a layer" $m $flags --per-tensor --no-bias-correction
  photos "… equalized" $m $flags --per-tensor --no-bias-correction --equalize
  photos "… biases absorbed and corrected (DFQ)" $m $flags --per-tensor --method dfq
  photos "… on made images (ZeroQ)" $m $flags --per-tensor --method dfq --data-free
  photos "W4A8, a scale a channel" $m $flags --wbits 4 --no-bias-correction
  photos "… corrected" $m $flags --wbits 4
  photos "… gptq" $m $flags --wbits 4 --method gptq
  photos "… brecq" $m $flags --wbits 4 --method brecq:iterations=500 --images 128 ;;
imagenet)
  for m in int8 gptq adaround:iterations=500; do
    photos "W4A8, $m" mobilenet_v2_1.0_224 --preset half --label-offset 1 --wbits 4 --method $m
    photos "W4A8, $m" mobilenet_v3_small_1.0_224 --mean 128 --std 127 --label-offset 1 --wbits 4 --method $m
    photos "W4A8, $m" mobilenet_v1_0.25_128 --preset half --label-offset 1 --wbits 4 --method $m
    photos "W4A8, $m" squeezenet1.1 --preset imagenet --wbits 4 --method $m
  done ;;
mixed)
  for share in 0.5 0.375; do
    for by in output hessian; do
      for budget in size bops; do resnet "mixed, $share of 8 bits, $by, $budget" 20 --method "mixed:share=$share,by=$by,budget=$budget,rounding=gptq"; done
    done
  done
  resnet "W4A8, gptq" 20 --method gptq --wbits 4
  resnet "W3A8, gptq" 20 --method gptq --wbits 3 ;;
qat)
  for bits in "8 8" "4 4" "3 3" "2 2"; do
    set -- $bits
    for m in qat lsq lsq:per-channel=true pact dorefa qnn; do resnet "W$1A$2, $m" 20 --method $m --wbits $1 --abits $2 --epochs "$epochs"; done
  done
  resnet "W1A2 G6, qnn" 20 --method qnn:gbits=6 --wbits 1 --abits 2 --epochs "$epochs"
  resnet "W1A2 G6, dorefa" 20 --method dorefa:gbits=6 --wbits 1 --abits 2 --epochs "$epochs"
  for m in octo ternary inq; do resnet "$m" 20 --method $m --epochs "$epochs"; done
  resnet "inq, 3 bits" 20 --method inq --wbits 3 --epochs "$epochs" ;;
binary)
  for m in binaryconnect binaryconnect:stochastic=true bwn lab bnn xnor irnet irnet:shortcuts=true bireal reactnet; do
    row "$m" zoo:resnet20 "$cifar@test" "$cifar@train" --preset imagenet --method $m --epochs "$epochs"
  done ;;
*) echo "there is no table $table" >&2; exit 2 ;;
esac
